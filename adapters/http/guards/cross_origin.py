"""Pages of other sites: kept out, unless CORS_ALLOWED_ORIGINS names their site (Fetch standard, CORS protocol)."""

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
    """Return an origin as browsers write it.

    Raises:
        ValueError: It is something else, such as an address with a path, or a pattern.
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
    """The origins whose pages may ask this service from a browser.

    Attributes:
        allowed: Like `https://tools.example.org`; none by default.
    """

    allowed: frozenset[str] = frozenset()

    def preflight(self, request: Request) -> Response | None:
        """Return the answer to a browser that asks whether a page may send a request, or None if it does not ask."""
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
        """Tell whether a browser sent this for a page of another site that is not allowed.

        Browsers send some requests without asking first, also with a password that they know. Label Studio and
        other programs send neither Sec-Fetch-Site nor Origin.
        """
        origin = headers.get("origin")
        if origin in self.allowed:
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:  # it knows better than we, whom a proxy may have told another Host
            return site not in _OWN_SITE
        # Browsers leave it out where this service is plain http, and not on their own machine.
        return origin is not None and not _is_own(origin, headers.get("host", ""))

    def answer_headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return what lets the page that asked read the answer; nothing for all others."""
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
    """Tell whether an origin is this service's own, whose Host header is given; a proxy may have taken the TLS off."""
    scheme = origin.partition("://")[0]
    try:
        return origin_of(parse_web_address(origin)) == origin_of(parse_web_address(f"{scheme}://{host}"))
    except PictureError:
        return False
