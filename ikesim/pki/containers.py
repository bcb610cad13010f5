"""What a file holds, found out by its content: certificates, CRLs, or a private key, which is refused.

PEM (also several blocks, with text around them), DER, bare base64 and PKCS#7 are read. Whatever carries a private key
is refused before anything of it is used (anchors CP-02 and CP-03), however it is named.
"""

import base64
import binascii
import json
import re
import warnings
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ikesim.errors import ForbiddenError, UsageError
from ikesim.pki.certificates import CertificateError, parse
from ikesim.pki.crl import read_crl
from ikesim.pki.der import INTEGER, OCTET_STRING, OID, SEQUENCE, DerError, Element, read

MAX_OCTETS = 256 * 1024 * 1024
"""Of one file: a CRL of 1,000,000 entries has about 50 MiB, in PEM 70."""
_ARMOUR = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_PRIVATE_ARMOUR = re.compile(rb"BEGIN ([A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*)-", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]{32,}")
_PKCS7_OID = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
_KEY_STORES = {
    b"\xfe\xed\xfe\xed": "a Java key store (JKS)",
    b"\xce\xce\xce\xce": "a Java key store (JCEKS)",
    b"\x1e\xf1\xb5\xb0": "a Microsoft PVK private key",
    b"PuTTY-User-Key-File-": "a PuTTY private key",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file held, in its order, all DER."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


def recognise(octets: bytes, name: str) -> Contents:
    """The certificates and CRLs in a file; `name` is what errors call it.

    Raises ForbiddenError for anything with a private key in it, UsageError for anything else that is neither.
    """
    if len(octets) > MAX_OCTETS:
        raise UsageError(f"{name} has more than {MAX_OCTETS >> 20} MiB: that is no certificate and no CRL")
    refuse_private_key(octets, name)
    blocks = _ARMOUR.findall(octets)
    if blocks:
        return _from_pem([(label.decode(), body) for label, body in blocks], name)
    found = _from_der(octets)
    if found is None and _BASE64.fullmatch(octets):
        found = _from_der(_decode(octets, name))
    if found is None:
        raise UsageError(f"{name} holds neither a certificate nor a CRL (PEM, DER and PKCS#7 are read)")
    return found


def refuse_private_key(octets: bytes, name: str) -> None:
    """Raise ForbiddenError when there is a private key in `octets`, in any container that is known."""
    what = private_container(octets)
    if what is not None:
        raise ForbiddenError(
            f"{name} is {what}. ikesim, like Junos, never imports a private key: create the key here "
            "(ikesim pki key generate ID), send its request to the CA, load the certificate it returns. "
            "Nothing was stored."
        )


def private_container(octets: bytes) -> str | None:
    """What holds the private key in `octets`, in words; None when there is none."""
    for magic, what in _KEY_STORES.items():
        if octets.startswith(magic):
            return what
    armour = _PRIVATE_ARMOUR.search(octets.replace(b"\0", b"") if b"\0" in octets[:64] else octets)
    if armour:
        return f"a file with a private key in it (PEM {armour[1].decode().upper()})"
    for label, body in _ARMOUR.findall(octets):
        if label in (b"PKCS12", b"PKCS #12", b"PFX"):
            return "a PKCS#12 file (certificate and private key)"
        if label not in (b"CERTIFICATE", b"X509 CRL") and (inner := _private_der(_lenient(body))):
            return inner
    if _BASE64.fullmatch(octets) and (inner := _private_der(_lenient(octets))):
        return inner
    return _private_json(octets) or _private_der(octets)


def _private_der(octets: bytes) -> str | None:
    """The private container that DER or BER octets are, by their structure."""
    if octets[:1] != b"\x30" or len(octets) < 8:
        return None
    start = 2 + (octets[1] & 0x7F if octets[1] & 0x80 else 0)
    if octets[start : start + 3] == b"\x02\x01\x03" and _PKCS7_OID in octets[start : start + 32]:
        return "a PKCS#12 file (certificate and private key)"
    try:
        fields = read(octets, SEQUENCE).children()
    except DerError:
        return None
    tags = [field.tag for field in fields]
    if tags[:2] == [INTEGER, SEQUENCE] and OCTET_STRING in tags[2:3] and _starts_with_oid(fields[1]):
        return "a private key (PKCS#8)"
    if tags == [SEQUENCE, OCTET_STRING] and _starts_with_oid(fields[0]):
        return "an encrypted private key (PKCS#8)"
    if tags[:2] == [INTEGER, OCTET_STRING]:
        return "an EC private key (SEC 1)"
    if len(tags) >= 6 and set(tags[:6]) == {INTEGER} and fields[0].value in (b"\x00", b"\x01"):
        return "a private key (PKCS#1)"
    return None


def _starts_with_oid(element: Element) -> bool:
    try:
        return [child.tag for child in element][:1] == [OID]
    except DerError:
        return False


def _private_json(octets: bytes) -> str | None:
    if octets.lstrip()[:1] != b"{":
        return None
    try:
        content = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    keys = content.get("keys", [content]) if isinstance(content, dict) else []
    private = any(isinstance(key, dict) and "kty" in key and ("d" in key or "k" in key) for key in keys)
    return "a JSON web key (private)" if private else None


def _from_pem(blocks: list[tuple[str, bytes]], name: str) -> Contents:
    certificates: list[bytes] = []
    crls: list[bytes] = []
    for label, body in blocks:
        octets = _decode(body, name)
        if label.endswith("CERTIFICATE REQUEST"):
            raise UsageError(f"{name} is a certificate request: give it to a CA, and load the certificate it returns")
        found = (
            _from_der(octets) if label in ("CERTIFICATE", "X509 CERTIFICATE", "X509 CRL", "PKCS7", "CMS") else None
        )
        if found is None:
            raise UsageError(f"{name} has a PEM block {label} that is not a certificate or CRL that can be read")
        certificates += found.certificates
        crls += found.crls
    return Contents(tuple(certificates), tuple(crls))


def _from_der(octets: bytes) -> Contents | None:
    """The certificate, CRL or PKCS#7 bundle that DER octets are; None for anything else."""
    if is_certificate(octets):
        return Contents(certificates=(octets,))
    try:
        read_crl(octets)
    except DerError:
        pass
    else:
        return Contents(crls=(octets,))
    if _PKCS7_OID not in octets[:32]:
        return None
    try:
        with warnings.catch_warnings():
            # Bundles in BER are in use; the library reads them and says so.
            warnings.simplefilter("ignore", UserWarning)
            bundle = pkcs7.load_der_pkcs7_certificates(octets)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return Contents(certificates=tuple(one.public_bytes(Encoding.DER) for one in bundle))


def is_certificate(octets: bytes) -> bool:
    """True when the octets are an X.509 certificate whose structure can be read."""
    try:
        parse(octets)
    except CertificateError:
        return False
    return True


def _decode(body: bytes, name: str) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise UsageError(f"{name} is damaged: its base64 cannot be decoded") from None


def _lenient(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()))
    except binascii.Error:
        return b""
