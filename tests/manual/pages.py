"""The pages of the manual and the code that stands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Path from the root of the repository.
        line: Where it begins.
        language: What it is marked as, or "".
        text: What it holds.
        not_run: Why a test cannot execute it, as a comment above it says; "" if it is executed.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """All that users read, as files."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [page for page in (*top, *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()]


def blocks(*languages: str) -> Iterator[Block]:
    """All blocks in these languages, or in any."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            if not languages or found["language"] in languages:
                yield Block(
                    str(page.relative_to(ROOT)),
                    text.count("\n", 0, found.start("language")) + 1,
                    found["language"],
                    found["text"],
                    found["reason"] or "",
                )
