"""The command line `rtmlib-backend` with all its commands."""

import errno
import os
from typing import Annotated

import typer

from adapters.cli import (
    doctor,
    evaluate,
    export_coco,
    label_config,
    models,
    preannotate,
    predict,
    sample_project,
    serve,
)
from adapters.cli.data import export, import_predictions
from adapters.cli.labels import check_labels
from adapters.settings import SettingsError
from runners.errors import ModelUnavailableError, ProviderUnavailableError
from runners.web_identity import installed_version


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rtmlib-backend {installed_version()}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Label Studio ML backend that draws 133 whole-body keypoints per person. Settings come from environment "
    "variables; see docs/configuration.md.",
)


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Take the options that come before a command."""


app.command("serve")(serve.serve)
app.command("predict")(predict.predict)
app.command("preannotate")(preannotate.preannotate)
app.command("export")(export.export)
app.command("export-coco")(export_coco.export_coco)
app.command("import-predictions")(import_predictions.import_predictions)
app.command("evaluate")(evaluate.evaluate)
app.command("check-labels")(check_labels.check_labels)
app.command("label-config")(label_config.label_config)
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("sample-project")(sample_project.sample_project)


def main() -> None:
    """Run the command line; errors that a user can fix end it with a message instead of a traceback."""
    try:
        app()
    except (SettingsError, ModelUnavailableError, ProviderUnavailableError) as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        typer.echo(f"{error.filename or 'The output'} cannot be written: {error.strerror}.", err=True)
        os._exit(1)  # a normal exit would try to flush the output again, and fail again
