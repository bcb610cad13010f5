"""What the IKE signature covers, and whose key makes it (anchors SG-01 to SG-03)."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ikesim.crypto.prf import prf
from ikesim.crypto.schedule import auth_octets
from ikesim.crypto.signatures import SignatureScheme, sign
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.registry import PrfId

MakePair = Callable[..., Pair]


def test_sg_01_a_message_is_digested_and_then_signed_with_the_private_key(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    """Anybody with the public key can check what went over the wire, as one checks a certificate."""
    pair = ike_pair()
    signed: dict[str, bytes] = {}
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed.update(octets=octets)
    pair.alice.hooks.after_sign = lambda sa, signature, certificate: signed.update(signature=signature)
    pair.up()
    assert_established(pair)
    key = ike_pki.vault("alice").public_key("alice")
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signed["signature"], signed["octets"], ec.ECDSA(hashes.SHA256()))


def test_sg_01_the_signed_octets_are_those_of_rfc_7296() -> None:
    """2.15: the message, the other's nonce, prf(SK_p, the body of the ID payload); computed here with hmac alone."""
    message, nonce, key, identity = b"first message", b"n" * 32, b"k" * 32, b"\x02\0\0\0alice.example"
    expected = message + nonce + hmac.new(key, identity, hashlib.sha256).digest()
    assert auth_octets(message, nonce, prf(PrfId.HMAC_SHA2_256), key, identity) == expected


@pytest.mark.parametrize("where", [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("signer", ["alice", "bob"])
def test_sg_02_any_bit_of_the_signed_octets_counts(ike_pair: MakePair, where: float, signer: str) -> None:
    """The digest is over message data: the first IKE message, the nonce, the identity; every part of it."""
    pair = ike_pair()

    def flip(sa: object, octets: bytes, certificate: str) -> bytes:
        at = round(where * (len(octets) - 1))
        return octets[:at] + bytes([octets[at] ^ 4]) + octets[at + 1 :]

    host, other = (pair.alice, "bob") if signer == "alice" else (pair.bob, "alice")
    host.hooks.before_sign = flip
    pair.up()
    assert_refused(pair, "auth-bad-signature", by=other)


def test_sg_02_no_certificate_is_in_the_signed_octets(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    signed: list[bytes] = []
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed.append(octets)
    pair.up()
    (octets,) = signed
    for certificate in (ike_pki.leaves["alice"].certificate, ike_pki.authorities["north"].certificate):
        assert certificate[4:40] not in octets


@pytest.mark.parametrize("authority", ["north-issuing", "north"])
def test_sg_03_auth_made_with_the_key_of_the_ca_is_refused(
    ike_pair: MakePair, ike_pki: SimPki, authority: str
) -> None:
    """The key pair is the sender's: a CA that issued the certificate cannot speak for its owner."""
    pair = ike_pair()
    made: list[bytes] = []

    def by_the_ca(sa: object, octets: bytes, certificate: str) -> None:
        made.append(sign(ike_pki.authorities[authority].key, SignatureScheme.ECDSA_SHA256, octets))

    pair.alice.hooks.before_sign = by_the_ca
    pair.alice.hooks.after_sign = lambda sa, signature, certificate: made[-1]
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="bob")
