"""The isolated process's end of the connection to its caller."""

import json
import socket
import struct
from typing import Any

SIZES = struct.Struct("<IQ")
"""Prefix of each message: the sizes in bytes of its header, a JSON object, and of the payload after it."""

Payload = bytes | bytearray | memoryview


def packed(header: dict[str, Any], payload_bytes: int) -> bytes:
    """Return the prefix and header of a message."""
    text = json.dumps(header).encode()
    return SIZES.pack(len(text), payload_bytes) + text


class BlockingChannel:
    """Messages to and from the caller.

    Args:
        connection: Connected, blocking.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for a message: its header and payload.

        Raises:
            EOFError: The caller has closed the connection.
        """
        header_bytes, payload_bytes = SIZES.unpack(self._exactly(SIZES.size))
        header = json.loads(self._exactly(header_bytes))
        return header, self._exactly(payload_bytes)

    def send(self, header: dict[str, Any], *payload: Payload) -> None:
        """Send a message whose payload consists of these pieces."""
        self.send_header(header, sum(memoryview(piece).nbytes for piece in payload))
        for piece in payload:
            self.send_piece(piece)

    def send_header(self, header: dict[str, Any], payload_bytes: int) -> None:
        """Send the header of a message; `send_piece` sends its payload."""
        self._connection.sendall(packed(header, payload_bytes))

    def send_piece(self, piece: Payload) -> None:
        """Send the next piece of a payload."""
        self._connection.sendall(piece)

    def _exactly(self, count: int) -> bytes:
        if count == 0:
            return b""
        data = self._connection.recv(count, socket.MSG_WAITALL)
        if len(data) == count:  # nearly always: the kernel waits for all bytes and fills one buffer
            return data
        pieces = [data]
        while (missing := count - sum(map(len, pieces))) > 0:
            data = self._connection.recv(missing, socket.MSG_WAITALL)
            if not data:
                raise EOFError
            pieces.append(data)
        return b"".join(pieces)
