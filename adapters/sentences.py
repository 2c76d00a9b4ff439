"""Text of others in sentences of this service: printable, on one line, and not too long."""

from collections.abc import Iterable

_LONGEST_SENTENCE = 500


def printable(text: str, most: int) -> str:
    """Return the first characters of a text, with spaces for those that cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text[:most])


def listed(names: Iterable[str]) -> str:
    """Return names as a quoted list."""
    return ", ".join(f"'{name}'" for name in names)


def one_line(sentence: str) -> str:
    """Return a sentence with untrusted names without line breaks, shortened to 500 characters."""
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_SENTENCE else line[: _LONGEST_SENTENCE - 3] + "..."
