"""What commands say beside their results."""

from collections.abc import Callable

from rich.console import Console


def warner(console: Console) -> Callable[[str], None]:
    """Return a function that prints a warning, as it is, on a console."""

    def warn(sentence: str) -> None:
        console.print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)

    return warn
