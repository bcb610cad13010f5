"""Cryptographic self-tests: published known answers, run through the functions that the protocol itself calls.

A test has a name and belongs to a family (an algorithm in all its sizes); either selects it. Nothing here draws
randomness or reads a clock: when tests run, and who may say so, is the matter of the rooms above.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from ikesim.crypto import exchange, schedule
from ikesim.crypto.ciphers import cipher_suite
from ikesim.crypto.known_answers import PUBLISHED, Published
from ikesim.crypto.prf import prf
from ikesim.crypto.signatures import SignatureScheme, Signing, encode_auth, sign, verify_auth
from ikesim.errors import AuthError, IkesimError, IntegrityError, UsageError
from ikesim.wire.registry import AuthMethod, EncryptionId, IntegrityId, KeyExchangeId, PrfId

Hook = Callable[[str, bytes], bytes | None]
"""(test, what was computed) -> what is compared instead; None leaves it. How tests make a self-test fail."""
Values = Mapping[str, Any]


class Outcome(NamedTuple):
    """What one test found."""

    name: str
    family: str
    passed: bool
    detail: str = ""
    """Why it failed, one sentence; nothing secret."""


class SelfTest(NamedTuple):
    """One test: `compute` gives what must equal `answer`, or raises."""

    name: str
    family: str
    origin: str
    """Where the answer was published."""
    compute: Callable[[], bytes]
    answer: bytes


class _Failed(Exception):
    """A computation that contradicts itself (what was sealed does not open, a forged signature verifies)."""


def select(only: Collection[str] = ()) -> tuple[SelfTest, ...]:
    """The tests that `only` names, by test or family; all of them if it is empty. Raises UsageError."""
    for name in only:
        if name not in FAMILIES and name not in TESTS:
            raise UsageError(f"there is no self-test {name!r}; the families are {', '.join(FAMILIES)}")
    return tuple(test for test in TESTS.values() if not only or test.name in only or test.family in only)


def run(only: Collection[str] = (), hook: Hook | None = None) -> tuple[Outcome, ...]:
    """Run the tests that `only` selects, in their order. Raises UsageError for a name that is none."""
    return tuple(_run(test, hook) for test in select(only))


def _run(test: SelfTest, hook: Hook | None) -> Outcome:
    try:
        computed = test.compute()
    except (IkesimError, ValueError, _Failed) as error:
        return Outcome(test.name, test.family, False, f"could not be computed: {error}")
    if hook is not None:
        changed = hook(test.name, computed)
        computed = computed if changed is None else changed
    if not hmac.compare_digest(computed, test.answer):
        return Outcome(test.name, test.family, False, f"does not give the answer of {test.origin}")
    return Outcome(test.name, test.family, True)


def families_of_key(kind: str) -> tuple[str, ...]:
    """The families that a key of a kind (in the vault's words) signs with."""
    return {"rsa": ("rsa-pkcs1", "rsa-pss")}.get(kind, (kind,))


def _octets(values: Values, name: str) -> bytes:
    return bytes.fromhex(values[name])


def _hash(values: Values) -> bytes:
    return hashlib.new(values["algorithm"], _octets(values, "data")).digest()


def _prf(values: Values) -> bytes:
    return prf(PrfId[values["id"]]).prf(_octets(values, "key"), _octets(values, "data"))


def _schedule(values: Values) -> bytes:
    """RFC 7296 2.14: SKEYSEED, and the key material that follows from it."""
    function = prf(PrfId[values["id"]])
    ni, nr = _octets(values, "ni"), _octets(values, "nr")
    seed = schedule.skeyseed(function, ni=ni, nr=nr, shared=_octets(values, "shared"))
    if seed != _octets(values, "seed"):
        raise _Failed("SKEYSEED is not the published one")
    spis = _octets(values, "spi_i") + _octets(values, "spi_r")
    return function.plus(seed, ni + nr + spis, len(values["answer"]) // 2)


def _cipher(values: Values) -> bytes:
    combined = values["integrity"] is None
    integrity = None if combined else IntegrityId.HMAC_SHA2_256_128
    suite = cipher_suite(EncryptionId[values["encryption"]], values["bits"], integrity)
    key, mac_key, aad = _octets(values, "key"), bytes(suite.integrity_key_length), _octets(values, "aad")
    plaintext = _octets(values, "data")
    sealed = suite.seal(key, mac_key, iv=_octets(values, "iv"), aad=aad, plaintext=plaintext)
    if suite.open(key, mac_key, aad=aad, sealed=sealed) != plaintext:
        raise _Failed("what was sealed opens as something else")
    _refuse_changed(lambda changed: suite.open(key, mac_key, aad=aad, sealed=changed), sealed)
    return sealed if combined else sealed[: -suite.icv_length]


def _mac(values: Values) -> bytes:
    suite = cipher_suite(EncryptionId.NULL, None, IntegrityId[values["id"]])
    key, data = _octets(values, "key"), _octets(values, "data")
    sealed = suite.seal(b"", key, iv=b"", aad=data, plaintext=b"")
    _refuse_changed(lambda changed: suite.open(b"", key, aad=data, sealed=changed), sealed)
    return sealed


def _refuse_changed(open_: Callable[[bytes], object], sealed: bytes) -> None:
    try:
        open_(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    except IntegrityError:
        return
    raise _Failed("a changed ICV is accepted")


def _exchange(values: Values) -> bytes:
    method = KeyExchangeId[values["method"]]
    public = b"" if values["public"] is None else _octets(values, "public")
    pair = exchange.KeyPair(method, _octets(values, "private"), public)
    return exchange.agree(pair, _octets(values, "peer"))


def _kem(values: Values) -> bytes:
    private = _octets(values, "private")
    pair = exchange.generate(KeyExchangeId[values["method"]], lambda count: private[:count])
    if hashlib.sha256(pair.public).hexdigest() != values["public_sha256"]:
        raise _Failed("the public key is not the published one")
    return exchange.agree(pair, _octets(values, "peer"))


def _modp(values: Values) -> bytes:
    """SHA-256 of the public value, and of the secret that both sides must find."""
    method = KeyExchangeId[values["method"]]
    private, other = _octets(values, "private"), _octets(values, "peer_private")
    first, second = exchange.generate(method, lambda _: private), exchange.generate(method, lambda _: other)
    shared = exchange.agree(first, second.public)
    if shared != exchange.agree(second, first.public):
        raise _Failed("the two sides do not agree")
    return hashlib.sha256(first.public).digest() + hashlib.sha256(shared).digest()


def _ecdsa(values: Values) -> bytes:
    curve = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}[values["curve"]]
    key = ec.derive_private_key(int(values["private"], 16), curve)
    signature = sign(key, SignatureScheme(values["scheme"]), _octets(values, "data"))
    _verify(values, key.public_key(), signature)
    return signature


def _eddsa(values: Values) -> bytes:
    kind = ed25519.Ed25519PrivateKey if values["scheme"] == "ed25519" else ed448.Ed448PrivateKey
    key = kind.from_private_bytes(_octets(values, "private"))
    signature = sign(key, SignatureScheme(values["scheme"]), _octets(values, "data"))
    _verify(values, key.public_key(), signature)
    return signature


def _rsa_numbers(values: Values) -> rsa.RSAPublicNumbers:
    return rsa.RSAPublicNumbers(int(values["exponent"], 16), int(values["modulus"], 16))


def _rsa_sign(values: Values) -> bytes:
    numbers, exponent = _rsa_numbers(values), int(values["private"], 16)
    p, q = rsa.rsa_recover_prime_factors(numbers.n, numbers.e, exponent)
    remainders = rsa.rsa_crt_dmp1(exponent, p), rsa.rsa_crt_dmq1(exponent, q)
    key = rsa.RSAPrivateNumbers(p, q, exponent, *remainders, rsa.rsa_crt_iqmp(p, q), numbers).private_key()
    signature = sign(key, SignatureScheme(values["scheme"]), _octets(values, "data"))
    _verify(values, key.public_key(), signature)
    return signature


def _rsa_verify(values: Values) -> bytes:
    signature = _octets(values, "answer")
    _verify(values, _rsa_numbers(values).public_key(), signature)
    return signature


def _verify(values: Values, public_key: PublicKeyTypes, signature: bytes) -> None:
    """The signature must verify as AUTH over its octets, and over no others. Raises AuthError, _Failed."""
    scheme, octets = SignatureScheme(values["scheme"]), _octets(values, "data")
    old = scheme is SignatureScheme.RSA_PKCS1_SHA1
    method = AuthMethod.RSA_DIGITAL_SIGNATURE if old else AuthMethod.DIGITAL_SIGNATURE
    data = encode_auth(Signing(method, scheme), public_key, signature)
    announced = frozenset({int(scheme.hash_algorithm)})
    verify_auth(method, data, octets, public_key, allowed=[scheme], announced_hashes=announced)
    try:
        verify_auth(method, data, octets + b"!", public_key, allowed=[scheme], announced_hashes=announced)
    except AuthError:
        return
    raise _Failed("a signature over other octets is accepted")


_COMPUTE: Mapping[str, Callable[[Values], bytes]] = {
    "hash": _hash,
    "prf": _prf,
    "schedule": _schedule,
    "cipher": _cipher,
    "mac": _mac,
    "exchange": _exchange,
    "kem": _kem,
    "modp": _modp,
    "ecdsa": _ecdsa,
    "eddsa": _eddsa,
    "rsa-sign": _rsa_sign,
    "rsa-verify": _rsa_verify,
}


def _test(item: Published) -> SelfTest:
    compute = partial(_COMPUTE[item.kind], item.values)
    return SelfTest(item.name, item.family, item.origin, compute, bytes.fromhex(str(item.values["answer"])))


TESTS: Mapping[str, SelfTest] = {item.name: _test(item) for item in PUBLISHED}
"""By name, in the order in which they run: what others rely on comes first."""
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(test.family for test in TESTS.values()))
