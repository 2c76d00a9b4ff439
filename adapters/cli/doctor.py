"""`rtmlib-backend doctor`: finds problems of this installation, and says what to do."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from rich.console import Console
from rich.markup import escape

from adapters.cli.doctor_label_config import (
    LabelConfigProblemError,
    described,
    label_config_of_file,
    label_config_of_project,
)
from adapters.cli.doctor_tasks import TaskAddressesError, described_addresses
from adapters.cli.serve import listen_error
from adapters.concurrency.container_limits import usable_cpus
from adapters.label_studio.client.connection import ConnectionFailedError, check_connection
from adapters.settings import Settings, SettingsError, load_settings
from adapters.wiring import label_studio_credentials, runner_config
from runners.errors import ModelUnavailableError, ProviderUnavailableError
from runners.models.own_networks import in_words, own_networks
from runners.models.store import ModelStore
from runners.pipeline import load
from runners.plan import resolve

HEALTH_LIMIT_S = 2
OLDEST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)


class _ProblemError(Exception):
    """Something is wrong; the message says what to do."""


def doctor(
    label_config: Annotated[
        Path | None, typer.Option(help="Also check the label config in this file.", metavar="FILE")
    ] = None,
    project: Annotated[
        int | None,
        typer.Option(help="Also check the label config and tasks of this Label Studio project.", min=1),
    ] = None,
) -> None:
    """Check Python, packages, networks, device, port and Label Studio; exit code 1 if something is wrong."""
    console = Console(highlight=False)
    checks: list[tuple[str, Callable[[], str]]] = [("Python", _python), ("Packages", _packages)]
    try:
        settings = load_settings()
    except SettingsError as error:
        console.print(f"[red]✗[/] Settings: {error}")
        raise typer.Exit(1) from None
    checks += [
        ("Settings", lambda: _settings(settings)),
        ("Networks", lambda: _networks(settings)),
        ("Device", lambda: _device(settings)),
        ("Engines", lambda: _engines(settings)),
        ("Port", lambda: _port(settings)),
        ("Label Studio", lambda: _label_studio(settings)),
    ]
    if label_config is not None:
        checks.append(("Label config", lambda: described(label_config_of_file(label_config))))
    if project is not None:
        of_project = f"Label config of project {project}"
        checks.append((of_project, lambda: described(label_config_of_project(project, settings))))
        checks.append((f"Tasks of project {project}", lambda: described_addresses(project, settings)))
    failed = 0
    for name, check in checks:
        try:
            console.print(f"[green]✓[/] {name}: {escape(check())}")
        except (_ProblemError, LabelConfigProblemError, TaskAddressesError) as problem:
            failed += 1
            console.print(f"[red]✗[/] {name}: {escape(str(problem))}")
    if failed:
        raise typer.Exit(1)


def _python() -> str:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if not OLDEST_PYTHON <= sys.version_info[:2] < FIRST_UNTRIED_PYTHON:
        raise _ProblemError(f"{found} is not supported; use 3.11, 3.12 or 3.13.")
    return found


def _packages() -> str:
    names = {dist.metadata["Name"].lower().replace("_", "-") for dist in metadata.distributions()}
    for kind in ("onnxruntime", "opencv"):
        found = sorted(name for name in names if name == kind or name.startswith(f"{kind}-"))
        if len(found) != 1:
            raise _ProblemError(
                f"exactly one {kind} package must be installed, since they overwrite each other's files; found: "
                f"{', '.join(found) or 'none'}. Run `uv sync`."
            )
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("bentoml", "rtmlib", "numpy"))


def _settings(settings: Settings) -> str:
    return (
        f"MODE={settings.mode} DEVICE={settings.device} BACKEND_TYPE={settings.backend_type} "
        f"PRECISION={settings.precision}, {usable_cpus()} CPUs; a gateway before this service must wait longer than "
        f"TIME_BUDGET_SECONDS={settings.time_budget_seconds:g}"
    )


def _networks(settings: Settings) -> str:
    # Which networks there are does not depend on where they run.
    config = replace(runner_config(settings), device="cpu", engine="onnxruntime")
    try:
        plan = resolve(config)
        store = ModelStore(config.cache_dir, digests=config.digests)
        own = own_networks(config.detector_model, config.pose_model)
        wrong = [file.name for file in plan.files.values() if store.state(file) != "ok"]
    except ModelUnavailableError as error:
        raise _ProblemError(str(error)) from error
    if wrong:
        raise _ProblemError(
            f"{len(wrong)} are missing or damaged in {store.root}. Run `rtmlib-backend models pull --mode "
            f"{settings.mode}`."
        )
    described_own = [f"{one}: {in_words(plan.files[one.task])}" for one in own]
    return "; ".join([f"all are in {store.root}, {plan.version}", *described_own])


def _device(settings: Settings) -> str:
    config = runner_config(settings)
    try:
        body = resolve(config).networks["body"]
        if ModelStore(config.cache_dir, digests=config.digests).state(body.file) != "ok":
            raise _ProblemError("not checked: the networks are missing.")
        load(body, config)
    except (ProviderUnavailableError, ModelUnavailableError) as error:
        raise _ProblemError(str(error)) from error
    return f"the body network loads on {settings.device}"


def _engines(settings: Settings) -> str:
    try:
        networks = resolve(runner_config(settings)).networks.values()
    except (ModelUnavailableError, ProviderUnavailableError) as error:
        raise _ProblemError(str(error)) from error
    return ", ".join(f"{one.name} {one.engine} {one.precision}" for one in networks)


def _port(settings: Settings) -> str:
    taken = listen_error(settings.backend_port)
    if taken is None:
        return f"{settings.backend_port} is free"
    running = _running_there(settings.backend_port)
    if running is not None:
        return f"the service is running on {settings.backend_port}, {running}"
    raise _ProblemError(
        f"{settings.backend_port} is in use by another program ({taken}). Stop it, or set BACKEND_PORT."
    )


def _running_there(port: int) -> str | None:
    """Return the model version of this service if it runs on a port, else None."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        return _version_from(session, port)


def _version_from(session: requests.Session, port: int) -> str | None:
    try:
        said: Any = session.get(f"http://127.0.0.1:{port}/health", timeout=HEALTH_LIMIT_S).json()
        version = said["model_version"]
    except (requests.RequestException, ValueError, LookupError, TypeError):
        return None
    return version if isinstance(version, str) and version.startswith("rtmlib-") else None


def _label_studio(settings: Settings) -> str:
    if settings.label_studio_url is None:
        return "LABEL_STUDIO_URL is not set: pictures come from public addresses only"
    credentials = label_studio_credentials(settings)
    try:
        return asyncio.run(check_connection(settings.label_studio_url, credentials))
    except ConnectionFailedError as error:
        raise _ProblemError(str(error)) from error
