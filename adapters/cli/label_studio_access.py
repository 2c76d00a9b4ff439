"""The settings that commands need to call Label Studio."""

from adapters.label_studio.client.credentials import Credentials
from adapters.settings import Settings, SettingsError
from adapters.wiring import label_studio_credentials


def label_studio_access(settings: Settings, why: str) -> tuple[str, Credentials]:
    """Return Label Studio's address and the credentials for it.

    Args:
        settings: The settings of the service.
        why: Purpose; the end of the error's sentence.

    Raises:
        SettingsError: One of the two is not set.
    """
    url, credentials = settings.label_studio_url, label_studio_credentials(settings)
    if url is None or credentials is None:
        raise SettingsError(f"Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN {why}.")
    return url, credentials
