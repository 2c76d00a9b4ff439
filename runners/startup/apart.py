"""Runs a function in a process of its own: what crashes, hangs or keeps memory there leaves this one as it was.

`multiprocessing` is not used: it leaves a helper process behind (its resource tracker), which outlives a server that is
stopped.
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
    """The process ended without an answer."""


def run_apart(function: Callable[..., Result], *arguments: Any, limit_s: float) -> Result:
    """Run a function in a process of its own, and return what it returns.

    Args:
        function: Of a module of this project; it, its arguments and what it returns or raises must be picklable.
        arguments: What it gets.
        limit_s: How long it may take, start included; then the process is killed.

    Raises:
        TimeoutError: It takes longer.
        CrashedError: The process ended without an answer.
        Exception: What the function raised.
    """
    # The answer has a file of its own: standard output is the libraries' to write on.
    with tempfile.TemporaryFile() as answers:
        child = subprocess.Popen(  # noqa: S603 - this interpreter, on a function of ours
            [
                sys.executable,
                "-c",
                "from runners.startup.apart import answer; answer()",
                str(answers.fileno()),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[answers.fileno()],
            # BentoML takes the folder of a Bento's code out of the path once the service is loaded.
            env=os.environ | {"PYTHONPATH": os.pathsep.join([_CODE, *filter(None, sys.path)])},
        )
        try:
            child.communicate(pickle.dumps((function, arguments)), timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"It does not answer within {limit_s:g} s") from None
        finally:
            child.kill()
            child.wait()
        answers.seek(0)
        said = answers.read()
    if not said:
        raise CrashedError(f"The process ended with {child.returncode}")
    result = pickle.loads(said)  # noqa: S301 - written by the process that was started above
    if isinstance(result, BaseException):
        raise result
    return result


def answer() -> None:
    """Do what `run_apart` asks for: work comes on standard input, the answer goes to the open file that is named."""
    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    try:
        result = function(*arguments)
    except Exception as error:  # whatever it is, it is for who asked
        result = error
    said = pickle.dumps(result)
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        answers.write(said)
