"""`rtmlib-backend preannotate`: predictions for a whole project."""

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

from adapters.cli.console import warner
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
"""Exit codes: a retry may help after 1, not after 3; k8s/jobs/preannotate.yaml relies on them."""
_TASKS_LISTED = 10
"""Failed tasks listed for each reason at the end; the report lists all."""


@dataclass(frozen=True)
class Options:
    """The options of a run."""

    project: int
    selection: Selection
    backend: str | None
    at_once: int
    dry_run: bool


@dataclass
class Progress:
    """The state of the run."""

    outcome: Outcome
    model_version: str = ""
    stop: Callable[[], None] | None = None
    signalled: int = 0


def preannotate(  # noqa: PLR0913 - the options of a command
    *,
    project: Annotated[int, typer.Option(min=1, help="The project's id, as in the address of its page.")],
    view: Annotated[
        int | None,
        typer.Option(min=1, help="Only the tasks of this view of the data manager: `tab` in its address."),
    ] = None,
    task: Annotated[list[int] | None, typer.Option(min=1, help="Only this task; repeatable.")] = None,
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="Only every N-th task; run 0/N, 1/N, … N-1/N on one machine each."),
    ] = "0/1",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Use a running backend, with BASIC_AUTH_USER and BASIC_AUTH_PASS, instead of this machine.",
        ),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Concurrent tasks.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the tasks.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write counts and failures to this file, as JSON."),
    ] = None,
) -> None:
    """Store a prediction for every task of a Label Studio project without one of this model version.

    Ctrl-C finishes running tasks, a second one stops at once; the next run continues.

    Exit code 0: all tasks have one; 3: some failed; 1: the run failed; 130 or 143: it was stopped.
    """
    if view is not None and task:
        raise typer.BadParameter("choose a view or tasks, not both.", param_hint="--view")
    if backend is not None and not is_web_address(backend):
        raise typer.BadParameter("write its address as http://host:9090.", param_hint="--backend")
    if report is not None and not report.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {report.parent}.", param_hint="--report")
    try:
        selection = Selection(view, tuple(dict.fromkeys(task)) if task else None, Shard.parse(shard))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from None
    settings = load_settings()
    options = Options(project, selection, backend, at_once, dry_run)
    progress = Progress(Outcome())
    asyncio.run(preannotate_project(settings, options, progress))
    code = _exit_code(progress, dry_run)
    if report is not None:
        try:
            write_report(report, _report_options(settings, options, progress), progress.outcome)
        except OSError as error:
            typer.echo(f"{report} cannot be written: {error.strerror}.", err=True)
            code = code or CANNOT_GO_ON
    print_summary(options, progress)  # after the report: the reader of the output may have closed the pipe
    if code:
        raise typer.Exit(code)


def is_web_address(text: str) -> bool:
    """Return whether a text is an http(s) address."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


async def preannotate_project(settings: Settings, options: Options, progress: Progress) -> None:
    """Store the missing predictions of a project; the reason for an early end is recorded in the outcome."""
    console = Console(stderr=True)
    try:
        with _stopped_by_signals(progress, console):
            async with AsyncExitStack() as opened:
                await _run(settings, options, progress, console, opened)
    except asyncio.CancelledError:
        progress.outcome.ended_by = "stopped"
    except (LabelStudioApiError, LabelConfigError, RunEndedError) as error:
        progress.outcome.ended_by = str(error)
    if progress.signalled and progress.outcome.left:
        progress.outcome.ended_by = progress.outcome.ended_by or "stopped"


async def _run(
    settings: Settings, options: Options, progress: Progress, console: Console, opened: AsyncExitStack
) -> None:
    warn = warner(console)
    url, credentials = label_studio_access(settings, "to find the tasks")
    api = await opened.enter_async_context(LabelStudioApi(url, credentials, on_outage=warn))
    project = await api.project(options.project)
    config = parse_label_config(project.label_config)
    for sentence in config.sentences:
        warn(f"label config: {sentence}")
    running: RunningBackend | None = None
    if options.backend is not None:
        password = settings.basic_auth_pass
        running = await opened.enter_async_context(
            RunningBackend(
                options.backend,
                user=settings.basic_auth_user,
                password=password.get_secret_value() if password else None,
                on_outage=warn,
            )
        )
    version = running.model_version if running else await asyncio.to_thread(fetched_model_version, settings)
    progress.model_version = version
    with console.status(f"Reading the tasks of project {project.id}"):
        lacking = await find_lacking(api, project, options.selection, version, progress.outcome)
    await _print_counts(api, project, progress, console, len(lacking))
    if options.dry_run or not lacking:
        return
    predict = (
        running.predict
        if running
        else await opened.enter_async_context(predicting_in_process(settings, version, options.at_once))
    )
    run = Run(
        api=api,
        project=project,
        model_version=version,
        predict=predict,
        at_once=options.at_once,
        outcome=progress.outcome,
    )
    progress.stop = run.stop
    async with shown(progress.outcome, console):
        await run.work(lacking)


async def _print_counts(
    api: LabelStudioApi, project: Project, progress: Progress, console: Console, lacking: int
) -> None:
    outcome = progress.outcome
    console.print(
        f"Project {project.id} ({escape(project.title)}): {outcome.chosen} tasks, {outcome.had} have a prediction of "
        f"{progress.model_version}, {lacking} lack one.",
        highlight=False,
        soft_wrap=True,
    )
    others = {
        version for version in await api.connected_model_versions(project.id) if version.startswith("rtmlib-")
    } - {progress.model_version}
    if others:
        warner(console)(
            f"The model connected to this project has version {', '.join(sorted(others))}. Label Studio treats these "
            f"predictions as outdated and retrieves its own: set MODE to the same value here, or use --backend."
        )


@contextmanager
def _stopped_by_signals(progress: Progress, console: Console) -> Generator[None]:
    """End the run in order on SIGINT or SIGTERM, and at once on a second one."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None

    def stop(number: signal.Signals) -> None:
        repeated, progress.signalled = bool(progress.signalled), number
        if repeated or progress.stop is None:
            this.cancel()
            return
        progress.stop()
        console.print("Stopping after the running tasks. Repeat to stop at once.", highlight=False)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _exit_code(progress: Progress, dry_run: bool) -> int:
    outcome = progress.outcome
    if progress.signalled and outcome.ended_by:
        return 128 + progress.signalled
    if outcome.ended_by:
        return CANNOT_GO_ON
    return SOME_FAILED if outcome.failures and not dry_run else 0


def _report_options(settings: Settings, options: Options, progress: Progress) -> dict[str, Any]:
    selection = options.selection
    return {
        "label_studio": settings.label_studio_url,
        "project": options.project,
        "view": selection.view,
        "only_tasks": selection.ids,
        "shard": str(selection.shard),
        "model_version": progress.model_version,
        "dry_run": options.dry_run,
    }


def print_summary(options: Options, progress: Progress) -> None:
    """Print what a run did, and the failures by reason."""
    outcome, console = progress.outcome, Console(highlight=False, soft_wrap=True)
    if not progress.model_version:  # the run failed before it began
        typer.echo(outcome.ended_by, err=True)
        return
    seconds = outcome.as_dict()["seconds"]
    rate = f", {outcome.created / seconds:.1f}/s" if outcome.created else ""
    parts = [
        f"{outcome.created} predictions created in {duration(seconds)}{rate}",
        f"{outcome.had} tasks had one",
        *([f"{outcome.overtaken} got one from another client meanwhile"] if outcome.overtaken else []),
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
            named = ", ".join(str(failure.task) for failure in failures[:_TASKS_LISTED])
            more = f" and {len(failures) - _TASKS_LISTED} more" if len(failures) > _TASKS_LISTED else ""
            table.add_row(reason, named + more, escape(failures[0].detail))
        console.print(table)
    if outcome.ended_by and outcome.ended_by != "stopped":
        typer.echo(outcome.ended_by, err=True)
    if outcome.ended_by and progress.model_version and not options.dry_run:
        typer.echo("Start it again: it continues.", err=True)
