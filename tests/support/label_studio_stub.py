"""A Label Studio on a real socket, as far as whole projects need it: its tasks, its predictions, and its troubles."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

TOKEN = "c0ffee" * 6 + "c0ff"


@dataclass
class Fault:
    """What goes wrong once with a request whose method and path begin like this.

    Attributes:
        method: GET, POST, PATCH or DELETE.
        path: Beginning of the path.
        status: Of the answer; None to hang up without one.
        stored: Whether it is done all the same, as when a gateway gives up.
        headers: Of the answer.
    """

    method: str
    path: str
    status: int | None
    stored: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class LabelStudioStub:
    """One project with tasks.

    Attributes:
        url: Its address.
        tasks: Numbers to data.
        annotations: Annotations by the number of their task.
        predictions: Numbers to predictions.
        faults: What goes wrong, in this order.
        requests: What was asked.
        page_limit: The largest page that it gives.
        before_storing: Called with the number of the task before a prediction is stored.
    """

    url: str = ""
    label_config: str = '<View><Image name="image" value="$image"/></View>'
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    annotations: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    connected: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    page_limit: int = 1000
    before_storing: Callable[[int], None] = lambda task: None
    _number: int = 0

    def add(self, task: int, model_version: str, result: Any = ()) -> int:
        self._number += 1
        self.predictions[self._number] = {
            "id": self._number,
            "task": task,
            "model_version": model_version,
            "result": list(result),
        }
        return self._number

    def versions(self) -> dict[int, list[str]]:
        return {
            task: [one["model_version"] for one in self.predictions.values() if one["task"] == task]
            for task in self.tasks
        }

    def count(self, method: str, path: str) -> int:
        return sum(line.startswith(f"{method} {path}") for line in self.requests)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"detail": "Invalid token."}, status=401)
        fault = self.faults[0] if self.faults else None
        if fault and fault.method == request.method and request.path.startswith(fault.path):
            self.faults.popleft()
            if fault.stored:
                await self.routed(request)
            if fault.status is None:
                assert request.transport is not None
                request.transport.close()
                await asyncio.sleep(0)
            return web.json_response(
                {"detail": "in trouble"}, status=fault.status or 500, headers=fault.headers
            )
        return await self.routed(request)

    async def routed(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 - one for each route
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["api", "projects", "1"]:
                return web.json_response({"id": 1, "title": "One", "label_config": self.label_config})
            case "GET", ["api", "tasks"]:
                return self._page(request)
            case "PATCH", ["api", "tasks", number] if int(number) in self.tasks:
                self.tasks[int(number)] = (await request.json())["data"]
                return web.json_response({"id": int(number)})
            case "GET", ["api", "ml"]:
                return web.json_response([{"model_version": version} for version in self.connected])
            case "GET", ["api", "predictions"]:
                task = int(request.query["task"])
                return web.json_response([one for one in self.predictions.values() if one["task"] == task])
            case "POST", ["api", "predictions"]:
                return await self._store(request)
            case "DELETE", ["api", "predictions", number] if int(number) in self.predictions:
                del self.predictions[int(number)]
                return web.Response(status=204)
            case _:
                return web.json_response({"detail": "No such thing."}, status=404)

    def _page(self, request: web.Request) -> web.Response:
        query = json.loads(request.query.get("query", "{}"))
        ids = query.get("selectedItems", {}).get("included") or list(self.tasks)
        if "view" in request.query:
            ids = [task for task in ids if task % 2 == 0]
        size = min(int(request.query["page_size"]), self.page_limit)
        page = int(request.query.get("page", 1))
        chosen = [task for task in ids if task in self.tasks]
        shown = chosen[(page - 1) * size : page * size]
        if not shown and page > 1:
            return web.json_response({"detail": "Invalid page."}, status=404)
        versions = self.versions()
        tasks = [
            {
                "id": task,
                "data": self.tasks[task],
                "annotations": self.annotations.get(task, []),
                # As Label Studio: only when a filter needs them, and cut.
                "predictions_model_versions": ",".join(dict.fromkeys(versions[task]))[:500]
                if "filters" in query
                else "",
            }
            for task in shown
        ]
        return web.json_response({"tasks": tasks, "total": len(chosen)})

    async def _store(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["task"] not in self.tasks:
            return web.json_response(
                {"detail": "Validation error", "validation_errors": {"task": ["Invalid pk"]}}, status=400
            )
        self.before_storing(body["task"])
        number = self.add(body["task"], body["model_version"], body["result"])
        return web.json_response({"id": number}, status=201)


@asynccontextmanager
async def serving_label_studio(tasks: int = 0, **fields: Any) -> AsyncIterator[LabelStudioStub]:
    """Run one with so many tasks, numbered from 1."""
    stub = LabelStudioStub(
        tasks={n: {"image": f"/data/upload/1/{n}.jpg"} for n in range(1, tasks + 1)}, **fields
    )
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", stub.answer)
    async with TestServer(app) as server:
        stub.url = str(server.make_url("/")).rstrip("/")
        yield stub


@contextmanager
def label_studio_in_thread(tasks: int = 0, **fields: Any) -> Generator[LabelStudioStub]:
    """Run one on a loop of its own, for commands, which have a loop too."""
    ready, end = threading.Event(), asyncio.Event()
    stubs: list[LabelStudioStub] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving_label_studio(tasks, **fields) as stub:
            stubs.append(stub)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield stubs[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
