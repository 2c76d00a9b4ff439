"""What the manual tells to type works: commands run, files can be read, names exist."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from defusedxml.ElementTree import fromstring

from adapters.http.example import draw_figure
from adapters.label_studio.label_config.parsing import parse_label_config
from tests.manual.pages import NOT_RUN, ROOT, Block, blocks, pages
from tests.service.server import Server
from tests.support.clips import Walker, walking

LIMIT_S = 240

SHELL = ("bash", "sh")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("manual"), {})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with what a reader has at hand: a picture, a folder of pictures, a clip."""
    draw_figure().save(tmp_path / "photo.jpg")
    (tmp_path / "photos").mkdir()
    draw_figure().save(tmp_path / "photos" / "first.jpg")
    (tmp_path / "signing.mp4").write_bytes(walking([Walker(lambda _: 200)], 0.4))
    return tmp_path


@pytest.fixture
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `uv`, whose `run` runs in the environment of this test, and that environment's programs."""
    folder = tmp_path_factory.mktemp("bin")
    shim = folder / "uv"
    shim.write_text(
        '#!/bin/sh\n[ "$1" = run ] || { echo "uv $1 is not for a reader" >&2; exit 64; }\nshift\nexec "$@"\n'
    )
    shim.chmod(0o755)
    for program in Path(sys.executable).parent.iterdir():
        if program.name != "uv":
            (folder / program.name).symlink_to(program)
    return folder


@pytest.mark.service
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize("block", [block for block in blocks(*SHELL) if block.is_run], ids=str)
def test_commands_succeed(block: Block, server: Server, desk: Path, commands: Path) -> None:
    script = block.text.replace("localhost:9090", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=desk,
        env=os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "BACKEND_PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("beginning", "reason"), NOT_RUN.items())
def test_each_exception_names_a_block_and_tests_that_exist(beginning: str, reason: str) -> None:
    assert any(block.text.startswith(beginning) for block in blocks(*SHELL))
    for test in re.findall(r"tests/\S+\.py", reason):
        assert (ROOT / test).exists()


def test_no_page_holds_directives_for_tests() -> None:
    assert [page.name for page in pages() if "<!-- not run" in page.read_text("utf-8")] == []


def _asks_for_something_that_we_know(label_config: str) -> None:
    if "<View" not in label_config:  # a part of one
        fromstring(f"<View>{label_config}</View>")
        return
    config = parse_label_config(label_config)
    assert not config.unknown_labels
    assert not config.problems


READERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "python": lambda text: compile(text, "a page", "exec"),
    "toml": tomllib.loads,
    "xml": _asks_for_something_that_we_know,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}


@pytest.mark.parametrize("block", list(blocks(*READERS)), ids=str)
def test_files_that_a_page_shows_can_be_read(block: Block) -> None:
    READERS[block.language](block.text)


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    # Queries of Prometheus are tested in tests/delivery/test_monitoring.py.
    tested = {*SHELL, *READERS, "promql", "text", "mermaid"}
    assert [str(block) for block in blocks() if block.language not in tested] == []


TARGETS = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"(?:`|^|&& |=\S* )make ([a-z0-9-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(TARGETS)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"rtmlib-backend ([a-z][^\n`|;&#]*)", text):
        words = line.split()
        command = [word for word in words[:2] if re.fullmatch(r"[a-z][a-z-]+", word)]
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line))
        help_text = _help(command) or _help(command[:1])
        assert help_text, f"{page.name}: rtmlib-backend {line}"
        unknown = {option for option in options if option not in help_text and option != "--help"}
        assert not unknown, f"{page.name}: rtmlib-backend {line}"


_HELP: dict[tuple[str, ...], str] = {}


def _help(command: list[str]) -> str:
    """What a command says about itself; "" if there is none of that name."""
    if tuple(command) not in _HELP:
        done = subprocess.run(
            [Path(sys.executable).with_name("rtmlib-backend"), *command, "--help"],
            capture_output=True,
            text=True,
            env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
            timeout=60,
            check=False,
        )
        _HELP[tuple(command)] = done.stdout if done.returncode == 0 else ""
    return _HELP[tuple(command)]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(
        r"\]\(([^)#\s]+)(?:#[^)]*)?\)|<img src=\"([^\"]+)\"", page.read_text(encoding="utf-8")
    ):
        address = target[0] or target[1]
        if "://" in address or address.startswith("mailto:"):
            continue
        assert (page.parent / address).exists(), f"{page.name}: {address}"
