"""A server with the routes and the shutdown of the backend, and none of its networks. Run: backend_stub.py ADDRESS PORT

It tells in every answer which server it is and what arrived, waits `milliseconds` of the query before it answers,
closes idle connections after 5 seconds as uvicorn does, and ends requests under way when SIGTERM comes.
"""

import asyncio
import json
import sys

import uvicorn

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    query = scope["query_string"].decode()
    if query.startswith("milliseconds="):
        await asyncio.sleep(int(query.removeprefix("milliseconds=")) / 1000)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer = json.dumps(
        {
            "address": ADDRESS,
            "path": scope["path"],
            "bytes": len(body),
            "headers": headers,
            # Long enough to be worth compressing.
            "results": [
                {"value": {"x": n, "y": n}} for n in range(200 if scope["path"] == "/predict" else 0)
            ],
        }
    ).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(answer)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer})


uvicorn.run(application, host=ADDRESS, port=PORT, log_level="error", timeout_keep_alive=5, lifespan="off")
