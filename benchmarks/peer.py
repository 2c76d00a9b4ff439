"""The peer: a minimal backend with Flask and rtmlib's defaults.

    uv run --group bench python -m benchmarks.peer --port 9100

MODE, DEVICE and MODEL_CACHE_DIR are the service's. The peer fetches each picture of a request, runs rtmlib on it, and
responds in Label Studio's format. In `embedded` mode rtmlib has no whole-body network: it finds body and feet only
(`BodyWithFeet`), less than the service.
"""

import argparse
from typing import Any

import cv2
import numpy as np
import requests
from flask import Flask, Response, jsonify, request

from benchmarks.rtmlib_solution import rtmlib_solution

SCORE = 0.3


def regions(keypoints: Any, scores: Any, width: int, height: int) -> list[dict[str, Any]]:
    """Return all people's keypoints as Label Studio's regions."""
    return [
        {
            "id": f"p{person}-{index}",
            "from_name": "keypoints",
            "to_name": "image",
            "type": "keypointlabels",
            "score": float(score),
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": 100 * float(x) / width,
                "y": 100 * float(y) / height,
                "width": 0.5,
                "keypointlabels": [str(index)],
            },
        }
        for person, (points, point_scores) in enumerate(zip(keypoints, scores, strict=True))
        for index, ((x, y), score) in enumerate(zip(points, point_scores, strict=True))
        if score >= SCORE
    ]


def application(solution: Any) -> Flask:
    """Return the peer's web application."""
    app = Flask("peer")

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="UP")

    @app.post("/predict")
    def predict() -> Response:
        results: list[dict[str, Any]] = []
        for task in request.get_json()["tasks"]:
            data = requests.get(task["data"]["image"], timeout=30).content
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            keypoints, scores = solution(picture)
            height, width = picture.shape[:2]
            results.append(
                {"model_version": "peer", "score": 0.0, "result": regions(keypoints, scores, width, height)}
            )
        return jsonify(results=results)

    return app


def main() -> None:
    """Serve with Flask's own server, a thread for each request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9100)
    arguments = parser.parse_args()
    application(rtmlib_solution()).run("127.0.0.1", arguments.port, threaded=True)


if __name__ == "__main__":
    main()
