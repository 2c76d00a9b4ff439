"""The token for Label Studio: which kind it is, how it is sent, and what a refusal means.

A personal access token (PAT) is a JWT refresh token. It is exchanged for an access token, which lives for 300
seconds and is what requests carry. A legacy token is sent as it is; since Label Studio 1.23 organisations
refuse it by default. Observed with Label Studio 1.23.2.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import aiohttp

from adapters.printable import printable

TokenKind = Literal["personal access token", "legacy token"]

_USUAL_LIFETIME = 300.0  # seconds, where an access token does not tell
_RENEWED_AFTER = 0.8  # of the lifetime, so that a token does not end on the way or in a queue
REFRESH_SECONDS = 10.0
_MAX_ANSWER = 64 * 1024
_WHERE_TO_MAKE_ONE = (
    "make a personal access token in Label Studio under Account & Settings > Personal Access Token, set it "
    "as LABEL_STUDIO_API_TOKEN and restart"
)


class CredentialsError(Exception):
    """Label Studio does not accept the token, or could not be asked.

    Attributes:
        reason: ``unauthorized``, ``unreachable`` or ``timeout``.

    ``str(error)`` is a sentence that says what to do; it never contains the token.
    """

    def __init__(self, reason: Literal["unauthorized", "unreachable", "timeout"], sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Literal["unauthorized", "unreachable", "timeout"] = reason


@dataclass(frozen=True)
class _AccessToken:
    value: str = field(repr=False)
    renew_at: float  # on the clock of the Credentials


class Credentials:
    """Makes the Authorization header for one Label Studio, and keeps it fresh.

    Args:
        label_studio_url: LABEL_STUDIO_URL, with the path below which it is installed.
        token: LABEL_STUDIO_API_TOKEN.
        clock: seconds that only grow. The wall clock would not do: it jumps.

    Raises:
        ValueError: if the token cannot be one, with a sentence for the operator.
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
            session: asks Label Studio for an access token if one is due.
            refused: a header from here that was just answered with 401. If it is still the current one, it is
                renewed, whatever its age: Label Studio may have been restarted with another key.

        Raises:
            CredentialsError: if a personal access token cannot be exchanged, or if the refused header cannot
                be renewed because it is a legacy token.
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
        """Say in a sentence what a 401 from Label Studio means for this token.

        Args:
            detail: what Label Studio answered, if anything.
        """
        said = f" ({printable(detail, 200)})" if detail else ""
        if self.kind == "legacy token":
            return (
                f"Label Studio at {self._url} refuses the legacy token{said}: since 1.23 they are switched "
                f"off by default; {_WHERE_TO_MAKE_ONE}, or let an administrator allow legacy tokens under "
                "Organization > API Tokens Settings."
            )
        return (
            f"Label Studio at {self._url} refuses the personal access token{said}: it has expired, was revoked "
            f"or belongs to another Label Studio; {_WHERE_TO_MAKE_ONE}."
        )

    async def _renewed(self, session: aiohttp.ClientSession) -> _AccessToken:
        """Return a new access token; all who ask meanwhile share one request and its outcome."""
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._request_access(session))
            self._refresh.add_done_callback(self._finished)
        # Shielded: one caller going away must not take the answer from the others.
        return await asyncio.shield(self._refresh)

    def _finished(self, refresh: asyncio.Task[_AccessToken]) -> None:
        self._refresh = None
        # Reading the exception also marks it as seen, should every caller have gone.
        if not refresh.cancelled() and refresh.exception() is None:
            self._access = refresh.result()

    async def _request_access(self, session: aiohttp.ClientSession) -> _AccessToken:
        asked_at = self._clock()
        try:
            async with (
                asyncio.timeout(REFRESH_SECONDS),
                # A redirect would carry the token to wherever it points.
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
                f"{REFRESH_SECONDS:g} s; see whether it is overloaded.",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise CredentialsError(
                "unreachable",
                f"Label Studio at {self._url} cannot be reached ({printable(str(error), 200)}); see that "
                "LABEL_STUDIO_URL is its address as seen from here.",
            ) from error
        if status in {400, 401, 403}:
            raise CredentialsError("unauthorized", self.explain_refusal(str(answer.get("detail", ""))))
        if 300 <= status < 400:
            raise CredentialsError(
                "unreachable",
                f"Label Studio at {self._url} redirects to {printable(location.partition('?')[0], 200)}: make "
                "that LABEL_STUDIO_URL; the token is not sent on.",
            )
        access = answer.get("access")
        if status != 200 or not isinstance(access, str) or not _is_header_text(access):
            raise CredentialsError(
                "unreachable",
                f"Label Studio at {self._url} answered {status} to the exchange of the personal access token; "
                "see that LABEL_STUDIO_URL is Label Studio itself, and look at its log.",
            )
        claims = _claims(access)
        issued, ends = claims.get("iat"), claims.get("exp")
        # Both times are Label Studio's; only their difference is used, so its clock need not agree with ours.
        lifetime = (
            float(ends - issued) if isinstance(ends, int) and isinstance(issued, int) else _USUAL_LIFETIME
        )
        return _AccessToken(access, asked_at + _RENEWED_AFTER * lifetime)


def _bearer(access: _AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.value}"}


def token_kind(token: str) -> TokenKind:
    """Return which kind of token it is.

    Raises:
        ValueError: It cannot be one of LABEL_STUDIO_API_TOKEN; the message says why and what to do, without it.
    """
    if not _is_header_text(token):
        raise ValueError(
            "LABEL_STUDIO_API_TOKEN is empty or contains spaces or other characters that no token has; set it "
            "to the bare token, without a word in front."
        )
    claims = _claims(token)
    if not claims:
        return "legacy token"
    if claims.get("token_type") == "access":
        raise ValueError(
            "LABEL_STUDIO_API_TOKEN is an access token, which ends after five minutes; "
            + _WHERE_TO_MAKE_ONE
            + "."
        )
    return "personal access token"


def _claims(token: str) -> dict[str, Any]:
    """Return what a JWT says, unverified: it is only used to choose how to ask. Empty if it is no JWT."""
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
    """Read an answer up to a size that no answer of this kind has."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > _MAX_ANSWER:
            break
    return bytes(answer)
