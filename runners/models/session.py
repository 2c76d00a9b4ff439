"""HTTP sessions for downloads of models."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from runners.web_identity import tls_context, user_agent


def http_session() -> requests.Session:
    """Return a session for downloads; it uses the proxy variables of the environment."""
    session = requests.Session()
    session.headers["User-Agent"] = user_agent()
    session.mount("https://", _TrustingAdapter())
    return session


class _TrustingAdapter(HTTPAdapter):
    """Trusts `tls_context` in addition to the authorities of requests."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=tls_context())

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=tls_context())
