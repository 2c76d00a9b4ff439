"""What this program is to web servers: its name, and the certificate authorities that it trusts.

`adapters/connections.py` imports this module, so it imports nothing heavy.
"""

import functools
import os
import ssl
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import certifi

PROJECT = "https://github.com/fhswf/dgs-pg-gruppe-1"
PRIVATE_AUTHORITY = "For your own certificate authority, set SSL_CERT_FILE to its PEM file"
"""The remedy for a certificate that is not trusted."""


def installed_version() -> str:
    """Return the version of this program; "0" in a Bento, whose code is copied, not installed."""
    try:
        return version("rtmlib-ml-backend")
    except PackageNotFoundError:
        return "0"


def user_agent() -> str:
    """Return the User-Agent header. Public picture hosts refuse those without a contact."""
    return f"rtmlib-ml-backend/{installed_version()} (+{PROJECT})"


def tls_context() -> ssl.SSLContext:
    """Return a TLS context that trusts public authorities, and those of the system or of SSL_CERT_FILE.

    SSL_CERT_FILE and SSL_CERT_DIR replace the system's authorities, as in all programs with OpenSSL. The public ones of
    certifi come in addition, so a private authority does not cut off the rest.

    Raises:
        OSError: SSL_CERT_FILE is no file with certificates.
    """
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)  # reading the public ones takes a tenth of a second
def _context(private: str | None, _folder: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if private:  # OpenSSL itself ignores a missing or damaged file in silence
        context.load_verify_locations(private)
    return context


def bundle_with_public_authorities(private: Path, target: Path) -> None:
    """Write the public authorities and those of a file into one PEM file, for programs that know one file only.

    Raises:
        OSError: A file cannot be read or written.
    """
    target.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + private.read_bytes())
