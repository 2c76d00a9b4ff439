"""Security headers, which tell browsers what a response may not do."""

import base64
import hashlib
import re
from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]

_FOR_EVERY_ANSWER = {
    "Cache-Control": "no-store",  # answers hold people's positions; proxies must not keep them
    # JSON and text load nothing and are never framed; pages have their own policy.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in _FOR_EVERY_ANSWER.items()]
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def missing_security_headers(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the security headers that these headers lack."""
    present = {name.lower() for name, _ in headers}
    return [(name, value) for name, value in _RAW if name not in present]


def page_policy(page: str) -> str:
    """Return the Content-Security-Policy of a page whose files come from this server.

    Inline scripts are listed by digest, so no other script can run. Inline styles are allowed: Swagger UI puts them
    into its images.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
