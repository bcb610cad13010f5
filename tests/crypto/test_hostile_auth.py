"""Any octets in AUTH end in a scheme or an AuthError, and never in a scheme without the key."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ikesim.crypto.identifiers import IdentifierError, parse_identifier
from ikesim.crypto.signatures import SignatureScheme, algorithm_identifier, verify_auth
from ikesim.errors import AuthError
from ikesim.reasons import TRUST_REASONS, Reason

KEYS: list[Any] = [
    rsa.generate_private_key(65537, 1024).public_key(),
    ec.generate_private_key(ec.SECP256R1()).public_key(),
    ed25519.Ed25519PrivateKey.generate().public_key(),
    ed448.Ed448PrivateKey.generate().public_key(),
]
IDENTIFIERS = [algorithm_identifier(scheme) for scheme in SignatureScheme]


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """A right AlgorithmIdentifier with a few octets changed, cut or put in."""
    octets = bytearray(draw(st.sampled_from(IDENTIFIERS)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(octets) - 1))
        octets[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        if not octets:
            break
    return bytes(octets)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=300), st.sampled_from(KEYS))
@example(14, b"", KEYS[0])
@example(9, bytes(64), KEYS[1])
def test_no_octets_verify_and_none_raise_anything_else(method: int, data: bytes, key: Any) -> None:
    with pytest.raises(AuthError) as refused:
        verify_auth(
            method, data, b"octets", key, allowed=tuple(SignatureScheme), announced_hashes=frozenset(range(6))
        )
    assert refused.value.reason in TRUST_REASONS
    assert refused.value.evidence["method"]


@settings(max_examples=500, deadline=None)
@given(near_misses(), st.binary(min_size=1, max_size=128), st.sampled_from(KEYS))
def test_identifiers_nearly_right(identifier: bytes, signature: bytes, key: Any) -> None:
    data = bytes((len(identifier),)) + identifier + signature
    with pytest.raises(AuthError) as refused:
        verify_auth(14, data, b"octets", key, allowed=tuple(SignatureScheme), announced_hashes=frozenset(range(6)))
    assert refused.value.reason is not Reason.AUTH_MISSING


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80) | near_misses())
def test_the_reader_reads_or_says_why_not(octets: bytes) -> None:
    try:
        assert parse_identifier(octets)
    except IdentifierError as error:
        assert str(error)
