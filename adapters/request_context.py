"""What every log line of a request should say."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The request that is being answered: the caller's X-Request-ID, or one of ours."""
