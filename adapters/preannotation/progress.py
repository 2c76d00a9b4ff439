"""The progress of a run: a live bar on a terminal, a line every 15 s in a log."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from adapters.preannotation.outcome import Outcome

_REDRAWN_S = 0.5
_LINE_EVERY_S = 15.0
_RATE_OVER_S = 60.0
_FAILURES_PRINTED = 20
"""Failures printed as they happen; the report lists all."""


class Rate:
    """Tasks per second over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def per_second(self, finished: int, now: float) -> float:
        """Return the rate, given the number of finished tasks at a time in seconds."""
        self._seen.append((now, finished))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_OVER_S:
            self._seen.popleft()
        (then, before), elapsed = self._seen[0], now - self._seen[0][0]
        return (finished - before) / elapsed if elapsed > 0 and then < now else 0.0


@asynccontextmanager
async def shown(outcome: Outcome, console: Console) -> AsyncGenerator[None]:
    """Show the counts of a run during the block."""
    display = asyncio.create_task(
        _bar(outcome, console) if console.is_terminal else _lines(outcome, console), name="progress"
    )
    try:
        yield
    finally:
        display.cancel()
        await asyncio.wait([display])


async def _bar(outcome: Outcome, console: Console) -> None:
    rate, printed = Rate(), len(outcome.failures)
    with Live(_drawn(outcome, rate), console=console, auto_refresh=False, transient=True) as live:
        while True:
            printed = _print_failures(outcome, console, printed)
            live.update(_drawn(outcome, rate), refresh=True)
            await asyncio.sleep(_REDRAWN_S)


async def _lines(outcome: Outcome, console: Console) -> None:
    rate, printed, next_line = Rate(), len(outcome.failures), time.monotonic()
    while True:
        printed = _print_failures(outcome, console, printed)
        per_second = rate.per_second(outcome.finished, time.monotonic())
        if time.monotonic() >= next_line:
            next_line += _LINE_EVERY_S
            console.print(_words(outcome, per_second), markup=False, highlight=False, soft_wrap=True)
        await asyncio.sleep(_REDRAWN_S)


def _drawn(outcome: Outcome, rate: Rate) -> Table:
    done = outcome.had + outcome.finished
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(outcome.chosen, 1), completed=done, width=30)
    grid.add_row(bar, escape(_words(outcome, rate.per_second(outcome.finished, time.monotonic()))))
    return grid


def _words(outcome: Outcome, per_second: float) -> str:
    done = outcome.had + outcome.finished
    parts = [
        f"{done} of {outcome.chosen} tasks done",
        f"{len(outcome.failures)} failed",
        f"{per_second:.1f}/s",
    ]
    if per_second > 0 and outcome.left:
        parts.append(f"{duration(outcome.left / per_second)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration in words, such as `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _print_failures(outcome: Outcome, console: Console, printed: int) -> int:
    for failure in outcome.failures[printed:_FAILURES_PRINTED]:
        console.print(
            f"task {failure.task} failed ({failure.reason}): {failure.detail}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return max(printed, len(outcome.failures))
