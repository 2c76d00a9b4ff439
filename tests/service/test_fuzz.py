"""Schemathesis against a running server: whatever it sends, the OpenAPI document holds and nothing is our fault.

`make fuzz` runs the same for longer.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.server import Server

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "25")
"""For each operation and way of making requests."""
SEED = os.environ.get("FUZZ_SEED", "1")

CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
        "allow_header_conformance",
    ]
)


@pytest.mark.promise("one-error-shape")
@pytest.mark.timeout(3600)
def test_what_is_sent_at_random_is_answered_as_the_openapi_document_says(
    server: Server, tmp_path: Path
) -> None:
    before = len(server.log())
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/docs.json"),
        *(
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
            "--seed",
            SEED,
        ),
        *("--request-timeout", "30", "--no-color", "--generation-database", "none", "--continue-on-failure"),
    ]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3000, check=False)

    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    assert "Traceback" not in server.log()[before:]
    assert server.is_ready()
