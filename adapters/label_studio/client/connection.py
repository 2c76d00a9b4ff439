"""Whether Label Studio can be reached, and accepts our token."""

from http import HTTPStatus

import aiohttp

from adapters.label_studio.client.credentials import Credentials, CredentialsError

_LIMIT_S = 10


class ConnectionFailedError(Exception):
    """Label Studio does not answer as it should; the message says what to do."""


async def check_connection(url: str, credentials: Credentials | None) -> str:
    """Ask Label Studio who we are.

    Args:
        url: LABEL_STUDIO_URL.
        credentials: Of the user whose pictures are fetched; None without a token.

    Returns:
        What was found, in words.

    Raises:
        ConnectionFailedError: It cannot be reached, is no Label Studio, or refuses the token.
    """
    base = url.rstrip("/")
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LIMIT_S)) as session:
            async with session.get(f"{base}/health") as health:
                if health.status != HTTPStatus.OK:
                    raise ConnectionFailedError(
                        f"{base}/health answers {health.status}: LABEL_STUDIO_URL must be the address under which "
                        "this machine sees Label Studio, its path included."
                    )
            if credentials is None:
                return (
                    f"{base} answers; without LABEL_STUDIO_API_TOKEN its uploaded pictures cannot be fetched"
                )
            header = await credentials.header(session)
            async with session.get(f"{base}/api/current-user/whoami", headers=header) as answer:
                if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    raise ConnectionFailedError(credentials.explain_refusal())
                if answer.status != HTTPStatus.OK:
                    raise ConnectionFailedError(f"{base}/api/current-user/whoami answers {answer.status}.")
                user = await answer.json()
                return f"{base} accepts the {credentials.kind} of {user.get('email') or user.get('username')}"
    except CredentialsError as error:
        raise ConnectionFailedError(str(error)) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ConnectionFailedError(
            f"{base} cannot be reached ({type(error).__name__}): in a container, localhost is the container itself; "
            "use the name or address that this machine knows Label Studio by."
        ) from error
