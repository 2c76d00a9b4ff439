"""Runs a function in a child process, isolated from crashes, hangs and memory growth.

`multiprocessing` is not used: its resource tracker, a process, outlives a stopped server.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_CODE = str(Path(__file__).resolve().parents[2])


class CrashedError(Exception):
    """The child process ended without a result."""


def run_apart(function: Callable[..., Result], *arguments: Any, limit_s: float) -> Result:
    """Run a function in a child process and return its result.

    Args:
        function: A function of this project. It, its arguments, result and errors must be picklable.
        arguments: Its arguments.
        limit_s: Timeout in seconds, start included; then the process is killed.

    Raises:
        TimeoutError: The timeout has expired.
        CrashedError: The child process ended without a result.
        Exception: The function's own error.
    """
    # Not standard output, where libraries print.
    with tempfile.TemporaryFile() as answers:
        child = subprocess.Popen(  # noqa: S603 - this interpreter and this module
            [
                sys.executable,
                "-c",
                "from runners.startup.apart import answer; answer()",
                str(answers.fileno()),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[answers.fileno()],
            # BentoML removes a Bento's code folder from the path once the service is loaded.
            env=os.environ | {"PYTHONPATH": os.pathsep.join([_CODE, *filter(None, sys.path)])},
        )
        try:
            child.communicate(pickle.dumps((function, arguments)), timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"No result within {limit_s:g} s") from None
        finally:
            child.kill()
            child.wait()
        answers.seek(0)
        said = answers.read()
    if not said:
        raise CrashedError(f"The process ended with {child.returncode}")
    result = pickle.loads(said)  # noqa: S301 - written by the child process
    if isinstance(result, BaseException):
        raise result
    return result


def answer() -> None:
    """Run the function from standard input, and write its result to the given file descriptor."""
    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent process
    try:
        result = function(*arguments)
    except Exception as error:  # the parent raises it
        result = error
    said = pickle.dumps(result)
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        answers.write(said)
