"""`bentoml containerize` with the changes of `dockerfile.py`: it writes the Dockerfile of a Bento anew each time."""

import _bentoml_impl.docker
from bentoml_cli.cli import cli
from dockerfile import changed

generate = _bentoml_impl.docker.generate_dockerfile
_bentoml_impl.docker.generate_dockerfile = lambda *args, **options: changed(generate(*args, **options))

if __name__ == "__main__":
    cli(prog_name="bentoml", args=None)
