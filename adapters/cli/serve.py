"""`rtmlib-backend serve`."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from adapters.cli.port import why_taken
from adapters.settings import SettingsError, load_settings
from adapters.wiring import runner_config
from runners.plan import fetch


def serve() -> None:
    """Fetch the networks that are missing, then serve on BACKEND_PORT (default 9090)."""
    settings = load_settings()
    taken = why_taken(settings.backend_port)
    if taken is not None:  # which BentoML would show as a traceback
        raise SettingsError(
            f"BACKEND_PORT={settings.backend_port} cannot be listened on ({taken}): set another one, or stop what is "
            "there."
        )
    # With a progress bar here, where somebody may be watching; the service itself would fetch them too.
    fetch(runner_config(settings))
    spec = importlib.util.find_spec("service")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    os.environ.setdefault("BENTOML_HOME", str(_bentoml_home()))
    command = ["-m", "bentoml", "serve", "service:Backend", "--working-dir", str(folder)]
    # In place of this process, so that signals reach the server itself.
    os.execv(sys.executable, [sys.executable, *command, "--port", str(settings.backend_port)])  # noqa: S606


def _bentoml_home() -> Path:
    """Return a folder for what BentoML keeps while it runs; its default may be in a home that is read-only."""
    home = user_cache_path("rtmlib-ml-backend") / "bentoml"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="rtmlib-ml-backend-"))
    return home
