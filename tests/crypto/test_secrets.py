"""Whatever holds a key keeps it out of its repr."""

from typing import Any

import pytest

from ikesim.crypto import exchange
from ikesim.crypto.ciphers import cipher_suite
from ikesim.crypto.schedule import ChildKeys, IkeKeys
from ikesim.esp.packet import InboundEsp, OutboundEsp

SECRET = b"\xde\xad\xbe\xef" * 8
SHOWN = ("deadbeef", "DEADBEEF", "\\xde\\xad", str(int.from_bytes(SECRET, "big")), "222, 173")
SUITE = cipher_suite(20, 128, None)
HOLDERS: dict[str, Any] = {
    "IKE keys": IkeKeys(*[SECRET] * 7),
    "CHILD keys": ChildKeys(*[SECRET] * 4),
    "outbound ESP": OutboundEsp(b"\1\2\3\4", SUITE, SECRET, SECRET),
    "inbound ESP": InboundEsp(b"\1\2\3\4", SUITE, SECRET, SECRET),
    "MODP key pair": exchange.generate(14, lambda count: (SECRET * 3)[:count]),
    "ECP key pair": exchange.generate(19, lambda count: SECRET),
    "X25519 key pair": exchange.generate(31, lambda count: SECRET),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_no_key_is_shown(holder: Any) -> None:
    fields = [getattr(holder, name) for name in type(holder).__slots__]
    assert SECRET in fields or any(isinstance(value, bytes) and SECRET[1:] in value for value in fields)
    for text in (repr(holder), str(holder), f"{holder}", repr([holder])):
        assert text
        for secret in SHOWN:
            assert secret not in text


def test_the_search_finds_a_key_that_is_shown() -> None:
    assert any(secret in repr(SECRET) for secret in SHOWN)
