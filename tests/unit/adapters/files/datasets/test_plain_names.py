"""File names of pictures in one flat folder."""

from adapters.coco.document import PictureOfTask
from adapters.files.datasets.plain_names import plain_stems
from adapters.label_studio.annotations.people import AnnotatedPicture


def stems(*addresses: str) -> list[str]:
    pictures = [
        PictureOfTask(number, None, address, AnnotatedPicture("image", None, (1, 1), ()))
        for number, address in enumerate(addresses, start=1)
    ]
    return plain_stems(pictures)


def test_are_the_end_of_the_address() -> None:
    assert stems("/data/upload/4/1a2b-people.JPG", "s3://bucket/x.y.webp") == ["1a2b-people", "x.y"]


def test_tell_pictures_apart() -> None:
    assert stems("/a/1.jpg", "/b/1.jpg", "/b/1.png", "/A/1.jpg") == ["a_1", "b_1", "1", "A_1-2"]


def test_are_safe_names_of_files() -> None:
    for stem in stems("https://a/..%2f..%2fetc/passwd.jpg", "https://a/%00 a<b>.png", "https://a/.jpg", ""):
        assert stem
        assert not set(stem) & set('/\\<>:"|?* \0')
        assert not stem.startswith(".")


def test_of_one_picture_twice_are_one() -> None:
    twice = PictureOfTask(1, 3, "/a.jpg", AnnotatedPicture("image", None, (1, 1), ()))

    assert plain_stems([twice, twice]) == ["a", "a"]
