"""The file of a task's picture, and its name in a COCO file."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from adapters.label_studio.label_config.task_value import TaskDataError, TaskValue
from adapters.label_studio.label_config.tree import label_config_tree


@dataclass(frozen=True)
class PictureFields:
    """The fields of a project's tasks that have pictures.

    Attributes:
        values: By the name of the Image tag: its `value`, or its `valueList` if it shows a list of pictures.
    """

    values: Mapping[str, str]

    @classmethod
    def of(cls, label_config: str) -> "PictureFields":
        """Read the fields from a label config.

        Raises:
            LabelConfigError: The label config is invalid.
        """
        values: dict[str, str] = {}
        for element in label_config_tree(label_config).iter():
            if element.tag.lower() == "image":
                given = {name.lower(): text.strip() for name, text in element.attrib.items()}
                values.setdefault(given.get("name", ""), given.get("valuelist") or given.get("value", ""))
        return cls(values)

    def address(self, data: Mapping[str, object], image: str, frame: int | None) -> str:
        """Return the address of a picture as in the task's data; "" if it is unknown.

        Without a label config, it is the only field that is an address, or a list of addresses.
        """
        addresses = self._addresses(data, image)
        position = frame or 0
        return addresses[position] if 0 <= position < len(addresses) else ""

    def _addresses(self, data: Mapping[str, object], image: str) -> list[str]:
        value = self.values.get(image)
        if value is not None:
            try:
                return TaskValue(value).addresses(data)
            except TaskDataError:
                return []
        candidates = [key for key, field in data.items() if _looks_like_address(field)]
        return TaskValue(f"${candidates[0]}").addresses(data) if len(candidates) == 1 else []


def _looks_like_address(field: object) -> bool:
    if isinstance(field, list):
        items = cast(list[object], field)
        return bool(items) and all(_looks_like_address(item) for item in items)
    return isinstance(field, str) and (field.startswith(("/", "data:")) or "://" in field[:20])


def file_names(pictures: Sequence[tuple[str, str]]) -> list[str]:
    """Return a file name for each picture: the shortest end of its address that is unique.

    Args:
        pictures: The address of each picture, and a name to use if the address has no file name.
    """
    paths = [picture_path(address) or PurePosixPath(otherwise) for address, otherwise in pictures]
    names = [path.name for path in paths]
    for length in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        by_name: dict[str, set[PurePosixPath]] = {}
        for name, path in zip(names, paths, strict=True):
            by_name.setdefault(name, set()).add(path)
        shared = {name for name, of_name in by_name.items() if len(of_name) > 1}
        if not shared:
            break
        names = [
            "/".join(path.parts[-length:]).lstrip("/") if name in shared else name
            for name, path in zip(names, paths, strict=True)
        ]
    return names


def picture_path(address: str) -> PurePosixPath | None:
    """Return the path of an address, also inside Label Studio's own addresses for files elsewhere."""
    if address.startswith("data:"):
        return None
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query)
    except ValueError:
        return None
    path = unquote(parts.path)
    if path.startswith("/data/local-files") and "d" in query:
        path = query["d"][0]
    elif "fileuri" in query:
        path = urlsplit(_decoded(query["fileuri"][0])).path
    elif parts.scheme not in ("", "http", "https"):
        path = f"{parts.netloc}/{path}"  # s3://bucket/folder/file: the bucket is part of the name
    named = PurePosixPath(*(part for part in PurePosixPath(path).parts if part != ".."))
    return named if named.name else None


def _decoded(uri: str) -> str:
    """Return a cloud address, which may be encoded in URL-safe base64."""
    if "://" in uri:
        return uri
    try:
        return base64.urlsafe_b64decode(uri + "=" * (-len(uri) % 4)).decode()
    except (binascii.Error, ValueError):
        return uri
