"""The example picture of the API page: a drawn figure, which the networks detect as a person."""

import base64
import io
from functools import cache

from adapters.label_studio.label_config.template import Selection, label_config_template
from wholebody.figure import HEIGHT, WIDTH, draw_figure

__all__ = ["EXAMPLE_LABEL_CONFIG", "HEIGHT", "WIDTH", "draw_figure", "example_picture"]

EXAMPLE_LABEL_CONFIG = label_config_template([Selection.BODY])


@cache
def example_picture() -> str:
    """Return the figure as a `data:` URI of a JPEG, about 7 kB."""
    file = io.BytesIO()
    draw_figure().save(file, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
