"""Text of others in sentences of this service: printable, on one line, and not too long."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # isolated processes import this module, and need no pydantic
    from pydantic import ValidationError

_LONGEST_SENTENCE = 500


def printable(text: str, most: int) -> str:
    """Return the first characters of a text, with spaces for those that cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text[:most])


def first_problem(error: "ValidationError") -> str:
    """Return where a document is wrong, and how, without its content."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where or 'it'}: {first['msg']}"


def listed(names: Iterable[str]) -> str:
    """Return names as a quoted list."""
    return ", ".join(f"'{name}'" for name in names)


def one_line(sentence: str) -> str:
    """Return a sentence with untrusted names without line breaks, shortened to 500 characters."""
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_SENTENCE else line[: _LONGEST_SENTENCE - 3] + "..."
