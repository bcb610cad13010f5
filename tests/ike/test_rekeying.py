"""Rekeying of CHILD and IKE SAs, by time and on command, at once and across other exchanges (RFC 7296 2.8, 2.25)."""

from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ikesim.esp.host import echo_request, parse_echo_reply
from ikesim.ike.events import ChildDown, Rekeyed, SaClosed
from ikesim.ike.negotiation import numbered
from ikesim.sim import World
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, assert_established
from ikesim.wire.payloads import KE, SA, Delete, Nonce, Notify, TSi, TSr
from ikesim.wire.proposals import Proposal
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    INFORMATIONAL,
    MakePair,
    Tap,
    forger,
    header,
    hold,
    is_message,
    path_to,
    release,
    sent,
    states,
    tap,
)

REKEY_SA, TEMPORARY_FAILURE, CHILD_SA_NOT_FOUND, NO_PROPOSAL_CHOSEN = 16393, 43, 44, 14
QUIET: dict[str, Any] = {"liveness": {"interval": 0}, "keepalive": 0}
PFS = {"child": {"proposals": "aes128gcm16-x25519"}}


class Traffic:
    """An echo request from each side every few milliseconds; every one of them must be answered."""

    def __init__(self, pair: Pair, seconds: float, step: float = 0.007) -> None:
        self.pair = pair
        self.count = int(seconds / step)
        self.seen = {host.name: len(host.inner_received) for host in (pair.alice, pair.bob)}
        for number in range(self.count):
            pair.world.after(number * step, partial(self._send, number))

    def _send(self, number: int, world: World) -> None:
        self.pair.alice.send_inner(echo_request("10.1.0.1", "10.2.0.1", 77, number, b""))
        self.pair.bob.send_inner(echo_request("10.2.0.1", "10.1.0.1", 77, number, b""))

    def lost(self) -> dict[str, list[int]]:
        """The numbers of the echo requests that nobody answered, by who asked."""
        missing = {}
        for host in (self.pair.alice, self.pair.bob):
            replies = [parse_echo_reply(packet) for packet in host.inner_received[self.seen[host.name] :]]
            got = {reply.sequence for reply in replies if reply is not None}
            missing[host.name] = [number for number in range(self.count) if number not in got]
        return missing


def up(make: MakePair, **settings: Any) -> tuple[Pair, Tap, Tap]:
    pair = make(**{"alice": QUIET, "bob": QUIET, **settings})
    taps = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    for item in taps:
        item.said.clear()
    return pair, *taps


def spi_pairs(pair: Pair, host: SimHost) -> list[tuple[str, str]]:
    return [(child.spi_in, child.spi_out) for child in pair.children(host)]


def one_of_each(pair: Pair) -> None:
    """One IKE SA and one CHILD SA, the same at both ends, and it carries traffic both ways."""
    assert_established(pair)
    for host in (pair.alice, pair.bob):
        assert states(pair, host) == ["established"]
        assert [child.state for child in pair.children(host)] == ["installed"]
    assert [(sa["spi_i"], sa["spi_r"]) for sa in pair.sas(pair.alice)] == [
        (sa["spi_i"], sa["spi_r"]) for sa in pair.sas(pair.bob)
    ]
    assert pair.ping() == 1
    assert pair.ping(by="bob") == 1


# one after the other


@pytest.mark.parametrize("by", ["alice", "bob"])
@pytest.mark.parametrize("settings", [{}, PFS], ids=["without PFS", "with PFS"])
def test_a_child_is_rekeyed_on_command(ike_pair: MakePair, by: str, settings: dict[str, Any]) -> None:
    pair, ours, theirs = up(ike_pair, alice={**QUIET, **settings}, bob={**QUIET, **settings})
    asker, answerer = (ours, theirs) if by == "alice" else (theirs, ours)
    host = pair.alice if by == "alice" else pair.bob
    (old,) = pair.children(host)
    traffic = Traffic(pair, 0.2)
    pair.world.run_until(pair.world.now + 0.05)
    host.rekey(old.id)
    pair.world.settle()
    # HDR, SK {N(REKEY_SA), SA, Ni, [KEi], TSi, TSr} -->
    (request,) = asker.of(CREATE_CHILD_SA, response=False)
    exchange = ["KE"] if settings else []
    assert request.kinds == ["Notify", "SA", "Nonce", *exchange, "TSi", "TSr"]
    rekey = request.get(Notify)
    assert (rekey.type, rekey.protocol, rekey.spi.hex()) == (REKEY_SA, 3, old.spi_in)
    # <-- HDR, SK {SA, Nr, [KEr], TSi, TSr}
    (response,) = answerer.of(CREATE_CHILD_SA, response=True)
    assert response.kinds == ["SA", "Nonce", *exchange, "TSi", "TSr"]
    # HDR, SK {D(old)} --> ; <-- HDR, SK {D(old)}
    (delete,) = asker.of(INFORMATIONAL, response=False)
    assert delete.payloads == [Delete(3, (bytes.fromhex(old.spi_in),))]
    (deleted,) = answerer.of(INFORMATIONAL, response=True)
    assert deleted.payloads == [Delete(3, (bytes.fromhex(old.spi_out),))]
    one_of_each(pair)
    assert (old.spi_in, old.spi_out) not in spi_pairs(pair, host)
    for end in (pair.alice, pair.bob):
        (event,) = end.of(Rekeyed)
        assert [item.reason for item in end.of(ChildDown)] == ["rekeyed"]
        assert event.new == pair.children(end)[0].id
    assert traffic.lost() == {"alice": [], "bob": []}


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_an_ike_sa_is_rekeyed_on_command(ike_pair: MakePair, by: str) -> None:
    pair, ours, theirs = up(ike_pair)
    asker, answerer = (ours, theirs) if by == "alice" else (theirs, ours)
    host = pair.alice if by == "alice" else pair.bob
    old = pair.sas(host)[0]
    child = spi_pairs(pair, host)
    traffic = Traffic(pair, 0.2)
    pair.world.run_until(pair.world.now + 0.05)
    host.rekey(host.established[0])
    pair.world.settle()
    # HDR(old), SK {SA(SPIi'), Ni, KEi} --> ; <-- HDR(old), SK {SA(SPIr'), Nr, KEr}
    (request,) = asker.of(CREATE_CHILD_SA, response=False)
    (response,) = answerer.of(CREATE_CHILD_SA, response=True)
    assert request.kinds == response.kinds == ["SA", "Nonce", "KE"]
    assert [len(item.spi) for item in request.get(SA).proposals] == [8, 8, 8]
    # HDR(old), SK {D(IKE)} --> ; <-- HDR(old), SK {}
    (delete,) = asker.of(INFORMATIONAL, response=False)
    assert delete.payloads == [Delete(1)]
    assert [item.payloads for item in answerer.of(INFORMATIONAL, response=True)] == [[]]
    one_of_each(pair)
    fresh = pair.sas(host)[0]
    assert (fresh["spi_i"], fresh["spi_r"]) == (
        request.get(SA).proposals[0].spi.hex(),
        response.get(SA).proposals[0].spi.hex(),
    )
    # whoever asked is the initiator of the new SA; the CHILD SA moved over untouched (2.8)
    assert fresh["role"] == "initiator"
    assert spi_pairs(pair, host) == child
    assert fresh["identity"] == old["identity"]
    assert fresh["established_at"] == old["established_at"]
    for end in (pair.alice, pair.bob):
        assert [event.new for event in end.of(Rekeyed)] == end.established
        assert [event.reason for event in end.of(SaClosed)] == ["rekeyed"]
    assert traffic.lost() == {"alice": [], "bob": []}
    # message IDs start at 0 again (2.2)
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.settle()
    assert header(sent(pair, pair.alice, INFORMATIONAL)[-1].octets).message_id == 0


def test_a_rekeyed_ike_sa_can_be_rekeyed_again_by_either_end(ike_pair: MakePair) -> None:
    pair, _, _ = up(ike_pair)
    seen = set()
    for host in (pair.bob, pair.alice, pair.bob, pair.bob):
        host.rekey(host.established[0])
        pair.world.settle()
        one_of_each(pair)
        host.rekey(pair.children(host)[0].id)
        pair.world.settle()
        one_of_each(pair)
        seen.add(pair.sas(host)[0]["spi_i"])
    assert len(seen) == 4


def test_a_rekeyed_child_keeps_the_selectors_that_were_narrowed(ike_pair: MakePair) -> None:
    # RFC 7296 2.9.2
    pair, ours, _ = up(ike_pair, alice={**QUIET, "child": {"local_ts": "10.0.0.0/8"}})
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    (request,) = ours.of(CREATE_CHILD_SA, response=False)
    assert [str(item) for item in request.get(TSi).selectors] == ["10.1.0.0/24"]
    assert_established(pair)
    assert len(pair.children(pair.alice)) == 1


def test_children_and_ike_sas_are_rekeyed_by_time(ike_pair: MakePair) -> None:
    pair, _, theirs = up(
        ike_pair,
        alice={**QUIET, "rekey_time": 1000.0, "jitter": 0.0, "child": {"rekey_time": 300.0}},
        bob={**QUIET, "rekey_time": 0.0, "child": {"rekey_time": 0.0}},
    )
    start = 0.04
    pair.world.run_until(1050.0)
    requests = [
        (round(entry.sent_at - start, 3)) for entry in sent(pair, pair.alice, CREATE_CHILD_SA, response=False)
    ]
    # the CHILD SA each 300 s after it came up (20 ms later each time), the IKE SA after 1000 s
    assert requests == [300.0, 600.02, 900.04, 1000.0]
    assert theirs.of(CREATE_CHILD_SA, response=False) == []
    assert len(pair.alice.of(Rekeyed)) == len(pair.bob.of(Rekeyed)) == 4
    one_of_each(pair)


def test_jitter_takes_off_at_most_its_part(ike_pair: MakePair) -> None:
    moments = []
    for seed in range(12):
        pair, _, _ = up(
            ike_pair,
            seed=seed,
            alice={**QUIET, "rekey_time": 0.0, "child": {"rekey_time": 100.0}},
            bob={**QUIET, "rekey_time": 0.0, "child": {"rekey_time": 0.0}},
        )
        pair.world.run_until(partial(sent, pair, pair.alice, CREATE_CHILD_SA))
        moments.append(pair.world.now - 0.04)
    assert min(moments) >= 90.0
    assert max(moments) <= 100.0
    assert len(set(moments)) > 6


@pytest.mark.parametrize("what", ["ike", "child"])
def test_an_sa_that_cannot_be_rekeyed_ends_over_time(ike_pair: MakePair, what: str) -> None:
    short: dict[str, Any] = {"rekey_time": 100.0} if what == "ike" else {"child": {"rekey_time": 100.0}}
    pair, _, _ = up(ike_pair, alice={**QUIET, "jitter": 0.0, "over_time": 0.5, **short})
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA))
    pair.world.run_until(pair.world.now + 155.0)
    if what == "ike":
        assert [(event.reason, event.time.minute, event.time.second) for event in pair.alice.of(SaClosed)] == [
            ("lifetime-expired", 2, 30)
        ]
    else:
        # the request is still outstanding: nothing can be asked before it is answered or given up
        pair.world.run_until(pair.world.now + 600.0)
        assert pair.children(pair.alice) == []


def test_no_proposal_chosen_at_rekey_keeps_the_old_sa(ike_pair: MakePair) -> None:
    pair, ours, theirs = up(ike_pair)
    forged = forger(ours, initiator=True, number=0)
    theirs.change = lambda said: [Notify(NO_PROPOSAL_CHOSEN)] if said.exchange == CREATE_CHILD_SA else None
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    assert states(pair, pair.alice) == ["established"]
    assert pair.children(pair.alice)[0].state == "installed"
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["proposal-mismatch"]
    assert forged.installed.spi_i.hex() == pair.sas(pair.alice)[0]["spi_i"]


def test_a_child_that_the_peer_lost_is_made_anew(ike_pair: MakePair) -> None:
    # RFC 7296 2.25.1: CHILD_SA_NOT_FOUND has us delete ours in silence, and ask for a new one
    pair, ours, theirs = up(ike_pair)
    (old,) = pair.children(pair.alice)
    (theirs_old,) = pair.children(pair.bob)
    lost = hold(pair, lambda item: is_message(item, INFORMATIONAL))
    pair.bob.terminate(theirs_old.id)
    # <-- HDR, SK {D} is answered, but alice never saw it: somebody else had her keys
    answer = forger(ours, initiator=True, number=0).sealed(INFORMATIONAL, 0, [], response=True)
    pair.bob.inject(answer, path_to(pair.bob, pair.alice))
    assert lost
    assert pair.children(pair.bob) == []
    pair.alice.rekey(old.id)
    pair.world.settle()
    first, second = ours.of(CREATE_CHILD_SA, response=False)
    assert [item.notifies for item in theirs.of(CREATE_CHILD_SA, response=True)] == [[CHILD_SA_NOT_FOUND], []]
    assert (first.notifies, second.notifies) == ([REKEY_SA], [])
    assert ours.of(INFORMATIONAL, response=False) == []
    one_of_each(pair)


def test_invalid_ke_payload_at_rekey_is_followed(ike_pair: MakePair) -> None:
    proposals = ("aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384")
    children = ("aes128gcm16-x25519", "aes256gcm16-ecp384")
    pair, ours, theirs = up(
        ike_pair,
        alice={**QUIET, "proposals": proposals, "child": {"proposals": children}},
        bob={**QUIET, "proposals": proposals[::-1], "child": {"proposals": children[::-1]}},
    )
    # IKE_AUTH chose bob's first; a rekeying of the CHILD SA starts with alice's first method all the same
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    methods = [item.get(KE).method for item in ours.of(CREATE_CHILD_SA, response=False)]
    assert methods == [31, 20]
    assert theirs.of(CREATE_CHILD_SA, response=True)[0].payloads == [Notify(17, (20).to_bytes(2))]
    one_of_each(pair)
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    # the IKE SA uses the method that bob is known to take
    assert [item.get(KE).method for item in ours.of(CREATE_CHILD_SA, response=False)][2:] == [20]
    one_of_each(pair)


# both at once


LOW, HIGH = b"\x00" * 32, (b"\x40" * 32, b"\x80" * 32, b"\xc0" * 32)


def pin_nonces(pair: Pair, lowest: str) -> None:
    """Choose the four nonces: (Ni, Nr) of alice's exchange and of bob's. Whoever asks draws first, then answers."""
    names = ("alice asks", "bob answers", "bob asks", "alice answers")
    high = iter(HIGH)
    nonces = {name: LOW if name == lowest else next(high) for name in names}
    pair.alice.ports.random.chosen["nonce"] = [nonces["alice asks"], nonces["alice answers"]]
    pair.bob.ports.random.chosen["nonce"] = [nonces["bob asks"], nonces["bob answers"]]


LOSERS = [("alice asks", "alice"), ("bob answers", "alice"), ("bob asks", "bob"), ("alice answers", "bob")]


@pytest.mark.parametrize(("lowest", "loser"), LOSERS)
@pytest.mark.parametrize("settings", [{}, PFS], ids=["without PFS", "with PFS"])
def test_both_rekey_a_child_at_once(ike_pair: MakePair, lowest: str, loser: str, settings: dict[str, Any]) -> None:
    pair, ours, theirs = up(ike_pair, alice={**QUIET, **settings}, bob={**QUIET, **settings})
    pin_nonces(pair, lowest)
    (old,) = pair.children(pair.alice)
    (theirs_old,) = pair.children(pair.bob)
    traffic = Traffic(pair, 0.2)
    pair.world.run_until(pair.world.now + 0.05)
    # HDR, SK {N(REKEY_SA), SA, Ni1, TSi, TSr} --> and <-- HDR, SK {N(REKEY_SA), SA, Ni2, TSi, TSr}
    pair.alice.rekey(old.id)
    pair.bob.rekey(theirs_old.id)
    pair.world.settle()
    made = {
        "alice": ours.of(CREATE_CHILD_SA, response=False)[0].get(SA).proposals[0].spi,
        "bob": theirs.of(CREATE_CHILD_SA, response=False)[0].get(SA).proposals[0].spi,
    }
    olds = {"alice": bytes.fromhex(old.spi_in), "bob": bytes.fromhex(old.spi_out)}
    winner = "bob" if loser == "alice" else "alice"
    deletes = {
        name: [item.payloads for item in tapped.of(INFORMATIONAL, response=False)]
        for name, tapped in (("alice", ours), ("bob", theirs))
    }
    # RFC 7296 2.8.1: the SA with the lowest of the four nonces is closed by the end that made it, the old SA by the
    # end whose SA survives
    assert deletes[loser] == [[Delete(3, (made[loser],))]]
    assert deletes[winner] == [[Delete(3, (olds[winner],))]]
    one_of_each(pair)
    side = pair.alice if winner == "alice" else pair.bob
    assert pair.children(side)[0].spi_in == made[winner].hex()
    for end in (pair.alice, pair.bob):
        (event,) = end.of(Rekeyed)
        assert event.new == pair.children(end)[0].id
        assert {item.reason for item in end.of(ChildDown)} == {"rekeyed"}
    assert traffic.lost() == {"alice": [], "bob": []}


@pytest.mark.parametrize(("lowest", "loser"), LOSERS)
def test_both_rekey_the_ike_sa_at_once(ike_pair: MakePair, lowest: str, loser: str) -> None:
    pair, ours, theirs = up(ike_pair)
    pin_nonces(pair, lowest)
    traffic = Traffic(pair, 0.2)
    pair.world.run_until(pair.world.now + 0.05)
    # HDR(old), SK {SA, Ni1, KEi1} --> and <-- HDR(old), SK {SA, Ni2, KEi2}
    pair.alice.rekey(pair.alice.established[0])
    pair.bob.rekey(pair.bob.established[0])
    pair.world.settle()
    made = {
        "alice": ours.of(CREATE_CHILD_SA, response=False)[0].get(SA).proposals[0].spi.hex(),
        "bob": theirs.of(CREATE_CHILD_SA, response=False)[0].get(SA).proposals[0].spi.hex(),
    }
    # the loser closes the SA that it made, the winner closes the old one
    for tapped in (ours, theirs):
        assert [item.payloads for item in tapped.of(INFORMATIONAL, response=False)] == [[Delete(1)]]
    one_of_each(pair)
    winner = "bob" if loser == "alice" else "alice"
    assert pair.sas(pair.alice)[0]["spi_i"] == made[winner]
    for end in (pair.alice, pair.bob):
        assert [event.new for event in end.of(Rekeyed)] == end.established
        assert {event.reason for event in end.of(SaClosed)} <= {"rekeyed", "deleted-by-peer"}
    assert traffic.lost() == {"alice": [], "bob": []}


@pytest.mark.parametrize("late", ["request", "response"])
@pytest.mark.parametrize(("lowest", "loser"), LOSERS)
def test_both_rekey_a_child_and_one_message_is_late(ike_pair: MakePair, lowest: str, loser: str, late: str) -> None:
    pair, _, _ = up(ike_pair)
    pin_nonces(pair, lowest)
    kept = hold(
        pair,
        lambda item: (
            item.source.host == "192.0.2.2" and is_message(item, CREATE_CHILD_SA, response=late == "response")
        ),
        times=1,
    )
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.bob.rekey(pair.children(pair.bob)[0].id)
    pair.world.settle()
    release(pair, kept[0])
    pair.world.run_until(pair.world.now + 60.0)
    one_of_each(pair)
    for end in (pair.alice, pair.bob):
        assert {item.reason for item in end.of(ChildDown)} <= {"rekeyed"}


# rekeying across other exchanges


def crossing(pair: Pair, ours: str, theirs: str) -> None:
    """alice does one thing and bob another at the same instant."""
    for host, action in ((pair.alice, ours), (pair.bob, theirs)):
        sa, child = host.established[0], pair.children(host)[0].id
        match action:
            case "rekey ike":
                host.rekey(sa)
            case "rekey child":
                host.rekey(child)
            case "delete ike":
                host.terminate(sa)
            case "delete child":
                host.terminate(child)
            case "liveness":
                host.check_liveness(sa)


@pytest.mark.parametrize(
    ("ours", "theirs", "left"),
    [
        ("rekey ike", "rekey child", "both"),
        ("rekey child", "rekey ike", "both"),
        ("rekey ike", "delete child", "ike"),
        ("delete child", "rekey ike", "ike"),
        ("rekey child", "delete child", "ike"),
        ("delete child", "rekey child", "ike"),
        ("rekey ike", "delete ike", "nothing"),
        ("delete ike", "rekey ike", "nothing"),
        ("rekey child", "delete ike", "nothing"),
        ("delete ike", "rekey child", "nothing"),
        ("delete ike", "delete ike", "nothing"),
        ("delete child", "delete ike", "nothing"),
        ("rekey ike", "liveness", "both"),
        ("liveness", "rekey ike", "both"),
        ("liveness", "liveness", "both"),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_crossings(ike_pair: MakePair, seed: int, ours: str, theirs: str, left: str) -> None:
    pair, _, _ = up(ike_pair, seed=seed)
    crossing(pair, ours, theirs)
    pair.world.run_until(pair.world.now + 120.0)
    if left == "both":
        one_of_each(pair)
        rekeyings = sum(action.startswith("rekey") for action in (ours, theirs))
        for host in (pair.alice, pair.bob):
            assert len(host.of(Rekeyed)) == rekeyings
    elif left == "ike":
        assert_established(pair)
        for host in (pair.alice, pair.bob):
            assert states(pair, host) == ["established"]
            assert pair.children(host) == []
        pair.alice.create_child(pair.alice.established[0], "net")
        pair.world.settle()
        one_of_each(pair)
    else:
        assert pair.sas(pair.alice) == pair.sas(pair.bob) == []
        assert pair.alice.established == pair.bob.established == []


@pytest.mark.parametrize("what", ["CHILD", "IKE"])
def test_a_rekeying_that_the_peer_puts_off_is_tried_again(ike_pair: MakePair, what: str) -> None:
    # RFC 7296 2.25.2: bob rekeys the one while alice would rekey the other, and his request is lost for 8 seconds
    pair, _, theirs = up(ike_pair)
    kept = hold(
        pair,
        lambda item: (
            item.source.host == "192.0.2.2"
            and item.sent_at < 8.0
            and is_message(item, CREATE_CHILD_SA, response=False)
        ),
    )
    pair.bob.rekey(pair.bob.established[0] if what == "CHILD" else pair.children(pair.bob)[0].id)
    pair.alice.rekey(pair.alice.established[0] if what == "IKE" else pair.children(pair.alice)[0].id)
    pair.world.run_until(60.0)
    assert len(kept) == 2
    put_off = [item for item in theirs.of(CREATE_CHILD_SA, response=True) if TEMPORARY_FAILURE in item.notifies]
    assert len(put_off) >= 2
    requests = sent(pair, pair.alice, CREATE_CHILD_SA, response=False)
    moments = [entry.sent_at for entry in requests if entry.sent_at < 8.0]
    # between two tries 2 to 5 seconds pass
    assert all(2.0 <= later - earlier <= 5.1 for earlier, later in pairwise(moments))
    assert len(pair.alice.of(Rekeyed)) == len(pair.bob.of(Rekeyed)) == 2
    one_of_each(pair)


def test_a_closing_ike_sa_makes_nothing_new(ike_pair: MakePair) -> None:
    # RFC 7296 2.25: TEMPORARY_FAILURE to whoever asks while we delete
    pair, ours, theirs = up(ike_pair)
    hold(pair, lambda item: item.source.host == "192.0.2.2" and is_message(item, INFORMATIONAL))
    forged = forger(ours, initiator=True, number=0)
    pair.bob.terminate(pair.bob.established[0])
    request = [
        SA(ours_offer(pair)),
        Nonce(bytes(32)),
        TSi(pair.alice.config.connections["bob"].children[0].local_ts),
        TSr(pair.alice.config.connections["bob"].children[0].remote_ts),
    ]
    pair.bob.inject(forged.sealed(CREATE_CHILD_SA, 2, request), path_to(pair.bob, pair.alice))
    assert theirs.of(CREATE_CHILD_SA, response=True)[0].notifies == [TEMPORARY_FAILURE]


def ours_offer(pair: Pair) -> tuple[Proposal, ...]:
    return numbered(pair.alice.config.connections["bob"].children[0].proposals, b"\1\2\3\4")
