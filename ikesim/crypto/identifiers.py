"""AlgorithmIdentifiers of signatures: a small strict DER reader, and RSASSA-PSS parameters (RFC 4055 3.1)."""

from typing import NamedTuple

from ikesim.errors import CryptoError

RSASSA_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
_HASHES = {
    "sha1": "1.3.14.3.2.26",
    "sha224": "2.16.840.1.101.3.4.2.4",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_HASH_NAMES = {oid: name for name, oid in _HASHES.items()}
_NULL = b"\x05\x00"
_WITH_NULL = "1.2.840.113549.1.1."
"""PKCS #1 signature algorithms, whose parameters are NULL (RFC 4055 5); all others here have none."""


class IdentifierError(CryptoError):
    """Octets that are no AlgorithmIdentifier of a signature."""


class PssParameters(NamedTuple):
    """RSASSA-PSS-params: hash names as hashlib has them, the salt length in octets."""

    hash: str
    mgf_hash: str
    salt_length: int


def pss_identifier(hash_name: str, salt_length: int) -> bytes:
    """The DER AlgorithmIdentifier of RSASSA-PSS with one hash for message and mask, without the default trailer."""
    hash_identifier = _write(0x30, _write_oid(_HASHES[hash_name]) + _NULL)
    mask = _write(0x30, _write_oid(_MGF1) + hash_identifier)
    parameters = _write(0xA0, hash_identifier) + _write(0xA1, mask)
    parameters += _write(0xA2, _write(0x02, salt_length.to_bytes(1, "big")))
    return _write(0x30, _write_oid(RSASSA_PSS) + _write(0x30, parameters))


def parse_identifier(der: bytes) -> str | PssParameters:
    """The OID of an AlgorithmIdentifier in dotted form, or the parameters when it is RSASSA-PSS.

    Raises IdentifierError when the DER, its parameters (NULL with PKCS #1, absent otherwise), the mask function or
    the trailer field are not as they must be.
    """
    body, rest = _read(der, 0x30, "AlgorithmIdentifier")
    if rest:
        raise IdentifierError(f"{len(rest)} octets follow the AlgorithmIdentifier")
    oid_body, parameters = _read(body, 0x06, "algorithm")
    oid = _read_oid(oid_body)
    if oid == RSASSA_PSS:
        return _read_pss(parameters)
    if parameters != (_NULL if oid.startswith(_WITH_NULL) else b""):
        wanted = "NULL" if oid.startswith(_WITH_NULL) else "absent"
        raise IdentifierError(f"the parameters of {oid} must be {wanted}, not {parameters.hex() or 'absent'}")
    return oid


def _read_pss(octets: bytes) -> PssParameters:
    fields, rest = _read(octets, 0x30, "RSASSA-PSS-params")
    if rest:
        raise IdentifierError(f"{len(rest)} octets follow RSASSA-PSS-params")
    hash_name, mgf_hash, salt_length = "sha1", "sha1", 20
    if fields[:1] == b"\xa0":
        tagged, fields = _read(fields, 0xA0, "hashAlgorithm")
        hash_name = _read_hash(tagged)
    if fields[:1] == b"\xa1":
        tagged, fields = _read(fields, 0xA1, "maskGenAlgorithm")
        mask, rest = _read(tagged, 0x30, "maskGenAlgorithm")
        oid, parameters = _read(mask, 0x06, "maskGenAlgorithm")
        if rest or _read_oid(oid) != _MGF1:
            raise IdentifierError(f"the mask generation function is {_read_oid(oid)}, not MGF1")
        mgf_hash = _read_hash(parameters)
    if fields[:1] == b"\xa2":
        tagged, fields = _read(fields, 0xA2, "saltLength")
        salt_length = _read_integer(tagged, "saltLength")
    if fields[:1] == b"\xa3":
        tagged, fields = _read(fields, 0xA3, "trailerField")
        trailer = _read_integer(tagged, "trailerField")
        if trailer != 1:
            raise IdentifierError(f"the trailer field is {trailer}, not 1")
    if fields:
        raise IdentifierError(f"{len(fields)} unknown octets in RSASSA-PSS-params")
    return PssParameters(hash_name, mgf_hash, salt_length)


def _read_hash(octets: bytes) -> str:
    """A hash's AlgorithmIdentifier, with parameters NULL or absent (RFC 4055 2.1 wants both accepted)."""
    body, rest = _read(octets, 0x30, "hash AlgorithmIdentifier")
    oid_body, parameters = _read(body, 0x06, "hash algorithm")
    oid = _read_oid(oid_body)
    if rest or parameters not in (b"", _NULL):
        raise IdentifierError(f"the parameters of hash {oid} must be NULL or absent")
    return _HASH_NAMES.get(oid, oid)


def _read_integer(octets: bytes, what: str) -> int:
    body, rest = _read(octets, 0x02, what)
    if rest or not 1 <= len(body) <= 4 or body[0] & 0x80 or (len(body) > 1 and body[0] == 0 and not body[1] & 0x80):
        raise IdentifierError(f"{what} is not a small non-negative INTEGER")
    return int.from_bytes(body, "big")


def _read(octets: bytes, tag: int, what: str) -> tuple[bytes, bytes]:
    """The contents of the TLV that `octets` start with, and what follows it; DER lengths below 256 only."""
    if len(octets) < 2 or octets[0] != tag:
        raise IdentifierError(f"{what}: expected tag {tag:#04x}, found {octets[:1].hex() or 'nothing'}")
    length, start = octets[1], 2
    if length == 0x81 and len(octets) > 2 and octets[2] >= 0x80:
        length, start = octets[2], 3
    elif length >= 0x80:
        raise IdentifierError(f"{what}: the length is not DER or too long")
    if start + length > len(octets):
        raise IdentifierError(f"{what}: {length} octets announced, {len(octets) - start} there")
    return octets[start : start + length], octets[start + length :]


def _read_oid(body: bytes) -> str:
    if not body or body[-1] & 0x80:
        raise IdentifierError("an OBJECT IDENTIFIER is cut off")
    arcs, value = [], 0
    for octet in body:
        if value == 0 and octet == 0x80:
            raise IdentifierError("an arc of an OBJECT IDENTIFIER has leading zeros")
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def _write_oid(dotted: str) -> bytes:
    first, second, *arcs = map(int, dotted.split("."))
    body = b""
    for arc in (40 * first + second, *arcs):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        body += bytes(reversed(septets))
    return _write(0x06, body)


def _write(tag: int, body: bytes) -> bytes:
    return bytes((tag, len(body))) + body
