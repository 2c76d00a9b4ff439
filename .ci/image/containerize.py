"""`bentoml containerize`, with the Dockerfile changed by `dockerfile.py`: it writes a new one from the Bento each time."""

import _bentoml_impl.docker
from bentoml_cli.cli import cli
from dockerfile import changed

generate = _bentoml_impl.docker.generate_dockerfile
_bentoml_impl.docker.generate_dockerfile = lambda *args, **options: changed(generate(*args, **options))

if __name__ == "__main__":
    cli(prog_name="bentoml", args=None)
