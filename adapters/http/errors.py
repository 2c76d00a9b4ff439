"""The JSON body of every error response: `{"error", "detail", "request_id"}`."""

import json
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import JSONResponse

from adapters.observability.request_id import request_id

_ROUTING: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "Unknown route. See / for the API.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not allowed. The Allow header lists the methods.",
}
"""Details that replace the two words of BentoML's routing errors, such as `Not Found`."""

_ALTERNATIVES = frozenset({"constrained-int", "constrained-str"})
"""Steps of pydantic's error locations that are types, not fields of the body."""


def error_response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error response.

    Args:
        status: HTTP status.
        detail: What is wrong and what to do.
        headers: Additional headers, such as Retry-After.
    """
    return JSONResponse(error_body(status, detail), status_code=status, headers=headers)


def error_body(status: int, detail: str) -> dict[str, Any]:
    """Return the body of an error response."""
    return {"error": HTTPStatus(status).phrase, "detail": detail, "request_id": request_id.get()}


def detail_in_our_shape(body: bytes) -> str | None:
    """Return the detail of an error body made by `error_response`; None for any other body."""
    try:
        content: Any = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    fields = cast(dict[str, Any], content)
    return fields["detail"] if fields.keys() == {"error", "detail", "request_id"} else None


def detail_of(status: int, body: bytes) -> str:
    """Return the detail for an error body made by BentoML, in any of its formats."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Internal error. See the log under this request id."
    if status in _ROUTING:
        return _ROUTING[status]
    try:
        content: Any = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()[:500] or HTTPStatus(status).description
    if isinstance(content, list) and content:
        content = cast(list[Any], content)[0]
    if not isinstance(content, dict):
        return HTTPStatus(status).description
    fields = cast(dict[str, Any], content)
    problems = fields.get("detail")
    if isinstance(problems, list):
        return "; ".join(_problem(item) for item in cast(list[dict[str, Any]], problems)[:3])
    return str(problems or fields.get("error") or HTTPStatus(status).description)[:500]


def _problem(item: dict[str, Any]) -> str:
    """Return the field and message of one pydantic error, without the value: it may be a secret."""
    location: list[int | str] = item.get("loc", [])
    message = str(item.get("msg", ""))
    if "recursion limit" in message:
        return "the JSON is nested too deeply; nest fewer lists and objects"
    where = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in location if step not in _ALTERNATIVES
    )
    return f"{where.removeprefix('.')[:200] or 'the body'}: {message[:1].lower()}{message[1:300]}"
