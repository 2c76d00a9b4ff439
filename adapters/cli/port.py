"""Whether the service can listen on a port."""

import socket


def why_taken(port: int) -> str | None:
    """Return why nobody else can listen on a port of this machine, in the system's words; None if they can."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104 - as the service does
        except OSError as error:
            return error.strerror
    return None
