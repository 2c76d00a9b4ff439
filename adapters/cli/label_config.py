"""`rtmlib-backend label-config`: a label config to paste into a Label Studio project."""

from typing import Annotated

import typer

from adapters.label_studio.label_config.template import Selection, label_config_template

_CHOICES = ", ".join(Selection)


def label_config(
    parts: Annotated[
        str, typer.Option(help=f"What to annotate, separated by commas: {_CHOICES}.")
    ] = Selection.WHOLE.value,
    points: Annotated[
        bool, typer.Option("--points", help="Single points and boxes instead of bones by part.")
    ] = False,
    skeleton: Annotated[bool, typer.Option("--skeleton", hidden=True)] = False,
    frames: Annotated[
        bool,
        typer.Option("--frames", help="For tasks with a list of pictures in their field 'frames'."),
    ] = False,
) -> None:
    """Print a label config to paste into a project under Settings > Labeling Interface > Code."""
    if points and skeleton:
        raise typer.BadParameter("do not use it with --points.", param_hint="--points")
    typer.echo(label_config_template(_selections(parts), skeleton=not points, frames=frames), nl=False)


def _selections(parts: str) -> list[Selection]:
    names = [name.strip().lower() for name in parts.split(",") if name.strip()]
    by_name = {_comparable(selection.value): selection for selection in Selection}
    unknown = [name for name in names if _comparable(name) not in by_name]
    if unknown or not names:
        what = f"'{unknown[0]}' is none of" if unknown else "name at least one of"
        raise typer.BadParameter(f"{what}: {_CHOICES}", param_hint="--parts")
    return [by_name[_comparable(name)] for name in names]


def _comparable(name: str) -> str:
    return name.replace("_", "-")
