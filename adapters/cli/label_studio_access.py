"""What commands that ask Label Studio need of the settings."""

from adapters.label_studio.client.credentials import Credentials
from adapters.settings import Settings, SettingsError
from adapters.wiring import label_studio_credentials


def label_studio_access(settings: Settings, why: str) -> tuple[str, Credentials]:
    """Return the address of Label Studio, and what it must be shown.

    Args:
        settings: The service's own.
        why: What they are needed for; the end of the sentence that asks for them.

    Raises:
        SettingsError: The settings do not name both.
    """
    url, credentials = settings.label_studio_url, label_studio_credentials(settings)
    if url is None or credentials is None:
        raise SettingsError(f"Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN {why}.")
    return url, credentials
