"""The real Label Studio, a real Chromium and the real service, each started once."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import label_studio as label_studio_process
from tests.e2e.backend import ROOT, Backend
from tests.e2e.backend import backend as running_backend
from tests.e2e.browser import Browser, chromium
from tests.e2e.browser import browser as running_browser
from tests.e2e.label_studio import LabelStudio

LABEL_STUDIO = ROOT / ".tools" / "label-studio" / "bin" / "label-studio"

StartBackend = Callable[..., Backend]


@pytest.fixture(scope="session")
def installed() -> Path:
    """Label Studio's program. Not installed: a failure where CI is set, else a skip that says how to install it."""
    missing = [
        what
        for what, there in (("Label Studio", LABEL_STUDIO.exists()), ("Chromium", chromium()))
        if not there
    ]
    if missing:
        message = f"not installed: {' and '.join(missing)}; run `make e2e`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return LABEL_STUDIO


@pytest.fixture(scope="session")
def label_studio(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """Label Studio, with its settings as they come."""
    with label_studio_process.label_studio(installed, tmp_path_factory.mktemp("label-studio")) as running:
        yield running


@pytest.fixture(scope="session")
def start_backend(
    label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartBackend]:
    """Start services with settings of their own, beside the address of Label Studio."""
    program = Path(sys.executable).with_name("rtmlib-backend")
    with ExitStack() as running:

        def start(**settings: str) -> Backend:
            given = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_TOKEN": label_studio.token}
            folder = tmp_path_factory.mktemp("backend")
            return running.enter_context(running_backend(program, folder, **{**given, **settings}))

        yield start


@pytest.fixture(scope="session")
def backend(start_backend: StartBackend) -> Backend:
    """The service with a personal access token, as it should be set up."""
    return start_backend()


@pytest.fixture(scope="session")
def browser(label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, logged in to Label Studio through its form."""
    with running_browser(tmp_path_factory.mktemp("chromium")) as page:
        page.open(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio_process.USER)
        page.fill("input[name=password]", label_studio_process.PASSWORD)
        page.click("button[type=submit]")
        page.wait_for("!location.pathname.includes('login')")
        yield page


@pytest.fixture(scope="session")
def label_config() -> str:
    """What `rtmlib-backend label-config --points` prints, pasted into every project here."""
    program = Path(sys.executable).with_name("rtmlib-backend")
    return subprocess.run(
        [program, "label-config", "--points"], capture_output=True, text=True, check=True, timeout=60
    ).stdout


@pytest.fixture
def screenshot(browser: Browser, tmp_path: Path) -> Callable[..., Path]:
    """Take a picture of the page, into the folder SCREENSHOTS (docs/images renews the manual) or a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(name: str, clip: tuple[float, float, float, float] | None = None) -> Path:
        browser.screenshot(folder / name, clip)
        return folder / name

    return take


@pytest.fixture(autouse=True)
def page_without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test during which a script of Label Studio's pages broke, or an answer of its server was an error."""
    yield
    if "browser" in request.fixturenames:
        browser = request.getfixturevalue("browser")
        faults, browser.faults = browser.faults, []
        assert faults == []
