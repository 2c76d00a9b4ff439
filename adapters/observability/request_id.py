"""What every log line of a request should say."""

from contextvars import ContextVar

NO_REQUEST = "-"

request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
"""The request that is being answered: the caller's X-Request-ID, or one of ours."""
