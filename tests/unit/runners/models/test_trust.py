"""Which file of a network is used: known digests, trust on first use, pinned digests, files that are already there."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runners.errors import ModelDigestError, ModelStoreError
from runners.models.manifest import ModelFile
from runners.models.store import ModelStore
from tests.support.archive_server import ArchiveServer, Site, make_archive, make_model, make_network

NETWORK, OTHER = make_network(), make_network()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Shelf:
    """A model store, a network of which it knows the digest or not, and where it may come from.

    Attributes:
        store: The store.
        home: The network's address.
        known: The network with its digest.
        unknown: The same, as if nobody had published a digest.
        rtmlib: The folder where rtmlib keeps networks.
        folder: Where everything lies.
    """

    store: ModelStore
    home: Site
    known: ModelFile
    unknown: ModelFile
    rtmlib: Path
    folder: Path

    @property
    def record(self) -> Path:
        return self.store.root / "digests.json"

    def place(self, model: ModelFile, content: bytes) -> None:
        self.store.root.mkdir(exist_ok=True)
        self.store.path(model).write_bytes(content)

    def pinned(self, **digests: str) -> ModelStore:
        """The store where a file has pinned the digest of `pose`, or nothing."""
        pins = self.folder / "pins.json"
        pins.write_text(json.dumps({f"{name}.onnx": digest for name, digest in digests.items()}))
        return ModelStore(self.store.root, digests=pins)


@pytest.fixture
def shelf(server: ArchiveServer, store: ModelStore, tmp_path: Path) -> Shelf:
    home = server.add("/home.zip", make_archive(NETWORK))
    known, unknown = (make_model(NETWORK, home.url, known=known) for known in (True, False))
    rtmlib = tmp_path / "torch" / "hub" / "checkpoints"
    rtmlib.mkdir(parents=True)
    return Shelf(store, home, known, unknown, rtmlib, tmp_path)


# ---- trust on first use


def test_the_digest_of_the_first_file_is_recorded(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.unknown)
    assert json.loads(shelf.record.read_text()) == {shelf.unknown.filename: sha256(NETWORK)}
    assert ModelStore(shelf.store.root).state(shelf.unknown) == "ok"
    assert shelf.store.digest(shelf.unknown) == sha256(NETWORK)


def test_a_known_digest_is_not_recorded(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.known)
    assert not shelf.record.exists()
    assert shelf.store.digest(shelf.known) == sha256(NETWORK)


def test_there_is_no_digest_before_the_first_file(shelf: Shelf) -> None:
    with pytest.raises(ModelStoreError, match=r"No digest of pose\.onnx is known yet"):
        shelf.store.digest(shelf.unknown)


@pytest.mark.promise("model-digest-checked")
def test_another_file_from_the_web_is_refused_later(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.unknown)
    shelf.store.path(shelf.unknown).unlink()
    shelf.home.content = make_archive(OTHER)
    with pytest.raises(ModelDigestError) as caught:
        shelf.store.ensure(shelf.unknown)
    assert f"has the digest {sha256(OTHER)} instead of {sha256(NETWORK)}" in str(caught.value)
    assert f"recorded in {shelf.record} when the file was first seen (delete its line there" in str(
        caught.value
    )
    assert shelf.store.state(shelf.unknown) == "missing"


def test_a_file_that_changes_in_the_store_is_replaced_by_the_one_that_was_recorded(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.unknown)
    shelf.place(shelf.unknown, OTHER)
    assert shelf.store.state(shelf.unknown) == "corrupt"
    shelf.store.ensure(shelf.unknown)
    assert shelf.store.path(shelf.unknown).read_bytes() == NETWORK


def test_a_file_that_changes_in_the_store_is_kept_but_not_used_when_it_cannot_be_replaced(
    shelf: Shelf,
) -> None:
    shelf.store.ensure(shelf.unknown)
    shelf.place(shelf.unknown, OTHER)
    shelf.home.status = 404
    with pytest.raises(Exception, match="the present file differs from the digest recorded in") as caught:
        shelf.store.ensure(shelf.unknown)
    assert str(shelf.record) in str(caught.value)
    assert shelf.store.state(shelf.unknown) == "corrupt"


def test_a_new_file_is_trusted_when_its_line_is_deleted(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.unknown)
    shelf.place(shelf.unknown, OTHER)
    shelf.record.write_text("{}")
    shelf.store.ensure(shelf.unknown)
    assert shelf.store.digest(shelf.unknown) == sha256(OTHER)


@pytest.mark.parametrize("content", [b"", b"<html>", NETWORK[:-1000], os.urandom(5000)])
def test_the_first_file_must_be_a_network(shelf: Shelf, content: bytes) -> None:
    shelf.home.content = make_archive(content)
    with pytest.raises(ModelDigestError, match="not an intact ONNX network"):
        shelf.store.ensure(shelf.unknown)
    assert shelf.store.state(shelf.unknown) == "missing"
    assert not shelf.record.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pose.onnx": 1}', b'{"pose.onnx": "abc"}', b"\xff\xfe"]
)
def test_a_record_that_cannot_be_read_stops_everything(shelf: Shelf, content: bytes) -> None:
    shelf.place(shelf.unknown, NETWORK)
    shelf.record.write_bytes(content)
    with pytest.raises(ModelStoreError, match=str(shelf.record)):
        shelf.store.ensure(shelf.unknown)
    assert shelf.record.read_bytes() == content


# ---- pinned digests


def test_a_pinned_network_is_used(shelf: Shelf) -> None:
    strict = shelf.pinned(pose=sha256(NETWORK))
    strict.ensure(shelf.unknown)
    assert strict.digest(shelf.unknown) == sha256(NETWORK)
    assert not shelf.record.exists()


@pytest.mark.promise("model-digest-checked")
def test_another_than_the_pinned_one_is_refused(shelf: Shelf) -> None:
    strict = shelf.pinned(pose=sha256(OTHER))
    with pytest.raises(ModelDigestError, match=f"instead of {sha256(OTHER)}, which is pinned in .*pins.json"):
        strict.ensure(shelf.unknown)


def test_what_was_recorded_does_not_count_against_the_pinned(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.unknown)
    assert shelf.pinned(pose=sha256(OTHER)).state(shelf.unknown) == "corrupt"


def test_a_network_that_is_not_pinned_is_not_even_fetched(shelf: Shelf) -> None:
    strict = shelf.pinned()
    with pytest.raises(ModelDigestError, match=r"the digest of pose\.onnx is not pinned in .*pins\.json"):
        strict.ensure(shelf.unknown)
    assert shelf.home.requests == []


def test_a_pinned_digest_counts_before_the_manifests(shelf: Shelf) -> None:
    shelf.place(shelf.known, OTHER)
    assert shelf.store.state(shelf.known) == "corrupt"
    assert shelf.pinned(pose=sha256(OTHER)).state(shelf.known) == "ok"


def test_a_network_of_the_manifest_needs_no_pin(shelf: Shelf) -> None:
    strict = shelf.pinned()
    strict.ensure(shelf.known)
    assert strict.state(shelf.known) == "ok"


def test_a_missing_file_of_pins_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"missing\.json cannot be read: No such file"):
        ModelStore(tmp_path, digests=tmp_path / "missing.json")


# ---- files that are already there


def test_a_file_placed_by_hand_is_used(shelf: Shelf) -> None:
    shelf.place(shelf.known, NETWORK)
    shelf.store.ensure(shelf.known)
    assert shelf.home.requests == []


def test_a_file_placed_by_hand_is_recorded_where_no_digest_is_known(shelf: Shelf) -> None:
    shelf.place(shelf.unknown, NETWORK)
    assert shelf.store.state(shelf.unknown) == "unverified"
    shelf.store.ensure(shelf.unknown)
    assert shelf.store.state(shelf.unknown) == "ok"
    assert shelf.home.requests == []


def test_a_file_placed_by_hand_that_is_no_network_is_named(shelf: Shelf) -> None:
    shelf.place(shelf.unknown, b"<html>")
    with pytest.raises(ModelDigestError, match=r"pose\.onnx is not an intact ONNX network"):
        shelf.store.ensure(shelf.unknown)


@pytest.mark.parametrize("which", ["known", "unknown"])
def test_what_rtmlib_has_is_used_and_takes_no_room(shelf: Shelf, which: str) -> None:
    model = getattr(shelf, which)
    (shelf.rtmlib / model.filename).write_bytes(NETWORK)
    shelf.store.ensure(model)
    assert shelf.store.path(model).samefile(shelf.rtmlib / model.filename)
    assert shelf.store.digest(model) == sha256(NETWORK)
    assert shelf.home.requests == []


def test_a_link_in_rtmlibs_folder_is_followed(shelf: Shelf) -> None:
    (shelf.folder / "elsewhere.onnx").write_bytes(NETWORK)
    (shelf.rtmlib / shelf.known.filename).symlink_to(shelf.folder / "elsewhere.onnx")
    shelf.store.ensure(shelf.known)
    (shelf.folder / "elsewhere.onnx").unlink()
    assert shelf.store.path(shelf.known).read_bytes() == NETWORK


def test_what_rtmlib_has_is_copied_where_it_cannot_be_linked(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_file_system(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", another_file_system)
    (shelf.rtmlib / shelf.known.filename).write_bytes(NETWORK)
    shelf.store.ensure(shelf.known)
    assert not shelf.store.path(shelf.known).samefile(shelf.rtmlib / shelf.known.filename)
    assert shelf.home.requests == []


@pytest.mark.parametrize("content", [OTHER, NETWORK[:-1], b""])
def test_a_wrong_file_of_rtmlib_is_left_alone(shelf: Shelf, content: bytes) -> None:
    (shelf.rtmlib / shelf.known.filename).write_bytes(content)
    shelf.store.ensure(shelf.known)
    assert shelf.store.path(shelf.known).read_bytes() == NETWORK
    assert (shelf.rtmlib / shelf.known.filename).read_bytes() == content
    assert shelf.home.requests == ["whole"]


def test_a_folder_in_the_place_of_rtmlibs_file_is_left_alone(shelf: Shelf) -> None:
    (shelf.rtmlib / shelf.known.filename).mkdir()
    shelf.store.ensure(shelf.known)
    assert shelf.store.state(shelf.known) == "ok"


def test_rtmlibs_own_rule_says_where_its_files_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rtmlib.tools import file as rtmlib_file_module

    from runners.models.store import rtmlib_file

    for torch, cache in [("~/torch", None), (None, str(tmp_path)), (None, None), (str(tmp_path), "/other")]:
        for name, value in (("TORCH_HOME", torch), ("XDG_CACHE_HOME", cache)):
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        theirs = Path(rtmlib_file_module._get_rtmhub_dir()) / "checkpoints" / "pose.onnx"
        assert rtmlib_file("pose.onnx") == theirs


def test_the_same_file_under_two_sources_is_one(shelf: Shelf) -> None:
    shelf.store.ensure(shelf.known)
    shelf.store.ensure(
        replace(shelf.known, source=replace(shelf.known.source, urls=("http://127.0.0.1:1/other.zip",)))
    )
    assert shelf.home.requests == ["whole"]
