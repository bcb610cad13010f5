"""Cookies: bound to nonce, address and SPI, good for one change of the secret (RFC 7296 2.6)."""

import pytest

from ikesim.ike.cookies import SECRET_LIFETIME, CookieJar
from ikesim.wire.address import Address

NONCE, SPI = b"n" * 32, b"s" * 8
HERE = Address("192.0.2.1", 500)


class Counter:
    """Entropy that never repeats."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        self.drawn += 1
        return bytes((self.drawn,)) * count


@pytest.fixture
def entropy() -> Counter:
    return Counter()


def test_a_cookie_comes_back_good(entropy: Counter) -> None:
    jar = CookieJar()
    cookie = jar.make(NONCE, HERE, SPI, 0.0, entropy)
    assert 1 <= len(cookie) <= 64
    assert jar.check(cookie, NONCE, HERE, SPI, 1.0, entropy)
    # The port may change behind a NAT; the address may not.
    assert jar.check(cookie, NONCE, Address("192.0.2.1", 4711), SPI, 1.0, entropy)


@pytest.mark.parametrize(
    ("nonce", "address", "spi"),
    [
        (b"m" * 32, HERE, SPI),
        (NONCE, Address("192.0.2.2", 500), SPI),
        (NONCE, HERE, b"t" * 8),
    ],
)
def test_a_cookie_is_good_for_its_own_request_only(
    entropy: Counter, nonce: bytes, address: Address, spi: bytes
) -> None:
    jar = CookieJar()
    cookie = jar.make(NONCE, HERE, SPI, 0.0, entropy)
    assert not jar.check(cookie, nonce, address, spi, 0.0, entropy)


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (SECRET_LIFETIME - 1, True),
        (SECRET_LIFETIME + 1, True),
        (2 * SECRET_LIFETIME + 1, False),
        (10 * SECRET_LIFETIME, False),
    ],
)
def test_a_cookie_outlives_one_change_of_the_secret(entropy: Counter, age: float, good: bool) -> None:
    jar = CookieJar()
    cookie = jar.make(NONCE, HERE, SPI, 0.0, entropy)
    jar.make(NONCE, HERE, SPI, min(age, SECRET_LIFETIME), entropy)
    assert jar.check(cookie, NONCE, HERE, SPI, age, entropy) is good


@pytest.mark.parametrize("forged", [b"", b"x", bytes(33), bytes(64)])
def test_a_forged_cookie_is_refused(entropy: Counter, forged: bytes) -> None:
    assert not CookieJar().check(forged, NONCE, HERE, SPI, 0.0, entropy)


def test_the_secret_is_in_no_repr(entropy: Counter) -> None:
    jar = CookieJar()
    jar.make(NONCE, HERE, SPI, 0.0, entropy)
    assert repr(jar.secret)[2:-1] not in repr(jar)
