"""The GET routes, answered from memory."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from adapters.http.gateway import Route
from adapters.http.guards.security_headers import page_policy
from adapters.http.playground.pages import playground_routes
from adapters.observability import metrics
from adapters.observability.processes import memory_in_use
from adapters.observability.status import Status

# BentoML serves the files of Swagger UI; its own page around them would load a tracker from another host.
API_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>RTMLib ML Backend</title>
  <link rel="stylesheet" href="./static_content/swagger-ui.css">
  <link rel="icon" href="./static_content/favicon-light-32x32.png">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="./static_content/swagger-ui-bundle.js"></script>
  <script>
    SwaggerUIBundle({ url: "./docs.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true });
  </script>
</body>
</html>
"""


def get_routes(status: Status, openapi: Callable[[], dict[str, Any]]) -> dict[str, Route]:
    """Return the GET routes by path.

    Args:
        status: State of the service.
        openapi: Makes the OpenAPI document; called at the first request for it.
    """
    document: dict[str, Any] = {}

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "UP", "model_version": status.model_version})

    async def versions(_: Request) -> Response:
        return JSONResponse({"versions": [status.model_version]})

    async def show_status(_: Request) -> Response:
        memory = await asyncio.to_thread(memory_in_use)
        return JSONResponse({**status.as_dict(), "memory": memory})

    async def show_metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.exposition), media_type=CONTENT_TYPE_LATEST)

    async def api_page(_: Request) -> Response:
        return HTMLResponse(API_PAGE, headers={"Content-Security-Policy": page_policy(API_PAGE)})

    async def api_document(_: Request) -> Response:
        if not document:
            document.update(openapi())
        return JSONResponse(document)

    return {
        "/": api_page,
        "/docs.json": api_document,
        "/health": health,
        "/metrics": show_metrics,
        "/versions": versions,
        "/status": show_status,
        **playground_routes(),
    }
