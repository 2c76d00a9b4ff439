"""Addresses on the configured Label Studio."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from yarl import URL

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import Origin, origin_of, parse_web_address

# Paths where Label Studio serves pictures to logged-in users. Credentials are sent to these only: a task must not be
# able to call Label Studio's API with the operator's rights.
_PICTURE_PATHS = re.compile(r"/(data|storage-data|(tasks|projects)/[0-9]+/(resolve|presign))/")
_LOCAL_FILES = re.compile(r"/data/local-files/?")
# Paths that hardly any other server has.
_UNMISTAKABLE = re.compile(
    r"/(data/(upload/[0-9]+|local-files)/|storage-data/uploaded/|(tasks|projects)/[0-9]+/(resolve|presign)/)"
)
_WEB_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class LabelStudioSite:
    """The Label Studio that this backend belongs to.

    Attributes:
        origin: scheme, host and port.
        path: its path prefix: empty, or like ``/ls`` (no slash at the end).
        aliases: the same Label Studio under other addresses, which are never connected to.
    """

    origin: Origin
    path: str
    aliases: tuple["LabelStudioSite", ...] = ()

    @classmethod
    def at(cls, address: str, aliases: Sequence[str] = ()) -> "LabelStudioSite":
        """Read LABEL_STUDIO_URL and LABEL_STUDIO_ALIASES.

        Raises:
            ValueError: if one is no valid address.
        """
        site = cls._read("LABEL_STUDIO_URL", address)
        same = tuple(cls._read("LABEL_STUDIO_ALIASES", alias) for alias in aliases)
        return replace(site, aliases=(*same, *site._with_other_scheme()))

    @classmethod
    def _read(cls, setting: str, address: str) -> "LabelStudioSite":
        try:
            url = parse_web_address(address.strip())
        except PictureError as error:
            raise ValueError(
                f"{setting} is not a web address such as http://label-studio:8080: {error}"
            ) from None
        return cls(origin_of(url), url.raw_path.rstrip("/"))

    def _with_other_scheme(self) -> tuple["LabelStudioSite", ...]:
        """Return the http address of an https one and the reverse: one server has both default ports."""
        scheme = "http" if self.origin.scheme == "https" else "https"
        if self.origin.port != _WEB_PORTS[self.origin.scheme]:
            return ()
        return (LabelStudioSite(Origin(scheme, self.origin.host, _WEB_PORTS[scheme]), self.path),)

    def canonical(self, url: URL) -> URL:
        """Return an address under an alias as the one under LABEL_STUDIO_URL, and every other one unchanged."""
        if self.has(url):
            return url
        alias = next((alias for alias in self.aliases if alias.has(url)), None)
        return url if alias is None else self.url(url.raw_path_qs[len(alias.path) :])

    def url(self, path: str) -> URL:
        """Return the address of a path in a task, such as ``/data/upload/1/a.jpg``.

        A Label Studio with a path prefix adds it to some of its addresses and omits it in others.
        """
        below = self.path and path.startswith(f"{self.path}/")
        return parse_web_address(f"{self.origin}{'' if below else self.path}{path}")

    def presign_url(self, task_id: int | str, file_uri: str) -> URL:
        """Return the address at which Label Studio serves a file of cloud storage for one task."""
        encoded = base64.urlsafe_b64encode(file_uri.encode()).decode()
        return self.url(f"/tasks/{task_id}/presign/?fileuri={encoded}")

    def takes_credentials(self, url: URL) -> bool:
        """Return whether an address is one of Label Studio's picture paths."""
        path = self._own_path(url)
        return path is not None and _PICTURE_PATHS.match(path) is not None

    def local_file(self, url: URL) -> str | None:
        """Return the file name in an address of local-files storage, or None."""
        path = self._own_path(url)
        if path is None or _LOCAL_FILES.fullmatch(path) is None:
            return None
        return url.query.get("d")

    def with_slashes(self, url: URL) -> URL | None:
        """Return the address of a local file with slashes for its backslashes, as Windows writes them; else None."""
        if "\\" not in (self.local_file(url) or ""):
            return None
        return self.url(url.raw_path_qs[len(self.path) :].replace("%5C", "/").replace("%5c", "/"))

    def is_upload(self, url: URL) -> bool:
        """Return whether an address is that of an uploaded file."""
        return (self._own_path(url) or "").startswith("/data/upload/")

    def is_login_page(self, url: URL) -> bool:
        """Return whether an address is the login page."""
        return (self._own_path(url) or "").startswith("/user/login")

    def _own_path(self, url: URL) -> str | None:
        """Return the path below the site; None for other sites and for paths with traversal."""
        if not self.has(url):
            return None
        if any(segment in {".", ".."} for segment in url.path.split("/")):
            return None
        return url.path[len(self.path) :]

    def has(self, url: URL) -> bool:
        """Return whether an address is below LABEL_STUDIO_URL."""
        return origin_of(url) == self.origin and url.path.startswith(f"{self.path}/")


def leads_to_login(url: URL, target: URL) -> bool:
    """Return whether a path of any Label Studio redirects to its login page."""
    return label_studio_in(url) is not None and "/user/login/" in f"{target.path}/"


def label_studio_in(url: URL) -> str | None:
    """Return the address of the Label Studio that an address with one of its paths belongs to, else None."""
    match = _UNMISTAKABLE.search(url.raw_path)
    return None if match is None else f"{origin_of(url)}{url.raw_path[: match.start()]}"
