"""How commands end that somebody or something breaks off: in order, with a code, and without a traceback."""

import os
import signal
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.cli.app import app

ROOT = Path(__file__).parents[4]
LIMIT_S = 60
COMMAND = [sys.executable, "-m", "adapters.cli"]
UNREACHABLE = {"LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_TOKEN": "c0ffee" * 7}


def run(*command: str, stdout: Any = subprocess.PIPE, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        check=False,
        **options,
    )


def test_ctrl_c_while_the_command_is_still_loading() -> None:
    program = """
import os, signal, sys
class Impatient:
    def find_spec(self, name, path, target=None):
        if name == "adapters.cli.doctor":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
from adapters.cli.__main__ import main
main()
"""
    ended = run(sys.executable, "-c", program)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize("command", ["export-coco coco.json", "evaluate"])
def test_ctrl_c_while_label_studio_is_waited_for_which_is_said(command: str) -> None:
    with subprocess.Popen(
        [*COMMAND, *command.split(), "--project", "1"],
        cwd=ROOT,
        env={**os.environ, **UNREACHABLE},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stderr is not None
            said = running.stderr.readline()
            running.send_signal(signal.SIGINT)
            _, rest = running.communicate(timeout=LIMIT_S)
        finally:
            running.kill()

    assert "Label Studio at http://127.0.0.1:1 is unreachable. Retrying" in said
    assert running.returncode == 130
    assert "Traceback" not in rest


def test_a_reader_who_has_gone_is_no_error_to_show() -> None:
    gone, output = os.pipe()
    os.close(gone)
    try:
        ended = run(*COMMAND, "label-config", stdout=output)
    finally:
        os.close(output)

    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", ["label-config", "models list"])
def test_a_disk_that_is_full_is_said(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run(*COMMAND, *command.split(), stdout=full)

    assert ended.returncode == 1
    assert ended.stderr == "The output cannot be written: No space left on device.\n"


def test_a_port_that_is_taken_is_said_before_anything_is_started() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(*COMMAND, "serve", env={**os.environ, "BACKEND_PORT": port})

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"BACKEND_PORT={port} is not available (Address already in use)")
    assert ended.stderr.count("\n") == 1


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"rtmlib-backend {metadata.version('rtmlib-ml-backend')}\n"


@pytest.mark.parametrize("command", [[], ["predict"], ["models", "pull"]])
def test_h_is_help(command: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*command, option]).output for option in ("-h", "--help"))
    assert "Usage" in short
    assert short == long
