"""A certificate that nobody signed but itself, as a private authority's."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def self_signed(folder: Path, *addresses: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for IP addresses.

    Returns:
        Its PEM file, and the context of a server that has it.
    """
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate of the https server")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(f"IP:{address}" for address in addresses)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "1", "-subj", "/CN=test", "-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return certificate, server
