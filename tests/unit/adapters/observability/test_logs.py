"""Log lines: one line for each event, with the request's id, whatever callers write."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.observability import library_warnings
from adapters.observability.logs import MAX_TEXT, OUR_PACKAGES, SERVER_PACKAGES, Event, configure_logging
from adapters.observability.request_id import request_id


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    names = (*OUR_PACKAGES, *SERVER_PACKAGES, None)
    loggers = [logging.getLogger(name) for name in names]
    before = [(log, log.handlers[:], log.filters[:], log.level, log.propagate) for log in loggers]
    shown = warnings.showwarning
    with warnings.catch_warnings():
        yield
    warnings.showwarning = shown
    sys.excepthook = sys.__excepthook__
    for log, handlers, filters, level, propagate in before:
        log.handlers, log.filters, log.propagate = handlers, filters, propagate
        log.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_has_time_level_place_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    token = request_id.set("r-1")
    logging.getLogger("adapters.prediction.predictor").warning("task=%s failed", 7)
    request_id.reset(token)

    (line,) = lines(capsys)
    assert re.fullmatch(
        r"[0-9-]+ [0-9:,]+ WARNING adapters\.prediction\.predictor request=r-1 task=7 failed", line
    )


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING", "text")
    logging.getLogger("runners.serving.services").info("not this")
    logging.getLogger("runners.serving.services").warning("this")

    assert [line.rsplit(" ", 1)[1] for line in lines(capsys)] == ["this"]


@pytest.mark.promise("log-lines-unbroken")
@pytest.mark.parametrize(
    "written", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x85b", "a\x00b", "a\u202eb", "a\ud800b"]
)
def test_nothing_that_a_caller_writes_breaks_a_line_or_colours_a_terminal(
    written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", "text")
    logging.getLogger("adapters.prediction.predictor").warning("task=%s failed", written)

    (line,) = lines(capsys)
    assert line.isprintable()
    assert "task=a\\" in line


def test_letters_of_all_languages_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    logging.getLogger("adapters.prediction.predictor").warning("task=%s", "größe-写真-фото")

    assert lines(capsys)[0].endswith("task=größe-写真-фото")


def test_an_exception_of_ours_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    try:
        raise RuntimeError("surprise")
    except RuntimeError:
        logging.getLogger("adapters.prediction.predictor").exception("An unexpected error")

    assert lines(capsys)[-1] == "RuntimeError: surprise"


def test_configuring_twice_doubles_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    configure_logging("INFO", "text")
    logging.getLogger("service").warning("once")

    assert len(lines(capsys)) == 1


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


FLOOD = 1_000


class TestWarningsOfLibraries:
    """The first of a kind is a line, the others are counted."""

    @pytest.fixture(autouse=True)
    def _none_ignored(self) -> None:
        warnings.resetwarnings()  # pytest's own filters

    @pytest.mark.promise("no-log-flood")
    @pytest.mark.parametrize("form", ["json", "text"])
    def test_a_flood_of_pythons_warnings_is_one_line(
        self, form: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging("DEBUG", form)
        for number in range(FLOOD):
            warnings.warn(f"tag {number}", UserWarning, stacklevel=1)

        (line,) = lines(capsys)
        assert "UserWarning: tag 0" in line

    @pytest.mark.promise("no-log-flood")
    @pytest.mark.parametrize("form", ["json", "text"])
    @pytest.mark.parametrize("name", ["PIL.TiffImagePlugin", "uvicorn.error", "bentoml.serve", "circus"])
    def test_so_is_a_flood_of_log_lines(
        self, form: Any, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging("INFO", form)
        for number in range(FLOOD):
            logging.getLogger(name).warning("tag %s", number)

        (line,) = lines(capsys)
        assert "tag 0" in line

    def test_after_a_while_a_line_says_how_many_there_were(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure_logging("INFO", "json")

        def warn(number: int) -> None:
            warnings.warn(f"warned {number}", UserWarning, stacklevel=1)
            logging.getLogger("PIL").warning("logged %s", number)

        for number in range(FLOOD):
            warn(number)
        monkeypatch.setattr(library_warnings, "PAUSE_S", 0.0)
        warn(FLOOD)
        warn(FLOOD + 1)

        said = [line["message"] for line in objects(capsys)]
        counted = f"({FLOOD - 1} more of this kind since the last line)"
        assert [one for one in said if "logged" in one] == [
            "logged 0",
            f"logged {FLOOD} {counted}",
            f"logged {FLOOD + 1}",
        ]
        assert [counted in one for one in said if "warned" in one] == [False, True, False]

    def test_python_remembers_none_of_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        registry: dict[Any, Any] = {}
        for number in range(FLOOD):
            warnings.warn_explicit(f"tag {number}", UserWarning, "library.py", 1, registry=registry)

        assert len(registry) <= 1, "its version"
        assert len(lines(capsys)) == 1

    def test_each_kind_has_its_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        for lineno in (1, 2, 1, 2):
            warnings.warn_explicit("one", UserWarning, "library.py", lineno)
        logging.getLogger("PIL").warning("two")
        logging.getLogger("PIL").warning("three")

        assert len(lines(capsys)) == 4

    @pytest.mark.parametrize(("name", "level"), [("PIL", logging.ERROR), ("adapters", logging.WARNING)])
    def test_errors_and_our_own_are_all_lines(
        self, name: str, level: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging("INFO", "json")
        for _ in range(3):
            logging.getLogger(name).log(level, "again")

        assert len(lines(capsys)) == 3


class TestJson:
    def test_an_event_is_an_object_with_its_values(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        token = request_id.set("r-1")
        event = Event(
            "task failed", "No connection.", task=7, project="7.1", stage="fetch", seconds=0.12345678
        )
        logging.getLogger("adapters.prediction.predictor").warning(event)
        request_id.reset(token)

        (line,) = objects(capsys)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
        assert line == {
            "level": "WARNING",
            "logger": "adapters.prediction.predictor",
            "process": "main",
            "request": "r-1",
            "message": "task failed",
            "task": 7,
            "project": "7.1",
            "stage": "fetch",
            "seconds": 0.123457,
            "detail": "No connection.",
        }

    def test_a_message_of_any_package_is_an_object_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        logging.getLogger("bentoml.serve").info("Service %s initialized", "pose_runner")
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("PIL.Image").warning("from a library")

        assert [(line["logger"], line["message"]) for line in objects(capsys)] == [
            ("bentoml.serve", "Service pose_runner initialized"),
            ("uvicorn.error", "Invalid HTTP request received."),
            ("PIL.Image", "from a library"),
        ]

    @pytest.mark.promise("log-lines-unbroken")
    @pytest.mark.parametrize(
        "written",
        [
            "a\nb",
            "a\r\nb",
            "\x1b[31m",
            "\u2028",
            "\x85",
            "\x00",
            "\u202e",
            "\ud800",
            '","level":"INFO',
            "写真",
        ],
    )
    def test_nothing_that_a_caller_writes_leaves_its_place(
        self, written: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging("INFO", "json")
        logging.getLogger("adapters").warning(Event("task failed", written, task=written, project=written))

        (line,) = lines(capsys)
        assert line.isascii()
        read = json.loads(line)
        assert (read["task"], read["project"], read["detail"], read["level"]) == (*[written] * 3, "WARNING")

    def test_a_traceback_stays_on_the_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        try:
            raise RuntimeError("surprise")
        except RuntimeError:
            logging.getLogger("adapters.prediction.predictor").exception("An unexpected error")

        (line,) = objects(capsys)
        assert line["message"] == "An unexpected error"
        assert line["traceback"].endswith("RuntimeError: surprise")

    def test_a_warning_is_a_line_as_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        warnings.simplefilter("always")
        configure_logging("INFO", "json")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

        (line,) = objects(capsys)
        assert line["logger"] == "py.warnings"
        assert line["message"].startswith("DeprecationWarning: soon gone (")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_task_with_an_id_as_long_as_a_request_leaves_a_line_of_bounded_length(
    form: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", form)
    logging.getLogger("adapters").warning(Event("task failed", "x" * 10**6, task="i" * 10**6))

    (line,) = lines(capsys)
    assert len(line) < 3 * MAX_TEXT
    assert "… (" in line or "\\u2026 (" in line


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", {"ours", "bentoml"}),
        ("INFO", {"ours", "bentoml"}),
        ("WARNING", set[str]()),
        ("ERROR", set[str]()),
    ],
)
def test_the_level_holds_for_the_server_too(
    level: str, expected: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level, "json")
    logging.getLogger("adapters").info("ours")
    logging.getLogger("bentoml.serve").info("bentoml")
    logging.getLogger("bentoml.serve").debug("too much")
    logging.getLogger("circus").info("too much")
    logging.getLogger("urllib3").debug("too much")

    assert {line["message"] for line in objects(capsys)} == expected


CONFIGURED = """
import logging, sys
from adapters.observability.logs import configure_logging
configure_logging("INFO", sys.argv[1])
logging.getLogger("adapters").warning("here")
raise SystemExit(0) if sys.argv[2:] == [] else ValueError("the end")
"""


def on_a_terminal(form: str) -> str:
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", CONFIGURED, form], stderr=theirs, check=True, timeout=60)
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def elsewhere(form: str, *more: str) -> list[str]:
    command = [sys.executable, "-c", CONFIGURED, form, *more]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60
    ).stderr.splitlines()


def test_left_to_itself_it_is_words_on_a_terminal_and_json_elsewhere() -> None:
    assert on_a_terminal("auto").strip().endswith("WARNING adapters request=- here")
    (line,) = elsewhere("auto")
    assert json.loads(line)["message"] == "here"


def test_either_can_be_asked_for_anywhere() -> None:
    assert json.loads(on_a_terminal("json"))["message"] == "here"
    assert elsewhere("text")[0].endswith("WARNING adapters request=- here")


def test_the_end_of_a_process_is_one_line_of_json() -> None:
    here, end = map(json.loads, elsewhere("json", "fail"))

    assert here["message"] == "here"
    assert end["level"] == "CRITICAL"
    assert end["message"] == "The process ends: ValueError('the end')"
    assert end["traceback"].endswith("ValueError: the end")
