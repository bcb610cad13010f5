"""The key schedule: SKEYSEED and SK_* (RFC 7296 2.14), rekeying (2.18), CHILD SAs (2.17), AUTH octets (2.15)."""

from dataclasses import field, replace

from ikesim.crypto.ciphers import CipherSuite
from ikesim.crypto.prf import Prf
from ikesim.wire.values import value


@value
class IkeKeys:
    """The keys of an IKE SA: SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr; `a*` are empty with an AEAD."""

    d: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    ar: bytes = field(repr=False)
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    pi: bytes = field(repr=False)
    pr: bytes = field(repr=False)

    def __deepcopy__(self, memo: object) -> "IkeKeys":
        return self  # immutable: copies of an endpoint share it


@value
class ChildKeys:
    """The keys of a CHILD SA: encryption and integrity, from the exchange's initiator (i) and to it (r)."""

    ei: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    er: bytes = field(repr=False)
    ar: bytes = field(repr=False)


def skeyseed(
    prf: Prf,
    *,
    ni: bytes,
    nr: bytes,
    shared: bytes,
    sk_d: bytes | None = None,
    old_prf: Prf | None = None,
    more: bytes = b"",
) -> bytes:
    """SKEYSEED = prf(Ni | Nr, g^ir); of a rekey, with the old SA's SK_d and PRF, prf(SK_d, g^ir | Ni | Nr).

    `more` holds the secrets of a rekey's further key exchanges, in order, and comes last (RFC 9370 2.2.4).
    """
    if sk_d is None:
        return prf.prf(ni + nr, shared)
    return (old_prf or prf).prf(sk_d, shared + ni + nr + more)


def ike_keys(
    prf: Prf,
    suite: CipherSuite,
    *,
    ni: bytes,
    nr: bytes,
    spi_i: bytes,
    spi_r: bytes,
    shared: bytes,
    sk_d: bytes | None = None,
    old_prf: Prf | None = None,
    more: bytes = b"",
) -> IkeKeys:
    """The keys of an IKE SA from nonces, SPIs (8 octets each) and the shared secret.

    With `sk_d` it is a rekey: SKEYSEED comes from the old SA's SK_d under the old SA's PRF, `old_prf`; the keys are
    then expanded with the new one (RFC 7296 2.18). `more` is that of :func:`skeyseed`.
    """
    seed = skeyseed(prf, ni=ni, nr=nr, shared=shared, sk_d=sk_d, old_prf=old_prf, more=more)
    lengths = (
        prf.key_length,
        suite.integrity_key_length,
        suite.integrity_key_length,
        suite.key_length,
        suite.key_length,
        prf.key_length,
        prf.key_length,
    )
    return IkeKeys(*_cut(prf.plus(seed, ni + nr + spi_i + spi_r, sum(lengths)), lengths))


def with_ppk(prf: Prf, keys: IkeKeys, ppk: bytes | memoryview) -> IkeKeys:
    """The keys with a postquantum preshared key mixed into SK_d and SK_p (RFC 8784 3): prf+(PPK, SK').

    The PPK is read where it lies: a copy of it would stay in memory.
    """
    return replace(
        keys,
        d=prf.plus(ppk, keys.d, len(keys.d)),
        pi=prf.plus(ppk, keys.pi, len(keys.pi)),
        pr=prf.plus(ppk, keys.pr, len(keys.pr)),
    )


def child_keys(
    prf: Prf, sk_d: bytes, suite: CipherSuite, *, ni: bytes, nr: bytes, shared: bytes = b"", more: bytes = b""
) -> ChildKeys:
    """The keys of a CHILD SA: prf+(SK_d, [g^ir (new)] | Ni | Nr); `shared` is empty without PFS (RFC 7296 2.17).

    `more` holds the secrets of further key exchanges, in order (RFC 9370 2.2.4).
    """
    lengths = (suite.key_length, suite.integrity_key_length, suite.key_length, suite.integrity_key_length)
    return ChildKeys(*_cut(prf.plus(sk_d, shared + ni + nr + more, sum(lengths)), lengths))


def auth_octets(
    message: bytes, peer_nonce: bytes, prf: Prf, sk_p: bytes, id_body: bytes, int_auth: bytes = b""
) -> bytes:
    """What a peer signs: its first message as sent, the other side's nonce, prf(SK_p, ID payload body).

    `message` is the last IKE_SA_INIT from its SPIs on; `int_auth` is IntAuth of RFC 9242 3.3.2, if there was any.
    """
    return message + peer_nonce + prf.prf(sk_p, id_body) + int_auth


def _cut(octets: bytes, lengths: tuple[int, ...]) -> list[bytes]:
    parts, start = [], 0
    for length in lengths:
        parts.append(octets[start : start + length])
        start += length
    return parts
