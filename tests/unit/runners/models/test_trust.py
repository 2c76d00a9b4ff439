"""Which file of a network is used: known digests, trust on first use, pinned digests, files that are already there."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from runners.errors import ModelDigestError, ModelStoreError
from runners.models.manifest import ModelFile
from runners.models.store import ModelStore
from tests.support.archive_server import ArchiveServer, Site, make_archive, make_model, make_network

NETWORK, OTHER = make_network(), make_network()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(server: ArchiveServer) -> Site:
    return server.add("/home.zip", make_archive(NETWORK))


@pytest.fixture
def known(home: Site) -> ModelFile:
    return make_model(NETWORK, home.url)


@pytest.fixture
def unknown(home: Site) -> ModelFile:
    """A network of which nobody has published a digest."""
    return make_model(NETWORK, home.url, known=False)


@pytest.fixture
def record(store: ModelStore) -> Path:
    return store.root / "digests.json"


@pytest.fixture
def rtmlib(tmp_path: Path) -> Path:
    """The folder where rtmlib keeps networks."""
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def place(store: ModelStore, model: ModelFile, content: bytes) -> None:
    store.root.mkdir(exist_ok=True)
    store.path(model).write_bytes(content)


# ---- trust on first use


def test_the_digest_of_the_first_file_is_recorded(
    unknown: ModelFile, store: ModelStore, record: Path
) -> None:
    store.ensure(unknown)
    assert json.loads(record.read_text()) == {unknown.filename: sha256(NETWORK)}
    assert ModelStore(store.root).state(unknown) == "ok"
    assert store.digest(unknown) == sha256(NETWORK)


def test_a_known_digest_is_not_recorded(known: ModelFile, store: ModelStore, record: Path) -> None:
    store.ensure(known)
    assert not record.exists()
    assert store.digest(known) == sha256(NETWORK)


def test_there_is_no_digest_before_the_first_file(unknown: ModelFile, store: ModelStore) -> None:
    with pytest.raises(ModelStoreError, match=r"No digest of pose\.onnx is known yet"):
        store.digest(unknown)


@pytest.mark.promise("model-digest-checked")
def test_another_file_from_the_web_is_refused_later(
    home: Site, unknown: ModelFile, store: ModelStore, record: Path
) -> None:
    store.ensure(unknown)
    store.path(unknown).unlink()
    home.content = make_archive(OTHER)
    with pytest.raises(ModelDigestError) as caught:
        store.ensure(unknown)
    assert f"has the digest {sha256(OTHER)} instead of {sha256(NETWORK)}" in str(caught.value)
    assert f"recorded in {record} when the file was first seen (delete its line there" in str(caught.value)
    assert store.state(unknown) == "missing"


def test_a_file_that_changes_in_the_store_is_replaced_by_the_one_that_was_recorded(
    unknown: ModelFile, store: ModelStore
) -> None:
    store.ensure(unknown)
    place(store, unknown, OTHER)
    assert store.state(unknown) == "corrupt"
    store.ensure(unknown)
    assert store.path(unknown).read_bytes() == NETWORK


def test_a_file_that_changes_in_the_store_is_kept_but_not_used_when_it_cannot_be_replaced(
    home: Site, unknown: ModelFile, store: ModelStore, record: Path
) -> None:
    store.ensure(unknown)
    place(store, unknown, OTHER)
    home.status = 404
    with pytest.raises(Exception, match="the present file differs from the digest recorded in") as caught:
        store.ensure(unknown)
    assert str(record) in str(caught.value)
    assert store.state(unknown) == "corrupt"


def test_a_new_file_is_trusted_when_its_line_is_deleted(
    unknown: ModelFile, store: ModelStore, record: Path
) -> None:
    store.ensure(unknown)
    place(store, unknown, OTHER)
    record.write_text("{}")
    store.ensure(unknown)
    assert store.digest(unknown) == sha256(OTHER)


@pytest.mark.parametrize("content", [b"", b"<html>", NETWORK[:-1000], os.urandom(5000)])
def test_the_first_file_must_be_a_network(
    home: Site, unknown: ModelFile, store: ModelStore, record: Path, content: bytes
) -> None:
    home.content = make_archive(content)
    with pytest.raises(ModelDigestError, match="not an intact ONNX network"):
        store.ensure(unknown)
    assert store.state(unknown) == "missing"
    assert not record.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pose.onnx": 1}', b'{"pose.onnx": "abc"}', b"\xff\xfe"]
)
def test_a_record_that_cannot_be_read_stops_everything(
    unknown: ModelFile, store: ModelStore, record: Path, content: bytes
) -> None:
    place(store, unknown, NETWORK)
    record.write_bytes(content)
    with pytest.raises(ModelStoreError, match=str(record)):
        store.ensure(unknown)
    assert record.read_bytes() == content


# ---- pinned digests


def pinned(store: ModelStore, tmp_path: Path, digests: dict[str, str]) -> ModelStore:
    (tmp_path / "pins.json").write_text(json.dumps(digests))
    return ModelStore(store.root, digests=tmp_path / "pins.json")


def test_a_pinned_network_is_used(
    unknown: ModelFile, store: ModelStore, record: Path, tmp_path: Path
) -> None:
    strict = pinned(store, tmp_path, {unknown.filename: sha256(NETWORK)})
    strict.ensure(unknown)
    assert strict.digest(unknown) == sha256(NETWORK)
    assert not record.exists()


@pytest.mark.promise("model-digest-checked")
def test_another_than_the_pinned_one_is_refused(
    unknown: ModelFile, store: ModelStore, tmp_path: Path
) -> None:
    strict = pinned(store, tmp_path, {unknown.filename: sha256(OTHER)})
    with pytest.raises(ModelDigestError, match=f"instead of {sha256(OTHER)}, which is pinned in .*pins.json"):
        strict.ensure(unknown)


def test_what_was_recorded_does_not_count_against_the_pinned(
    unknown: ModelFile, store: ModelStore, tmp_path: Path
) -> None:
    store.ensure(unknown)
    assert pinned(store, tmp_path, {unknown.filename: sha256(OTHER)}).state(unknown) == "corrupt"


def test_a_network_that_is_not_pinned_is_not_even_fetched(
    home: Site, unknown: ModelFile, store: ModelStore, tmp_path: Path
) -> None:
    strict = pinned(store, tmp_path, {})
    with pytest.raises(ModelDigestError, match=r"the digest of pose\.onnx is not pinned in .*pins\.json"):
        strict.ensure(unknown)
    assert home.requests == []


def test_a_pinned_digest_counts_before_the_manifests(
    known: ModelFile, store: ModelStore, tmp_path: Path
) -> None:
    place(store, known, OTHER)
    assert store.state(known) == "corrupt"
    assert pinned(store, tmp_path, {known.filename: sha256(OTHER)}).state(known) == "ok"


def test_a_network_of_the_manifest_needs_no_pin(known: ModelFile, store: ModelStore, tmp_path: Path) -> None:
    strict = pinned(store, tmp_path, {})
    strict.ensure(known)
    assert strict.state(known) == "ok"


def test_a_missing_file_of_pins_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"missing\.json cannot be read: No such file"):
        ModelStore(tmp_path, digests=tmp_path / "missing.json")


# ---- files that are already there


def test_a_file_placed_by_hand_is_used(home: Site, known: ModelFile, store: ModelStore) -> None:
    place(store, known, NETWORK)
    store.ensure(known)
    assert home.requests == []


def test_a_file_placed_by_hand_is_recorded_where_no_digest_is_known(
    home: Site, unknown: ModelFile, store: ModelStore
) -> None:
    place(store, unknown, NETWORK)
    assert store.state(unknown) == "unverified"
    store.ensure(unknown)
    assert store.state(unknown) == "ok"
    assert home.requests == []


def test_a_file_placed_by_hand_that_is_no_network_is_named(unknown: ModelFile, store: ModelStore) -> None:
    place(store, unknown, b"<html>")
    with pytest.raises(ModelDigestError, match=r"pose\.onnx is not an intact ONNX network"):
        store.ensure(unknown)


@pytest.mark.parametrize("which", ["known", "unknown"])
def test_what_rtmlib_has_is_used_and_takes_no_room(
    which: str, home: Site, store: ModelStore, rtmlib: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(which)
    (rtmlib / model.filename).write_bytes(NETWORK)
    store.ensure(model)
    assert store.path(model).samefile(rtmlib / model.filename)
    assert store.digest(model) == sha256(NETWORK)
    assert home.requests == []


def test_a_link_in_rtmlibs_folder_is_followed(
    known: ModelFile, store: ModelStore, rtmlib: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(NETWORK)
    (rtmlib / known.filename).symlink_to(tmp_path / "elsewhere.onnx")
    store.ensure(known)
    (tmp_path / "elsewhere.onnx").unlink()
    assert store.path(known).read_bytes() == NETWORK


def test_what_rtmlib_has_is_copied_where_it_cannot_be_linked(
    home: Site, known: ModelFile, store: ModelStore, rtmlib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_file_system(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", another_file_system)
    (rtmlib / known.filename).write_bytes(NETWORK)
    store.ensure(known)
    assert not store.path(known).samefile(rtmlib / known.filename)
    assert home.requests == []


@pytest.mark.parametrize("content", [OTHER, NETWORK[:-1], b""])
def test_a_wrong_file_of_rtmlib_is_left_alone(
    home: Site, known: ModelFile, store: ModelStore, rtmlib: Path, content: bytes
) -> None:
    (rtmlib / known.filename).write_bytes(content)
    store.ensure(known)
    assert store.path(known).read_bytes() == NETWORK
    assert (rtmlib / known.filename).read_bytes() == content
    assert home.requests == ["whole"]


def test_a_folder_in_the_place_of_rtmlibs_file_is_left_alone(
    known: ModelFile, store: ModelStore, rtmlib: Path
) -> None:
    (rtmlib / known.filename).mkdir()
    store.ensure(known)
    assert store.state(known) == "ok"


def test_rtmlibs_own_rule_says_where_its_files_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rtmlib.tools import file as rtmlib_file_module

    from runners.models.store import rtmlib_file

    for torch, cache in [("~/torch", None), (None, str(tmp_path)), (None, None), (str(tmp_path), "/other")]:
        for name, value in (("TORCH_HOME", torch), ("XDG_CACHE_HOME", cache)):
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        theirs = Path(rtmlib_file_module._get_rtmhub_dir()) / "checkpoints" / "pose.onnx"
        assert rtmlib_file("pose.onnx") == theirs


def test_the_same_file_under_two_sources_is_one(home: Site, known: ModelFile, store: ModelStore) -> None:
    store.ensure(known)
    store.ensure(replace(known, source=replace(known.source, urls=("http://127.0.0.1:1/other.zip",))))
    assert home.requests == ["whole"]
