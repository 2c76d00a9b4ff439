"""Files that this server shares with Label Studio: those below the root, and no others."""

import os
import threading
from pathlib import Path

import pytest

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.local_files import read_local_file

PICTURE = b"a picture"
SECRET = b"a secret"
LIMIT = 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a picture in it, next to a secret."""
    (tmp_path / "secret.png").write_bytes(SECRET)
    (tmp_path / "root-of-another").mkdir()
    (tmp_path / "root-of-another" / "secret.png").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "set").mkdir(parents=True)
    (root / "set" / "a b ü.png").write_bytes(PICTURE)
    return root


def reason_of(root: Path, name: str) -> str:
    with pytest.raises(PictureError) as caught:
        read_local_file(root, name, LIMIT)
    return caught.value.reason


@pytest.mark.parametrize(
    "name",
    [
        "set/a b ü.png",
        "/set/a b ü.png",
        "./set/a b ü.png",
        "set//a b ü.png",
        "set/a b ü.png/",
        "set/../set/a b ü.png",
        "set\\a b ü.png",
        "\\set\\a b ü.png",
        "set\\..\\set/a b ü.png",
        "set/a b u\u0308.png",
        "set\\a b u\u0308.png",
    ],
)
def test_a_file_below_the_root_is_read(root: Path, name: str) -> None:
    assert read_local_file(root, name, LIMIT) == PICTURE


def test_a_name_with_a_backslash_comes_before_the_other_spelling(root: Path) -> None:
    (root / "set\\c.png").write_bytes(SECRET)
    (root / "set" / "c.png").write_bytes(PICTURE)
    assert read_local_file(root, "set\\c.png", LIMIT) == SECRET


@pytest.mark.promise("local-files-confined")
@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "set/../../secret.png",
        "/../secret.png",
        "//../secret.png",
        "../root/set/a b ü.png",
        "../root-of-another/secret.png",
        "..",
        "set/../..",
        "set/a b ü.png\0.jpg",
        "\0",
    ],
)
def test_nothing_outside_is(root: Path, name: str) -> None:
    assert reason_of(root, name) == "refused"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "etc/passwd",
        "%2e%2e/secret.png",
        "..%2fsecret.png",
        "..\\secret.png",
        "set\\..\\..\\secret.png",
        "set/..\\../secret.png",
        "C:\\secret.png",
        "\uff0e\uff0e/secret.png",
        "..../secret.png",
        "set/a b ü.png/../../../secret.png",
        "set",
        "",
        "/",
        ".",
        "missing.png",
        "a" * 5_000,
        "a/" * 3_000,
        "~/.ssh/id_rsa",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_file_below_the_root_is_not_found(root: Path, name: str) -> None:
    assert reason_of(root, name) in {"not_found", "refused"}


def test_links_inside_the_root_are_followed(root: Path) -> None:
    (root / "link.png").symlink_to("set/a b ü.png")
    (root / "other").symlink_to(root / "set")
    assert read_local_file(root, "link.png", LIMIT) == PICTURE
    assert read_local_file(root, "other/a b ü.png", LIMIT) == PICTURE


def test_links_out_of_the_root_are_not(root: Path) -> None:
    (root / "link.png").symlink_to("../secret.png")
    (root / "absolute.png").symlink_to(root.parent / "secret.png")
    (root / "folder").symlink_to("..")
    (root / "chain.png").symlink_to("folder/secret.png")
    for name in ["link.png", "absolute.png", "folder/secret.png", "chain.png"]:
        assert reason_of(root, name) == "refused"


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    link = root.parent / "mounted"
    link.symlink_to(root)
    assert read_local_file(link, "set/a b ü.png", LIMIT) == PICTURE


def test_a_loop_of_links_is_not_found(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    assert reason_of(root, "one/a.png") == "not_found"


@pytest.mark.promise("local-files-confined")
def test_a_link_that_changes_while_it_is_opened_leads_nowhere(root: Path) -> None:
    """One thread turns a folder into a link to the outside and back, as fast as it can; another reads."""
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "a.png").write_bytes(SECRET)
    (root / "inside").mkdir()
    (root / "inside" / "a.png").write_bytes(PICTURE)
    os.symlink(root.parent / "outside", root / "evil")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / "inside", root / "aside")
            os.rename(root / "evil", root / "inside")
            os.rename(root / "inside", root / "evil")
            os.rename(root / "aside", root / "inside")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen: set[bytes | str] = set()
    try:
        for _ in range(3_000):
            try:
                seen.add(read_local_file(root, "inside/a.png", LIMIT))
            except PictureError as error:
                seen.add(error.reason)
    finally:
        stop.set()
        swapping.join()
    assert SECRET not in seen
    assert PICTURE in seen


def test_a_pipe_does_not_block(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    assert reason_of(root, "pipe.png") == "not_found"


def test_the_size_limit_is_exact(root: Path) -> None:
    (root / "fits.png").write_bytes(bytes(LIMIT))
    (root / "large.png").write_bytes(bytes(LIMIT + 1))
    assert len(read_local_file(root, "fits.png", LIMIT)) == LIMIT
    assert reason_of(root, "large.png") == "too_large"


def test_a_root_that_is_not_mounted_is_said(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="LOCAL_FILES_DOCUMENT_ROOT"):
        read_local_file(tmp_path / "missing", "a.png", LIMIT)


def test_no_file_stays_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for name in ["set/a b ü.png", "missing.png", "set", "../secret.png", "set/a b ü.png/x"] * 20:
        try:
            read_local_file(root, name, LIMIT)
        except PictureError:
            continue
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before
