"""Where a task's picture is, as the label config's `value` says."""

import pytest

from adapters.label_studio.label_config.task_value import TaskDataError, TaskValue, keys_read

URL = "https://example.com/photo.jpg"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("$image", {"image": URL}),
        ("$image", {"image": f" {URL}\n"}),
        ("$shot.url", {"shot": {"url": URL}}),
        ("$shots[0].url", {"shots": [{"url": URL}]}),
        ("$shots[1]", {"shots": ["a.jpg", URL]}),
        ("$shot.url", {"shot.url": URL}),
        ("$my-image", {"my-image": URL}),
        ("$größe", {"größe": URL}),
        ("https://example.com/$name", {"name": "photo.jpg"}),
        ("https://$host/$name.jpg", {"host": "example.com", "name.jpg": "photo.jpg"}),
        (URL, {}),
        ("$image", {"$undefined$": URL}),
    ],
)
def test_the_address_is_found_as_label_studio_finds_it(value: str, data: dict[str, object]) -> None:
    assert TaskValue(value).address(data) == URL


@pytest.mark.parametrize(
    ("value", "data", "said"),
    [
        ("$image", {}, "no keys at all"),
        ("$image", {"photo": URL, "id": 1}, r"it has id, photo\."),
        ("$image", {"image": ""}, "no picture under"),
        ("$image", {"image": None}, "no picture under"),
        ("$image", {"image": 7}, "of type int, not an address"),
        ("$image", {"image": [URL]}, 'write valueList="\\$image" instead'),
        ("$shots[5]", {"shots": []}, "no picture under"),
        ("$shots[99999999999999]", {"shots": [URL]}, "no picture under"),
        ("$a.b.c", {"a": "text"}, "no picture under"),
        ("https://$host/$name", {"name": "photo.jpg"}, "no picture under"),
        ("$image", {"$undefined$": URL, "id": 1}, "no picture under"),
    ],
)
def test_a_missing_picture_is_explained(value: str, data: dict[str, object], said: str) -> None:
    with pytest.raises(TaskDataError, match=said):
        TaskValue(value).address(data)


@pytest.mark.parametrize(
    ("data", "addresses"),
    [
        ({"frames": [URL, f" {URL} "]}, [URL, URL]),
        ({"frames": URL}, [URL]),
        ({"frames": [URL, None, "", 7, [URL]]}, [URL, "", "", "", ""]),
    ],
)
def test_a_list_has_one_address_for_each_frame(data: dict[str, object], addresses: list[str]) -> None:
    assert TaskValue("$frames").addresses(data) == addresses


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "no list of pictures under '\\$frames'; it has no keys"),
        ({"frames": []}, "no list of pictures"),
        ({"frames": [None, ""]}, "no list of pictures"),
        ({"frames": {"a": URL}}, "of type dict"),
        ({"frames": 7}, "of type int"),
    ],
)
def test_a_missing_list_is_explained(data: dict[str, object], said: str) -> None:
    with pytest.raises(TaskDataError, match=said):
        TaskValue("$frames").addresses(data)


def test_the_keys_that_a_label_config_reads_are_found_at_a_glance() -> None:
    config = """<View><Image value="$image"/><Image value = ' $two words '/><Image value="$a.b[0]"/>
    <Image value="http://host/$folder/$file.png"/><Image value="$x&amp;y"/><Label value="costs $5"/></View>"""

    found = keys_read(config)

    assert {"image", "two words", "a", "a.b[0]", "folder", "file.png", "file", "x&y", "$undefined$"} <= found
    assert len(found) < 15


def test_a_hostile_label_config_is_looked_through_once() -> None:
    for piece in ('="', "= ", "='$", "$" * 10, '="$a'):
        assert len(keys_read(piece * 100_000)) < 10
