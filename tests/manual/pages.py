"""The pages of the manual and their code blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

NOT_RUN = {
    "cosign verify ": "needs the registry with a released image",
    "curl -s http://POD:9090/": "needs a cluster, and the name of a pod",
    "curl https://rtmlib.gawron.cloud/": "needs the deployed service",
    "docker compose ": "needs docker; tests/e2e/test_compose.py runs the parts of compose.yaml",
    "docker run ": "needs docker and an image; tests/delivery/test_image.py runs one with podman",
    "export LABEL_STUDIO_URL=": "needs a project; tests/e2e/test_exports.py and tests/e2e/test_preannotate.py have one",
    "git clone ": "needs the repository's server; its command runs in every test of a service",
    "git commit ": "would push to the repository",
    "kubectl ": "needs a cluster of the reader",
    "make bento ": "takes minutes; make image-check builds the images",
    "make help ": "runs the tests themselves; each command is a step of CI",
    "make serve ": "serves until it is stopped, as every test of a service does",
    "make setup hooks ": "changes the checkout that this test runs in",
    "uv run rtmlib-backend check-labels ": (
        "needs an export; tests/unit/adapters/cli/labels/test_check_labels.py has one"
    ),
    "uv run rtmlib-backend doctor --label-config config.xml": "needs a file and a project; tests of doctor have both",
    "uv run rtmlib-backend evaluate --project ": "needs a project; tests/e2e/test_exports.py has one",
    "uv run rtmlib-backend evaluate --annotated people.json --predicted openpose_output": (
        "needs files; tests/unit/adapters/files/poses/test_reading.py has some"
    ),
    "uv run rtmlib-backend export --project ": (
        "needs a project; tests/unit/adapters/cli/data/test_export.py has an export"
    ),
    "uv run rtmlib-backend export-coco people.json --export ": (
        "needs an export; tests/unit/adapters/cli/test_export_coco.py has one"
    ),
    "uv run rtmlib-backend import-predictions ": (
        "needs a project; tests/unit/adapters/cli/data/test_import_predictions.py has one"
    ),
    "uv run rtmlib-backend preannotate --project 3 --shard ": "needs a project; tests/e2e/test_preannotate.py has one",
}
"""Why a test cannot execute the blocks whose first line begins so."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Path from the root of the repository.
        line: Line number of its fence.
        language: Its info string, or "".
        text: Its content.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Tell whether a test executes it."""
        return not self.text.startswith(tuple(NOT_RUN))


def pages() -> list[Path]:
    """Return the files that users read."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [page for page in (*top, *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()]


def blocks(*languages: str) -> Iterator[Block]:
    """Yield all blocks in these languages, or in any."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            if not languages or found["language"] in languages:
                yield Block(
                    str(page.relative_to(ROOT)),
                    text.count("\n", 0, found.start("language")) + 1,
                    found["language"],
                    found["text"],
                )
