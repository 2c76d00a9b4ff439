"""The token for Label Studio: its kind, its header, and the meaning of a rejection.

A personal access token (PAT) is a JWT refresh token. It is exchanged for an access token for requests, which expires
after 300 seconds. A legacy token is sent unchanged; since Label Studio 1.23 organisations reject it by default.
Observed with Label Studio 1.23.2.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import aiohttp

from adapters.connections import connection_problem
from adapters.sentences import printable

TokenKind = Literal["personal access token", "legacy token"]

_USUAL_LIFETIME = 300.0  # seconds, for an access token without expiry
_RENEWED_AFTER = 0.8  # of the lifetime, so no token expires on its way or in a queue
REFRESH_SECONDS = 10.0
_MAX_ANSWER = 64 * 1024
_WHERE_TO_MAKE_ONE = (
    "Create a personal access token in Label Studio under Account & Settings > Personal Access Token, set "
    "LABEL_STUDIO_API_TOKEN to it and restart"
)


class CredentialsError(Exception):
    """Label Studio rejects the token, or is unreachable.

    Attributes:
        reason: ``unauthorized``, ``unreachable`` or ``timeout``.

    ``str(error)`` says what is wrong and what to do; it never contains the token.
    """

    def __init__(self, reason: Literal["unauthorized", "unreachable", "timeout"], sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Literal["unauthorized", "unreachable", "timeout"] = reason


@dataclass(frozen=True)
class _AccessToken:
    value: str = field(repr=False)
    renew_at: float  # on the clock of the Credentials


class Credentials:
    """Makes the Authorization header for one Label Studio, and renews it.

    Args:
        label_studio_url: LABEL_STUDIO_URL, with its path prefix.
        token: LABEL_STUDIO_API_TOKEN.
        clock: monotonic seconds; the wall clock may jump.

    Raises:
        ValueError: if the token is invalid; the message is for the operator.
    """

    def __init__(
        self, label_studio_url: str, token: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = label_studio_url.strip().rstrip("/")
        self._token = token.strip()
        self.kind: TokenKind = token_kind(self._token)
        self._clock = clock
        self._access: _AccessToken | None = None
        self._refresh: asyncio.Task[_AccessToken] | None = None

    def __repr__(self) -> str:
        return f"Credentials({self._url!r}, {self.kind})"

    async def header(
        self, session: aiohttp.ClientSession, *, refused: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the header that authorises a request to Label Studio.

        Args:
            session: requests a new access token if one is due.
            refused: a header from here that just got a 401. If it is still the current one, it is renewed, whatever its
                age: Label Studio may have been restarted with another key.

        Raises:
            CredentialsError: if a personal access token cannot be exchanged, or if the rejected header is a legacy
                token, which cannot be renewed.
        """
        if self.kind == "legacy token":
            if refused is not None:
                raise CredentialsError("unauthorized", self.explain_refusal())
            return {"Authorization": f"Token {self._token}"}
        access = self._access
        stale = access is None or self._clock() >= access.renew_at
        if access is None or stale or refused == _bearer(access):
            access = await self._renewed(session)
        return _bearer(access)

    def explain_refusal(self, detail: str = "") -> str:
        """Return a sentence about the meaning of a 401 from Label Studio for this token.

        Args:
            detail: Label Studio's detail, if any.
        """
        said = f" ({printable(detail, 200)})" if detail else ""
        if self.kind == "legacy token":
            return (
                f"Label Studio at {self._url} rejects the legacy token{said}: since 1.23 they are disabled by "
                f"default. {_WHERE_TO_MAKE_ONE}. Or let an administrator allow legacy tokens under "
                "Organization > API Tokens Settings."
            )
        return (
            f"Label Studio at {self._url} rejects the personal access token{said}: it has expired, was revoked "
            f"or belongs to another Label Studio. {_WHERE_TO_MAKE_ONE}."
        )

    async def _renewed(self, session: aiohttp.ClientSession) -> _AccessToken:
        """Return a new access token; concurrent callers share one request and its outcome."""
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._request_access(session))
            self._refresh.add_done_callback(self._finished)
        # Shielded: the cancellation of one caller must not affect the others.
        return await asyncio.shield(self._refresh)

    def _finished(self, refresh: asyncio.Task[_AccessToken]) -> None:
        self._refresh = None
        # Reading the exception also marks it as retrieved, in case every caller was cancelled.
        if not refresh.cancelled() and refresh.exception() is None:
            self._access = refresh.result()

    async def _request_access(self, session: aiohttp.ClientSession) -> _AccessToken:
        asked_at = self._clock()
        try:
            async with (
                asyncio.timeout(REFRESH_SECONDS),
                # Following a redirect would send the token to its target.
                session.post(
                    f"{self._url}/api/token/refresh/", json={"refresh": self._token}, allow_redirects=False
                ) as response,
            ):
                status, location = response.status, response.headers.get("Location", "")
                answer = _json_object(await _read_some(response))
        except TimeoutError:
            raise CredentialsError(
                "timeout",
                f"Label Studio at {self._url} did not exchange the personal access token within "
                f"{REFRESH_SECONDS:g} s. Check whether it is overloaded.",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            problem = connection_problem(error) or (
                f"is unreachable ({printable(str(error), 200)}). Check that LABEL_STUDIO_URL is its address from here"
            )
            raise CredentialsError("unreachable", f"Label Studio at {self._url} {problem}.") from error
        if status in {400, 401, 403}:
            raise CredentialsError("unauthorized", self.explain_refusal(str(answer.get("detail", ""))))
        if 300 <= status < 400:
            raise CredentialsError(
                "unreachable",
                f"Label Studio at {self._url} redirects to {printable(location.partition('?')[0], 200)}; the token "
                "is not sent there. Set LABEL_STUDIO_URL to that site.",
            )
        access = answer.get("access")
        if status != 200 or not isinstance(access, str) or not _is_header_text(access):
            raise CredentialsError(
                "unreachable",
                f"Label Studio at {self._url} returned {status} for the exchange of the personal access token. "
                "Check that LABEL_STUDIO_URL is Label Studio's address, and see its log.",
            )
        claims = _claims(access)
        issued, ends = claims.get("iat"), claims.get("exp")
        # Both times are Label Studio's, and only their difference is used, so the clocks need not agree.
        lifetime = (
            float(ends - issued) if isinstance(ends, int) and isinstance(issued, int) else _USUAL_LIFETIME
        )
        return _AccessToken(access, asked_at + _RENEWED_AFTER * lifetime)


def _bearer(access: _AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.value}"}


def token_kind(token: str) -> TokenKind:
    """Return the kind of a token.

    Raises:
        ValueError: The token is invalid; the message says why and what to do, without the token.
    """
    if not _is_header_text(token):
        raise ValueError(
            "LABEL_STUDIO_API_TOKEN is empty or contains spaces or other characters that no token has. Set it "
            "to the bare token, without a prefix."
        )
    claims = _claims(token)
    if not claims:
        return "legacy token"
    if claims.get("token_type") == "access":
        raise ValueError(
            "LABEL_STUDIO_API_TOKEN is an access token, which expires after five minutes. "
            + _WHERE_TO_MAKE_ONE
            + "."
        )
    return "personal access token"


def _claims(token: str) -> dict[str, Any]:
    """Return the unverified claims of a JWT, used only to choose the header. Empty if it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return {}
    return _json_object(payload)


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _is_header_text(token: str) -> bool:
    return token.isascii() and token.isprintable() and token != "" and " " not in token


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """Read a response up to a size that no valid one exceeds."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > _MAX_ANSWER:
            break
    return bytes(answer)
