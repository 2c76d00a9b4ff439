"""The response to a malformed HTTP request."""

import logging
import uuid
from http import HTTPStatus

from starlette.responses import Response

from adapters.http.errors import error_response
from adapters.http.guards.security_headers import missing_security_headers
from adapters.observability import metrics
from adapters.observability.logs import Event
from adapters.observability.request_id import request_id

logger = logging.getLogger(__name__)

_DETAILS = {
    HTTPStatus.BAD_REQUEST: "Malformed request. Send HTTP/1.1.",
    HTTPStatus.REQUEST_TIMEOUT: "The request headers did not arrive in time. Send them faster.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request headers are too large. Send fewer or shorter ones.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "Unsupported HTTP version. Use HTTP/1.1.",
    HTTPStatus.NOT_IMPLEMENTED: "Unsupported Transfer-Encoding. Send the body as it is, or chunked.",
}


def malformed_response(proposed: int, detail: str | None) -> Response:
    """Return the response to a request that never reaches the gateway; count and log it as the gateway does.

    Args:
        proposed: HTTP status; one without a detail here becomes 400.
        detail: What is wrong; None for the detail of the status.
    """
    status = HTTPStatus(proposed) if proposed in _DETAILS else HTTPStatus.BAD_REQUEST
    detail = detail or _DETAILS[status]
    token = request_id.set(uuid.uuid4().hex[:16])
    try:
        response = error_response(status, detail, {"Connection": "close"})
        response.raw_headers.append((b"x-request-id", request_id.get().encode()))
        response.raw_headers.extend(missing_security_headers(response.raw_headers))
        metrics.requests_total().labels(route="other", status=str(status.value)).inc()
        logger.info(Event("answered", detail, status=status.value))
    finally:
        request_id.reset(token)
    return response
