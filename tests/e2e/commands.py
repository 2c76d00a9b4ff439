"""Our commands, run as users run them, against the Label Studio under test."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.label_studio import LabelStudio


def command(label_studio: LabelStudio, folder: Path, *arguments: str) -> str:
    """Run `rtmlib-backend` as a user does; return what it says to standard error."""
    program = Path(sys.executable).with_name("rtmlib-backend")
    settings = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_TOKEN": label_studio.token}
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
