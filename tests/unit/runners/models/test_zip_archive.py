"""Taking one file out of an archive that nobody vouches for."""

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest

from runners.errors import ModelDownloadError
from runners.models.zip_archive import extract_file
from tests.support.archive_server import make_zip

NETWORK = random.Random(1).randbytes(50_000)


def extract(content: bytes, tmp_path: Path, *, max_size: int = 100_000) -> bytes:
    (tmp_path / "archive.zip").write_bytes(content)
    target = tmp_path / "target" / "network.onnx"
    target.parent.mkdir(exist_ok=True)
    extract_file(tmp_path / "archive.zip", "end2end.onnx", target, max_size=max_size)
    return target.read_bytes()


def refused(content: bytes, tmp_path: Path, *, max_size: int = 100_000) -> str:
    with pytest.raises(ModelDownloadError) as caught:
        extract(content, tmp_path, max_size=max_size)
    return str(caught.value)


def test_the_file_may_lie_in_any_folder(tmp_path: Path) -> None:
    assert extract(make_zip({"a/b/end2end.onnx": NETWORK, "a/b/deploy.json": b"{}"}), tmp_path) == NETWORK


@pytest.mark.parametrize("path", ["../../end2end.onnx", "/etc/end2end.onnx", "C:/end2end.onnx"])
def test_a_path_inside_the_archive_leads_nowhere(path: str, tmp_path: Path) -> None:
    assert extract(make_zip({path: NETWORK}), tmp_path) == NETWORK
    assert {file.name for file in tmp_path.rglob("*")} == {"archive.zip", "target", "network.onnx"}


def test_a_link_inside_the_archive_leads_nowhere(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("end2end.onnx")
    link.external_attr = 0o120777 << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert extract(content.getvalue(), tmp_path) == b"/etc/passwd"  # its text, not what it points to


@pytest.mark.parametrize("names", [["other.onnx"], ["a/end2end.onnx", "b/end2end.onnx"]])
def test_there_must_be_exactly_one_such_file(names: list[str], tmp_path: Path) -> None:
    assert "instead of one" in refused(make_zip(dict.fromkeys(names, NETWORK)), tmp_path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = make_zip({"end2end.onnx": bytes(20_000_000)})
    assert len(bomb) < 30_000
    assert "unpacks to 20.0 MB, more than the limit of 0.1 MB" in refused(bomb, tmp_path)
    assert not list((tmp_path / "target").iterdir())


def test_a_bomb_that_lies_about_its_size_ends_where_it_said_it_would(tmp_path: Path) -> None:
    bomb = bytearray(make_zip({"end2end.onnx": bytes(20_000_000)}))
    directory = bomb.index(b"PK\x01\x02")
    struct.pack_into("<I", bomb, directory + 24, 1000)  # the uncompressed size in the list of contents
    assert "not a valid zip archive" in refused(bytes(bomb), tmp_path)
    assert (tmp_path / "target" / "network.onnx").stat().st_size <= 1000


def test_a_list_of_contents_without_end_is_not_read(tmp_path: Path) -> None:
    many = make_zip({f"{number:060d}": b"" for number in range(15_000)} | {"end2end.onnx": NETWORK})
    assert "list of contents is too long" in refused(many, tmp_path)


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip({"end2end.onnx": NETWORK}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert "encrypted" in refused(bytes(content), tmp_path)


def test_an_unusual_packing_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("end2end.onnx", NETWORK)
    assert "unsupported compression" in refused(content.getvalue(), tmp_path)


def test_damage_anywhere_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Whatever is wrong with the bytes, the outcome is the right file or the one kind of error."""
    archive = make_zip({"a/end2end.onnx": NETWORK[:3000], "a/deploy.json": b"{}" * 100})
    chance = random.Random(2)
    noticed = 0
    for _ in range(500):
        damaged = bytearray(archive)
        match chance.randrange(3):
            case 0:
                del damaged[chance.randrange(len(damaged)) :]
            case 1:
                for _ in range(chance.randint(1, 8)):
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            case _:  # in the lists of contents and at the end, where the structure is
                for _ in range(chance.randint(1, 4)):
                    damaged[-chance.randint(1, 250)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        try:
            assert extract(bytes(damaged), tmp_path) == NETWORK[:3000]
        except ModelDownloadError:
            noticed += 1
    assert noticed > 150
