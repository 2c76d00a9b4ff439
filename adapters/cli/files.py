"""Writes the output files of commands."""

from pathlib import Path

import typer


def write_text(path: Path, text: str) -> None:
    """Write a file, or end the command with a message."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        typer.echo(f"{path} cannot be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
