"""Rejects requests from pages of other sites, unless CORS_ALLOWED_ORIGINS lists them (Fetch standard, CORS)."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import origin_of, parse_web_address

_METHODS = "GET, POST"
_REQUEST_HEADERS = "Authorization, Content-Type, X-Request-ID"
_ANSWER_HEADERS = "Retry-After, X-Request-ID"
_OWN_SITE = {"same-origin", "none"}


def as_origin(text: str) -> str:
    """Return an origin in the spelling of browsers.

    Raises:
        ValueError: The text is no origin, such as an address with a path, or a pattern.
    """
    try:
        url = parse_web_address(text)
    except PictureError:
        url = None
    if url is None or text.rstrip("/").count("/") != 2 or url.raw_query_string:
        raise ValueError("write each origin as scheme, host and port, such as https://tools.example.org")
    return str(origin_of(url))


@dataclass(frozen=True)
class CrossOrigin:
    """The origins whose pages may send requests to this service.

    Attributes:
        allowed: Origins such as `https://tools.example.org`; none by default.
    """

    allowed: frozenset[str] = frozenset()

    def preflight(self, request: Request) -> Response | None:
        """Return the response to a CORS preflight from an allowed origin, else None."""
        asks = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        if not asks or request.headers.get("origin") not in self.allowed:
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _REQUEST_HEADERS,
                "Access-Control-Max-Age": "600",
            },
        )

    def keeps_out(self, headers: Headers) -> bool:
        """Return whether a browser sent this request for a page of a site that is not allowed.

        Browsers send some requests without a preflight, and add a password that they know. Label Studio and other
        programs send neither Sec-Fetch-Site nor Origin.
        """
        origin = headers.get("origin")
        if origin in self.allowed:
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:  # more reliable than Host, which a proxy may have changed
            return site not in _OWN_SITE
        # Browsers omit Sec-Fetch-Site over plain http, except on localhost.
        return origin is not None and not _is_own(origin, headers.get("host", ""))

    def answer_headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the CORS headers that let an allowed page read the response; none for other pages."""
        if not self.allowed:
            return []
        vary = [(b"vary", b"Origin")]
        origin = headers.get("origin")
        if origin not in self.allowed:
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _ANSWER_HEADERS.encode()),
        ]


def _is_own(origin: str, host: str) -> bool:
    """Return whether an origin matches the Host header. The scheme is ignored: a proxy may terminate TLS."""
    scheme = origin.partition("://")[0]
    try:
        return origin_of(parse_web_address(origin)) == origin_of(parse_web_address(f"{scheme}://{host}"))
    except PictureError:
        return False
