"""The OpenAPI document: BentoML's description of its POST routes, completed with ours and with examples that work."""

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
    400: "The body is not what this route takes; `detail` says where and why.",
    401: "User name and password are missing or wrong (only if BASIC_AUTH_USER is set).",
    403: "A browser sent this for a page of another site (CORS_ALLOWED_ORIGINS).",
    408: "The body stopped coming.",
    413: "The body is larger than MAX_REQUEST_BYTES, or has too many JSON values.",
    415: "The body is not sent as application/json, or is packed.",
    500: "Something went wrong here; the log says more under the request id.",
    503: "There is more work than can be done in time; Retry-After says when to come again.",
    504: "The answer was not ready in time.",
}

_POST = {
    "/predict": (
        "Predict keypoints for tasks",
        "One slot per task, in their order. A task that failed gets `[]`, so that it can be asked for again, and an "
        "entry in `failures` that says why; nobody in the picture is a prediction with an empty `result`. Without a "
        "`label_config` everything is sent.",
    ),
    "/setup": (
        "Announce a project",
        "Label Studio calls this when the backend is connected. The answer is the version that predictions carry.",
    ),
    "/webhook": ("Take note of an event", "Events of Label Studio are acknowledged; nothing is stored."),
    "/train": (
        "Explain that nothing is trained here",
        "The networks are used as their authors trained them.",
    ),
}

_GET = {
    "/health": ("Tell that the service is up", "Label Studio asks for this before everything else."),
    "/versions": ("List the model versions", "There is one: mode, weights and pipeline make it."),
    "/status": (
        "Show work in hand, counts and the last failures",
        "Failures carry the task's id and the reason.",
    ),
    "/metrics": ("Show metrics for Prometheus", "Text format; counts of all processes added up."),
    "/livez": ("Tell that the process runs", "For the liveness probe."),
    "/readyz": (
        "Tell that predictions can be made",
        "For the readiness probe: 503 until the runners are ready.",
    ),
}

_PREDICT_ANSWER: dict[str, Any] = {
    "results": [{"model_version": "rtmlib-embedded-1a2b3c4d", "score": 0.0, "result": []}, []],
    "failures": [
        {
            "task": 2,
            "reason": "not_found",
            "detail": "There is no picture at https://example.com/photo.jpg (404).",
        }
    ],
}
"""To two tasks: nobody in the first picture, and no second picture."""

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
        document: As BentoML generates it.
        version: Version of this package.
        password_needed: Whether callers must send a user name and a password.
    """
    # Programs make the names of their classes of those of the schemas; nobody knows BentoML's word for them.
    document = json.loads(json.dumps(document).replace("IODescriptor", ""))
    paths = {path: item for path, item in document["paths"].items() if path in _POST}
    for path, (summary, description) in _POST.items():
        operation = paths[path]["post"]
        operation.update(summary=summary, description=description, tags=["Label Studio"])
        operation["operationId"] = path.removeprefix("/")
        operation["requestBody"]["required"] = path == "/predict"  # the others read no body as {}
        content = operation["requestBody"]["content"]["application/json"]
        # BentoML writes the body's schema a second time here, and leaves out what else than a number an id may be.
        content["schema"] = {"$ref": _SCHEMAS + content["schema"]["title"]}
        content["example"] = _example(path)
        success = operation["responses"]["200"]
        if (name := success["content"]["application/json"]["schema"].get("title")) is not None:
            success["content"]["application/json"]["schema"] = {"$ref": _SCHEMAS + name}
        if path == "/predict":
            success["content"]["application/json"]["example"] = _PREDICT_ANSWER
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
        "openapi": "3.1.0",  # BentoML says 3.0.2, but its schemas are JSON Schema 2020-12, as in 3.1
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
    """Return the names of the schemas that are referred to, also by each other: BentoML describes more."""
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
        errors[503] = "Not ready yet, or no more."
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
