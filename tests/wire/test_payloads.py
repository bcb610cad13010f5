from dataclasses import replace

import pytest

from ikesim.errors import WireError
from ikesim.reasons import Reason
from ikesim.wire.payloads import CERTREQ, DECODERS, SA, Delete, Notify, Opaque, TSi
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import PayloadType
from tests.wire.cases import CASES, FAULTS, IPV4_ALL, Case, Fault

# where the body stands in its message; offsets in errors must count from the message's start
AT = 32


@pytest.mark.parametrize("case", CASES, ids=str)
def test_octets_read_as_the_value(case: Case) -> None:
    assert type(case.value).decode(memoryview(case.octets), AT) == case.value


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_value_is_written_as_the_octets(case: Case) -> None:
    assert case.value.encode() == case.octets


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cut_anywhere(case: Case) -> None:
    for length in range(len(case.octets)):
        body = case.octets[:length]
        if length in case.whole_at or (case.open_from is not None and length >= case.open_from):
            assert type(case.value).decode(memoryview(body)).encode() == body
            continue
        with pytest.raises(WireError) as caught:
            type(case.value).decode(memoryview(body), AT)
        assert caught.value.payload == case.value.kind
        assert AT <= caught.value.offset <= AT + length
        assert caught.value.rule.startswith("RFC ")
        assert caught.value.notify == 7


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("trailing", [b"\0", b"\xff" * 9])
def test_trailing_octets(case: Case, trailing: bytes) -> None:
    body = case.octets + trailing
    longest_is_fixed = case.name in ("nonce-longest", "notify-cookie")
    if case.open_from is not None and not longest_is_fixed:
        assert type(case.value).decode(memoryview(body)).encode() == body
        return
    with pytest.raises(WireError):
        type(case.value).decode(memoryview(body), AT)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_lies_is_named_with_its_place_and_section(fault: Fault) -> None:
    with pytest.raises(WireError) as caught:
        DECODERS[fault.kind].decode(memoryview(fault.octets), AT)
    assert (caught.value.payload, caught.value.offset - AT, caught.value.rule) == (
        fault.kind,
        fault.offset,
        fault.rule,
    )
    assert caught.value.notify == 7


def test_every_payload_type_of_rfc_7296_is_read() -> None:
    # 46 is opened with keys, 49 and 54 belong to other documents
    assert set(DECODERS) == set(PayloadType) - {0, 46, 49, 54}
    assert {case.value.kind for case in CASES} == set(DECODERS)


@pytest.mark.parametrize("kind", [PayloadType.IDi, PayloadType.IDr])
def test_a_malformed_identity_has_its_own_reason(kind: int) -> None:
    with pytest.raises(WireError) as caught:
        DECODERS[kind].decode(memoryview(b"\2\0\0"))
    assert caught.value.reason is Reason.ID_INVALID


def test_reserved_octets_are_ignored_and_written_as_zero() -> None:
    read = TSi.decode(memoryview(bytes.fromhex("01 ffffff 07 00 0010 0000 ffff 00000000 ffffffff")))
    assert read == TSi((IPV4_ALL,))
    assert read.encode()[1:4] == bytes(3)


def test_authorities_are_hashes_of_20_octets() -> None:
    assert CERTREQ(4, b"a" * 20 + b"b" * 20).authorities == (b"a" * 20, b"b" * 20)
    assert CERTREQ(4, b"").authorities == ()
    with pytest.raises(WireError) as caught:
        _ = CERTREQ(4, b"a" * 21).authorities
    assert caught.value.rule == "RFC 7296 3.7"
    assert caught.value.notify == 7


def test_payloads_are_values() -> None:
    one, two = Notify(16384), Notify(16384)
    assert one == two
    assert len({one, two}) == 1
    assert replace(one, critical=True) != one


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (Delete(3, (b"1234", b"12345678")), "RFC 7296 3.11"),
        (TSi((IPV4_ALL,) * 256), "RFC 7296 3.13"),
        (SA((Proposal(1, 3, b"1234", (Transform(1, 20, 128),) * 256),)), "RFC 7296 3.3.1"),
        (SA((Proposal(1, 3, b"1234", (Transform(1, 20, None, ((17, bytes(60000)),)),) * 2),)), "RFC 7296 3.3.1"),
        (SA((Proposal(1, 3, b"1234", (Transform(1, 20, None, ((17, bytes(65530)),)),)),)), "RFC 7296 3.3.2"),
    ],
    ids=["delete-sizes", "selectors", "transforms", "proposal", "transform"],
)
def test_what_no_length_field_can_say_is_not_written(payload: SA | Delete | TSi, rule: str) -> None:
    with pytest.raises(WireError) as caught:
        payload.encode()
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "payload",
    [
        TSi((IPV4_ALL,) * 255),
        SA((Proposal(1, 3, b"1234", (Transform(1, 20, 128),) * 255),)),
        # 8 + 4 octets of the proposal, 8 + 4 of the transform and its attribute: 65535 in all
        SA((Proposal(1, 3, b"1234", (Transform(1, 20, None, ((17, bytes(65511)),)),)),)),
    ],
    ids=["selectors", "transforms", "proposal"],
)
def test_what_just_fits_is_written_and_read(payload: SA | TSi) -> None:
    assert type(payload).decode(memoryview(payload.encode())) == payload


def test_the_longest_transform_that_its_length_field_can_say() -> None:
    assert len(Transform(1, 20, None, ((17, bytes(65523)),)).encode(last=True)) == 65535


def test_opaque_goes_out_as_it_is() -> None:
    assert Opaque(200, b"\1\2\3", critical=True).encode() == b"\1\2\3"
