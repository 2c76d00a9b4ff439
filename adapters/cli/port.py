"""Whether the service can listen on a port."""

import socket


def listen_error(port: int) -> str | None:
    """Return the system's error for listening on a port of this machine; None if it is free."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104 - as the service does
        except OSError as error:
            return error.strerror
    return None
