"""`rtmlib-backend serve`."""

import importlib.util
import os
import socket
import sys
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from adapters.settings import SettingsError, load_settings
from adapters.wiring import runner_config
from runners.plan import fetch


def serve() -> None:
    """Fetch missing networks, then serve on BACKEND_PORT (default 9090)."""
    settings = load_settings()
    taken = listen_error(settings.backend_port)
    if taken is not None:  # which BentoML would show as a traceback
        raise SettingsError(
            f"BACKEND_PORT={settings.backend_port} is not available ({taken}). Set another one, or stop the program "
            "that uses it."
        )
    # Fetched here for the progress bar; the service would fetch them too.
    fetch(runner_config(settings))
    spec = importlib.util.find_spec("service")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    os.environ.setdefault("BENTOML_HOME", str(_bentoml_home()))
    command = ["-m", "bentoml", "serve", "service:Backend", "--working-dir", str(folder)]
    # exec replaces this process, so signals reach the server itself.
    os.execv(sys.executable, [sys.executable, *command, "--port", str(settings.backend_port)])  # noqa: S606


def listen_error(port: int) -> str | None:
    """Return the system's reason why a port of this machine cannot be listened on, or None."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104 - as the service does
        except OSError as error:
            return error.strerror
    return None


def _bentoml_home() -> Path:
    """Return a folder for BentoML's run-time files; its default may be in a read-only home."""
    home = user_cache_path("rtmlib-ml-backend") / "bentoml"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="rtmlib-ml-backend-"))
    return home
