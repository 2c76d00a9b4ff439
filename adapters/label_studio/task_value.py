"""Where a label config says that a task's picture is, such as `value="$image"`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

# As Label Studio's editor reads it: web/libs/editor/src/utils/data.js, parseValue.
_VARIABLE = re.compile(r"\$([A-Za-z0-9_\[\].{}]+)")
_STEP = re.compile(r"[^.\[\]]+")
_UNNAMED_COLUMN = (
    "$undefined$"  # Label Studio's key for files that were imported before there was a label config
)


class TaskDataError(ValueError):
    """A task's data has no picture where the label config says; the message says what is there."""


@dataclass(frozen=True)
class TaskValue:
    """The `value` of an Image tag.

    Attributes:
        text: The attribute as written: `$image`, a path such as `$shots[0].url`, a text with such variables in it,
            or a fixed address.
    """

    text: str

    def address(self, data: Mapping[str, object]) -> str:
        """Return the picture's address in a task's data.

        Raises:
            TaskDataError: There is none, or it is not text.
        """
        found = self._resolved(data)
        if isinstance(found, str) and found.strip():
            return found.strip()
        where = f"The task's data has no picture under '{self.text}'"
        if found is not None and not isinstance(found, str):
            raise TaskDataError(f"{where}: it is of type {type(found).__name__}, not an address.")
        keys = ", ".join(sorted(key[:40] for key in data)[:10]) or "no keys at all"
        raise TaskDataError(f"{where}; it has {keys}.")

    def _resolved(self, data: Mapping[str, object]) -> object:
        if self.text.startswith("$") and self.text[1:] in data:
            return data[self.text[1:]]
        whole = _VARIABLE.fullmatch(self.text)
        if whole:
            found = _looked_up(data, whole[1])
            if found is None and set(data) == {_UNNAMED_COLUMN}:
                return data[_UNNAMED_COLUMN]
            return found
        parts = [_looked_up(data, match[1]) for match in _VARIABLE.finditer(self.text)]
        if any(not isinstance(part, str | int) for part in parts):
            return None
        values = iter(parts)
        return _VARIABLE.sub(lambda _: str(next(values)), self.text)


def _looked_up(data: Mapping[str, object], path: str) -> object:
    """Follow a path like `a.b[0].c`; a key that is spelled like the whole path comes first."""
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
