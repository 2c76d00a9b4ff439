"""A web server on 127.0.0.1 with zip archives, that misbehaves on request."""

import contextlib
import hashlib
import io
import os
import ssl
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from runners.models.manifest import ModelFile, ZipMember
from tests.support.http_server import Handler


def make_network(size: int = 200_000) -> bytes:
    """A small ONNX network with random weights of about so many bytes."""
    weights = np.frombuffer(os.urandom(size // 4 * 4), np.int32)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["weights"], ["same"])],
        "network",
        [],
        [helper.make_tensor_value_info("same", TensorProto.INT32, weights.shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph).SerializeToString()


def make_zip(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def make_archive(network: bytes) -> bytes:
    """An archive as OpenMMLab makes them."""
    folder = "20230831/rtmpose_onnx/network"
    return make_zip({f"{folder}/deploy.json": b"{}", f"{folder}/end2end.onnx": network})


def make_model(network: bytes, *urls: str, known: bool = True, name: str = "pose") -> ModelFile:
    return ModelFile(
        name=name,
        task="testing",
        source=ZipMember(urls, "end2end.onnx"),
        size=len(network),
        sha256=hashlib.sha256(network).hexdigest() if known else None,
        licence="Apache-2.0",
        origin="https://example.org",
        paper="https://example.org",
        input_size=(1, 1),
        keypoints=133,
    )


@dataclass
class Site:
    """What lies at an address, how it is served, and what was asked."""

    content: bytes
    url: str = ""
    status: int = 200
    content_type: str = "application/zip"
    content_encoding: str | None = None
    etag: str | None = '"one"'
    ranges: bool = True
    content_range: str | None = None  # said instead of the truth
    announced: int | None = None  # the Content-Length that is said instead of the true one
    chunked: bool = False
    breaks: int = 0  # so many of the next answers break off in the middle
    location: str | None = None
    bytes_per_second: int | None = None
    silent_after: int | None = None
    trickles_headers: bool = False
    requests: list[str] = field(default_factory=list)
    """The Range header of each request, or "whole"."""


class ArchiveServer:
    """Serves sites by path; `tls` makes it an https server."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.sites: dict[str, Site] = {}
        sites = self.sites
        ended = self._ended = threading.Event()

        class Sites(Handler):
            protocol_version = "HTTP/1.1"

            def end_headers(self) -> None:
                self.send_header("Connection", "close")
                super().end_headers()

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):  # the one who asked may have gone
                    self.serve(sites[self.path])

            def serve(self, site: Site) -> None:
                site.requests.append(self.headers.get("Range", "whole"))
                if site.trickles_headers:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    for at in range(10_000):
                        if ended.wait(0.1):
                            return
                        self.wfile.write(b"X-%d: 1\r\n" % (at % 10))
                start = self.start_of_answer(site)
                if start is None:
                    return
                body = site.content[start:]
                length = len(body) if site.announced is None else site.announced
                self.send_header("Content-Type", site.content_type)
                if site.content_encoding:
                    self.send_header("Content-Encoding", site.content_encoding)
                if site.etag:
                    self.send_header("ETag", site.etag)
                if site.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                if site.breaks:
                    site.breaks -= 1
                    body = body[: len(body) // 2]
                self.send_body(site, body)

            def start_of_answer(self, site: Site) -> int | None:
                """Send the status; the first byte of the body, or None if there is none."""
                if site.location:
                    self.send_response(302)
                    self.send_header("Location", site.location)
                elif site.status != 200:
                    self.send_response(site.status)
                else:
                    asked = self.headers.get("Range")
                    if not (site.ranges and asked and self.headers.get("If-Range") == site.etag):
                        self.send_response(200)
                        return 0
                    start, total = int(asked.removeprefix("bytes=").removesuffix("-")), len(site.content)
                    if start < total:
                        self.send_response(206)
                        truth = f"bytes {start}-{total - 1}/{total}"
                        self.send_header("Content-Range", site.content_range or truth)
                        return start
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None

            def send_body(self, site: Site, body: bytes) -> None:
                if site.silent_after is not None:
                    self.wfile.write(body[: site.silent_after])
                    ended.wait(60)
                    return
                step = site.bytes_per_second or 16_384
                for at in range(0, len(body), step):
                    piece = body[at : at + step]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if site.chunked else piece)
                    if site.bytes_per_second and ended.wait(1):
                        return
                if site.chunked:
                    self.wfile.write(b"0\r\n\r\n")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Sites)
        self._server.handle_error = lambda *_: None  # a client that ends the handshake
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def add(self, path: str, content: bytes) -> Site:
        self.sites[path] = site = Site(content, url=f"{self.origin}{path}")
        return site

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
