"""Writes the files that commands make."""

from pathlib import Path

import typer


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole, or end the command with a sentence."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        typer.echo(f"{path} cannot be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
