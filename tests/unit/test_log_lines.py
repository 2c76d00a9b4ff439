"""Log lines: one line for each event, with the request's id, whatever callers write."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from adapters.log_lines import OUR_PACKAGES, configure_logging
from adapters.request_context import request_id

BENTOML = logging.getLogger("bentoml._internal.server.http_app")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (*OUR_PACKAGES, BENTOML.name)]
    before = [(log, log.handlers[:], log.filters[:], log.level, log.propagate) for log in loggers]
    yield
    for log, handlers, filters, level, propagate in before:
        log.handlers, log.filters, log.propagate = handlers, filters, propagate
        log.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_has_time_level_place_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    token = request_id.set("r-1")
    logging.getLogger("adapters.predictor").warning("task=%s failed", 7)
    request_id.reset(token)

    (line,) = lines(capsys)
    assert re.fullmatch(r"[0-9-]+ [0-9:,]+ WARNING adapters\.predictor request=r-1 task=7 failed", line)


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")
    logging.getLogger("runners.services").info("not this")
    logging.getLogger("runners.services").warning("this")

    assert [line.rsplit(" ", 1)[1] for line in lines(capsys)] == ["this"]


@pytest.mark.parametrize(
    "written", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x85b", "a\x00b", "a\u202eb", "a\ud800b"]
)
def test_nothing_that_a_caller_writes_breaks_a_line_or_colours_a_terminal(
    written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO")
    logging.getLogger("adapters.predictor").warning("task=%s failed", written)

    (line,) = lines(capsys)
    assert line.isprintable()
    assert "task=a\\" in line


def test_letters_of_all_languages_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("adapters.predictor").warning("task=%s", "größe-写真-фото")

    assert lines(capsys)[0].endswith("task=größe-写真-фото")


def test_an_exception_of_ours_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        raise RuntimeError("surprise")
    except RuntimeError:
        logging.getLogger("adapters.predictor").exception("An unexpected error")

    assert lines(capsys)[-1] == "RuntimeError: surprise"


class Body(BaseModel):
    tasks: list[int]


def from_http_request(text: str) -> Body:
    """Named as BentoML's function that reads a body."""
    return Body.model_validate_json(text)


def logged_by_bentoml(caplog: pytest.LogCaptureFixture, function: Any) -> bool:
    try:
        function()
    except Exception:
        BENTOML.exception("Exception on /predict [POST]")
    return bool(caplog.records)


def test_a_body_that_cannot_be_read_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    configure_logging("INFO")

    with pytest.raises(ValidationError):
        from_http_request("{")
    assert not logged_by_bentoml(caplog, lambda: from_http_request("{"))


def test_an_error_after_the_body_was_read_leaves_one(caplog: pytest.LogCaptureFixture) -> None:
    configure_logging("INFO")

    assert logged_by_bentoml(caplog, lambda: Body.model_validate_json("{"))


def test_configuring_twice_doubles_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    configure_logging("INFO")
    logging.getLogger("service").warning("once")

    assert len(lines(capsys)) == 1
