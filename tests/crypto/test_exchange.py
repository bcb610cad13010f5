"""Key exchange against RFC 3526, 5903, 7027, 7748 and plain arithmetic."""

import copy
import itertools
import random
from collections.abc import Callable

import pytest

from ikesim.crypto import exchange
from ikesim.errors import KeyExchangeError, UnsupportedAlgorithmError
from ikesim.wire.registry import KeyExchangeId
from tests.crypto.vectors import nist

MODP = {
    KeyExchangeId.MODP_1024: 1024,
    KeyExchangeId.MODP_1536: 1536,
    KeyExchangeId.MODP_2048: 2048,
    KeyExchangeId.MODP_3072: 3072,
    KeyExchangeId.MODP_4096: 4096,
    KeyExchangeId.MODP_6144: 6144,
    KeyExchangeId.MODP_8192: 8192,
}
CURVES = {
    KeyExchangeId.ECP_256: 64,
    KeyExchangeId.ECP_384: 96,
    KeyExchangeId.ECP_521: 132,
    KeyExchangeId.BRAINPOOL_256: 64,
    KeyExchangeId.BRAINPOOL_384: 96,
    KeyExchangeId.BRAINPOOL_512: 128,
}
PUBLIC_LENGTHS = {
    **{method: bits // 8 for method, bits in MODP.items()},
    **CURVES,
    KeyExchangeId.CURVE25519: 32,
    KeyExchangeId.CURVE448: 56,
}

# RFC 2409 6.2
OAKLEY_2 = """
FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 29024E08 8A67CC74 020BBEA6 3B139B22 514A0879 8E3404DD
EF9519B3 CD3A431B 302B0A6D F25F1437 4FE1356D 6D51C245 E485B576 625E7EC6 F44C42E9 A637ED6B 0BFF5CB6 F406B7ED
EE386BFB 5A899FA5 AE9F2411 7C4B1FE6 49286651 ECE65381 FFFFFFFF FFFFFFFF
"""

# RFC 5903 8: i, gix | giy, r, grx | gry, girx
RFC_5903 = {
    KeyExchangeId.ECP_256: (
        "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
        "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
        "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
        "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
        "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
        "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
        "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
    ),
    KeyExchangeId.ECP_384: (
        "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
        "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA"
        "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
        "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
        "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571"
        "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
        "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746",
    ),
    KeyExchangeId.ECP_521: (
        "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C2952C6771D937BA9777F5957B26"
        "39BAB072462F68C27A57382D4A52",
        "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E380AEAE57C2D10756494188594"
        "2AF5A7F4601723C4195D176CED3E"
        "017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7799DC75E7B7D5B6CF2261A6A"
        "7F1507438BF01BEB6CA3926F9582",
        "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E9C677D600B343757A3BDBF2A3163E4C2F869CCA7"
        "458AA4A4EFFC311F5CB151685EB9",
        "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97C356436ADC6E95BB0352F6BE64A6C2912D4E"
        "F2D0433CED2B6171640012D9460F"
        "015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87220B6536C5C408A1D2AEBB8E86D678AE49CB5709"
        "1F4732296579AB44FCD17F0FC56A",
        "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA240A34786859810C06B3C715A3"
        "A8CC3151F2BEE417996D19F3DDEA",
    ),
}


def fixed(octets: bytes) -> Callable[[int], bytes]:
    """A source of entropy that returns these octets, and only as many."""

    def entropy(count: int) -> bytes:
        assert count == len(octets)
        return octets

    return entropy


def scalar(method: int, value: int) -> Callable[[int], bytes]:
    """Entropy from which rejection sampling takes this private key at once."""
    length = exchange.public_length(method) // 2
    return fixed((value << (7 if method == KeyExchangeId.ECP_521 else 0)).to_bytes(length, "big"))


@pytest.mark.parametrize(("method", "length"), PUBLIC_LENGTHS.items())
def test_both_sides_agree(method: int, length: int) -> None:
    draws = random.Random(method)
    alice, bob = exchange.generate(method, draws.randbytes), exchange.generate(method, draws.randbytes)
    assert alice.public != bob.public
    assert len(alice.public) == len(bob.public) == exchange.public_length(method) == length
    shared = exchange.agree(alice, bob.public)
    assert shared == exchange.agree(bob, alice.public)
    assert len(shared) == (length // 2 if method in CURVES else length)
    assert exchange.supported(method)


@pytest.mark.parametrize("method", PUBLIC_LENGTHS)
def test_the_same_entropy_gives_the_same_pair_and_a_copy_still_agrees(method: int) -> None:
    pair = exchange.generate(method, random.Random(1).randbytes)
    peer = exchange.generate(method, random.Random(2).randbytes)
    assert pair == exchange.generate(method, random.Random(1).randbytes)
    shared = exchange.agree(pair, peer.public)
    assert exchange.agree(copy.deepcopy(pair), peer.public) == exchange.agree(pair, peer.public) == shared


def test_a_pair_that_waited_too_long_still_agrees() -> None:
    draws = random.Random(3)
    pair = exchange.generate(KeyExchangeId.CURVE25519, draws.randbytes)
    later = [exchange.generate(KeyExchangeId.CURVE25519, draws.randbytes) for _ in range(exchange.WAITING_KEYS + 1)]
    assert exchange.agree(pair, later[-1].public) == exchange.agree(later[-1], pair.public)


def test_modp_primes_are_those_of_the_rfcs() -> None:
    primes = {
        int(record["P"], 16).bit_length(): int(record["P"], 16) for _, record in nist("asymmetric/DH/rfc3526.txt")
    }
    primes[1024] = int("".join(OAKLEY_2.split()), 16)
    assert sorted(primes) == sorted(MODP.values())
    for method, bits in MODP.items():
        # p - 2 is the last public value that is allowed, p - 1 the first that is not
        pair = exchange.generate(method, random.Random(4).randbytes)
        exchange.agree(pair, (primes[bits] - 2).to_bytes(bits // 8, "big"))
        with pytest.raises(KeyExchangeError, match="p-1"):
            exchange.agree(pair, (primes[bits] - 1).to_bytes(bits // 8, "big"))


@pytest.mark.parametrize("method", [KeyExchangeId.MODP_1024, KeyExchangeId.MODP_2048, KeyExchangeId.MODP_3072])
def test_modp_is_plain_exponentiation(method: int) -> None:
    primes = {
        int(record["P"], 16).bit_length(): int(record["P"], 16) for _, record in nist("asymmetric/DH/rfc3526.txt")
    }
    prime = primes.get(MODP[KeyExchangeId(method)], int("".join(OAKLEY_2.split()), 16))
    pair = exchange.generate(method, random.Random(5).randbytes)
    exponent = int.from_bytes(pair.private, "big")
    length = exchange.public_length(method)
    assert pair.public == pow(2, exponent, prime).to_bytes(length, "big")
    peer = pow(2, 0xC0FFEE << 200, prime)
    assert exchange.agree(pair, peer.to_bytes(length, "big")) == pow(peer, exponent, prime).to_bytes(length, "big")


def test_a_short_modp_secret_is_padded_to_the_length_of_the_modulus() -> None:
    # g^x with a small product: peer = 2, so that the secret is 2^x mod p; search x with leading zero octets
    prime = next(int(record["P"], 16) for _, record in nist("asymmetric/DH/rfc3526.txt"))
    two = (2).to_bytes(192, "big")
    for seed in itertools.count():
        pair = exchange.generate(KeyExchangeId.MODP_1536, random.Random(seed).randbytes)
        if pow(2, int.from_bytes(pair.private, "big"), prime) >> 1528 == 0:
            break
    assert len(pair.public) == 192
    assert pair.public[0] == 0
    assert exchange.agree(pair, two) == pair.public


@pytest.mark.parametrize("method", MODP)
@pytest.mark.parametrize("value", [0, 1])
def test_modp_refuses_values_that_give_the_secret_away(method: int, value: int) -> None:
    pair = exchange.generate(method, random.Random(6).randbytes)
    with pytest.raises(KeyExchangeError, match="0, 1, p-1 or beyond"):
        exchange.agree(pair, value.to_bytes(exchange.public_length(method), "big"))
    with pytest.raises(KeyExchangeError, match="0, 1, p-1 or beyond"):
        exchange.agree(pair, b"\xff" * exchange.public_length(method))


@pytest.mark.parametrize("method", RFC_5903)
def test_ecp_gives_the_answers_of_rfc_5903(method: KeyExchangeId) -> None:
    i, gi, r, gr, shared = RFC_5903[method]
    initiator = exchange.generate(method, scalar(method, int(i, 16)))
    responder = exchange.generate(method, scalar(method, int(r, 16)))
    assert initiator.public.hex() == gi.lower()
    assert responder.public.hex() == gr.lower()
    assert exchange.agree(initiator, responder.public).hex() == shared.lower()
    assert exchange.agree(responder, initiator.public).hex() == shared.lower()


def test_brainpool_gives_the_answers_of_rfc_7027() -> None:
    methods = {
        "brainpoolP256r1": KeyExchangeId.BRAINPOOL_256,
        "brainpoolP384r1": KeyExchangeId.BRAINPOOL_384,
        "brainpoolP512r1": KeyExchangeId.BRAINPOOL_512,
    }
    compared = []
    for _, record in nist("asymmetric/ECDH/brainpool.txt"):
        method = methods[record["curve"]]
        alice = exchange.generate(method, scalar(method, int(record["dA"], 16)))
        bob = exchange.generate(method, scalar(method, int(record["dB"], 16)))
        assert alice.public.hex() == (record["x_qA"] + record["y_qA"]).lower()
        assert bob.public.hex() == (record["x_qB"] + record["y_qB"]).lower()
        assert exchange.agree(alice, bob.public).hex() == record["x_Z"].lower()
        compared.append(method)
    assert compared == list(methods.values())


@pytest.mark.parametrize(
    ("method", "file"),
    [(KeyExchangeId.CURVE25519, "X25519"), (KeyExchangeId.CURVE448, "X448")],
)
def test_montgomery_curves_give_the_answers_of_rfc_7748(method: int, file: str) -> None:
    compared = 0
    for _, record in nist("asymmetric", file, "rfc7748.txt"):
        pair = exchange.generate(method, fixed(bytes.fromhex(record["INPUT_SCALAR"])))
        assert exchange.agree(pair, bytes.fromhex(record["INPUT_U"])).hex() == record["OUTPUT_U"]
        compared += 1
        if compared == 3:  # its u is the base point, so its output is a public value
            assert pair.public.hex() == record["OUTPUT_U"]
    assert compared >= 3


@pytest.mark.parametrize("method", [KeyExchangeId.CURVE25519, KeyExchangeId.CURVE448])
def test_a_public_value_of_small_order_is_refused(method: int) -> None:
    pair = exchange.generate(method, random.Random(7).randbytes)
    for value in (0, 1):
        with pytest.raises(KeyExchangeError):
            exchange.agree(pair, value.to_bytes(exchange.public_length(method), "little"))


@pytest.mark.parametrize("method", CURVES)
def test_a_point_off_the_curve_is_refused(method: int) -> None:
    pair, peer = (exchange.generate(method, random.Random(seed).randbytes) for seed in (8, 9))
    for off in (
        bytes(len(peer.public)),
        peer.public[:-1] + bytes((peer.public[-1] ^ 1,)),
        b"\xff" * len(peer.public),
    ):
        with pytest.raises(KeyExchangeError, match=KeyExchangeId(method).name):
            exchange.agree(pair, off)


@pytest.mark.parametrize("method", PUBLIC_LENGTHS)
def test_a_public_value_of_another_length_is_refused(method: int) -> None:
    pair, peer = (exchange.generate(method, random.Random(seed).randbytes) for seed in (10, 11))
    for wrong in (b"", peer.public[:-1], peer.public + b"\0", b"\0" + peer.public):
        with pytest.raises(KeyExchangeError, match=f"not {len(wrong)}$"):
            exchange.agree(pair, wrong)


@pytest.mark.parametrize("method", CURVES)
def test_private_keys_come_by_rejection_sampling(method: int) -> None:
    length = exchange.public_length(method) // 2
    draws = [bytes(length), b"\xff" * length, (1 << 8 * length - 8).to_bytes(length, "big")]
    expected = exchange.generate(method, lambda count: draws[2])
    assert exchange.generate(method, lambda count: draws.pop(0)) == expected
    assert not draws
    with pytest.raises(KeyExchangeError, match="source of entropy is broken"):
        exchange.generate(method, bytes)


@pytest.mark.parametrize(("method", "shown"), [(KeyExchangeId.ML_KEM_512, "ML_KEM_512"), (4711, "4711")])
def test_a_method_that_is_not_there_is_named(method: int, shown: str) -> None:
    assert not exchange.supported(method)
    with pytest.raises(UnsupportedAlgorithmError, match=shown):
        exchange.generate(method, random.Random(12).randbytes)
    with pytest.raises(UnsupportedAlgorithmError, match=shown):
        exchange.public_length(method)
