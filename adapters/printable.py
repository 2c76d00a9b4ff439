"""Text that a library or another server wrote, for a sentence of ours."""


def printable(text: str, most: int) -> str:
    """Return the beginning of a text, at most so many characters, with spaces for what cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text[:most])
