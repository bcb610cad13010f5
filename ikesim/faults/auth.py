"""Faults of AUTH and of what it covers, on a running endpoint: keys, octets, encodings (DC11-DC14, DI50, DI51)."""

from dataclasses import dataclass, field, replace
from hashlib import new as hash_new
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from ikesim.crypto.prf import prf
from ikesim.errors import UsageError
from ikesim.faults.base import Fault, known_sa
from ikesim.faults.keys import cube_root_forgery, garbage_block, pkcs1_block, raw_sign, rsa_key
from ikesim.ike.ids import SaId
from ikesim.pki.authority.signing import sign_with
from ikesim.pki.identity import Identity
from ikesim.pki.keys import PrivateKey, make_key
from ikesim.wire.message import Header
from ikesim.wire.payloads import AUTH, CERT, IDi, IDr
from ikesim.wire.registry import AuthMethod, ExchangeType

INTERNAL = {"internal": True}
"""Metadata of fields that are no options: only code gives them."""
PKCS1_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
"""AlgorithmIdentifiers of RFC 7427 appendix A."""


@dataclass(kw_only=True)
class AuthFault(Fault):
    """Puts another AUTH into IKE_AUTH; knows the octets that the true one covers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._octets: dict[SaId, bytes] = {}

    def before_sign(self, sa: SaId | None, octets: bytes, certificate: str) -> bytes | None:
        """Remember what is signed."""
        self._octets[known_sa(sa)] = octets
        return None

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Exchange AUTH in the message that has one."""
        if sa not in self._octets or not any(isinstance(item, AUTH) for item in payloads):
            return None
        octets = self._octets.pop(sa)
        return [self.change(item, octets) if isinstance(item, AUTH) else item for item in payloads]

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """The AUTH to send instead."""
        raise NotImplementedError


def digital_signature(identifier: bytes, signature: bytes) -> AUTH:
    """AUTH by method 14 (RFC 7427 3)."""
    return AUTH(AuthMethod.DIGITAL_SIGNATURE, bytes((len(identifier),)) + identifier + signature)


@dataclass(kw_only=True)
class AuthByAnotherKey(AuthFault, rows="DC11"):
    """AUTH is signed by a key that the certificate knows nothing of."""

    kind: str = "ecdsa"
    """ecdsa, ed25519, or rsa (a published test key)."""
    digest: str = ""
    """sha1, sha224, sha256 and so on; empty: what fits the key."""
    key: PrivateKey | None = field(default=None, metadata=INTERNAL, repr=False)

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """A signature that is right in itself."""
        return digital_signature(*sign_with(self._signer(), octets, self.digest or None))

    def _signer(self) -> PrivateKey:
        if self.key is not None:
            return self.key
        if self.kind == "rsa":
            return rsa_key()
        return make_key(self.kind, None, self.target.core.entropy("fault"))


@dataclass(kw_only=True)
class EmptySignature(AuthFault, rows="DC11"):
    """The signature in AUTH is empty, or nothing but zeros (CVE-2013-2944)."""

    form: str = "zeros"
    """empty (after the AlgorithmIdentifier), nothing (no data at all), zeros, zero-numbers (r = s = 0)."""

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """The AlgorithmIdentifier stays."""
        length = auth.data[0] + 1 if auth.method == AuthMethod.DIGITAL_SIGNATURE else 0
        signature = auth.data[length:]
        forms = {
            "empty": auth.data[:length],
            "nothing": b"",
            "zeros": auth.data[:length] + bytes(len(signature)),
            "zero-numbers": auth.data[:length] + bytes.fromhex("3006020100020100"),
        }
        return replace(auth, data=_chosen(forms, self.form))


@dataclass(kw_only=True)
class AuthAlgorithm(AuthFault, rows="DC13"):
    """The AlgorithmIdentifier in AUTH is damaged; the signature is right."""

    form: str = "null-extra"
    """length, null-extra (parameters where none belong), trailing, unknown, or cut (half of it)."""

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """For method 14 with a key whose algorithm has no parameters."""
        end = auth.data[0] + 1
        identifier, signature = auth.data[1:end], auth.data[end:]
        extra = bytes((0x30, len(identifier))) + identifier[2:] + b"\x05\x00"
        forms = {
            "length": bytes((end + 1,)) + identifier + signature,
            "null-extra": bytes((len(extra),)) + extra + signature,
            "trailing": bytes((end + 1,)) + identifier + b"\x05\x00" + signature,
            "unknown": b"\x06\x30\x04\x06\x02\x2a\x03" + signature,
            "cut": bytes((end // 2,)) + identifier[: end // 2] + signature,
        }
        return replace(auth, data=_chosen(forms, self.form))


@dataclass(kw_only=True)
class RsaSignature(AuthFault, rows="DC12 DC13 DC14 DI51"):
    """RSA signatures that a careless verifier accepts: garbage behind the hash, a forgery for e = 3, a cut hash."""

    form: str = "good"
    """good, garbage, cube-root (needs e = 3), cut-hash, padded-hash, no-null, null-missing-outside, pss-long-salt,
    pss-trailer, pss-cut-salt."""
    key: rsa.RSAPrivateKey = field(default_factory=rsa_key, metadata=INTERNAL, repr=False)

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """Over the true octets, with the published test key."""
        size = (self.key.key_size + 7) // 8
        digest = hash_new("sha256", octets).digest()
        if self.form.startswith("pss-"):
            return self._pss(octets)
        identifier = PKCS1_SHA256
        if self.form == "null-missing-outside":
            identifier = b"\x30\x0b" + PKCS1_SHA256[2:-2]
        if self.form == "cube-root":
            return digital_signature(identifier, cube_root_forgery(size, "sha256", digest))
        good = pkcs1_block(size, "sha256", digest)
        info = bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + digest
        forms = {
            "good": good,
            "null-missing-outside": good,
            "garbage": garbage_block(size, "sha256", digest),
            "cut-hash": pkcs1_block(size, "sha256", digest[:20]),
            "padded-hash": pkcs1_block(size, "sha256", digest + bytes(12)),
            "no-null": b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info,
        }
        return digital_signature(identifier, raw_sign(self.key, _chosen(forms, self.form)))

    def _pss(self, octets: bytes) -> AUTH:
        identifier, signature = sign_with(self.key, octets, "sha256", "pss")
        salt = identifier.rindex(b"\xa2\x03\x02\x01")
        forms = {
            "pss-long-salt": identifier[: salt + 4] + b"\xff" + identifier[salt + 5 :],
            "pss-cut-salt": identifier[: salt + 4] + b"\x08" + identifier[salt + 5 :],
            "pss-trailer": _longer(identifier, bytes.fromhex("a303020102")),
        }
        changed = _chosen(forms, self.form)
        if self.form == "pss-long-salt":
            # 255 is no longer a small positive INTEGER in one octet
            changed = _longer(identifier[:salt], bytes.fromhex("a204020200ff"), drop=5)
        return digital_signature(changed, signature)


def _longer(identifier: bytes, more: bytes, drop: int = 0) -> bytes:
    """An AlgorithmIdentifier of RSASSA-PSS with octets behind its parameters, `drop` of them cut off before."""
    grown = len(more) - drop
    out = bytearray(identifier)
    out[1] += grown
    out[2 + 11 + 1] += grown
    return bytes(out) + more


@dataclass(kw_only=True)
class SignedOctets(Fault, rows="DC12"):
    """AUTH is a right signature over the wrong octets."""

    form: str = "stale-nonce"
    """stale-nonce, no-nonce, no-id (MACedID missing), wrong-direction (the other SK_p), header (of a fragment),
    own-nonce, cut."""

    def before_sign(self, sa: SaId | None, octets: bytes, certificate: str) -> bytes | None:
        """RFC 7296 2.15: message | nonce of the peer | prf(SK_p, ID)."""
        found = self.target.sa(sa)
        assert found is not None and found.keys is not None
        theirs, own = (found.nonce_r, found.nonce_i) if found.initiator else (found.nonce_i, found.nonce_r)
        wrong_key = found.keys.pr if found.initiator else found.keys.pi
        function = prf(found.prf)
        end = len(octets) - function.output_length
        message, mac = octets[: end - len(theirs)], octets[end:]
        connection = self.target.core.connection(found) if found.connection else None
        identity = connection.local_id if connection else None
        body = b"" if identity is None else IDi(identity.type, identity.data).encode()
        forms = {
            "stale-nonce": message + bytes(len(theirs)) + mac,
            "no-nonce": message + mac,
            "own-nonce": message + own + mac,
            "no-id": octets[:end],
            "wrong-direction": octets[:end] + function.prf(wrong_key, body),
            "header": message[:28] + octets[len(message) :],
            "cut": octets[: len(octets) // 2],
        }
        return _chosen(forms, self.form)


@dataclass(kw_only=True)
class RebuildAuth(Fault, rows="DH12 DC09"):
    """Send another identity, with AUTH made for it: the fault reaches the comparison with the certificate."""

    identity: str = "fqdn:mallory.example"
    """As in a configuration, "fqdn:...", or "TYPE:HEX" with a number for a type that no text can say."""
    reserved: bytes = b"\0\0\0"
    """The reserved octets of the ID payload, which AUTH covers."""
    sign: bool = True
    """Whether AUTH is made for it; else the identity is exchanged after signing."""

    def before_sign(self, sa: SaId | None, octets: bytes, certificate: str) -> bytes | None:
        """Put the other identity under the signature."""
        found = self.target.sa(sa)
        if not self.sign or found is None or found.keys is None:
            return None
        function = prf(found.prf)
        key = found.keys.pi if found.initiator else found.keys.pr
        kind, data = self._identity()
        return octets[: -function.output_length] + function.prf(key, IDi(kind, data, self.reserved).encode())

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Exchange our own ID payload in IKE_AUTH."""
        if header.exchange != ExchangeType.IKE_AUTH:
            return None
        own = IDr if header.is_response else IDi
        kind, data = self._identity()
        return [own(kind, data, self.reserved) if isinstance(item, own) else item for item in payloads]

    def _identity(self) -> tuple[int, bytes]:
        kind, _, value = self.identity.partition(":")
        if kind.isdigit():
            return int(kind), bytes.fromhex(value)
        identity = Identity.parse(self.identity)
        return identity.type, identity.data


@dataclass(kw_only=True)
class ForceAuthMethod(AuthFault, rows="DI50"):
    """AUTH says another method than it uses."""

    method: int = 2

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """The data stays."""
        return replace(auth, method=self.method)


@dataclass(kw_only=True)
class SendCertificates(Fault, rows="DC10 DI53"):
    """Send these CERT payloads instead of our own."""

    payloads: list[tuple[int, bytes]] = field(default_factory=list, metadata=INTERNAL, repr=False)
    """(encoding, data)."""
    file: str = ""
    """A DER file, sent as the only certificate."""
    encoding: int = 4

    def start(self) -> None:
        """Read the file. Raises UsageError."""
        if self.file:
            try:
                with open(self.file, "rb") as opened:
                    self.payloads = [(self.encoding, opened.read(65536))]
            except OSError as error:
                raise UsageError(f"{self.file} cannot be read: {error.strerror}") from None

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """AUTH does not cover CERT payloads, so it stays valid."""
        if header.exchange != ExchangeType.IKE_AUTH or not any(isinstance(item, AUTH) for item in payloads):
            return None
        others = [item for item in payloads if not isinstance(item, CERT)]
        return [others[0], *(CERT(encoding, data) for encoding, data in self.payloads), *others[1:]]


def _chosen(forms: dict[str, bytes], form: str) -> bytes:
    if form not in forms:
        raise UsageError(f"form {form!r} is not one of {', '.join(forms)}")
    return forms[form]
