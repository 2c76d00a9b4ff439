"""Refuses requests whose end another server on the way may see elsewhere, and so take a part of one for the next.

h11 reads them tolerantly, and does not tell afterwards: it folds lines, and takes the lengths `2, 2` for one. RFC 9112
lets a server refuse all of it (sections 2.2, 5.2, 6.1, 6.3), and then has it close the connection.
"""

import re
from collections.abc import Sequence

import h11
from h11._receivebuffer import ReceiveBuffer

_BARE_LF = re.compile(rb"(?<!\r)\n")
_END = b"\r\n\r\n"
_VERSION = re.compile(rb" HTTP/([0-9])\.([0-9])$")


class FramingError(h11.RemoteProtocolError):
    """A request cannot be told from the next one for certain; the message says why."""


class StrictReceiveBuffer(ReceiveBuffer):
    """What h11 has received and not yet read, which lets out no head, and no trailer, that is ambiguous."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Extract everything up to the first blank line; None if that has not come yet.

        Raises:
            FramingError: See there.
        """
        if self._data.startswith(b"\r\n"):
            self._extract(2)
            return []
        # Only what has not been looked at yet.
        start = self._multiple_lines_search
        end = self._data.find(_END, start)
        if _BARE_LF.search(self._data, start, len(self._data) if end < 0 else end):
            raise FramingError("A line of the headers does not end with CR and LF.")
        if end < 0:
            self._multiple_lines_search = max(0, len(self._data) - len(_END) + 1)
            return None
        lines = self._extract(end + len(_END))[: -len(_END)].split(b"\r\n")
        _check(lines)
        return lines


def _check(lines: Sequence[bytearray]) -> None:
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise FramingError("A header goes on in the next line; write each on one line.")
    fields = [(bytes(name.lower()), value) for name, _, value in (line.partition(b":") for line in lines)]
    lengths = [value for name, value in fields if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in fields)
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        raise FramingError("The request has several Content-Lengths; send one.")
    if lengths and chunked:
        raise FramingError("The request has a Content-Length and a Transfer-Encoding; send one of them.")
    version = _VERSION.search(lines[0])  # trailers have none
    if version is None:
        return
    if version[1] != b"1":
        raise FramingError("Send HTTP/1.1.", error_status_hint=505)
    if chunked and version[2] == b"0":
        raise FramingError("HTTP/1.0 has no Transfer-Encoding; send a Content-Length, or HTTP/1.1.")
