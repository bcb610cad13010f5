"""How the authority signs: any algorithm a certificate may name, also those that a verifier must refuse."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from ikesim.errors import UsageError
from ikesim.pki.der_writer import explicit, integer, null, oid, sequence
from ikesim.pki.keys import PrivateKey

_HASHES: dict[str, tuple[hashes.HashAlgorithm, str]] = {
    "md5": (hashes.MD5(), "1.2.840.113549.2.5"),
    "sha1": (hashes.SHA1(), "1.3.14.3.2.26"),
    "sha224": (hashes.SHA224(), "2.16.840.1.101.3.4.2.4"),
    "sha256": (hashes.SHA256(), "2.16.840.1.101.3.4.2.1"),
    "sha384": (hashes.SHA384(), "2.16.840.1.101.3.4.2.2"),
    "sha512": (hashes.SHA512(), "2.16.840.1.101.3.4.2.3"),
    "sha3-256": (hashes.SHA3_256(), "2.16.840.1.101.3.4.2.8"),
    "sha3-384": (hashes.SHA3_384(), "2.16.840.1.101.3.4.2.9"),
    "sha3-512": (hashes.SHA3_512(), "2.16.840.1.101.3.4.2.10"),
}
_RSA_PKCS1 = {
    "md5": "1.2.840.113549.1.1.4",
    "sha1": "1.2.840.113549.1.1.5",
    "sha224": "1.2.840.113549.1.1.14",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
    "sha3-256": "2.16.840.1.101.3.4.3.14",
    "sha3-384": "2.16.840.1.101.3.4.3.15",
    "sha3-512": "2.16.840.1.101.3.4.3.16",
}
_ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha224": "1.2.840.10045.4.3.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
    "sha3-256": "2.16.840.1.101.3.4.3.10",
    "sha3-384": "2.16.840.1.101.3.4.3.11",
    "sha3-512": "2.16.840.1.101.3.4.3.12",
}
_EDDSA = {"ed25519": "1.3.101.112", "ed448": "1.3.101.113"}
_RSASSA_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"


def default_digest(key: PrivateKey) -> str:
    """The hash that fits the key's strength."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: "sha256", 384: "sha384", 521: "sha512"}.get(key.key_size, "sha256")
    return "sha256"


def sign_with(
    key: PrivateKey, tbs: bytes, digest: str | None = None, rsa_padding: str = "pkcs1"
) -> tuple[bytes, bytes]:
    """(AlgorithmIdentifier, signature) over `tbs`. `rsa_padding` is pkcs1 or pss. Raises UsageError.

    The AlgorithmIdentifier is part of what is signed: it is got first with :func:`algorithm_of`.
    """
    name = digest or default_digest(key)
    algorithm = algorithm_of(key, digest, rsa_padding)
    if isinstance(key, rsa.RSAPrivateKey):
        used = _HASHES[name][0]
        scheme = padding.PSS(padding.MGF1(used), used.digest_size) if rsa_padding == "pss" else padding.PKCS1v15()
        return algorithm, key.sign(tbs, scheme, used)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return algorithm, key.sign(tbs, ec.ECDSA(_HASHES[name][0], deterministic_signing=True))
    return algorithm, key.sign(tbs)


def algorithm_of(key: PrivateKey, digest: str | None = None, rsa_padding: str = "pkcs1") -> bytes:
    """The AlgorithmIdentifier of what :func:`sign_with` makes (RFC 3279, 4055, 5758, 8410)."""
    name = digest or default_digest(key)
    if isinstance(key, rsa.RSAPrivateKey):
        if rsa_padding == "pss" and name in _HASHES:
            return _pss(name)
        return sequence(oid(_known(_RSA_PKCS1, name)), null())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return sequence(oid(_known(_ECDSA, name)))
    return sequence(oid(_EDDSA["ed25519" if len(key.public_key().public_bytes_raw()) == 32 else "ed448"]))


def hash_named(name: str) -> tuple[hashes.HashAlgorithm, bytes]:
    """A hash and its AlgorithmIdentifier, as OCSP's CertID holds it."""
    used, dotted = _HASHES[name]
    return used, sequence(oid(dotted), null())


def _pss(name: str) -> bytes:
    used, dotted = _HASHES[name]
    hash_algorithm = sequence(oid(dotted), null())
    return sequence(
        oid(_RSASSA_PSS),
        sequence(
            explicit(0, hash_algorithm),
            explicit(1, sequence(oid(_MGF1), hash_algorithm)),
            explicit(2, integer(used.digest_size)),
        ),
    )


def _known(table: dict[str, str], name: str) -> str:
    if name not in table:
        raise UsageError(f"digest {name!r} is not one of {', '.join(table)} for this key")
    return table[name]
