"""Checks that Label Studio is reachable and accepts the token."""

from http import HTTPStatus

import aiohttp

from adapters.connections import connection_problem, environment_proxy, open_session
from adapters.label_studio.client.credentials import Credentials, CredentialsError

_LIMIT_S = 10


class ConnectionFailedError(Exception):
    """The check of Label Studio failed; the message says what to do."""


async def check_connection(url: str, credentials: Credentials | None) -> str:
    """Check Label Studio and the token.

    Args:
        url: LABEL_STUDIO_URL.
        credentials: Of the user whose pictures are fetched; None without a token.

    Returns:
        The result as a sentence.

    Raises:
        ConnectionFailedError: It is unreachable, is no Label Studio, or rejects the token.
    """
    base = url.rstrip("/")
    try:
        proxy = environment_proxy(base)
        through = f" (through the proxy {proxy})" if proxy else ""
        async with open_session(proxy, aiohttp.ClientTimeout(total=_LIMIT_S)) as session:
            async with session.get(f"{base}/health") as health:
                if health.status != HTTPStatus.OK:
                    raise ConnectionFailedError(
                        f"{base}/health returns {health.status}. Set LABEL_STUDIO_URL to the address by which this "
                        "machine reaches Label Studio, path included."
                    )
            if credentials is None:
                return f"{base} responds{through}; uploaded pictures cannot be fetched without LABEL_STUDIO_API_TOKEN"
            header = await credentials.header(session)
            async with session.get(f"{base}/api/current-user/whoami", headers=header) as answer:
                if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    raise ConnectionFailedError(credentials.explain_refusal())
                if answer.status != HTTPStatus.OK:
                    raise ConnectionFailedError(
                        f"{base}/api/current-user/whoami returns {answer.status}. See Label Studio's log."
                    )
                user = await answer.json()
                return f"{base} accepts the {credentials.kind} of {user.get('email') or user.get('username')}{through}"
    except CredentialsError as error:
        raise ConnectionFailedError(str(error)) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        problem = connection_problem(error) or (
            f"is unreachable ({type(error).__name__}). Use Label Studio's address from this machine; in a container, "
            "localhost is the container itself"
        )
        raise ConnectionFailedError(f"{base} {problem}.") from error
