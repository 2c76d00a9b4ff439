"""Regions as Label Studio stores them, for tests of what reads them."""

from typing import Any

WIDTH, HEIGHT = 1000, 500


def box(
    name: str = "p0-box", x: float = 10, y: float = 20, width: float = 30, height: float = 60, **more: Any
) -> Any:
    """A person's box in percent."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": more.pop("rotation", 0)}
    value["rectanglelabels"] = [more.pop("label", "person")]
    return _region(name, "rectanglelabels", "person", value, more)


def point(name: str, x: float, y: float, label: str = "nose", **more: Any) -> Any:
    """A keypoint in percent."""
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
    return _region(name, "keypointlabels", "keypoints", value, more)


def bones(name: str, *vertices: tuple[str, float, float], label: str = "body", **more: Any) -> Any:
    """A line of bones through vertices: id, x and y in percent."""
    ids = [None, *(vertex for vertex, _, _ in vertices)]
    value = {
        "closed": False,
        "vertices": [
            {"id": vertex, "x": x, "y": y, "isBezier": False, "prevPointId": before}
            for before, (vertex, x, y) in zip(ids, vertices, strict=False)
        ],
        "vectorlabels": [label],
    }
    return _region(name, "vectorlabels", "skeleton", value, more)


def occluded(name: str) -> Any:
    """A per-region choice that says that the point is hidden."""
    value = {"choices": ["occluded"]}
    return _region(name, "choices", "visibility", value, {})


def task(number: int = 1, **more: Any) -> dict[str, Any]:
    """A task with an uploaded picture."""
    return {"id": number, "data": {"image": f"/data/upload/1/{number}.jpg"}, **more}


def _region(name: str, kind: str, tag: str, value: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "type": kind,
        "from_name": tag,
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": value,
        **more,
    }
