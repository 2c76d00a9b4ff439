"""Networks from the web: two addresses, broken and lying servers, what is kept and what is refused."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
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


@pytest.fixture
def home(server: ArchiveServer) -> Site:
    return server.add("/home.zip", ARCHIVE)


@pytest.fixture
def mirror(server: ArchiveServer) -> Site:
    return server.add("/mirror.zip", ARCHIVE)


@pytest.fixture
def model(home: Site, mirror: Site) -> ModelFile:
    return make_model(NETWORK, home.url, mirror.url)


@pytest.fixture
def sites(home: Site, mirror: Site) -> tuple[Site, Site]:
    return home, mirror


def content(store: ModelStore, model: ModelFile) -> bytes:
    return store.path(model).read_bytes()


def left_over(store: ModelStore) -> list[str]:
    known = {".lock", "digests.json"}
    return sorted(
        path.name for path in store.root.iterdir() if path.name not in known and path.suffix != ".onnx"
    )


def failure(
    store: ModelStore, model: ModelFile, kind: type[ModelUnavailableError] = ModelDownloadError
) -> str:
    with pytest.raises(kind) as caught:
        store.ensure(model)
    assert store.state(model) == "missing"
    return str(caught.value)


# ---- what is asked for is there afterwards


def test_the_network_is_taken_out_of_the_archive_and_verified(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore
) -> None:
    assert store.ensure(model) == store.path(model)
    assert content(store, model) == NETWORK
    assert store.state(model) == "ok"
    assert left_over(store) == []
    assert (home.requests, mirror.requests) == (["whole"], [])


def test_a_server_that_does_not_say_how_much_it_sends(
    home: Site, model: ModelFile, store: ModelStore
) -> None:
    home.chunked = True
    store.ensure(model)
    assert content(store, model) == NETWORK


def test_a_redirect_is_followed(
    server: ArchiveServer, home: Site, mirror: Site, model: ModelFile, store: ModelStore
) -> None:
    behind = server.add("/cdn/file?signature=1", ARCHIVE)
    behind.breaks = 1
    home.location = "/cdn/file?signature=1"
    store.ensure(model)
    assert content(store, model) == NETWORK
    assert behind.requests == ["whole", f"bytes={kept(HALF)}-"]
    assert mirror.requests == []


def test_one_file_with_two_sources_is_fetched_once(home: Site, mirror: Site, store: ModelStore) -> None:
    store.ensure_all([make_model(NETWORK, home.url), make_model(NETWORK, mirror.url)])
    assert (home.requests, mirror.requests) == (["whole"], [])


# ---- a connection that breaks off


def test_a_download_that_breaks_off_is_resumed(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore
) -> None:
    home.breaks = 2
    store.ensure(model)
    assert content(store, model) == NETWORK
    first = kept(HALF)
    second = first + kept((len(ARCHIVE) - first) // 2)
    assert home.requests == ["whole", f"bytes={first}-", f"bytes={second}-"]
    assert mirror.requests == []


def test_what_a_failed_run_left_is_resumed_by_the_next_and_never_used(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    home.breaks, mirror.status = 1, 503
    assert "the connection was interrupted" in failure(store, model)
    assert [Path(name).suffix for name in left_over(store)] == [".etag", ".zip"]

    store.ensure(model)
    assert content(store, model) == NETWORK
    assert home.requests == ["whole", f"bytes={kept(HALF)}-"]
    assert left_over(store) == []


def test_a_complete_download_that_was_not_unpacked_is_not_fetched_again(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    home.breaks, mirror.status = 1, 503
    failure(store, model)
    (partial,) = store.root.glob(".partial-*.zip")
    partial.write_bytes(ARCHIVE)
    store.ensure(model)
    assert home.requests == ["whole", f"bytes={len(ARCHIVE)}-"]


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
def test_a_download_that_cannot_be_resumed_starts_again(
    sites: tuple[Site, Site],
    model: ModelFile,
    store: ModelStore,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Site], None],
) -> None:
    home, mirror = sites
    home.breaks, mirror.status = 1, 503
    with monkeypatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        failure(store, model)
    change(home)
    store.ensure(model)
    assert content(store, model) == NETWORK


def test_a_part_that_was_damaged_here_is_not_resumed_again_and_again(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.breaks, mirror.status = 1, 503
    with monkeypatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        failure(store, model)
    (partial,) = store.root.glob(".partial-*.zip")
    partial.write_bytes(bytes(HALF))
    assert "not a valid zip archive" in failure(store, model)
    store.ensure(model)
    assert home.requests == ["whole", f"bytes={HALF}-", "whole"]


def test_without_a_tag_nothing_is_kept(home: Site, mirror: Site, model: ModelFile, store: ModelStore) -> None:
    home.etag, home.breaks, mirror.status = None, 99, 503
    failure(store, model)
    assert home.requests == ["whole", "whole"]
    assert left_over(store) == []


def test_a_server_that_breaks_off_without_sending_anything_new_is_left(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore
) -> None:
    home.ranges, home.breaks = False, 99
    store.ensure(model)
    assert len(home.requests) == 2
    assert mirror.requests == ["whole"]


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
    sites: tuple[Site, Site],
    model: ModelFile,
    store: ModelStore,
    caplog: pytest.LogCaptureFixture,
    case: tuple[Callable[[Site], None], str],
) -> None:
    home, mirror = sites
    misbehave, reason = case
    misbehave(home)
    store.ensure(model)
    assert content(store, model) == NETWORK
    assert mirror.requests == ["whole"]
    assert reason in caplog.text
    assert left_over(store) == []


def test_no_redirect_leads_from_https_to_http(
    home: Site, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = self_signed(tmp_path, "127.0.0.1")
    secure = ArchiveServer(tls)
    try:
        site = secure.add("/home.zip", ARCHIVE)
        model = make_model(NETWORK, site.url)
        refused = failure(store, model)
        assert "not trusted" in refused
        assert "certificate verify failed" in refused
        assert "set SSL_CERT_FILE" in refused
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        site.location = home.url
        assert "unsafe scheme 'http'" in failure(store, model)
        assert home.requests == []
        site.location = None
        store.ensure(model)
    finally:
        secure.close()


# ---- slowness has an end


def test_a_download_that_takes_too_long_is_given_up_and_resumed_later(
    home: Site, mirror: Site, model: ModelFile, store: ModelStore, within: Within
) -> None:
    home.bytes_per_second, mirror.status = 70_000, 503
    hasty = ModelStore(store.root, download_limit_s=1.5)
    with within(4):
        assert "timed out after 1.5 s" in failure(hasty, model)
    home.bytes_per_second = None
    store.ensure(model)
    assert content(store, model) == NETWORK
    assert home.requests[1] != "whole"


def test_headers_that_come_one_by_one_are_not_awaited_for_ever(
    home: Site, model: ModelFile, store: ModelStore, within: Within
) -> None:
    home.trickles_headers = True
    with within(4):
        ModelStore(store.root, download_limit_s=1).ensure(model)  # from the mirror


def test_a_server_that_falls_silent(
    home: Site, model: ModelFile, store: ModelStore, monkeypatch: pytest.MonkeyPatch, within: Within
) -> None:
    monkeypatch.setattr(download, "SILENCE_LIMIT_S", 0.5)
    home.silent_after = 70_000
    with within(10):
        store.ensure(model)  # from the mirror
    assert home.requests[0] == "whole"
    assert home.requests[1].startswith("bytes=")


# ---- failures say what to do


def test_offline_the_sentence_names_file_addresses_folder_and_the_embedded_mode(
    store: ModelStore, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    model = make_model(NETWORK, f"{origin}/home.zip", f"{origin}/mirror.zip")
    assert failure(store, model) == (
        f"The model store lacks pose.onnx (from end2end.onnx in {origin}/home.zip or {origin}/mirror.zip): "
        f"127.0.0.1:{unused_tcp_port}: Connection refused; 127.0.0.1:{unused_tcp_port}: Connection refused. "
        f"Correct this and retry, or copy the files to {store.root} under these names, for example from a "
        "machine where `rtmlib-backend models pull` succeeded, or set MODE=embedded, whose networks come from the "
        "package index."
    )


def test_a_name_that_does_not_exist(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    message = failure(store, make_model(NETWORK, "https://models.invalid/home.zip"))
    assert "models.invalid: " in message
    assert "HTTPSConnectionPool" not in message


def test_other_bytes_at_both_addresses(home: Site, mirror: Site, model: ModelFile, store: ModelStore) -> None:
    home.content = mirror.content = make_archive(OTHER)
    message = failure(store, model, ModelDigestError)
    assert f"has the digest {hashlib.sha256(OTHER).hexdigest()} instead of {model.sha256}" in message


def test_a_store_without_room(
    home: Site, model: ModelFile, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ModelUnavailableError, match=r"needs \d+ MB"):
        store.ensure(replace(model, size=10**6))
    assert home.requests == []
