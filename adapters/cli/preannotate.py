"""`rtmlib-backend preannotate`: predictions for a whole project, without anybody waiting at a screen."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from yarl import URL

from adapters.cli.in_process import fetched_model_version, predicting_in_process
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError, Project
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.preannotation.outcome import Outcome, RunEndedError, write_report
from adapters.preannotation.progress import duration, shown
from adapters.preannotation.run import Run, Selection, find_lacking
from adapters.preannotation.running_backend import RunningBackend
from adapters.preannotation.shard import Shard
from adapters.settings import Settings, load_settings
from adapters.wiring import label_studio_access

CANNOT_GO_ON, SOME_FAILED = 1, 3
"""Exit codes: 3 will be the same when tried again, 1 perhaps not. k8s/jobs/preannotate.yaml tells them apart."""
_TASKS_NAMED = 10
"""Failed tasks named for each reason at the end; the report file names all."""


@dataclass(frozen=True)
class _Wanted:
    """What was asked for on the command line."""

    project: int
    selection: Selection
    backend: str | None
    at_once: int
    dry_run: bool


@dataclass
class _Course:
    """How it goes."""

    outcome: Outcome
    model_version: str = ""
    stop: Callable[[], None] | None = None
    signalled: int = 0


def preannotate(  # noqa: PLR0913 - the options of a command
    *,
    project: Annotated[int, typer.Option(min=1, help="The project's number, as in the address of its page.")],
    view: Annotated[
        int | None,
        typer.Option(min=1, help="Only the tasks of this view of the data manager: `tab` in its address."),
    ] = None,
    task: Annotated[
        list[int] | None, typer.Option(min=1, help="Only this task; may be given several times.")
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only every N-th task: one machine each for 0/N, 1/N, … N-1/N.")
    ] = "0/1",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask a running backend, with BASIC_AUTH_USER and BASIC_AUTH_PASS, instead of computing here.",
        ),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Tasks in hand at the same time.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what there is to do.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write what was done and what failed into this file, as JSON."),
    ] = None,
) -> None:
    """Give every task of a Label Studio project a prediction that has none of this model version yet.

    Ctrl-C finishes what is in hand, a second one ends at once; the next run goes on where this one ended.

    Exit code 0: all have one; 3: some failed; 1: it could not go on; 130 or 143: it was stopped.
    """
    if view is not None and task:
        raise typer.BadParameter("choose a view or tasks, not both.", param_hint="--view")
    if backend is not None and not _is_web_address(backend):
        raise typer.BadParameter("write its address as http://host:9090.", param_hint="--backend")
    if report is not None and not report.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {report.parent}.", param_hint="--report")
    try:
        selection = Selection(view, tuple(dict.fromkeys(task)) if task else None, Shard.parse(shard))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from None
    settings = load_settings()
    wanted = _Wanted(project, selection, backend, at_once, dry_run)
    course = _Course(Outcome())
    asyncio.run(_preannotate(settings, wanted, course))
    code = _exit_code(course, dry_run)
    if report is not None:
        try:
            write_report(report, _asked(settings, wanted, course), course.outcome)
        except OSError as error:
            typer.echo(f"{report} cannot be written: {error.strerror}.", err=True)
            code = code or CANNOT_GO_ON
    _print_summary(wanted, course)  # after the report, since whoever reads this may have gone
    if code:
        raise typer.Exit(code)


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


async def _preannotate(settings: Settings, wanted: _Wanted, course: _Course) -> None:
    """Do it; what ends it early stands in the outcome afterwards."""
    console = Console(stderr=True)
    try:
        with _stopped_by_signals(course, console):
            async with AsyncExitStack() as opened:
                await _run(settings, wanted, course, console, opened)
    except asyncio.CancelledError:
        course.outcome.ended_by = "stopped"
    except (LabelStudioApiError, LabelConfigError, RunEndedError) as error:
        course.outcome.ended_by = str(error)
    if course.signalled and course.outcome.left:
        course.outcome.ended_by = course.outcome.ended_by or "stopped"


async def _run(
    settings: Settings, wanted: _Wanted, course: _Course, console: Console, opened: AsyncExitStack
) -> None:

    def say(sentence: str) -> None:
        console.print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)

    url, credentials = label_studio_access(settings, "to find the tasks")
    api = await opened.enter_async_context(LabelStudioApi(url, credentials, on_outage=say))
    project = await api.project(wanted.project)
    config = parse_label_config(project.label_config)
    for sentence in config.sentences:
        say(f"label config: {sentence}")
    running: RunningBackend | None = None
    if wanted.backend is not None:
        password = settings.basic_auth_pass
        running = await opened.enter_async_context(
            RunningBackend(
                wanted.backend,
                user=settings.basic_auth_user,
                password=password.get_secret_value() if password else None,
                on_outage=say,
            )
        )
    version = running.model_version if running else await asyncio.to_thread(fetched_model_version, settings)
    course.model_version = version
    with console.status(f"Reading the tasks of project {project.id}"):
        lacking = await find_lacking(api, project, wanted.selection, version, course.outcome)
    await _say_what_there_is(api, project, course, console, len(lacking))
    if wanted.dry_run or not lacking:
        return
    predict = (
        running.predict
        if running
        else await opened.enter_async_context(predicting_in_process(settings, version, wanted.at_once))
    )
    run = Run(
        api=api,
        project=project,
        model_version=version,
        predict=predict,
        at_once=wanted.at_once,
        outcome=course.outcome,
    )
    course.stop = run.stop
    async with shown(course.outcome, console):
        await run.work(lacking)


async def _say_what_there_is(
    api: LabelStudioApi, project: Project, course: _Course, console: Console, lacking: int
) -> None:
    outcome = course.outcome
    console.print(
        f"Project {project.id} ({escape(project.title)}): {outcome.chosen} tasks, {outcome.had} have a prediction of "
        f"{course.model_version}, {lacking} lack one.",
        highlight=False,
        soft_wrap=True,
    )
    others = {
        version for version in await api.connected_model_versions(project.id) if version.startswith("rtmlib-")
    } - {course.model_version}
    if others:
        console.print(
            f"The model that is connected to this project makes {', '.join(sorted(others))}. Label Studio takes these "
            f"predictions for outdated and retrieves its own: set MODE here to what it is there, or use --backend.",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def _stopped_by_signals(course: _Course, console: Console) -> Generator[None]:
    """Let SIGINT and SIGTERM end the run in order, and at once when they come again."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None

    def stop(number: signal.Signals) -> None:
        again, course.signalled = bool(course.signalled), number
        if again or course.stop is None:
            this.cancel()
            return
        course.stop()
        console.print("Stopping: what is in hand is finished. Once more to end at once.", highlight=False)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _exit_code(course: _Course, dry_run: bool) -> int:
    outcome = course.outcome
    if course.signalled and outcome.ended_by:
        return 128 + course.signalled
    if outcome.ended_by:
        return CANNOT_GO_ON
    return SOME_FAILED if outcome.failures and not dry_run else 0


def _asked(settings: Settings, wanted: _Wanted, course: _Course) -> dict[str, Any]:
    selection = wanted.selection
    return {
        "label_studio": settings.label_studio_url,
        "project": wanted.project,
        "view": selection.view,
        "only_tasks": selection.ids,
        "shard": str(selection.shard),
        "model_version": course.model_version,
        "dry_run": wanted.dry_run,
    }


def _print_summary(wanted: _Wanted, course: _Course) -> None:
    outcome, console = course.outcome, Console(highlight=False, soft_wrap=True)
    if not course.model_version:  # it came to nothing
        typer.echo(outcome.ended_by, err=True)
        return
    seconds = outcome.as_dict()["seconds"]
    rate = f", {outcome.created / seconds:.1f}/s" if outcome.created else ""
    parts = [
        f"{outcome.created} predictions created in {duration(seconds)}{rate}",
        f"{outcome.had} tasks had one",
        *([f"{outcome.overtaken} got one from elsewhere meanwhile"] if outcome.overtaken else []),
        *([f"{outcome.gone} were deleted meanwhile"] if outcome.gone else []),
        f"{len(outcome.failures)} failed",
        *([f"{outcome.left} are left"] if outcome.left else []),
    ]
    console.print("; ".join(parts) + ".", markup=False)
    if outcome.overtaken:
        console.print("If another run works on this project, give each its own --shard.", markup=False)
    if outcome.failures:
        table = Table("reason", "tasks")
        table.add_column("for example", overflow="fold")
        for reason, failures in outcome.by_reason().items():
            named = ", ".join(str(failure.task) for failure in failures[:_TASKS_NAMED])
            more = f" and {len(failures) - _TASKS_NAMED} more" if len(failures) > _TASKS_NAMED else ""
            table.add_row(reason, named + more, escape(failures[0].detail))
        console.print(table)
    if outcome.ended_by and outcome.ended_by != "stopped":
        typer.echo(outcome.ended_by, err=True)
    if outcome.ended_by and course.model_version and not wanted.dry_run:
        typer.echo("Start it again: it goes on where it ended.", err=True)
