"""The OpenAPI document: BentoML's description of its POST routes, completed with ours and with examples that work."""

from typing import Any

from adapters.http.example import EXAMPLE_LABEL_CONFIG, example_picture
from adapters.http.surface import PROBES

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
        "One slot per task, in their order. A task that failed gets `[]`, so that it can be asked for again; "
        "nobody in the picture is a prediction with an empty `result`. Without a `label_config` everything is sent.",
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


def complete(document: dict[str, Any], version: str) -> dict[str, Any]:
    """Complete BentoML's OpenAPI document.

    Args:
        document: As BentoML generates it.
        version: Version of this package.
    """
    paths = {path: item for path, item in document["paths"].items() if path in _POST}
    for path, (summary, description) in _POST.items():
        operation = paths[path]["post"]
        operation.update(summary=summary, description=description, tags=["Label Studio"])
        operation["operationId"] = path.removeprefix("/")
        operation["requestBody"]["required"] = path == "/predict"  # the others read no body as {}
        content = operation["requestBody"]["content"]["application/json"]
        # BentoML writes the body's schema a second time here, and leaves out what else than a number an id may be.
        content["schema"] = {"$ref": f"#/components/schemas/{content['schema']['title']}"}
        content["example"] = _example(path)
        operation["responses"] = {"200": operation["responses"].get(200) or operation["responses"]["200"]}
        operation["responses"] |= {str(status): _error_response(why) for status, why in _ERRORS.items()}
    for path, (summary, description) in _GET.items():
        content = "text/plain" if path in ("/metrics", "/livez", "/readyz") else "application/json"
        paths[path] = {
            "get": {
                "summary": summary,
                "description": description,
                "tags": ["Operation"],
                "operationId": path.removeprefix("/"),
                "responses": {"200": {"description": "Success", "content": {content: {}}}}
                | {str(status): _error_response(why) for status, why in _get_errors(path).items()},
            }
        }
    document["components"]["schemas"]["Error"] = _ERROR
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
