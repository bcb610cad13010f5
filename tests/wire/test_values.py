"""Payloads and headers are values: equal by content, usable as keys, and changed only into others."""

from copy import deepcopy
from dataclasses import replace

from ikesim.wire.message import Header
from ikesim.wire.payloads import IDi, IDr, Notify, Payload


def test_values_are_equal_by_content_and_find_each_other() -> None:
    assert Notify(16388, b"x") == Notify(16388, b"x")
    assert Notify(16388, b"x") != Notify(16388, b"y")
    assert {Notify(16388, b"x"): 1}[Notify(16388, b"x")] == 1


def test_values_of_different_kinds_differ_whatever_they_hold() -> None:
    ours: Payload = IDi(2, b"fqdn")
    theirs: Payload = IDr(2, b"fqdn")
    assert ours != theirs


def test_a_changed_value_is_another_one() -> None:
    header = Header(bytes(8), bytes(8), 33, 0x20, 34, 8, 0, 28)
    other = replace(header, message_id=1)
    assert (header.message_id, other.message_id) == (0, 1)
    assert replace(Notify(16388), critical=True).critical


def test_a_value_has_no_room_for_anything_else() -> None:
    assert not hasattr(Notify(16388), "__dict__")


def test_copies_of_payloads_are_shared() -> None:
    notify = Notify(16388, b"x")
    assert deepcopy(notify) is notify
