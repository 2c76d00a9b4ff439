"""The OpenAPI document: BentoML's POST routes, completed with the GET routes, errors and working examples."""

import json
from collections.abc import Iterator
from typing import Any, cast

from adapters.http.example import EXAMPLE_LABEL_CONFIG, example_picture
from adapters.http.gateway import OPEN_TO_ALL, PROBES

_ERROR = {
    "type": "object",
    "required": ["error", "detail", "request_id"],
    "properties": {
        "error": {"type": "string", "example": "Bad Request"},
        "detail": {"type": "string", "example": "tasks: field required"},
        "request_id": {"type": "string", "example": "5f0c9a3e7d1b4c22"},
    },
}

_ERRORS = {
    400: "The body is invalid; `detail` has the field and the reason.",
    401: "User name and password are missing or wrong (only if BASIC_AUTH_USER is set).",
    403: "A browser sent this for another site. CORS_ALLOWED_ORIGINS lists the allowed ones.",
    408: "The body did not arrive in time.",
    413: "The body is larger than MAX_REQUEST_BYTES, or has too many JSON values.",
    415: "Content-Type is not application/json, or the body is compressed.",
    500: "Internal error. See the log under the request id.",
    503: "Overloaded. Retry after the seconds in Retry-After.",
    504: "The request timed out.",
}

_POST = {
    "/predict": (
        "Predict keypoints for tasks",
        "`results` has one entry per task, in order. It is `[]` for a failed task, whose reason is in `failures`; "
        "such a task can be retried. A picture without people gets a prediction with an empty `result`. Without a "
        "`label_config`, all keypoints are returned.",
    ),
    "/setup": (
        "Set up a project",
        "Label Studio calls this when it connects the backend. Returns the model version of predictions.",
    ),
    "/webhook": ("Acknowledge an event", "Label Studio's events are acknowledged; nothing is stored."),
    "/train": (
        "Decline to train",
        "The networks are fixed: there is no training.",
    ),
}

_GET = {
    "/health": ("Check that the service is up", "Label Studio requests this first."),
    "/versions": ("List the model versions", "There is one; it depends on mode, weights and pipeline."),
    "/status": (
        "Show tasks in progress, counts and the last failures",
        "Each failure has the task's id and the reason.",
    ),
    "/metrics": ("Show metrics for Prometheus", "Text format, summed over all processes."),
    "/livez": ("Check that the process runs", "For the liveness probe."),
    "/readyz": (
        "Check that predictions are possible",
        "For the readiness probe: 503 until the runners are ready.",
    ),
}

_PREDICT_RESPONSE: dict[str, Any] = {
    "results": [{"model_version": "rtmlib-embedded-1a2b3c4d", "score": 0.0, "result": []}, []],
    "failures": [
        {
            "task": 2,
            "reason": "not_found",
            "detail": "There is no picture at https://example.com/photo.jpg (404).",
        }
    ],
}
"""For two tasks: the first picture has no people; the second is missing."""

_BASIC_AUTH = "basicAuth"
_BASIC_AUTH_SCHEME = {
    "type": "http",
    "scheme": "basic",
    "description": "BASIC_AUTH_USER and BASIC_AUTH_PASS of this backend.",
}

_SCHEMAS = "#/components/schemas/"

_TEXT = {"type": "string"}
_GET_SCHEMAS: dict[str, Any] = {
    path: {"schema": schema}
    for path, schema in {
        "/health": {
            "type": "object",
            "required": ["status", "model_version"],
            "properties": {"status": {"const": "UP"}, "model_version": _TEXT},
        },
        "/versions": {
            "type": "object",
            "required": ["versions"],
            "properties": {"versions": {"type": "array", "items": _TEXT}},
        },
        "/status": {"type": "object", "additionalProperties": True},
    }.items()
}


def complete(document: dict[str, Any], version: str, *, password_needed: bool) -> dict[str, Any]:
    """Complete BentoML's OpenAPI document.

    Args:
        document: BentoML's document.
        version: Version of this package.
        password_needed: Whether requests need a user name and a password.
    """
    # Client generators name classes after the schemas; BentoML's suffix means nothing to their users.
    document = json.loads(json.dumps(document).replace("IODescriptor", ""))
    paths = {path: item for path, item in document["paths"].items() if path in _POST}
    for path, (summary, description) in _POST.items():
        operation = paths[path]["post"]
        operation.update(summary=summary, description=description, tags=["Label Studio"])
        operation["operationId"] = path.removeprefix("/")
        operation["requestBody"]["required"] = path == "/predict"  # the other routes read an empty body as {}
        content = operation["requestBody"]["content"]["application/json"]
        # BentoML repeats the schema here, but without the string ids that it allows.
        content["schema"] = {"$ref": _SCHEMAS + content["schema"]["title"]}
        content["example"] = _example(path)
        success = operation["responses"]["200"]
        if (name := success["content"]["application/json"]["schema"].get("title")) is not None:
            success["content"]["application/json"]["schema"] = {"$ref": _SCHEMAS + name}
        if path == "/predict":
            success["content"]["application/json"]["example"] = _PREDICT_RESPONSE
        operation["responses"] = {"200": success}
        operation["responses"] |= {str(status): _error_response(why) for status, why in _ERRORS.items()}
    for path, (summary, description) in _GET.items():
        content = "text/plain" if path in ("/metrics", "/livez", "/readyz") else "application/json"
        paths[path] = {
            "get": {
                "summary": summary,
                "description": description,
                "tags": ["Operation"],
                "operationId": path.removeprefix("/"),
                "responses": {
                    "200": {"description": "Success", "content": {content: _GET_SCHEMAS.get(path, {})}}
                }
                | {str(status): _error_response(why) for status, why in _get_errors(path).items()},
            }
        }
    schemas = document["components"]["schemas"] | {"Error": _ERROR}
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(_used(paths, schemas))}
    if password_needed:
        document["components"]["securitySchemes"] = {_BASIC_AUTH: _BASIC_AUTH_SCHEME}
        document["security"] = [{_BASIC_AUTH: []}]
        for path in OPEN_TO_ALL & paths.keys():
            for operation in paths[path].values():
                operation["security"] = []
    return document | {
        "openapi": "3.1.0",  # BentoML writes 3.0.2, but its schemas are JSON Schema 2020-12, as in 3.1
        "paths": paths,
        "tags": [{"name": "Label Studio"}, {"name": "Operation"}],
        "info": {
            "title": "RTMLib ML Backend",
            "version": version,
            "description": "133 whole-body keypoints per person for Label Studio.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
    }


def _used(node: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas in use, directly or through others; BentoML also lists unused ones."""
    found: set[str] = set()
    left = list(_references(node))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _references(schemas[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = cast(dict[str, Any], node)
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix(_SCHEMAS)
        node = list(node.values())
    if isinstance(node, list):
        for one in cast(list[Any], node):
            yield from _references(one)


def _get_errors(path: str) -> dict[int, str]:
    errors = {500: _ERRORS[500]}
    if path not in PROBES:
        errors[401] = _ERRORS[401]
    if path == "/readyz":
        errors[503] = "Still starting, or stopping."
    return errors


def _error_response(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _example(path: str) -> dict[str, Any]:
    if path == "/predict":
        return {
            "tasks": [{"id": 1, "data": {"image": example_picture()}}],
            "label_config": EXAMPLE_LABEL_CONFIG,
        }
    if path == "/setup":
        return {
            "project": "1.1700000000",
            "schema": EXAMPLE_LABEL_CONFIG,
            "hostname": "http://localhost:8080",
        }
    return {"action": "START_TRAINING", "project": {"id": 1}}
