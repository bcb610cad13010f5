"""Redirection to another gateway: at IKE_SA_INIT, in IKE_AUTH and later; and what is not followed (RFC 5685)."""

from dataclasses import replace
from typing import Any

import pytest

from ikesim.errors import UsageError
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import Anomaly, Redirected, SaClosed, SaEstablished, SaRefused
from ikesim.sim.host import SimHost
from ikesim.sim.network import Transit
from ikesim.testing import Pair
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Flags, Header, encode_message
from ikesim.wire.payloads import IDr, Nonce, Notify
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    Tap,
    counters,
    hold,
    is_message,
    sent,
    states,
    tap,
)

REDIRECT_SUPPORTED, REDIRECT, REDIRECTED_FROM = 16406, 16407, 16408
FIRST, SECOND, THIRD = "192.0.2.2", "192.0.2.3", "192.0.2.4"
FOLLOW: dict[str, Any] = {"follow_redirects": True}


def gateway(host: str) -> bytes:
    """GW Ident Type 1 (IPv4), GW Ident Len, the address (RFC 5685 7.1)."""
    return b"\x01\x04" + bytes(map(int, host.split(".")))


def gateways(ike_pair: MakePair, *, alice: dict[str, Any] = FOLLOW, **settings: dict[str, Any]) -> Pair:
    """alice, and bob with three addresses, a connection on each: `first`, `second`, `third` with their settings."""
    listen = (f"{FIRST}:500", f"{SECOND}:500", f"{THIRD}:500")
    pair = ike_pair(alice=alice, bob={"listen": listen, "liveness": {"interval": 0}})
    whole = pair.bob.config.connections["alice"]
    connections = {}
    for name, host in (("first", FIRST), ("second", SECOND), ("third", THIRD)):
        at: dict[str, Any] = {"name": name, "local": Address(host, 500), "local_nat_t": Address(host, 4500)}
        connections[name] = replace(whole, **at, **settings.get(name, {}))
    pair.bob.reconfigure(replace(pair.bob.config, connections=connections))
    return pair


def where(host: SimHost) -> list[str]:
    """The connections of a host's SAs that are up, as they were established."""
    return [event.connection for event in host.peers().values()]


def to(host: str, at: str = "init") -> dict[str, Any]:
    return {"redirect_to": host, "redirect_at": at}


def asked(tapped: Tap) -> list[tuple[list[int], bytes | None]]:
    """Of each IKE_SA_INIT request: its redirect notifies, and what REDIRECTED_FROM says."""
    rows = []
    for said in tapped.of(IKE_SA_INIT, response=False):
        notify = said.notify(REDIRECTED_FROM)
        kinds = [kind for kind in said.notifies if kind in (REDIRECT_SUPPORTED, REDIRECT, REDIRECTED_FROM)]
        rows.append((kinds, notify.data if notify else None))
    return rows


def hosts_asked(pair: Pair) -> list[str]:
    return [entry.destination.host for entry in sent(pair, pair.alice, IKE_SA_INIT)]


# at IKE_SA_INIT


def test_a_client_goes_where_ike_sa_init_sends_it(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND))
    alice = tap(pair.alice)
    answers: list[bytes] = []
    pair.bob.hooks.on_send = lambda sa, octets, path: answers.append(octets)
    pair.up()
    # HDR(A,0), SAi1, KEi, Ni, N(REDIRECT_SUPPORTED) -->  <-- HDR(A,0), N(REDIRECT, gateway, Ni)
    # to the other gateway: HDR(A',0), SAi1, KEi, Ni, N(REDIRECTED_FROM, first gateway) -->
    assert hosts_asked(pair) == [FIRST, SECOND]
    assert asked(alice) == [([REDIRECT_SUPPORTED], None), ([REDIRECTED_FROM], gateway(FIRST))]
    one, two = alice.of(IKE_SA_INIT, response=False)
    nonce = one.get(Nonce).data
    assert answers[0].endswith(b"\x00\x00" + REDIRECT.to_bytes(2) + gateway(SECOND) + nonce)
    assert two.get(Nonce).data != nonce
    first, second = (entry.octets for entry in sent(pair, pair.alice, IKE_SA_INIT))
    assert first[:8] != second[:8]
    # the same SA to whoever asked for it, one event for the way
    (event,) = pair.alice.of(Redirected)
    assert (event.gateway, event.old == event.new == pair.alice.established[0]) == (SECOND, True)
    assert where(pair.bob) == ["second"]
    assert pair.alice.of(SaRefused) == []
    assert states(pair, pair.bob) == ["established"]
    assert counters(pair.bob)["redirected-at-init"] == 1
    assert pair.ping() == 1


@pytest.mark.parametrize("follow", [True, False])
def test_who_does_not_follow_is_served(ike_pair: MakePair, follow: bool) -> None:
    pair = gateways(ike_pair, alice={"follow_redirects": follow}, first=to(SECOND))
    alice = tap(pair.alice)
    pair.up()
    assert where(pair.bob) == (["second"] if follow else ["first"])
    assert bool(asked(alice)[0][0]) is follow


def test_a_redirect_is_stateless_and_comes_after_the_cookie(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND))
    pair.bob.reconfigure(replace(pair.bob.config, cookie_threshold=0))
    pair.up()
    assert where(pair.bob) == ["second"]
    assert hosts_asked(pair) == [FIRST, FIRST, SECOND, SECOND]


def test_nobody_is_sent_back(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND), second=to(FIRST))
    pair.up()
    assert hosts_asked(pair) == [FIRST, SECOND]
    assert where(pair.bob) == ["second"]


def test_a_loop_ends_after_five_redirects(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND), second=to(THIRD), third=to(FIRST))
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert (verdict.reason, verdict.by, verdict.authenticated) == ("redirected", "peer", False)
    assert "loop" in verdict.detail
    assert hosts_asked(pair) == [FIRST, SECOND, THIRD, FIRST, SECOND, THIRD]
    assert len(pair.alice.of(Redirected)) == 5
    assert (states(pair, pair.alice), states(pair, pair.bob)) == ([], [])


def test_after_five_minutes_redirects_are_followed_again(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, alice={**FOLLOW, "liveness": {"interval": 0}}, first=to(SECOND))
    for _ in range(5):
        pair.up()
        pair.down()
        pair.world.run_until(pair.world.now + 10.0)
    assert isinstance(pair.up(), SaRefused)
    pair.world.run_until(pair.world.now + 301.0)
    assert isinstance(pair.up(), SaEstablished)


def forge(pair: Pair, data: Any) -> None:
    """Let somebody on the path answer alice's first IKE_SA_INIT with a REDIRECT, before the true answer comes."""
    tapped = tap(pair.alice)
    done: list[int] = []

    def answer(transit: Transit) -> None:
        if done or not is_message(transit, IKE_SA_INIT, response=True):
            return
        done.append(transit.number)
        nonce = tapped.said[0].get(Nonce).data
        header = Header(transit.octets[:8], bytes(8), 0, 0x20, IKE_SA_INIT, int(Flags.RESPONSE), 0, 0)
        octets = encode_message(header, [Notify(REDIRECT, data(nonce) if callable(data) else data)])
        path = Path(transit.destination, transit.source)
        pair.world.after(0.0, lambda world: pair.alice.inject(octets, path))

    pair.world.network.add_filter(answer)


@pytest.mark.parametrize(
    "data",
    [
        gateway(SECOND),
        lambda nonce: gateway(SECOND) + nonce[:-1] + bytes((nonce[-1] ^ 1,)),
        lambda nonce: gateway(SECOND) + nonce + b"\0",
        lambda nonce: b"\x01\x05" + bytes(5) + nonce,
        lambda nonce: b"\x01\x00" + nonce,
        b"",
        b"\x01",
        b"\x01\xff",
    ],
)
def test_a_redirect_without_our_nonce_or_that_does_not_parse_is_nothing(ike_pair: MakePair, data: Any) -> None:
    pair = gateways(ike_pair)
    forge(pair, data)
    pair.up()
    assert where(pair.bob) == ["first"]
    assert pair.alice.of(Redirected) == []


@pytest.mark.parametrize(
    ("kind", "identity", "said"),
    [
        (3, b"gw.example", "'gw.example', but only addresses"),
        (3, b"\x1b[31mgw", "\\\\x1b[31mgw"),
        (2, bytes(15) + b"\x01", "another address family"),
        (9, b"?", "only addresses"),
    ],
)
def test_what_is_no_address_for_us_ends_the_attempt(
    ike_pair: MakePair, kind: int, identity: bytes, said: str
) -> None:
    pair = gateways(ike_pair)
    forge(pair, lambda nonce: bytes((kind, len(identity))) + identity + nonce)
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert verdict.reason == "redirected"
    assert said in verdict.detail or said in repr(verdict.detail)


def test_who_does_not_follow_believes_no_redirect(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, alice={})
    forge(pair, lambda nonce: gateway(SECOND) + nonce)
    pair.up()
    assert where(pair.bob) == ["first"]


# in IKE_AUTH


def test_a_client_goes_where_ike_auth_sends_it(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND, "auth"))
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    pair.world.settle()
    # HDR, SK {IDi, ...} -->  <-- HDR, SK {IDr, CERT, AUTH, N(REDIRECT)}
    # HDR, SK {D} -->  <-- HDR, SK {}, and IKE_SA_INIT to the other gateway
    answer = bob.of(IKE_AUTH, response=True)[0]
    assert answer.notify(REDIRECT) == Notify(REDIRECT, gateway(SECOND))
    assert "SA" not in answer.kinds
    assert answer.get(IDr)
    assert [said.kinds for said in alice.of(INFORMATIONAL, response=False)] == [["Delete"]]
    assert asked(alice) == [([REDIRECT_SUPPORTED], None), ([REDIRECTED_FROM], gateway(FIRST))]
    (event,) = pair.alice.of(Redirected)
    (refused,) = pair.alice.of(SaRefused)
    assert (refused.sa, refused.reason, refused.by, refused.authenticated) == (event.old, "redirected", "peer", True)
    assert refused.decision is not None
    assert refused.decision.accepted
    assert pair.alice.established == [event.new]
    assert where(pair.bob) == ["second"]
    assert [closed.reason for closed in pair.bob.of(SaClosed)] == ["redirected"]
    assert pair.ping() == 1


def test_a_gateway_that_is_not_who_it_should_be_redirects_nobody(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND, "auth"))
    pair.bob.hooks.after_sign = lambda sa, signature, certificate: signature[:-1] + bytes((signature[-1] ^ 1,))
    pair.up()
    assert pair.alice.of(Redirected) == []
    assert pair.alice.of(SaRefused)[0].reason == "auth-bad-signature"


def test_the_other_gateway_must_be_who_it_should_be(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND), second={"local_certificates": ("mallory",)})
    pair.pki.issue("mallory", host="bob", issuer="south-issuing", sans=["fqdn:mallory.example"])
    pair.bob.change_trust(pair.pki.store("bob"))
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert (verdict.reason, verdict.by) == ("id-mismatch", "us")


def test_a_loop_through_ike_auth_ends_too(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND, "auth"), second=to(THIRD, "auth"), third=to(FIRST, "auth"))
    pair.up()
    pair.world.settle()
    assert hosts_asked(pair) == [FIRST, SECOND, THIRD, FIRST, SECOND, THIRD]
    assert "loop" in pair.alice.of(SaRefused)[-1].detail
    assert pair.alice.established == []
    assert pair.bob.established == []


def test_a_client_that_does_not_leave_is_let_go(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, first=to(SECOND, "auth"))
    hold(pair, lambda item: is_message(item, INFORMATIONAL) and item.destination.host == FIRST)
    pair.up()
    pair.world.run_until(300.0)
    assert [closed.reason for closed in pair.bob.of(SaClosed)] == ["redirected"]
    assert where(pair.bob) == ["second"]


# at any time


def redirect(host: SimHost, gateway: str) -> None:
    assert isinstance(host.endpoint, Endpoint)
    host.endpoint.redirect(host.established[0], gateway, host.world.now)
    host.drain()


def test_an_established_client_moves_without_a_gap(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    redirect(pair.bob, SECOND)
    pair.world.settle()
    (request,) = bob.of(INFORMATIONAL, response=False)
    assert request.payloads == [Notify(REDIRECT, gateway(SECOND))]
    assert asked(alice)[-1] == ([REDIRECTED_FROM], gateway(FIRST))
    # the new one was up before the old one was deleted
    order = [(said.exchange, said.response) for said in alice.said]
    assert order.index((INFORMATIONAL, False)) > max(n for n, item in enumerate(order) if item == (IKE_AUTH, False))
    for host in (pair.alice, pair.bob):
        assert [closed.reason for closed in host.of(SaClosed)] == ["redirected"]
    (event,) = pair.alice.of(Redirected)
    assert pair.alice.established == [event.new]
    assert where(pair.bob) == ["second"]
    assert pair.ping() == 1


def test_it_can_be_moved_after_rekeying_by_either_side(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair)
    pair.up()
    for host in (pair.alice, pair.bob):
        host.rekey(host.established[0])
        pair.world.settle()
    redirect(pair.bob, THIRD)
    pair.world.settle()
    assert pair.ping() == 1
    assert [sa["local"] for sa in pair.sas(pair.bob) if sa["state"] == "established"] == [f"{THIRD}:4500"]


def test_where_the_other_gateway_does_not_answer_the_old_one_stays_until_it_ends(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair)
    pair.up()
    redirect(pair.bob, "192.0.2.77")
    pair.world.run_until(pair.world.now + 25.0)
    assert pair.ping() == 1
    # the gateway asked it to leave: after its patience it ends the SA
    pair.world.run_until(pair.world.now + 200.0)
    assert [closed.reason for closed in pair.bob.of(SaClosed)] == ["redirected"]


def test_a_client_is_redirected_by_its_gateway_only(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair)
    pair.up()
    with pytest.raises(UsageError, match="initiated by us"):
        redirect(pair.alice, SECOND)
    with pytest.raises(UsageError, match="not an IP address"):
        redirect(pair.bob, "gw.example")
    # and a client that says REDIRECT all the same moves nobody
    tapped = tap(pair.alice)
    tapped.change = lambda said: [Notify(REDIRECT, gateway(SECOND))] if said.exchange == INFORMATIONAL else None
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.settle()
    assert pair.bob.of(Redirected) == []
    assert where(pair.bob) == ["first"]


def test_a_peer_that_does_not_follow_is_not_asked_to(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, alice={})
    pair.up()
    with pytest.raises(UsageError, match="did not say that it follows"):
        redirect(pair.bob, SECOND)


def test_a_client_that_does_not_follow_stays(ike_pair: MakePair) -> None:
    pair = gateways(ike_pair, alice={})
    pair.up()
    tapped = tap(pair.bob)
    tapped.change = lambda said: [Notify(REDIRECT, gateway(SECOND))] if said.exchange == INFORMATIONAL else None
    pair.bob.check_liveness(pair.bob.established[0])
    pair.world.settle()
    assert pair.alice.of(Redirected) == []
    assert pair.ping() == 1


@pytest.mark.parametrize("data", [b"", b"\x01\x04\x01", b"\x03\x02gw", b"\x02\x10" + bytes(16)])
def test_a_redirect_that_leads_nowhere_is_reported(ike_pair: MakePair, data: bytes) -> None:
    pair = gateways(ike_pair)
    pair.up()
    tapped = tap(pair.bob)
    tapped.change = lambda said: [Notify(REDIRECT, data)] if said.exchange == INFORMATIONAL else None
    pair.bob.check_liveness(pair.bob.established[0])
    pair.world.settle()
    assert "not redirected" in pair.alice.of(Anomaly)[0].what
    assert pair.ping() == 1
