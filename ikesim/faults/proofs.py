"""AUTH that proves nothing, and keys that can prove nothing (DC11-DC15): scenes around the faults of `auth`."""

from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec

from ikesim.errors import UsageError
from ikesim.faults.auth import (
    PKCS1_SHA256,
    AuthAlgorithm,
    AuthByAnotherKey,
    EmptySignature,
    RsaSignature,
    SignedOctets,
    digital_signature,
)
from ikesim.faults.keys import RSA_ENCRYPTION, pkcs1_block, rsa_key, rsa_spki
from ikesim.faults.scene import Scene, SceneFault
from ikesim.pki.der_writer import bit_string, integer, octet_string, oid, sequence
from ikesim.pki.keys import make_key
from ikesim.wire.payloads import AUTH


@dataclass(kw_only=True)
class WrongSigner(SceneFault, rows="DC11"):
    """AUTH by another key: a stranger's, the CA's, or one of another algorithm."""

    signer: str = "stranger"
    """stranger, ca, or a kind of key: ed25519, rsa."""

    def prepare(self, scene: Scene) -> None:
        """The certificate is right."""
        if self.signer == "stranger":
            key = scene.key("stranger")
        elif self.signer == "ca":
            key = scene.issuer.key
        elif self.signer == "rsa":
            key = rsa_key()
        else:
            key = make_key(self.signer, None, scene.entropy.stream("signer"))
        scene.faults.append(AuthByAnotherKey(key=key))


@dataclass(kw_only=True)
class NoSignature(SceneFault, rows="DC11"):
    """The signature in AUTH is empty or zero."""

    form: str = "zeros"

    def prepare(self, scene: Scene) -> None:
        """See the fault empty-signature."""
        scene.faults.append(EmptySignature(form=self.form))


@dataclass(kw_only=True)
class WrongOctets(SceneFault, rows="DC12"):
    """AUTH is a right signature over the wrong octets."""

    form: str = "stale-nonce"

    def prepare(self, scene: Scene) -> None:
        """See the fault signed-octets."""
        scene.faults.append(SignedOctets(form=self.form))


@dataclass(kw_only=True)
class DamagedAlgorithm(SceneFault, rows="DC13"):
    """The AlgorithmIdentifier in AUTH is damaged."""

    form: str = "null-extra"

    def prepare(self, scene: Scene) -> None:
        """See the fault auth-algorithm."""
        scene.faults.append(AuthAlgorithm(form=self.form))


@dataclass(kw_only=True)
class UnannouncedHash(SceneFault, rows="DC13"):
    """AUTH is a right signature with a hash that was never announced."""

    digest: str = "sha1"

    def prepare(self, scene: Scene) -> None:
        """By the key that the certificate holds."""
        key = scene.key("signer")
        scene.below(scene.certify(key=key.public_key()))
        scene.faults.append(AuthByAnotherKey(key=key, digest=self.digest))


@dataclass(kw_only=True)
class RsaForgery(SceneFault, rows="DC12 DC13 DC14 DI51"):
    """AUTH by an RSA key, badly made; the certificate holds that key."""

    form: str = "garbage"
    exponent: int = 65537

    def prepare(self, scene: Scene) -> None:
        """See the fault rsa-signature."""
        key = rsa_key(2048, self.exponent)
        scene.below(scene.certify(key=key.public_key()))
        scene.faults.append(RsaSignature(form=self.form, key=key))


# DC15: keys


@dataclass(kw_only=True)
class WeakRsaKey(SceneFault, rows="DC15 CL27"):
    """The certificate holds a short RSA key; AUTH is right."""

    bits: int = 1024
    """512, 1024, 2047 or 2048."""

    def prepare(self, scene: Scene) -> None:
        """A published test key."""
        key = rsa_key(self.bits)
        scene.below(scene.certify(key=key.public_key(), public_key_info=_spki_of(self.bits)))
        scene.faults.append(RsaSignature(key=key))


def _spki_of(bits: int) -> bytes:
    numbers = rsa_key(bits).private_numbers().public_numbers
    return rsa_spki(numbers.n, numbers.e)


@dataclass(kw_only=True)
class OddRsaExponent(SceneFault, rows="DC15 DI52"):
    """The certificate's RSA key has an impossible exponent (CVE-2026-14957)."""

    exponent: int = 0

    def prepare(self, scene: Scene) -> None:
        """0, 1 or an even number; with 1 the padded hash is its own signature."""
        modulus = rsa_key().private_numbers().public_numbers.n
        scene.below(scene.certify(public_key_info=rsa_spki(modulus, self.exponent)))
        scene.faults.append(_Unsigned() if self.exponent == 1 else RsaSignature())


@dataclass(kw_only=True)
class _Unsigned(RsaSignature):
    """The padded hash itself, which an exponent of 1 leaves as it is."""

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """No key is needed."""
        return digital_signature(PKCS1_SHA256, pkcs1_block(256, "sha256", sha256(octets).digest()))


@dataclass(kw_only=True)
class ImpossibleKey(SceneFault, rows="DC15"):
    """The certificate's key cannot be one: a point off the curve, explicit parameters, small order, no key at all."""

    form: str = "off-curve"

    def prepare(self, scene: Scene) -> None:
        """AUTH is by the true key; for a small-order Ed25519 key it is the forgery that such a key accepts."""
        numbers = (
            scene.public_key.public_numbers() if isinstance(scene.public_key, ec.EllipticCurvePublicKey) else None
        )
        assert numbers is not None
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        point = b"\x04" + x + y
        named = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
        forms = {
            "off-curve": sequence(named, bit_string(point[:-1] + bytes((point[-1] ^ 1,)))),
            "infinity": sequence(named, bit_string(b"\x00")),
            "short-point": sequence(named, bit_string(point[:-1])),
            "explicit": sequence(sequence(oid("1.2.840.10045.2.1"), _explicit_p256()), bit_string(point)),
            "unknown-curve": sequence(
                sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.99")), bit_string(point)
            ),
            "no-curve": sequence(sequence(oid("1.2.840.10045.2.1")), bit_string(point)),
            "small-order": sequence(sequence(oid("1.3.101.112")), bit_string(b"\x01" + bytes(31))),
            "empty": sequence(sequence(oid(RSA_ENCRYPTION), b"\x05\x00"), bit_string(b"")),
            "x25519": sequence(sequence(oid("1.3.101.110")), bit_string(x)),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        scene.below(scene.certify(public_key_info=forms[self.form]))
        if self.form == "small-order":
            scene.faults.append(_IdentityPoint())


@dataclass(kw_only=True)
class _IdentityPoint(AuthByAnotherKey):
    """R is the neutral element and S is 0: right for every message under a key of order 1."""

    def change(self, auth: AUTH, octets: bytes) -> AUTH:
        """S B = R + h A, all of it zero."""
        return digital_signature(bytes.fromhex("300506032b6570"), b"\x01" + bytes(63))


def _explicit_p256() -> bytes:
    """The parameters of P-256 written out (RFC 3279 2.3.5), with a generator of the attacker's choice."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    field_id = sequence(oid("1.2.840.10045.1.1"), integer(prime))
    curve = sequence(octet_string((prime - 3).to_bytes(32, "big")), octet_string(b.to_bytes(32, "big")))
    return sequence(integer(1), field_id, curve, octet_string(b"\x04" + bytes(63) + b"\x01"), integer(order))
