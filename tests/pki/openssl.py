"""OpenSSL's and strongSwan's command lines as a second opinion on what we make."""

import shutil
import subprocess
from pathlib import Path

from tests.support import lacking


def openssl(*arguments: str | Path, octets: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One command of openssl."""
    if shutil.which("openssl") is None:
        lacking("openssl is not installed: apt-get install openssl")
    return subprocess.run(
        ["openssl", *map(str, arguments)], input=octets, capture_output=True, timeout=30, check=False
    )


def verify(folder: Path, leaf: bytes, roots: list[bytes], intermediates: list[bytes], *options: str) -> str:
    """What `openssl verify -x509_strict` says of a chain (DER): "OK", or its words."""
    (folder / "leaf.pem").write_bytes(pem(leaf))
    (folder / "roots.pem").write_bytes(b"".join(map(pem, roots)))
    command = ["verify", "-x509_strict", *options, "-CAfile", folder / "roots.pem"]
    if intermediates:
        (folder / "between.pem").write_bytes(b"".join(map(pem, intermediates)))
        command += ["-untrusted", folder / "between.pem"]
    done = openssl(*command, folder / "leaf.pem")
    return "OK" if done.returncode == 0 else done.stderr.decode()


def text(kind: str, der: bytes) -> str:
    """`openssl x509|crl|req -text` of DER."""
    done = openssl(kind, "-inform", "DER", "-noout", "-text", octets=der)
    assert done.returncode == 0, done
    return done.stdout.decode()


def pem(der: bytes) -> bytes:
    """A certificate in PEM, by OpenSSL."""
    done = openssl("x509", "-inform", "DER", octets=der)
    assert done.returncode == 0, done
    return done.stdout


def strongswan_pki(*arguments: str | Path, octets: bytes = b"") -> bytes:
    """One command of strongSwan's `pki`; its output."""
    if shutil.which("pki") is None:
        lacking("strongSwan's pki is not installed: apt-get install strongswan-pki")
    done = subprocess.run(["pki", *map(str, arguments)], input=octets, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done
    return done.stdout
