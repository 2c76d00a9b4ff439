"""Networks from the web: two addresses, broken and lying servers, what is kept and what is refused."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runners.errors import ModelDigestError, ModelDownloadError, ModelUnavailableError
from runners.models import download
from runners.models.manifest import ModelFile
from runners.models.store import ModelStore
from tests.conftest import Within
from tests.support.archive_server import ArchiveServer, Site, make_archive, make_model, make_network
from tests.support.certificate import self_signed

NETWORK, OTHER = make_network(), make_network()
ARCHIVE = make_archive(NETWORK)
HALF = len(ARCHIVE) // 2


def kept(arrived: int) -> int:
    """How much stays of what has arrived: whole chunks."""
    return arrived // download.CHUNK * download.CHUNK


@dataclass
class Shelf:
    """A model store and one network, at its home and at a mirror."""

    store: ModelStore
    home: Site
    mirror: Site
    model: ModelFile

    def ensure(self) -> None:
        """Ask for the network, which must be there afterwards."""
        assert self.store.ensure(self.model) == self.store.path(self.model)
        assert self.store.path(self.model).read_bytes() == NETWORK

    def failure(self, kind: type[ModelUnavailableError] = ModelDownloadError) -> str:
        with pytest.raises(kind) as caught:
            self.store.ensure(self.model)
        assert self.store.state(self.model) == "missing"
        return str(caught.value)

    def break_off(self) -> None:
        """Fail in the middle of a download from home, while the mirror is away."""
        self.home.breaks, self.mirror.status = 1, 503
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download, "ATTEMPTS", 1)
            assert "the connection was interrupted" in self.failure()

    def left_over(self) -> list[str]:
        known = {".lock", "digests.json"}
        return sorted(
            path.name
            for path in self.store.root.iterdir()
            if path.name not in known and path.suffix != ".onnx"
        )


@pytest.fixture
def shelf(server: ArchiveServer, store: ModelStore) -> Shelf:
    home, mirror = server.add("/home.zip", ARCHIVE), server.add("/mirror.zip", ARCHIVE)
    return Shelf(store, home, mirror, make_model(NETWORK, home.url, mirror.url))


# ---- what is asked for is there afterwards


def test_the_network_is_taken_out_of_the_archive_and_verified(shelf: Shelf) -> None:
    shelf.ensure()
    assert shelf.store.state(shelf.model) == "ok"
    assert shelf.left_over() == []
    assert (shelf.home.requests, shelf.mirror.requests) == (["whole"], [])


def test_a_server_that_does_not_say_how_much_it_sends(shelf: Shelf) -> None:
    shelf.home.chunked = True
    shelf.ensure()


def test_a_redirect_is_followed(shelf: Shelf, server: ArchiveServer) -> None:
    behind = server.add("/cdn/file?signature=1", ARCHIVE)
    behind.breaks = 1
    shelf.home.location = "/cdn/file?signature=1"
    shelf.ensure()
    assert behind.requests == ["whole", f"bytes={kept(HALF)}-"]
    assert shelf.mirror.requests == []


def test_one_file_with_two_sources_is_fetched_once(shelf: Shelf) -> None:
    shelf.store.ensure_all([make_model(NETWORK, shelf.home.url), make_model(NETWORK, shelf.mirror.url)])
    assert (shelf.home.requests, shelf.mirror.requests) == (["whole"], [])


# ---- a connection that breaks off


def test_a_download_that_breaks_off_is_resumed(shelf: Shelf) -> None:
    shelf.home.breaks = 2
    shelf.ensure()
    first = kept(HALF)
    second = first + kept((len(ARCHIVE) - first) // 2)
    assert shelf.home.requests == ["whole", f"bytes={first}-", f"bytes={second}-"]
    assert shelf.mirror.requests == []


def test_what_a_failed_run_left_is_resumed_by_the_next_and_never_used(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.break_off()
    assert [Path(name).suffix for name in shelf.left_over()] == [".etag", ".zip"]

    shelf.ensure()
    assert shelf.home.requests == ["whole", f"bytes={kept(HALF)}-"]
    assert shelf.left_over() == []


def test_a_complete_download_that_was_not_unpacked_is_not_fetched_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.break_off()
    (partial,) = shelf.store.root.glob(".partial-*.zip")
    partial.write_bytes(ARCHIVE)
    shelf.ensure()
    assert shelf.home.requests == ["whole", f"bytes={len(ARCHIVE)}-"]


@pytest.mark.parametrize(
    "change",
    [
        lambda site: setattr(site, "etag", '"two"'),
        lambda site: setattr(site, "ranges", False),
        lambda site: setattr(site, "content_range", f"bytes 0-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"),
        lambda site: setattr(site, "content_range", "nonsense"),
    ],
    ids=["file changed", "no ranges", "another part", "nonsense"],
)
def test_a_download_that_cannot_be_resumed_starts_again(shelf: Shelf, change: Callable[[Site], None]) -> None:
    shelf.break_off()
    change(shelf.home)
    shelf.ensure()


def test_a_part_that_was_damaged_here_is_not_resumed_again_and_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.break_off()
    (partial,) = shelf.store.root.glob(".partial-*.zip")
    partial.write_bytes(bytes(HALF))
    assert "not a valid zip archive" in shelf.failure()
    shelf.ensure()
    assert shelf.home.requests == ["whole", f"bytes={HALF}-", "whole"]


def test_without_a_tag_nothing_is_kept(shelf: Shelf) -> None:
    shelf.home.etag, shelf.home.breaks, shelf.mirror.status = None, 99, 503
    shelf.failure()
    assert shelf.home.requests == ["whole", "whole"]
    assert shelf.left_over() == []


def test_a_server_that_breaks_off_without_sending_anything_new_is_left(shelf: Shelf) -> None:
    shelf.home.ranges, shelf.home.breaks = False, 99
    shelf.ensure()
    assert len(shelf.home.requests) == 2
    assert shelf.mirror.requests == ["whole"]


# ---- the second address


def announces(change: int) -> Callable[[Site], None]:
    return lambda site: setattr(site, "announced", len(site.content) + change)


@pytest.mark.parametrize(
    "case",
    [
        (lambda site: setattr(site, "status", 404), "404"),
        (lambda site: setattr(site, "status", 206), "206"),
        (announces(+1000), "was interrupted"),
        (announces(-1000), "not a valid zip archive"),
        (lambda site: setattr(site, "content", make_archive(OTHER)), "has the digest"),
        (lambda site: setattr(site, "content", os.urandom(100_000)), "not a valid zip archive"),
        (lambda site: setattr(site, "content", b""), "not a valid zip archive"),
        (
            lambda site: setattr(site, "content_type", "text/html; charset=utf-8"),
            "a web page instead of the file",
        ),
        (lambda site: setattr(site, "content_encoding", "gzip"), "unrequested Content-Encoding"),
        (lambda site: setattr(site, "content", ARCHIVE * 3), "more than the limit"),
        (
            lambda site: (setattr(site, "content", ARCHIVE * 3), setattr(site, "chunked", True)),
            "more than the limit",
        ),
        (lambda site: setattr(site, "location", site.url), "redirects more than 5 times"),
        (lambda site: setattr(site, "location", "file:///etc/passwd"), "unsafe scheme 'file'"),
        (lambda site: setattr(site, "location", "http://[/"), "Invalid IPv6 URL"),
        (lambda site: setattr(site, "location", "http://169.254.169.254/latest/"), "link-local"),
        (lambda site: setattr(site, "location", "http://[::ffff:169.254.169.254]/"), "link-local"),
    ],
    ids=[
        *("not there", "unasked part", "length too long", "length too short"),
        *("other network", "noise", "empty", "web page", "coding", "too large", "endless"),
        *("redirect loop", "redirect to a file", "redirect to nonsense"),
        *("redirect to metadata", "redirect to metadata in IPv6"),
    ],
)
def test_the_mirror_is_asked_when_the_home_fails(
    shelf: Shelf, caplog: pytest.LogCaptureFixture, case: tuple[Callable[[Site], None], str]
) -> None:
    misbehave, reason = case
    misbehave(shelf.home)
    shelf.ensure()
    assert shelf.mirror.requests == ["whole"]
    assert reason in caplog.text
    assert shelf.left_over() == []


def test_no_redirect_leads_from_https_to_http(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = self_signed(tmp_path, "127.0.0.1")
    secure = ArchiveServer(tls)
    try:
        site = secure.add("/home.zip", ARCHIVE)
        behind = replace(shelf, model=make_model(NETWORK, site.url))
        refused = behind.failure()
        assert "not trusted" in refused
        assert "certificate verify failed" in refused
        assert "set SSL_CERT_FILE" in refused
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        site.location = shelf.home.url
        assert "unsafe scheme 'http'" in behind.failure()
        assert shelf.home.requests == []
        site.location = None
        behind.ensure()
    finally:
        secure.close()


# ---- slowness has an end


def test_a_download_that_takes_too_long_is_given_up_and_resumed_later(shelf: Shelf, within: Within) -> None:
    shelf.home.bytes_per_second, shelf.mirror.status = 70_000, 503
    hasty = replace(shelf, store=ModelStore(shelf.store.root, download_limit_s=1.5))
    with within(4):
        assert "timed out after 1.5 s" in hasty.failure()
    shelf.home.bytes_per_second = None
    shelf.ensure()
    assert shelf.home.requests[1] != "whole"


def test_headers_that_come_one_by_one_are_not_awaited_for_ever(shelf: Shelf, within: Within) -> None:
    shelf.home.trickles_headers = True
    with within(4):
        ModelStore(shelf.store.root, download_limit_s=1).ensure(shelf.model)  # from the mirror


def test_a_server_that_falls_silent(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, within: Within) -> None:
    monkeypatch.setattr(download, "SILENCE_LIMIT_S", 0.5)
    shelf.home.silent_after = 70_000
    with within(10):
        shelf.ensure()  # from the mirror
    assert shelf.home.requests[0] == "whole"
    assert shelf.home.requests[1].startswith("bytes=")


# ---- failures say what to do


def test_offline_the_sentence_names_file_addresses_folder_and_the_embedded_mode(
    shelf: Shelf, unused_tcp_port: int
) -> None:
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    model = make_model(NETWORK, f"{origin}/home.zip", f"{origin}/mirror.zip")
    assert replace(shelf, model=model).failure() == (
        f"The model store lacks pose.onnx (from end2end.onnx in {origin}/home.zip or {origin}/mirror.zip): "
        f"127.0.0.1:{unused_tcp_port}: Connection refused; 127.0.0.1:{unused_tcp_port}: Connection refused. "
        f"Correct this and retry, or copy the files to {shelf.store.root} under these names, for example from a "
        "machine where `rtmlib-backend models pull` succeeded, or set MODE=embedded, whose networks come from the "
        "package index."
    )


def test_a_name_that_does_not_exist(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    message = replace(shelf, model=make_model(NETWORK, "https://models.invalid/home.zip")).failure()
    assert "models.invalid: " in message
    assert "HTTPSConnectionPool" not in message


def test_other_bytes_at_both_addresses(shelf: Shelf) -> None:
    shelf.home.content = shelf.mirror.content = make_archive(OTHER)
    message = shelf.failure(ModelDigestError)
    assert f"has the digest {hashlib.sha256(OTHER).hexdigest()} instead of {shelf.model.sha256}" in message


def test_a_store_without_room(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ModelUnavailableError, match=r"needs \d+ MB"):
        shelf.store.ensure(replace(shelf.model, size=10**6))
    assert shelf.home.requests == []
