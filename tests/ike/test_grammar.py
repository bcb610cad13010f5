"""What may stand in a message (RFC 7296 1.2 to 1.5): the table, and its forms that exclude each other."""

from itertools import combinations, product

import pytest

from ikesim.errors import ProtocolError
from ikesim.ike.grammar import RULES, Form, recognise
from ikesim.reasons import Reason
from ikesim.wire.message import Flags, Header, Message, encode_message
from ikesim.wire.payloads import (
    AUTH,
    CERT,
    KE,
    SA,
    Delete,
    IDi,
    IDr,
    Nonce,
    Notify,
    Opaque,
    Payload,
    TSi,
    TSr,
    VendorId,
)
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.selectors import TrafficSelector

SECURITY = SA((Proposal(1, 1, b"", (Transform(1, 20, 128),)),))
EXCHANGE = KE(31, bytes(32))
NONCE = Nonce(bytes(32))
SELECTORS = (TrafficSelector.from_network("10.0.0.0/8"),)
REKEY = Notify(16393, protocol=3, spi=b"abcd")
IDENTITY, PROOF = IDi(2, b"a"), AUTH(14, b"x")


def message(exchange: int, payloads: list[Payload], *, response: bool = False) -> Message:
    flags = Flags.RESPONSE if response else Flags.INITIATOR
    return Message.parse(encode_message(Header(b"i" * 8, b"r" * 8, 0, 0x20, exchange, flags, 0, 0), payloads))


@pytest.mark.parametrize(
    ("exchange", "response", "payloads", "form"),
    [
        (34, False, [SECURITY, EXCHANGE, NONCE], Form.INIT_REQUEST),
        (34, False, [Notify(16390, b"cookie"), SECURITY, EXCHANGE, NONCE, VendorId(b"v")], Form.INIT_REQUEST),
        (34, True, [SECURITY, EXCHANGE, NONCE], Form.INIT_RESPONSE),
        (34, True, [Notify(16390, b"cookie")], Form.INIT_NOTIFY),
        (35, False, [IDENTITY, CERT(4, b"x"), CERT(4, b"y"), PROOF], Form.AUTH_REQUEST),
        (35, True, [IDr(2, b"b"), PROOF, SECURITY, TSi(SELECTORS), TSr(SELECTORS)], Form.AUTH_RESPONSE),
        (35, True, [Notify(24)], Form.AUTH_NOTIFY),
        (36, False, [SECURITY, NONCE, TSi(SELECTORS), TSr(SELECTORS)], Form.CHILD_REQUEST),
        (36, False, [REKEY, SECURITY, NONCE, EXCHANGE, TSi(SELECTORS), TSr(SELECTORS)], Form.CHILD_REKEY_REQUEST),
        (36, False, [SECURITY, NONCE, EXCHANGE], Form.IKE_REKEY_REQUEST),
        (36, True, [SECURITY, NONCE, EXCHANGE], Form.IKE_REKEY_RESPONSE),
        (36, True, [SECURITY, NONCE, TSi(SELECTORS), TSr(SELECTORS)], Form.CHILD_RESPONSE),
        (36, True, [Notify(14)], Form.CREATE_NOTIFY),
        (37, False, [], Form.INFORMATIONAL_REQUEST),
        (37, False, [Delete(3, (b"abcd",))], Form.INFORMATIONAL_REQUEST),
        (37, True, [], Form.INFORMATIONAL_RESPONSE),
        # an unknown payload that is not critical changes nothing (RFC 7296 2.5)
        (34, False, [SECURITY, EXCHANGE, NONCE, Opaque(200, b"?")], Form.INIT_REQUEST),
        # the critical bit of a known payload is ignored
        (37, False, [Opaque(43, b"v", critical=True)], Form.INFORMATIONAL_REQUEST),
    ],
)
def test_a_message_is_recognised(exchange: int, response: bool, payloads: list[Payload], form: Form) -> None:
    assert recognise(message(exchange, payloads, response=response)) is form


@pytest.mark.parametrize(
    ("exchange", "payloads", "said"),
    [
        (34, [SECURITY, EXCHANGE], "lacks payload NONCE"),
        (34, [SECURITY, EXCHANGE, NONCE, NONCE], "payload NONCE 2 times"),
        (34, [SECURITY, EXCHANGE, NONCE, IDENTITY], "unexpected payload IDi"),
        (35, [PROOF], "lacks payload IDi"),
        (35, [IDENTITY, PROOF, SECURITY], "some of SA TSi TSr"),
        (35, [IDENTITY, PROOF, TSi(SELECTORS), TSr(SELECTORS)], "some of SA TSi TSr"),
        (35, [IDENTITY, PROOF, PROOF], "payload AUTH 2 times"),
        (35, [IDENTITY, PROOF, NONCE], "unexpected payload NONCE"),
        (36, [SECURITY, NONCE], "lacks payload KE"),
        (36, [SECURITY, NONCE, TSi(SELECTORS)], "lacks payload TSr"),
        (37, [SECURITY], "unexpected payload SA"),
        (43, [NONCE], "lacks payload KE"),
        (43, [EXCHANGE, EXCHANGE], "payload KE 2 times"),
        (45, [NONCE], "not supported"),
    ],
)
def test_what_does_not_belong_is_invalid_syntax(exchange: int, payloads: list[Payload], said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        recognise(message(exchange, payloads))
    assert caught.value.notify == 7
    assert caught.value.reason is Reason.PAYLOAD_MALFORMED


def test_an_unknown_critical_payload_is_named_in_the_answer() -> None:
    with pytest.raises(ProtocolError) as caught:
        recognise(message(37, [Opaque(200, b"?", critical=True)]))
    assert (caught.value.notify, caught.value.data) == (1, bytes((200,)))
    assert caught.value.reason is Reason.PAYLOAD_CRITICAL


def test_forms_of_one_exchange_and_direction_exclude_each_other() -> None:
    # Every presence of the payloads and notifies that rules ask for: never do two rules apply.
    kinds = sorted({kind for rule in RULES for kind in (*rule.present, *rule.absent)})
    for one, two in combinations(RULES, 2):
        if (one.exchange, one.response) != (two.exchange, two.response):
            continue
        for present in product((False, True), repeat=len(kinds)):
            held = tuple(kind for kind, there in zip(kinds, present, strict=True) if there)
            for notifies in (frozenset[int](), frozenset((16393,))):
                assert not (one.applies(held, notifies) and two.applies(held, notifies)), (one.form, two.form)
