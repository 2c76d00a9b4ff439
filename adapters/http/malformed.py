"""The response to what is not an HTTP request."""

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
    HTTPStatus.BAD_REQUEST: "This is not a proper HTTP/1.1 request.",
    HTTPStatus.REQUEST_TIMEOUT: "The headers of the request did not come in time.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers of the request are too large; send fewer or shorter ones.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "This version of HTTP is not understood.",
    HTTPStatus.NOT_IMPLEMENTED: "This Transfer-Encoding is not understood; send the body as it is, or chunked.",
}


def malformed_response(proposed: int, detail: str | None) -> Response:
    """Return the response to what the gateway never sees; count and log it, as the gateway does with requests.

    Args:
        proposed: HTTP status; if it says nothing to callers, 400 is sent.
        detail: What is wrong, or None for what the status says.
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
