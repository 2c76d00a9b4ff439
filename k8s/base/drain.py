"""Runs before the pod is told to stop: waits until the requests that it has are answered.

The pod has left the endpoints, but Traefik needs a moment to learn of it, so requests still come for a while. Idle
connections are closed within 5 s, by Traefik (serverstransport.yaml) or by the server's own keep-alive; one that is
open after the pause therefore carries a request. SIGTERM would cut it off, because the runners end with the service.

Usage: drain.py PORT PAUSE_S LIMIT_S
"""

import sys
import time
from pathlib import Path

ESTABLISHED = "01"


def open_connections(port: int) -> int:
    """Count the TCP connections to our port, from the kernel's tables (see proc_net_tcp in its documentation)."""
    rows = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return sum(row[3] == ESTABLISHED and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def drain(port: int, pause_s: float, limit_s: float) -> bool:
    """Wait for the last connection to close; tell whether it did within the limit."""
    deadline = time.monotonic() + limit_s
    time.sleep(pause_s)
    while open_connections(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


if __name__ == "__main__":
    sys.exit(0 if drain(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])) else 1)
