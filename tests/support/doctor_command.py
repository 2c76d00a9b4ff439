"""`rtmlib-backend doctor` as tests call it, and the Label Studio that it asks."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from click.testing import Result

from tests.support.http_server import Handler, serving

TOKEN = "0123456789abcdef0123456789abcdef01234567"

Doctor = Callable[..., Result]
"""Runs the command with these options, and these settings as keyword arguments."""


@contextmanager
def answering(answer: Callable[[str, bool], tuple[int, Any]]) -> Iterator[str]:
    """Run a Label Studio.

    Args:
        answer: A path, and whether the request has the token, to a status and a body.

    Yields:
        Its address.
    """

    class LabelStudio(Handler):
        def do_GET(self) -> None:
            status, content = answer(self.path, self.headers.get("Authorization") == f"Token {TOKEN}")
            self.answer(status, json.dumps(content).encode(), Content_Type="application/json")

    with serving(LabelStudio) as url:
        yield url
