"""Chromium, driven over its DevTools pipe: what an annotator does with mouse and keyboard, and what they see.

The pipe needs nothing but the standard library, and Chromium ends when it is closed.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
WIDTH, HEIGHT = 1280, 800
CALL_LIMIT_S = 30

# As the DevTools protocol counts them, and the key codes that pages see.
MODIFIERS = {"alt": 1, "ctrl": 2, "shift": 8}
KEY_CODES = {"Backspace": 8, "Enter": 13, "Escape": 27}

Point = tuple[float, float]

# The element of a selector that is seen and, if a text is asked for, says just that.
_FIND = """(selector, text) => [...document.querySelectorAll(selector)].find(element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && (text === null || element.textContent.trim() === text);
})"""


class BrowserError(Exception):
    """What was to be done or seen could not be."""


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for program in PROGRAMS if (path := shutil.which(program))), None)


class Browser:
    """One page of a running Chromium.

    Attributes:
        faults: Exceptions in the page's scripts and answers with status 500 and above, as they come.
        actions: How many clicks, drags and keys there were: what work on the page costs its user.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._last_id = 0
        self._session: str | None = None
        self.faults: list[str] = []
        self.actions = 0

    def open_page(self) -> None:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", size)

    def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a DevTools command and return its result."""
        self._last_id += 1
        number = self._last_id
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if self._session:
            message["sessionId"] = self._session
        _write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + CALL_LIMIT_S
        while (answer := self._message(deadline, method)).get("id") != number:
            self.note(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _message(self, deadline: float, waiting_for: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self._answers, 1 << 20) if ready else b""
            if not part:
                raise BrowserError(f"Chromium {'ended' if ready else 'did not answer'} during {waiting_for}")
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Network.responseReceived" and params["response"]["status"] >= 500:
            self.faults.append(f"{params['response']['url']} answered {params['response']['status']}")

    def evaluate(self, expression: str, *arguments: Any) -> Any:
        """Return the value of an expression; with arguments, of the function that it is."""
        if arguments:
            expression = f"({expression})({', '.join(json.dumps(argument) for argument in arguments)})"
        result = self.call(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait_for(self, expression: str, *arguments: Any, limit_s: float = 30) -> Any:
        """Wait until the value of an expression is true, and return it."""
        deadline = time.monotonic() + limit_s
        while not (value := self.evaluate(expression, *arguments)):
            if time.monotonic() > deadline:
                raise BrowserError(f"not seen within {limit_s:g} s: {expression} {arguments}")
            time.sleep(0.1)
        return value

    def open(self, address: str) -> None:
        result = self.call("Page.navigate", {"url": address})
        if "errorText" in result:
            raise BrowserError(f"{address}: {result['errorText']}")
        self.wait_for("document.readyState === 'complete'")

    def place(self, selector: str, text: str | None = None, limit_s: float = 30) -> dict[str, float]:
        """Wait for an element and return where it is: x, y, width, height in pixels of the page."""
        show = (
            f"(selector, text) => {{ const element = ({_FIND})(selector, text); if (!element) return null;"
            "element.scrollIntoView({block: 'nearest'}); const {x, y, width, height} ="
            "element.getBoundingClientRect(); return {x, y, width, height}; }"
        )
        return self.wait_for(show, selector, text, limit_s=limit_s)

    def click(self, selector: str, text: str | None = None, limit_s: float = 30) -> None:
        box = self.place(selector, text, limit_s)
        self.click_at((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))

    def point_at(self, point: Point) -> None:
        """Move the mouse there."""
        self._mouse("mouseMoved", point)

    def click_at(self, point: Point, *, holding: str = "") -> None:
        """Click, while a modifier key (`MODIFIERS`) is held down."""
        self.actions += 1
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._mouse(kind, point, holding=holding)

    def press(self, key: str, *, holding: str = "") -> None:
        """Press and release a key: a letter, a digit, or a name such as `Backspace`."""
        self.actions += 1
        code = KEY_CODES.get(key) or ord(key.upper())
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": MODIFIERS.get(holding, 0)}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, **event})

    def drag(self, start: Point, end: Point, steps: int = 8, *, holding: str = "") -> None:
        """Press at one point, move in steps, let go at another."""
        self.actions += 1
        self._mouse("mouseMoved", start, holding=holding)
        self._mouse("mousePressed", start, holding=holding)
        for step in range(1, steps + 1):
            share = step / steps
            self._mouse(
                "mouseMoved",
                (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])),
                buttons=1,
                holding=holding,
            )
            time.sleep(0.02)
        self._mouse("mouseReleased", end, holding=holding)

    def _mouse(self, kind: str, point: Point, *, buttons: int = 0, holding: str = "") -> None:
        event: dict[str, Any] = {"type": kind, "x": point[0], "y": point[1], "buttons": buttons}
        event["modifiers"] = MODIFIERS.get(holding, 0)
        if kind != "mouseMoved":
            event |= {"button": "left", "clickCount": 1, "buttons": int(kind == "mousePressed")}
        self.call("Input.dispatchMouseEvent", event)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, in place of what is there."""
        self.click(selector)
        self.evaluate("selector => document.querySelector(selector).select()", selector)
        self.call("Input.insertText", {"text": text})

    def screenshot(self, path: Path, clip: Sequence[float] | None = None) -> None:
        """Write what is seen as a JPEG or PNG, by the name's ending; `clip` is x, y, width, height."""
        image = {"format": "png"} if path.suffix == ".png" else {"format": "jpeg", "quality": 80}
        if clip:
            area = dict(zip(("x", "y", "width", "height"), clip, strict=True))
            image = {**image, "clip": {**area, "scale": 1}}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", image)["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile below a folder, and end it."""
    program = chromium()
    assert program is not None, "no Chromium is installed"
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    # Chromium reads from 3 and writes to 4; away from there first, so that neither covers the other.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_commands, write_answers)]
    os.close(read_commands)
    os.close(write_answers)
    shell = f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}'
    command = ["bash", "-c", shell, "chromium", program, *FLAGS]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={folder / 'profile'}"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    for end in theirs:
        os.close(end)
    try:
        page = Browser(write_commands, read_answers)
        page.open_page()
        yield page
    finally:
        os.close(write_commands)
        os.close(read_answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]
