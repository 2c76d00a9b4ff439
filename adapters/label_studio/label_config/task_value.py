"""The field of a task's picture in a label config, such as `value="$image"`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import cast

# As in Label Studio's editor: web/libs/editor/src/utils/data.js, parseValue.
_VARIABLE = re.compile(r"\$([A-Za-z0-9_\[\].{}]+)")
_STEP = re.compile(r"[^.\[\]]+")
UNNAMED_COLUMN = (
    "$undefined$"  # Label Studio's key for files that were imported before there was a label config
)


_QUOTED = re.compile(r"""=\s*(?:"([^"]*)"|'([^']*)')""")


def keys_read(label_config: str) -> frozenset[str]:
    """Return the keys of tasks' data that a label config may use, and perhaps more, without parsing it."""
    texts = (unescape("".join(match.groups(""))).strip() for match in _QUOTED.finditer(label_config))
    keys = {UNNAMED_COLUMN}
    for text in texts:
        if text.startswith("$"):
            keys.add(text[1:])
        for path in _VARIABLE.findall(text):
            keys |= {path, *_STEP.findall(path)[:1]}
    return frozenset(keys)


class TaskDataError(ValueError):
    """A task's data has no picture in the label config's field; the message says what it has."""

    reason = "no_picture"


@dataclass(frozen=True)
class TaskValue:
    """The `value` or `valueList` of an Image tag.

    Attributes:
        text: The attribute as written: `$image`, a path such as `$shots[0].url`, a text with such variables in it,
            or a fixed address.
    """

    text: str

    def address(self, data: Mapping[str, object]) -> str:
        """Return the picture's address in a task's data.

        Raises:
            TaskDataError: The field is missing, or is no text.
        """
        found = self._resolved(data)
        if isinstance(found, str) and found.strip():
            return found.strip()
        if isinstance(found, list):
            raise TaskDataError(
                f"The task's data has a list under '{self.text}'. In the label config, write "
                f'valueList="{self.text}" instead of value="{self.text}".'
            )
        raise self._missing("picture", found, data)

    def addresses(self, data: Mapping[str, object]) -> list[str]:
        """Return the addresses of a list of pictures; "" for an invalid item. A single address is a list of one.

        Raises:
            TaskDataError: The list is missing or empty.
        """
        found = self._resolved(data)
        items = cast(list[object], found if isinstance(found, list) else [found])
        addresses = [item.strip() if isinstance(item, str) else "" for item in items]
        if any(addresses):
            return addresses
        raise self._missing("list of pictures", None if isinstance(found, list) else found, data)

    def _missing(self, what: str, found: object, data: Mapping[str, object]) -> TaskDataError:
        where = f"The task's data has no {what} under '{self.text}'"
        if found is not None and not isinstance(found, str):
            return TaskDataError(f"{where}: it is of type {type(found).__name__}, not an address.")
        keys = ", ".join(sorted(key[:40] for key in data)[:10]) or "no keys at all"
        return TaskDataError(f"{where}; it has {keys}.")

    def _resolved(self, data: Mapping[str, object]) -> object:
        if self.text.startswith("$") and self.text[1:] in data:
            return data[self.text[1:]]
        whole = _VARIABLE.fullmatch(self.text)
        if whole:
            found = _looked_up(data, whole[1])
            if found is None and set(data) == {UNNAMED_COLUMN}:
                return data[UNNAMED_COLUMN]
            return found
        parts = [_looked_up(data, match[1]) for match in _VARIABLE.finditer(self.text)]
        if any(not isinstance(part, str | int) for part in parts):
            return None
        values = iter(parts)
        return _VARIABLE.sub(lambda _: str(next(values)), self.text)


def _looked_up(data: Mapping[str, object], path: str) -> object:
    """Return the value at a path like `a.b[0].c`; a key equal to the whole path takes precedence."""
    if path in data:
        return data[path]
    found = cast(object, data)
    for step in _STEP.findall(path):
        if isinstance(found, Mapping):
            found = cast(Mapping[str, object], found).get(step)
        elif isinstance(found, list) and step.isdecimal() and len(step) < 10:
            items = cast(list[object], found)
            found = items[int(step)] if int(step) < len(items) else None
        else:
            return None
    return found
