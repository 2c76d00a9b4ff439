"""The settings as a table for the manual: `python -m adapters.settings_table` prints docs/configuration.md."""

from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from adapters.settings import Settings

_HEAD = """# Configuration

Settings are environment variables. A wrong value stops the start with one sentence that names the setting; an empty
one counts as not set. This page is made from the settings class (`make docs`).

| variable | default | meaning |
| --- | --- | --- |
"""


def settings_page() -> str:
    """Return docs/configuration.md."""
    rows = (
        f"| `{name.upper()}` | {_default(field)} | {_meaning(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return _HEAD + "".join(rows)


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _meaning(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    listed = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return f"{field.description or ''}{listed}".replace("|", "\\|")


if __name__ == "__main__":
    print(settings_page(), end="")
