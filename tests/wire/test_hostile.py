"""Input that nobody sane would send: only WireError comes out, and the work stays in proportion to the octets."""

import gc
import struct
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikesim.errors import WireError
from ikesim.wire.demux import classify
from ikesim.wire.message import Header, Message, encode_message, parse_payloads
from ikesim.wire.payloads import CERTREQ, CP, DECODERS, SA, SKF, Body, Delete, Notify, Opaque, TSi
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import PayloadType
from ikesim.wire.selectors import TrafficSelector, narrow
from tests.wire.cases import CASES, FAULTS

HEADER = Header(b"\1" * 8, b"\2" * 8, 0, 0x20, 35, 8, 1, 0)
MESSAGES = [encode_message(HEADER, (case.value,)) for case in CASES]
MESSAGES.append(encode_message(HEADER, [case.value for case in CASES if case.value.kind != PayloadType.SKF]))
BODIES = [(case.value.kind, case.octets) for case in CASES] + [(fault.kind, fault.octets) for fault in FAULTS]

SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def swallow(octets: bytes) -> None:
    """All that the codec can be asked about a datagram."""
    _, content = classify(octets)
    message = Message.parse(content)
    for raw in message.payloads:
        payload = raw.payload()
        # what was read can be written, and reads as the same again
        if not isinstance(payload, Opaque):
            again = type(payload).decode(memoryview(payload.encode()))
            assert again == payload
        if isinstance(payload, CERTREQ):
            assert 20 * len(payload.authorities) == len(payload.data)
        if isinstance(payload, TSi):
            assert len(narrow(payload.selectors, payload.selectors)) <= len(payload.selectors)
            assert all(str(selector) for selector in payload.selectors)
    message.protected()
    message.notify(16384)


def only_wire_errors(call: Callable[[], object], octets: int) -> None:
    try:
        call()
    except WireError as error:
        assert error.rule.startswith("RFC ") or error.rule == "local limit"
        assert 0 <= error.offset <= octets


@SETTINGS
@given(st.binary(max_size=300))
def test_random_datagrams(octets: bytes) -> None:
    only_wire_errors(lambda: swallow(octets), len(octets))


@SETTINGS
@given(st.integers(0, 255), st.binary(max_size=300))
def test_random_payloads_behind_a_good_header(kind: int, chain: bytes) -> None:
    octets = (
        HEADER.encode()[:16] + bytes((kind,)) + HEADER.encode()[17:24] + struct.pack("!I", 28 + len(chain)) + chain
    )
    only_wire_errors(lambda: swallow(octets), len(octets))


@SETTINGS
@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=120))
def test_random_bodies(kind: int, body: bytes) -> None:
    octets = struct.pack("!BBH", 0, 0, 4 + len(body)) + body
    for raw in parse_payloads(kind, octets):
        only_wire_errors(raw.payload, len(octets))


@SETTINGS
@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    st.tuples(st.integers(0, 10_000), st.binary(max_size=8), st.integers(0, 8)),
    st.booleans(),
)
def test_mutated_messages(
    octets: bytes, changes: list[tuple[int, int]], splice: tuple[int, bytes, int], honest_length: bool
) -> None:
    changed = bytearray(octets)
    for place, value in changes:
        changed[place % len(changed)] = value
    place, inserted, removed = splice
    place %= len(changed)
    changed[place : place + removed] = inserted
    if honest_length and len(changed) >= 28:
        changed[24:28] = len(changed).to_bytes(4, "big")
    only_wire_errors(lambda: swallow(bytes(changed)), len(changed))


@SETTINGS
@given(st.sampled_from(BODIES), st.integers(0, 10_000), st.integers(0, 255))
def test_bodies_with_one_octet_changed(body: tuple[int, bytes], place: int, value: int) -> None:
    kind, octets = body
    changed = bytearray(octets or b"\0")
    changed[place % len(changed)] = value
    only_wire_errors(lambda: DECODERS[kind].decode(memoryview(bytes(changed))), len(changed))


transforms = st.builds(
    Transform,
    st.integers(0, 255),
    st.integers(0, 65535),
    st.none() | st.integers(0, 65535),
    st.lists(
        st.tuples(
            st.integers(0, 0x7FFF).filter(lambda kind: kind != 14), st.integers(0, 65535) | st.binary(max_size=9)
        ),
        max_size=3,
        unique_by=lambda attribute: attribute[0],
    ).map(tuple),
)
addresses = st.tuples(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4)).map(sorted)
ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted) | st.just([65535, 0])


@SETTINGS
@given(
    st.one_of(
        st.lists(st.lists(transforms, max_size=4), min_size=1, max_size=3).map(
            lambda each: SA(tuple(Proposal(n, 3, b"spi!", tuple(entry)) for n, entry in enumerate(each, 1)))
        ),
        st.lists(st.tuples(st.integers(0, 255), ports, addresses), min_size=1, max_size=4).map(
            lambda each: TSi(tuple(TrafficSelector(7, protocol, *range_, *pair) for protocol, range_, pair in each))
        ),
        st.lists(st.tuples(st.integers(0, 0x7FFF), st.binary(max_size=20)), max_size=5).map(
            lambda each: CP(1, tuple(each))
        ),
        st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=9).map(lambda each: Delete(3, tuple(each))),
        st.builds(Notify, st.integers(40960, 65535), st.binary(max_size=40), st.just(2), st.just(b"\1\2\3\4")),
        st.builds(SKF, st.just(3), st.integers(3, 65535), st.binary(max_size=40)),
    )
)
def test_whatever_can_be_written_is_read_back(value: Body) -> None:
    assert Message.parse(encode_message(HEADER, (value,))).get(type(value)) == value


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 255), ports, addresses), max_size=8), st.integers(1, 8))
def test_narrowing_gives_what_both_sides_have(each: list[tuple[int, list[int], list[bytes]]], cut: int) -> None:
    selectors = [TrafficSelector(7, protocol, *range_, *pair) for protocol, range_, pair in each]
    offered, own = selectors[:cut], selectors[cut:]
    for narrowed in narrow(offered, own):
        assert any(one.contains(narrowed) for one in offered)
        assert any(one.contains(narrowed) for one in own)
        assert TrafficSelector.parse(str(narrowed)) == narrowed


# bounded work: inputs that make a parser do the most for their size


def _fill(head: bytes, unit: bytes, size: int) -> bytes:
    return head + unit * ((size - len(head)) // len(unit))


WORST: dict[str, Callable[[int], tuple[int, bytes]]] = {
    "payload-headers": lambda n: (-1, b"\x2b\0\0\4" * (n // 4)),
    "proposals": lambda n: (33, _fill(b"", b"\2\0\0\x08\1\1\0\0", n)),
    "transforms": lambda n: (
        33,
        b"\0\0" + n.to_bytes(2, "big") + b"\1\1\0\xff" + b"\3\0\0\x08\1\0\0\x14" * ((n - 8) // 8),
    ),
    "transforms-all-different": lambda n: (
        33,
        b"\0\0"
        + n.to_bytes(2, "big")
        + b"\1\1\0\xff"
        + b"".join(b"\3\0\0\x08\1\0" + (i & 0xFFFF).to_bytes(2, "big") for i in range((n - 8) // 8)),
    ),
    "attributes": lambda n: (
        33,
        b"\0\0"
        + n.to_bytes(2, "big")
        + b"\1\1\0\1"
        + b"\0\0"
        + (n - 8).to_bytes(2, "big")
        + b"\1\0\0\x14"
        + b"".join((0x8000 | i & 0x7FFF).to_bytes(2, "big") + b"\0\0" for i in range((n - 16) // 4)),
    ),
    "selectors-of-an-unknown-type": lambda n: (44, _fill(b"\xff\0\0\0", b"\x63\0\0\4", n)),
    "selectors": lambda n: (44, _fill(b"\xff\0\0\0", b"\7\0\0\x10\0\0\xff\xff" + bytes(8), n)),
    "configuration": lambda n: (47, _fill(b"\1\0\0\0", b"\0\1\0\0", n)),
    "spis": lambda n: (42, b"\3\4" + ((n - 4) // 4).to_bytes(2, "big") + b"spi!" * ((n - 4) // 4)),
    "one-octet-spis-of-an-unknown-protocol": lambda n: (42, b"\x09\1" + (n - 4).to_bytes(2, "big") + bytes(n - 4)),
    "an-spi-count-that-lies": lambda n: (42, b"\x09\1\xff\xff" + bytes(n - 4)),
}


def _consume(kind: int, octets: bytes) -> None:
    try:
        if kind < 0:
            parse_payloads(43, octets)
        else:
            DECODERS[kind].decode(memoryview(octets))
    except WireError:
        pass


def _calls(kind: int, octets: bytes) -> int:
    """How many functions are entered, Python's and C's: the work, without a clock."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        _consume(kind, octets)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", WORST)
def test_work_is_in_proportion_to_the_octets(name: str) -> None:
    for size in (4000, 64000):
        assert _calls(*WORST[name](size)) <= 3 * size + 200, size


@pytest.mark.parametrize("name", WORST)
def test_memory_is_in_proportion_to_the_octets(name: str) -> None:
    kind, octets = WORST[name](64000)
    gc.collect()
    tracemalloc.start()
    try:
        _consume(kind, octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * len(octets)


def test_narrowing_the_largest_offers_is_bounded() -> None:
    offered = [TrafficSelector(7, 0, 0, 65535, bytes((10, n, 0, 0)), bytes((10, n, 255, n))) for n in range(255)]
    own = [TrafficSelector(7, 0, n, 65535 - n, bytes((10, 0, n, 0)), bytes((10, 255, n + 9, 255))) for n in range(32)]
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        assert len(narrow(offered, own)) == 255
    finally:
        sys.setprofile(None)
    assert count < 255 * 32 * (2 * 32 + 10)
