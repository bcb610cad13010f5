"""CHILD SAs: selectors, proposals, failures that leave the IKE SA alone, further ones (RFC 7296 1.2, 1.3.1, 2.9)."""

from typing import Any

import pytest

from ikesim.errors import NotFoundError
from ikesim.esp.host import echo_request
from ikesim.esp.packet import OutboundEsp
from ikesim.ike.events import Anomaly, ChildDown, ChildUp, SaClosed, SaRefused
from ikesim.testing import assert_established
from ikesim.wire.payloads import KE, SA, Nonce, Notify, TSi, TSr
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.selectors import TrafficSelector
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    INFORMATIONAL,
    MakePair,
    Said,
    counters,
    forger,
    path_to,
    states,
    tap,
)

USE_TRANSPORT_MODE, TS_UNACCEPTABLE, NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD = 16391, 38, 14, 17
INVALID_SYNTAX, CHILD_SA_NOT_FOUND = 7, 44


def ts(text: str) -> TrafficSelector:
    return TrafficSelector.parse(text)


def reasons(host: Any) -> list[str]:
    return [event.reason for event in host.of(ChildDown)]


@pytest.mark.parametrize(
    ("ours", "theirs", "narrowed"),
    [
        # initiator's local-ts and what the responder's remote-ts leaves of it (RFC 7296 2.9)
        ("10.1.0.0/24", "10.1.0.0/24", ("10.1.0.0/24",)),
        ("10.0.0.0/8", "10.1.0.0/24", ("10.1.0.0/24",)),
        ("10.1.0.0/24", "10.0.0.0/8", ("10.1.0.0/24",)),
        (("10.1.0.0/24", "10.3.0.0/24"), "10.1.0.0/24", ("10.1.0.0/24",)),
        ("10.1.0.0/24", ("10.1.0.0/25", "10.1.0.192/26"), ("10.1.0.0/25", "10.1.0.192/26")),
        ("10.1.0.0/24", "10.1.0.0/24[icmp]", ("10.1.0.0/24[icmp]",)),
    ],
)
def test_the_responder_narrows(ike_pair: MakePair, ours: Any, theirs: Any, narrowed: tuple[str, ...]) -> None:
    pair = ike_pair(alice={"child": {"local_ts": ours}}, bob={"child": {"remote_ts": theirs}})
    tapped = tap(pair.bob)
    pair.up()
    assert_established(pair)
    assert tapped.of(IKE_AUTH, response=True)[0].get(TSi).selectors == tuple(map(ts, narrowed))
    assert pair.alice.of(ChildUp)[0].local_ts == pair.bob.of(ChildUp)[0].remote_ts
    assert [ts(item) for item in pair.alice.of(ChildUp)[0].local_ts] == [ts(item) for item in narrowed]


def test_what_was_narrowed_away_is_not_protected(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"child": {"local_ts": "10.0.0.0/8"}})
    pair.up()
    sent = len(pair.world.network.log)
    pair.alice.send_inner(echo_request("10.9.0.1", "10.2.0.1", 1, 1, b""))
    assert len(pair.world.network.log) == sent
    assert counters(pair.alice)["inner-packets-without-child"] == 1
    pair.alice.send_inner(echo_request("10.1.0.1", "10.2.0.1", 1, 1, b""))
    pair.world.settle()
    assert len(pair.alice.inner_received) == 1


def test_an_inner_packet_outside_the_selectors_is_dropped(ike_pair: MakePair) -> None:
    # RFC 4301 5.2: a peer that may send from its network only
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert len(ours.child_keys) == len(theirs.child_keys) == 1
    keys = ours.child_keys[0]
    esp = OutboundEsp(keys.spi_out, keys.suite, keys.keys.ei, keys.keys.ai)
    good, bad = (
        esp.protect(echo_request(source, "10.2.0.1", 1, 1, b""), lambda count: bytes(count))
        for source in ("10.1.0.1", "10.9.0.1")
    )
    path = path_to(pair.bob, pair.alice)
    pair.bob.inject(bad, path)
    assert pair.bob.inner_received == []
    assert counters(pair.bob)["esp-outside-selectors"] == 1
    pair.bob.inject(good, path)
    assert len(pair.bob.inner_received) == 1
    # the replay window takes neither twice
    pair.bob.inject(good, path)
    assert (len(pair.bob.inner_received), counters(pair.bob)["esp-replay"]) == (1, 1)
    pair.bob.inject(good[:-1] + bytes((good[-1] ^ 1,)), path)
    pair.bob.inject(b"\1\2\3\4" + good[4:], path)
    assert len(pair.bob.inner_received) == 1


@pytest.mark.parametrize(
    ("bob", "notify", "theirs", "ours"),
    [
        ({"remote_ts": "172.16.0.0/12"}, TS_UNACCEPTABLE, "ts-mismatch", "ts-mismatch"),
        ({"local_ts": "172.16.0.0/12"}, TS_UNACCEPTABLE, "ts-mismatch", "ts-mismatch"),
        ({"proposals": "aes256-sha512"}, NO_PROPOSAL_CHOSEN, "proposal-mismatch", "proposal-mismatch"),
    ],
)
def test_a_failed_child_leaves_the_ike_sa_up(
    ike_pair: MakePair, bob: dict[str, str], notify: int, theirs: str, ours: str
) -> None:
    pair = ike_pair(bob={"child": bob})
    tapped = tap(pair.bob)
    pair.up()
    # <-- HDR, SK {IDr, CERT, AUTH, N(TS_UNACCEPTABLE)}
    said = tapped.of(IKE_AUTH, response=True)[0]
    assert notify in said.notifies
    assert not {"SA", "TSi", "TSr"} & set(said.kinds)
    assert_established(pair)
    assert (reasons(pair.bob), reasons(pair.alice)) == ([theirs], [ours])
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    # it lives: both ends answer
    pair.alice.check_liveness(pair.alice.established[0])
    pair.bob.check_liveness(pair.bob.established[0])
    pair.world.settle()
    assert_established(pair)


def test_transport_mode_is_not_echoed(ike_pair: MakePair) -> None:
    # RFC 7296 1.3.1: a responder that declines answers without the notify, and tunnel mode it is
    pair = ike_pair()
    theirs = tap(pair.bob)
    tap(pair.alice).change = lambda said: (
        [*said.payloads, Notify(USE_TRANSPORT_MODE)] if said.exchange == IKE_AUTH else None
    )
    pair.up()
    assert_established(pair)
    assert USE_TRANSPORT_MODE not in theirs.of(IKE_AUTH, response=True)[0].notifies
    assert pair.ping() == 1


def test_ike_auth_never_offers_a_key_exchange_for_its_child(ike_pair: MakePair) -> None:
    # RFC 7296 1.2: the SA payload of IKE_AUTH has no transform of type 4 (nor a KE payload)
    child = {"proposals": "aes128gcm16-x25519"}
    pair = ike_pair(alice={"child": child}, bob={"child": child})
    tapped = tap(pair.alice)
    pair.up()
    assert_established(pair)
    offer = tapped.of(IKE_AUTH, response=False)[0].get(SA)
    assert [item.type for item in offer.proposals[0].transforms] == [1, 5]


def spi_of(said: Said) -> bytes:
    return said.get(SA).proposals[0].spi


def test_a_further_child_sa(ike_pair: MakePair) -> None:
    nets = [
        [{"name": name, "local_ts": f"10.{own}.{n}.0/24", "remote_ts": f"10.{other}.{n}.0/24", "proposals": esp}
         for n, (name, esp) in enumerate((("net", "aes128gcm16"), ("more", "aes256gcm16-x25519")))]
        for own, other in ((1, 2), (2, 1))
    ]  # fmt: skip
    pair = ike_pair(alice={"children": nets[0][:1]}, bob={"children": nets[1]})
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    # HDR, SK {SA, Ni, KEi, TSi, TSr} --> from the responder of the IKE SA
    with pytest.raises(NotFoundError, match="has no child 'less'"):
        pair.bob.create_child(pair.bob.established[0], "less")
    pair.bob.create_child(pair.bob.established[0], "more")
    pair.world.settle()
    request, response = theirs.of(CREATE_CHILD_SA, response=False)[0], ours.of(CREATE_CHILD_SA, response=True)[0]
    assert request.kinds == ["SA", "Nonce", "KE", "TSi", "TSr"]
    assert (request.message_id, request.get(KE).method) == (0, 31)
    # alice has no child for these selectors
    assert response.notifies == [TS_UNACCEPTABLE]
    assert reasons(pair.bob) == ["ts-mismatch"]
    assert_established(pair)


def test_a_child_that_was_ended_can_be_made_again_with_pfs(ike_pair: MakePair) -> None:
    child = {"proposals": "aes256gcm16-x25519"}
    pair = ike_pair(alice={"child": child}, bob={"child": child})
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    (sa,) = pair.alice.established
    (old,) = pair.children(pair.alice)
    pair.alice.terminate(old.id)
    pair.world.settle()
    assert pair.ping() == 0
    pair.alice.create_child(sa, "net")
    pair.world.settle()
    request, response = ours.of(CREATE_CHILD_SA, response=False)[0], theirs.of(CREATE_CHILD_SA, response=True)[0]
    assert request.kinds == ["SA", "Nonce", "KE", "TSi", "TSr"]
    assert response.kinds == ["SA", "Nonce", "KE", "TSi", "TSr"]
    assert spi_of(request) != spi_of(response)
    assert request.get(Nonce).data != response.get(Nonce).data
    assert_established(pair)
    assert pair.ping(2) == 2


def test_a_delete_of_a_child_is_answered_with_the_other_half(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    (child,) = pair.children(pair.alice)
    pair.alice.terminate(child.id)
    pair.world.settle()
    # HDR, SK {D(ESP, our inbound SPI)} --> ; <-- HDR, SK {D(ESP, the peer's)}   RFC 7296 1.4.1
    (asked,) = ours.of(INFORMATIONAL, response=False)
    (answered,) = theirs.of(INFORMATIONAL, response=True)
    assert [(item.protocol, item.spis) for item in asked.payloads] == [(3, (bytes.fromhex(child.spi_in),))]
    assert [(item.protocol, item.spis) for item in answered.payloads] == [(3, (bytes.fromhex(child.spi_out),))]
    assert (reasons(pair.alice), reasons(pair.bob)) == (["deleted-by-us"], ["deleted-by-peer"])
    assert_established(pair)
    assert pair.ping() == 0


def test_children_that_both_ends_delete_at_once(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    pair.alice.terminate(pair.children(pair.alice)[0].id)
    pair.bob.terminate(pair.children(pair.bob)[0].id)
    pair.world.settle()
    # RFC 7296 2.25.1, 1.4.1: who is deleting it itself answers without a DELETE
    for tapped in (ours, theirs):
        assert [item.payloads for item in tapped.of(INFORMATIONAL, response=True)] == [[]]
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    assert len(pair.alice.of(ChildDown)) == len(pair.bob.of(ChildDown)) == 1
    assert_established(pair)


def offer(*, spi: bytes = b"\x11\x22\x33\x44", exchange: int | None = None) -> SA:
    transforms = [Transform(1, 20, 128), Transform(5, 0)]
    if exchange is not None:
        transforms.insert(1, Transform(4, exchange))
    return SA((Proposal(1, 3, spi, tuple(transforms)),))


OURS, THEIRS = TSi((ts("10.1.0.0/24"),)), TSr((ts("10.2.0.0/24"),))


def test_no_additional_child_over_a_wrong_key_exchange(ike_pair: MakePair) -> None:
    child = {"proposals": "aes128gcm16-x25519"}
    pair = ike_pair(alice={"child": child}, bob={"child": child})
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    forged, path = forger(ours, initiator=True), path_to(pair.bob, pair.alice)
    # HDR, SK {SA, Ni, KEi(14), TSi, TSr} --> ; <-- HDR, SK {N(INVALID_KE_PAYLOAD, 31)}
    request = [offer(exchange=31), Nonce(bytes(32)), KE(14, bytes(256)), OURS, THEIRS]
    pair.bob.inject(forged.sealed(CREATE_CHILD_SA, 2, request), path)
    (said,) = theirs.of(CREATE_CHILD_SA, response=True)
    assert said.payloads == [Notify(INVALID_KE_PAYLOAD, (31).to_bytes(2))]
    # without any KE it is the same
    request = [offer(exchange=31), Nonce(bytes(32)), OURS, THEIRS]
    pair.bob.inject(forged.sealed(CREATE_CHILD_SA, 3, request), path)
    assert theirs.of(CREATE_CHILD_SA, response=True)[1].notifies == [INVALID_KE_PAYLOAD]
    assert states(pair, pair.bob) == ["established"]


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_rekeying_what_does_not_exist(ike_pair: MakePair, protocol: int) -> None:
    # RFC 7296 2.25.1; CVE-2023-38710: libreswan stopped at a REKEY_SA with a protocol other than ESP
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    forged, path = forger(ours, initiator=True), path_to(pair.bob, pair.alice)
    rekey = Notify(16393, protocol=protocol, spi=b"\xde\xad\xbe\xef")
    pair.bob.inject(forged.sealed(CREATE_CHILD_SA, 2, [rekey, offer(), Nonce(bytes(32)), OURS, THEIRS]), path)
    (said,) = theirs.of(CREATE_CHILD_SA, response=True)
    assert said.payloads == [Notify(CHILD_SA_NOT_FOUND, protocol=protocol, spi=b"\xde\xad\xbe\xef")]
    assert_established(pair)


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([offer(), OURS, THEIRS], id="no nonce"),
        pytest.param([offer(), Nonce(bytes(32)), OURS], id="no TSr"),
        pytest.param([offer(), offer(), Nonce(bytes(32)), OURS, THEIRS], id="two SA"),
        pytest.param([Nonce(bytes(32)), OURS, THEIRS], id="no SA"),
        pytest.param(
            [Notify(16393, protocol=1, spi=bytes(4)), offer(), Nonce(bytes(32)), OURS, THEIRS],
            id="REKEY_SA of an IKE SA",
        ),
    ],
)
def test_a_malformed_request_of_an_authenticated_peer_ends_the_sa(ike_pair: MakePair, payloads: list[Any]) -> None:
    # RFC 7296 2.21.3: INVALID_SYNTAX is fatal for the IKE SA, once the message is authenticated
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    pair.bob.inject(forger(ours, initiator=True).sealed(CREATE_CHILD_SA, 2, payloads), path_to(pair.bob, pair.alice))
    (said,) = theirs.of(CREATE_CHILD_SA, response=True)
    assert said.notifies == [INVALID_SYNTAX]
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["payload-malformed"]
    assert len(pair.bob.of(Anomaly)) == 1


@pytest.mark.parametrize("missing", ["SA", "TSi", "TSr", "TSi TSr", "SA TSr"])
def test_ike_auth_with_half_a_child_is_malformed(ike_pair: MakePair, missing: str) -> None:
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        [item for item in said.payloads if type(item).__name__ not in missing.split()]
        if said.exchange == IKE_AUTH
        else None
    )
    theirs = tap(pair.bob)
    pair.up()
    assert theirs.of(IKE_AUTH, response=True)[0].notifies == [INVALID_SYNTAX]
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["payload-malformed"]
    assert pair.alice.established == pair.bob.established == []


def test_a_response_outside_the_offer_ends_the_child_at_both_ends(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tap(pair.bob).change = lambda said: (
        [TSi((ts("0.0.0.0/0"),)) if isinstance(item, TSi) else item for item in said.payloads]
        if said.exchange == IKE_AUTH
        else None
    )
    pair.up()
    assert_established(pair)
    assert (reasons(pair.alice), reasons(pair.bob)) == (["ts-mismatch"], ["deleted-by-peer"])
    assert pair.children(pair.alice) == pair.children(pair.bob) == []


def test_a_proposal_that_was_not_offered_ends_the_child(ike_pair: MakePair) -> None:
    pair = ike_pair()

    def other(said: Said) -> list[Any] | None:
        if said.exchange != IKE_AUTH:
            return None
        weak = SA((Proposal(1, 3, spi_of(said), (Transform(1, 11), Transform(3, 12), Transform(5, 0))),))
        return [weak if isinstance(item, SA) else item for item in said.payloads]

    tap(pair.bob).change = other
    pair.up()
    assert_established(pair)
    assert reasons(pair.alice) == ["proposal-mismatch"]
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
