"""The request id, which is part of every log line of a request."""

from contextvars import ContextVar

NO_REQUEST = "-"

request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
"""Id of the current request: the caller's X-Request-ID, or a generated one."""
