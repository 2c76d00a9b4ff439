"""Changes the Dockerfile that BentoML has put into a Bento: one layer without what no request needs, and its own port.

Usage: dockerfile.py DOCKERFILE
"""

import re
import sys
from pathlib import Path

INSTALL = re.compile(
    r"^RUN command -v uv >/dev/null \|\| pip install uv\n"
    r"(?P<venv>RUN .*?uv venv (?P<python>--python \S+) .*?)"
    r"(?P<environment>ENV VIRTUAL_ENV=.*?)"
    r"(?P<copy>COPY --chown=\S+ \./env/python \./env/python/\n)"
    r".*?uv --directory [^\n]+\n",
    re.MULTILINE | re.DOTALL,
)
# uv installs and is gone. OpenVINO: plugins for other devices than CPUs, readers of other formats than ONNX, headers.
# The rest: tests, and tools that change networks of other kinds.
ONE_LAYER = r"""\g<copy>\g<environment>RUN base=$(command -v python3) \\
    && "$base" -m pip install --no-cache-dir --quiet uv \\
    && uv venv \g<python> /app/.venv \\
    && uv --directory ./env/python pip install -r requirements.txt \\
    && "$base" -m pip uninstall --yes --quiet uv \\
    && cd /app/.venv/lib/python3.11/site-packages/ \\
    && rm -f openvino/libs/cache.json openvino/libs/libopenvino_intel_[gn]pu_* \\
    openvino/libs/libopenvino_pytorch_frontend* openvino/libs/libopenvino_tensorflow* \\
    openvino/libs/libopenvino_paddle_frontend* openvino/libs/libopenvino_jax_frontend* \\
    openvino/libs/libopenvino_gguf_frontend* \\
    && rm -rf openvino/include onnx/backend/test onnxruntime/transformers tornado/test
"""
PORTS = re.compile(
    r"^# Default port for BentoServer\nEXPOSE 3000\n+# Expose Prometheus port\nEXPOSE 3001\n", re.MULTILINE
)


def changed(text: str) -> str:
    """The Dockerfile with both changes.

    Raises:
        ValueError: BentoML writes another one by now.
    """
    text, installs = INSTALL.subn(ONE_LAYER, text)
    text, ports = PORTS.subn("EXPOSE 9090\n", text)
    if (installs, ports) != (1, 1):
        raise ValueError("BentoML's Dockerfile has changed: adapt .ci/image/dockerfile.py")
    return text


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(changed(file.read_text()))
