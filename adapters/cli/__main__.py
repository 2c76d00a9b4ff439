"""`python -m adapters.cli`: the commands where they are copied and not installed, as in the image."""

from adapters.cli.app import main

main()
