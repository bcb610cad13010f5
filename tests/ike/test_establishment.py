"""An IKE SA comes up: the messages, what both ends report, and what no message may make of an SA (RFC 7296 1.2)."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import NotFoundError, UsageError
from ikesim.ike.events import ChildDown, ChildUp, SaClosed, SaEstablished, SaRefused
from ikesim.ike.sa import TRANSITIONS, Authenticated, IkeSa, IkeState, VerifiedAuth
from ikesim.pki.identity import Identity
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import AUTH, CERT, CERTREQ, KE, SA, IDi, IDr, Nonce
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    Said,
    counters,
    deliver,
    header,
    sent,
    states,
    tap,
)

WHOLE = {"fragment_size": 0}


def spki_sha1(der: bytes) -> bytes:
    """RFC 7296 3.7, by the library alone."""
    key = x509.load_der_x509_certificate(der).public_key()
    return sha1(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), usedforsecurity=False).digest()


def test_two_exchanges_establish_an_ike_sa_and_a_child_sa(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    alice, bob = pair.alice, pair.bob
    ours, theirs = tap(alice), tap(bob)
    sa = alice.initiate("bob")
    assert states(pair, alice) == ["awaits-init-response"]

    # HDR, SAi1, KEi, Ni -->
    request = deliver(pair, to=bob)
    assert (request.header.exchange, request.header.message_id, request.header.flags) == (IKE_SA_INIT, 0, 0x08)
    assert (request.header.version, request.header.spi_r) == (0x20, bytes(8))
    offer, exchange, nonce = request.get(SA), request.get(KE), request.get(Nonce)
    assert offer is not None and exchange is not None and nonce is not None
    assert [item.number for item in offer.proposals] == [1, 2, 3]
    assert (exchange.method, len(exchange.data), len(nonce.data)) == (31, 32, 32)
    # NAT_DETECTION_SOURCE_IP, NAT_DETECTION_DESTINATION_IP, SIGNATURE_HASH_ALGORITHMS; fragmentation is off
    assert [item.type for item in request.notifies()] == [16388, 16389, 16431]
    # SHA2-256, SHA2-384, SHA2-512, Identity (RFC 7427 7, RFC 8420 2)
    assert request.notifies()[2].data == bytes.fromhex("0002 0003 0004 0005")
    assert states(pair, bob) == ["awaits-auth-request"]

    # <-- HDR, SAr1, KEr, Nr, [CERTREQ]
    response = deliver(pair, to=alice)
    assert (response.header.exchange, response.header.message_id, response.header.flags) == (IKE_SA_INIT, 0, 0x20)
    assert response.header.spi_i == request.header.spi_i
    assert response.header.spi_r != bytes(8)
    answer, asked = response.get(SA), response.get(CERTREQ)
    assert answer is not None and asked is not None
    # AES_GCM_16 with 128 bits, PRF_HMAC_SHA2_256, Curve25519
    assert [(item.type, item.id, item.key_length) for item in answer.proposals[0].transforms] == [
        (1, 20, 128),
        (2, 5, None),
        (4, 31, None),
    ]
    trusted = {spki_sha1(ike_pki.authorities[name].certificate) for name in ("north", "south")}
    assert (asked.encoding, set(asked.authorities)) == (4, trusted)
    assert states(pair, alice) == ["awaits-auth-response"]

    # HDR, SK {IDi, CERT, CERTREQ, IDr, AUTH, SAi2, TSi, TSr} -->
    deliver(pair, to=bob)
    (auth,) = ours.of(IKE_AUTH, response=False)
    assert (auth.message_id, auth.get(IDi), auth.get(IDr)) == (1, IDi(2, b"alice.example"), IDr(2, b"bob.example"))
    assert [item.encoding for item in auth.all(CERT)] == [4, 4]
    assert [item.data for item in auth.all(CERT)] == [
        ike_pki.leaves["alice"].certificate,
        ike_pki.authorities["north-issuing"].certificate,
    ]
    assert set(auth.get(CERTREQ).authorities) == trusted
    assert auth.get(AUTH).method == 14
    assert auth.notify(16384) is not None  # INITIAL_CONTACT
    assert states(pair, bob) == ["established"]

    # <-- HDR, SK {IDr, CERT, AUTH, SAr2, TSi, TSr}
    deliver(pair, to=alice)
    (reply,) = theirs.of(IKE_AUTH, response=True)
    assert reply.kinds == ["IDr", "CERT", "CERT", "AUTH", "SA", "TSi", "TSr", "Notify"]
    assert (reply.message_id, reply.get(IDr)) == (1, IDr(2, b"bob.example"))
    assert states(pair, alice) == ["established"]
    assert alice.established == [sa]
    assert_established(pair)
    assert pair.ping(2) == 2
    assert pair.ping(by="bob") == 1


def test_events_have_one_json_form(ike_pair: MakePair) -> None:
    pair = ike_pair()
    sa = pair.up()
    assert isinstance(sa, SaEstablished)
    document = json.loads(json.dumps(sa.to_json()))
    assert {key: document[key] for key in ("event", "time", "endpoint", "sa", "connection")} == {
        "event": "SaEstablished",
        "time": "2026-01-01T12:00:00.040000Z",
        "endpoint": "alice",
        "sa": sa.sa,
        "connection": "bob",
    }
    decision = document["decision"]
    assert (decision["accepted"], decision["reason"], decision["identity"]) == (True, None, "fqdn:bob.example")
    assert decision["attempts"] == [{"connection": "bob", "reason": None}]
    assert {check["outcome"] for path in decision["paths"] for check in path["checks"]} <= {
        "pass",
        "fail",
        "skipped",
        "info",
    }
    (child,) = pair.alice.of(ChildUp)
    (theirs,) = pair.bob.of(ChildUp)
    shown = json.loads(json.dumps(child.to_json()))
    assert (shown["name"], shown["local_ts"], shown["remote_ts"]) == ("net", ["10.1.0.0/24"], ["10.2.0.0/24"])
    assert (shown["spi_in"], shown["spi_out"]) == (theirs.spi_out.hex(), theirs.spi_in.hex())
    # AUTH verified before the SA was called established, and the evidence says how
    auth = [check for path in decision["paths"] for check in path["checks"] if check["rule"] == "RFC 7296 2.15"]
    assert [(check["outcome"], check["evidence"]["scheme"]) for check in auth] == [("pass", "ecdsa-sha256")]


def test_every_event_has_the_fields_that_people_rely_on(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # interface.md, JSON: `event, time, endpoint` and what is listed there; more may stand beside it
    fields = {
        "SaEstablished": {"sa", "connection", "decision"},
        "SaRefused": {"sa", "connection", "by", "reason", "decision"},
        "SaClosed": {"sa", "reason"},
        "ChildUp": {"sa", "child"},
        "ChildDown": {"sa", "child", "reason"},
        "Rekeyed": {"old", "new"},
        "Retransmitted": {"sa", "message_id", "count"},
        "FetchStarted": {"url"},
        "FetchFinished": {"url", "result"},
        "TrustChanged": {"what"},
        "Anomaly": {"what", "rule"},
    }
    pair = ike_pair(crls="http", loss=0.3)
    pair.up()
    pair.world.run_until(pair.world.now + 100.0)
    pair.alice.rekey(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 100.0)
    pair.bob.inject(bytes(4) + b"stranger" + bytes(8) + b"\x21\x20\x22\x08" + bytes(7) + b"\x1d\xff", pair_path(pair))
    ike_pki.revoke("bob")
    pair.load_crls()
    pair.world.run_until(pair.world.now + 300.0)
    pair.up()
    seen = set()
    for host in (pair.alice, pair.bob):
        for event in host.events:
            document = json.loads(json.dumps(event.to_json()))
            seen.add(document["event"])
            assert {"event", "time", "endpoint", *fields[document["event"]]} <= set(document)
            assert document["endpoint"] == host.name
            assert datetime.fromisoformat(document["time"]).tzinfo is not None
    assert seen == set(fields)
    # one sequence runs through all that leaves an endpoint
    for host in (pair.alice, pair.bob):
        numbers = [event.sequence for event in host.events]
        assert numbers == sorted(set(numbers))


def pair_path(pair: Pair) -> Path:
    return Path(pair.bob.sockets[1], pair.alice.sockets[1])


def test_status_shows_both_ends_alike(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.ping(1)
    (ours,), (theirs,) = pair.sas(pair.alice), pair.sas(pair.bob)
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    assert (ours["role"], theirs["role"]) == ("initiator", "responder")
    assert (ours["identity"], theirs["identity"]) == ("fqdn:bob.example", "fqdn:alice.example")
    assert ours["auth"] == {"method": 14, "scheme": "ecdsa-sha256"}
    # one echo request of 76 octets (20 IP, 8 ICMP, 48 data) each way
    assert [(child["bytes_in"], child["bytes_out"]) for child in ours["child_sas"]] == [(76, 76)]
    assert json.loads(json.dumps(ours)) == ours


@pytest.mark.parametrize(
    ("proposal", "esp"),
    [
        ("aes128gcm16-prfsha256-ecp256", "aes128gcm16"),
        ("aes256gcm12-prfsha384-ecp384", "aes256gcm8"),
        ("aes256-sha512-modp2048", "aes256-sha256"),
        ("aes128ctr-sha384-ecp521", "aes128ctr-sha384"),
        ("aes128ccm8-prfsha256-x448", "aes256ccm16"),
        ("chacha20poly1305-prfsha512-ecp256bp", "chacha20poly1305"),
        ("aes192-sha1-x25519", "aes192-sha1"),
    ],
)
def test_every_kind_of_algorithm_carries_a_tunnel(ike_pair: MakePair, proposal: str, esp: str) -> None:
    settings = {"proposals": proposal, "child": {"proposals": esp}}
    pair = ike_pair(alice=settings, bob=settings)
    pair.up()
    assert_established(pair)
    assert pair.ping(2) == 2
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    assert_established(pair)
    assert pair.ping() == 1


def test_extended_sequence_numbers_are_negotiated(ike_pair: MakePair) -> None:
    settings = {"child": {"esn": True}}
    pair = ike_pair(alice=settings, bob=settings)
    tapped = tap(pair.alice)
    pair.up()
    assert [item.esn for item in tapped.child_keys] == [True]
    assert pair.ping(2) == 2


def test_over_ipv6(ike_pair: MakePair) -> None:
    pair = ike_pair(
        alice={
            "listen": "[2001:db8::1]:500",
            "child": {"local_ts": "2001:db8:1::/64", "remote_ts": "2001:db8:2::/64"},
        },
        bob={
            "listen": "[2001:db8::2]:500",
            "child": {"local_ts": "2001:db8:2::/64", "remote_ts": "2001:db8:1::/64"},
        },
    )
    pair.up()
    assert_established(pair)
    assert pair.ping(2) == 2


def test_the_first_initiator_says_that_it_knows_no_other_sa_and_the_next_one_does_not(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"unique": "keep"})
    tapped = tap(pair.alice)
    pair.up()
    pair.alice.initiate("bob")
    pair.world.settle()
    first, second = tapped.of(IKE_AUTH, response=False)
    assert first.notify(16384) is not None
    assert second.notify(16384) is None


@pytest.mark.parametrize("seed", range(4))
def test_both_initiate_at_once_and_one_sa_stays(ike_pair: MakePair, seed: int) -> None:
    pair = ike_pair(seed=seed)
    pair.alice.initiate("bob")
    pair.bob.initiate("alice")
    pair.world.settle()
    assert len(pair.alice.established) == len(pair.bob.established) == 2
    assert pair.ping(2) == 2
    pair.world.run_until(20.0)
    assert len(pair.alice.established) == len(pair.bob.established) == 1
    assert pair.ping(2) == 2
    assert pair.ping(by="bob") == 1
    assert {sa["spi_i"] for sa in pair.sas(pair.alice)} == {sa["spi_i"] for sa in pair.sas(pair.bob)}


def test_a_peer_that_hides_childless_support_is_asked_for_a_child_all_the_same(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    # RFC 6023 3: the responder says that it takes an IKE_AUTH without SAi2, TSi, TSr
    response = Message.parse(sent(pair, pair.bob, IKE_SA_INIT)[0].octets)
    assert 16418 in [item.type for item in response.notifies()]


def test_a_childless_ike_sa_gets_its_child_later(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"children": []})
    tapped = tap(pair.alice)
    pair.up()
    (auth,) = tapped.of(IKE_AUTH, response=False)
    assert not {"SA", "TSi", "TSr"} & set(auth.kinds)
    assert_established(pair)
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    # the other side, which has a child configured, makes it: HDR, SK {SA, Ni, TSi, TSr} -->
    with pytest.raises(NotFoundError, match="has no child 'net'"):
        pair.alice.create_child(pair.alice.established[0], "net")
    pair.bob.create_child(pair.bob.established[0], "net")
    pair.world.settle()
    assert [event.reason for event in pair.bob.of(ChildDown)] == ["ts-mismatch"]
    assert_established(pair)


def test_all_children_of_a_connection_come_up(ike_pair: MakePair) -> None:
    def nets(own: int, other: int) -> list[dict[str, Any]]:
        return [
            {"name": name, "local_ts": f"10.{own}.{number}.0/24", "remote_ts": f"10.{other}.{number}.0/24"}
            for number, name in enumerate(("one", "two", "three"))
        ]

    pair = ike_pair(alice={"children": nets(1, 2)}, bob={"children": nets(2, 1)})
    tapped = tap(pair.alice)
    pair.up()
    pair.world.settle()
    assert_established(pair)
    assert [child.name for child in pair.children(pair.alice)] == ["one", "two", "three"]
    assert [child.name for child in pair.children(pair.bob)] == ["one", "two", "three"]
    # HDR, SK {SA, Ni, TSi, TSr} --> one after the other: the window is 1
    assert [item.message_id for item in tapped.of(CREATE_CHILD_SA, response=False)] == [2, 3]
    assert pair.ping() == 1


def test_an_unknown_connection_and_one_that_only_answers_cannot_be_initiated(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"remote": None, "remote_id": "*"})
    with pytest.raises(NotFoundError, match="no connection 'carol' in the configuration of bob"):
        pair.bob.initiate("carol")
    with pytest.raises(UsageError, match="it only answers"):
        pair.bob.initiate("alice")
    pair.up()
    assert_established(pair)


def test_a_missing_certificate_refuses_before_anything_is_sent(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"local_certificates": ("carol",)})
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert (verdict.by, verdict.reason) == ("us", "local-certificate-missing")
    assert sent(pair, pair.alice) == []


def test_a_responder_without_certificate_refuses_and_says_so_to_its_operator(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"local_certificates": ("carol",)})
    pair.up()
    assert_refused(pair, "local-certificate-missing", by="bob")
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.authenticated) == ("peer", "peer-refused", True)


def test_idr_chooses_the_connection(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"remote_id": "fqdn:carol.example"})
    pair.up()
    # HDR, SK {IDi, ..., IDr(carol)} --> : no connection of bob's is called so
    assert_refused(pair, "no-connection", by="bob")


def test_a_host_that_nobody_configured_is_turned_away_in_the_clear(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"listen": "192.0.2.77:500"}, bob={"remote": "192.0.2.1:500"})
    pair.up()
    assert [(event.sa, event.by, event.reason) for event in pair.bob.of(SaRefused)] == [(None, "us", "no-connection")]
    # <-- HDR, N(NO_PROPOSAL_CHOSEN): what a responder says that has no policy for the peer
    (response,) = sent(pair, pair.bob)
    assert [item.type for item in Message.parse(response.octets).notifies()] == [14]
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.authenticated) == ("peer", "proposal-mismatch", False)


def test_only_an_accepted_peer_makes_an_sa_established(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.revoke("bob")
    pair = ike_pair()
    pair.up()
    refused = assert_refused(pair, "cert-revoked").decision
    assert refused is not None
    proof = VerifiedAuth(14, SignatureScheme.ECDSA_SHA256)
    identity, at = Identity.parse("fqdn:bob.example"), datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="only on an accepted decision"):
        Authenticated(identity, (), refused, proof, at)
    with pytest.raises(ValueError, match="only on an accepted decision"):
        Authenticated(identity, (), replace(refused, accepted=False, reason=None), proof, at)


def new_sa(state: IkeState) -> IkeSa:
    here, there = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
    return IkeSa(ike_id, True, state, b"i" * 8, b"r" * 8, Path(here, there), False, 0.0)  # type: ignore[arg-type]


ike_id = "ike#1"


@pytest.mark.parametrize("state", IkeState)
@pytest.mark.parametrize("target", IkeState)
def test_what_the_diagram_lacks_raises(state: IkeState, target: IkeState) -> None:
    sa = new_sa(state)
    if target in TRANSITIONS[state]:
        sa.move(target)
        assert sa.state is target
    else:
        with pytest.raises(ValueError, match=f"does not go from {state} to {target}"):
            sa.move(target)
        assert sa.state is state


def test_the_diagram_leads_to_established_through_a_verdict_only() -> None:
    assert [state for state in IkeState if IkeState.ESTABLISHED in TRANSITIONS[state]] == [IkeState.VERDICT]
    assert TRANSITIONS[IkeState.CLOSED] == frozenset()
    assert set(TRANSITIONS) == set(IkeState)


def test_an_sa_is_established_from_its_verdict_only(ike_pair: MakePair) -> None:
    pair = ike_pair()
    sa = pair.up()
    assert isinstance(sa, SaEstablished)
    peer = Authenticated(
        Identity.parse("fqdn:bob.example"),
        (),
        sa.decision,
        VerifiedAuth(14, SignatureScheme.ECDSA_SHA256),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    for state in IkeState:
        if state is not IkeState.VERDICT:
            with pytest.raises(ValueError, match="does not go from"):
                new_sa(state).establish(peer, 0.0)


def test_what_is_not_established_can_be_neither_rekeyed_nor_asked(ike_pair: MakePair) -> None:
    # CVE-2014-2338: an SA that never finished IKE_AUTH, rekeyed, counted as authenticated
    pair = ike_pair(alice={"retransmit": {"tries": 0}})
    pair.bob.alive = False
    sa = pair.alice.initiate("bob")
    for action in (pair.alice.rekey, pair.alice.check_liveness, pair.alice.reauthenticate):
        with pytest.raises(UsageError, match="is not established"):
            action(sa)
    with pytest.raises(UsageError, match="is not established"):
        pair.alice.create_child(sa, "net")
    pair.alice.terminate(sa)
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason) == ("nobody-answered", "nobody-answered")
    with pytest.raises(NotFoundError):
        pair.alice.rekey(sa)


def test_a_copy_of_an_endpoint_goes_on_identically(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    pair.alice.initiate("bob")
    deliver(pair, to=pair.bob)
    deliver(pair, to=pair.alice)
    # between IKE_SA_INIT and IKE_AUTH: keys, nonces, an ephemeral key pair and timers are in the air
    twin: Pair = copy.deepcopy(pair)
    stories, told = [], []
    for one in (pair, twin):
        one.world.settle()
        assert_established(one)
        one.ping(3)
        one.alice.rekey(one.alice.established[0])
        one.world.run_until(one.world.now + 100)
        stories.append([(entry.sent_at, entry.octets) for entry in one.world.network.log])
        told.append([event.to_json() for event in (*one.alice.events, *one.bob.events)])
    assert stories[0] == stories[1]
    assert told[0] == told[1]
    assert len(stories[0]) > 10


def test_a_copied_endpoint_is_its_own(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    twin = copy.deepcopy(pair.alice.endpoint)
    twin.terminate(pair.alice.established[0], pair.world.now)
    assert [header(item.octets).exchange for item in twin.datagrams()] == [INFORMATIONAL]
    assert pair.alice.endpoint.datagrams() == []
    assert states(pair, pair.alice) == ["established"]


def test_terminating_the_tunnel_leaves_nothing_behind(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.down()
    pair.world.run_until(pair.world.now + 60)
    for host in (pair.alice, pair.bob):
        assert pair.sas(host) == []
        assert host.next_deadline() is None
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["deleted-by-us"]
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["deleted-by-peer"]
    assert counters(pair.bob).get("ike-unknown-spi") is None


def test_auth_covers_reserved_octets_of_the_identification(ike_pair: MakePair) -> None:
    # RFC 7296 2.15: AUTH covers all of IDi' but its generic header, so what a peer left in RESERVED counts
    pair = ike_pair()
    tapped = tap(pair.alice)

    def dirty(said: Said) -> list[Any] | None:
        if said.exchange != IKE_AUTH:
            return None
        return [IDi(item.id_type, item.data, b"\1\2\3") if type(item) is IDi else item for item in said.payloads]

    tapped.change = dirty
    pair.up()
    # our AUTH was made over zero octets: a bob that re-encoded the payload would accept it
    assert_refused(pair, "auth-bad-signature", by="bob")
