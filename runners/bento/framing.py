"""Rejects requests with ambiguous framing, which a proxy may split differently (request smuggling).

h11 accepts such requests: it folds lines, and reads the lengths `2, 2` as one. RFC 9112 allows a server to reject them
(sections 2.2, 5.2, 6.1, 6.3); it must then close the connection.
"""

import re
from collections.abc import Sequence

import h11
from h11._receivebuffer import ReceiveBuffer

_BARE_LF = re.compile(rb"(?<!\r)\n")
_END = b"\r\n\r\n"
_VERSION = re.compile(rb" HTTP/([0-9])\.([0-9])$")


class FramingError(h11.RemoteProtocolError):
    """The end of a request is ambiguous; the message says why."""


class StrictReceiveBuffer(ReceiveBuffer):
    """h11's receive buffer, which raises for an ambiguous head or trailer."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Extract everything up to the first blank line; None before it arrives.

        Raises:
            FramingError: The lines are ambiguous.
        """
        if self._data.startswith(b"\r\n"):
            self._extract(2)
            return []
        # Search new data only.
        start = self._multiple_lines_search
        end = self._data.find(_END, start)
        if _BARE_LF.search(self._data, start, len(self._data) if end < 0 else end):
            raise FramingError("A header line does not end with CR and LF.")
        if end < 0:
            self._multiple_lines_search = max(0, len(self._data) - len(_END) + 1)
            return None
        lines = self._extract(end + len(_END))[: -len(_END)].split(b"\r\n")
        _check(lines)
        return lines


def _check(lines: Sequence[bytearray]) -> None:
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise FramingError("A header continues on the next line. Send each on one line.")
    fields = [(bytes(name.lower()), value) for name, _, value in (line.partition(b":") for line in lines)]
    lengths = [value for name, value in fields if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in fields)
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        raise FramingError("The request has several Content-Lengths. Send one.")
    if lengths and chunked:
        raise FramingError("The request has both Content-Length and Transfer-Encoding. Send one of them.")
    version = _VERSION.search(lines[0])  # trailers have none
    if version is None:
        return
    if version[1] != b"1":
        raise FramingError("Send HTTP/1.1.", error_status_hint=505)
    if chunked and version[2] == b"0":
        raise FramingError("HTTP/1.0 has no Transfer-Encoding. Send Content-Length, or HTTP/1.1.")
