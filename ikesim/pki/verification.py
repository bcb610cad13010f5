"""Signatures on certificates, CRLs and OCSP responses: their algorithms, and whether one verifies.

Schemes have the names of the configuration (`ecdsa-sha256`, `rsa-pss-sha384`, ...); what policy never allows has a
name in the same style (`rsa-pkcs1-md5`, `dsa-sha1`), so that a refusal can say what it met.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from ikesim.pki import der
from ikesim.pki.caching import Cache
from ikesim.pki.publickeys import PublicKey, contained

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_HASH_OIDS = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
_ALGORITHMS = {
    "1.2.840.113549.1.1.4": ("rsa-pkcs1", "md5"),
    "1.2.840.113549.1.1.5": ("rsa-pkcs1", "sha1"),
    "1.3.14.3.2.29": ("rsa-pkcs1", "sha1"),
    "1.2.840.113549.1.1.14": ("rsa-pkcs1", "sha224"),
    "1.2.840.113549.1.1.11": ("rsa-pkcs1", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa-pkcs1", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa-pkcs1", "sha512"),
    "1.2.840.10045.4.1": ("ecdsa", "sha1"),
    "1.2.840.10045.4.3.1": ("ecdsa", "sha224"),
    "1.2.840.10045.4.3.2": ("ecdsa", "sha256"),
    "1.2.840.10045.4.3.3": ("ecdsa", "sha384"),
    "1.2.840.10045.4.3.4": ("ecdsa", "sha512"),
    "1.2.840.10040.4.3": ("dsa", "sha1"),
    "2.16.840.1.101.3.4.3.1": ("dsa", "sha224"),
    "2.16.840.1.101.3.4.3.2": ("dsa", "sha256"),
    "1.3.101.112": ("ed25519", ""),
    "1.3.101.113": ("ed448", ""),
}


class SignatureAlgorithm(NamedTuple):
    """What an AlgorithmIdentifier says."""

    oid: str
    scheme: str
    """`ecdsa-sha256`, `ed25519`, ...; "" for one that is not known."""
    kind: str = ""
    hash: str = ""
    salt_length: int = 0
    """Of RSASSA-PSS."""
    irregular: str = ""
    """What is wrong with the parameters, in words."""

    @property
    def label(self) -> str:
        """The scheme, or the OID of one that is not known."""
        return self.scheme or self.oid or "an algorithm that cannot be read"


_ALGORITHM_CACHE: Cache[bytes, SignatureAlgorithm] = Cache("signature-algorithms", 256)


def signature_algorithm(octets: bytes) -> SignatureAlgorithm:
    """The algorithm of an AlgorithmIdentifier (its DER). Never raises: what cannot be read is irregular."""
    known = _ALGORITHM_CACHE.get(octets)
    return _ALGORITHM_CACHE.put(octets, _read_algorithm(octets)) if known is None else known


def _read_algorithm(octets: bytes) -> SignatureAlgorithm:
    try:
        oid_element, *parameters = der.read(octets, der.SEQUENCE)
        oid = oid_element.oid()
    except (der.DerError, ValueError):
        return SignatureAlgorithm("", "", irregular="an AlgorithmIdentifier that cannot be read")
    if oid == _PSS:
        return _read_pss(oid, parameters)
    if oid not in _ALGORITHMS:
        return SignatureAlgorithm(oid, "")
    kind, digest = _ALGORITHMS[oid]
    irregular = ""
    if parameters and (len(parameters) > 1 or parameters[0].der != b"\x05\x00"):
        irregular = f"parameters of {len(octets)} octets where {kind} has none"
    elif parameters and kind != "rsa-pkcs1":
        irregular = f"NULL parameters, which {kind} must not have"
    return SignatureAlgorithm(oid, f"{kind}-{digest}" if digest else kind, kind, digest, 0, irregular)


def _read_pss(oid: str, parameters: list[der.Element]) -> SignatureAlgorithm:
    """RSASSA-PSS-params (RFC 4055 3.1): defaults are SHA-1, MGF1 with SHA-1, 20 octets of salt, trailer 1."""
    digest, mask, salt, trailer = "sha1", "sha1", 20, 1
    try:
        if len(parameters) > 1:
            raise der.DerError("more than one set of parameters")
        for field in parameters[0].expect(der.SEQUENCE) if parameters else ():
            (inner,) = field.children()
            if field.tag == 0xA0:
                digest = _hash_name(inner)
            elif field.tag == 0xA1:
                function, argument = inner.expect(der.SEQUENCE)
                if function.oid() != _MGF1:
                    raise der.DerError("a mask generation function other than MGF1")
                mask = _hash_name(argument)
            elif field.tag == 0xA2:
                salt = inner.integer()
            elif field.expect(0xA3).tag:
                trailer = inner.integer()
        if mask != digest or trailer != 1 or not 0 <= salt <= 255:
            raise der.DerError(f"hash {digest}, mask hash {mask}, salt {salt}, trailer {trailer}")
    except (der.DerError, ValueError) as error:
        return SignatureAlgorithm(
            oid, "", "rsa-pss", irregular=f"RSASSA-PSS parameters that are not allowed: {error}"
        )
    return SignatureAlgorithm(oid, f"rsa-pss-{digest}", "rsa-pss", digest, salt)


def _hash_name(element: der.Element) -> str:
    oid = element.expect(der.SEQUENCE).children()[0].oid()
    if oid not in _HASH_OIDS:
        raise der.DerError(f"hash {oid} is not known")
    return _HASH_OIDS[oid]


_SIGNATURES: Cache[tuple[bytes, bytes], bool] = Cache("signatures", 2048)


def verify_signed(
    spki: bytes, key: PublicKey, algorithm: SignatureAlgorithm, whole: bytes, tbs: bytes, signature: bytes
) -> bool:
    """Whether `key` (of the SubjectPublicKeyInfo `spki`) signed `tbs`, remembered under (spki, whole).

    `whole` is the DER of the certificate or CRL, which holds algorithm, tbs and signature.
    """
    known = _SIGNATURES.get((spki, whole))
    return _SIGNATURES.put((spki, whole), verify(key, algorithm, tbs, signature)) if known is None else known


def verify(key: PublicKey, algorithm: SignatureAlgorithm, signed: bytes, signature: bytes) -> bool:
    """Whether `signature` over `signed` verifies under `key`. False also for a key of another kind; never raises."""
    try:
        contained(_verify, key, algorithm, signed, signature)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify(key: PublicKey, algorithm: SignatureAlgorithm, signed: bytes, signature: bytes) -> None:
    kind = algorithm.kind
    if isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
        key.verify(signature, signed, ec.ECDSA(_HASHES[algorithm.hash]()))
    elif isinstance(key, rsa.RSAPublicKey) and kind == "rsa-pkcs1":
        key.verify(signature, signed, padding.PKCS1v15(), _HASHES[algorithm.hash]())
    elif isinstance(key, rsa.RSAPublicKey) and kind == "rsa-pss" and algorithm.scheme:
        digest = _HASHES[algorithm.hash]()
        key.verify(signature, signed, padding.PSS(padding.MGF1(digest), algorithm.salt_length), digest)
    elif isinstance(key, dsa.DSAPublicKey) and kind == "dsa":
        key.verify(signature, signed, _HASHES[algorithm.hash]())
    elif (isinstance(key, ed25519.Ed25519PublicKey) and kind == "ed25519") or (
        isinstance(key, ed448.Ed448PublicKey) and kind == "ed448"
    ):
        key.verify(signature, signed)
    else:
        raise ValueError(f"a {type(key).__name__} does not verify {algorithm.label}")
