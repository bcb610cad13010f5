"""DC23-DC26: what changes while IKE_AUTH waits, who may replace whom, and words before anybody is authenticated."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ikesim.faults.flow import DropMessage
from ikesim.faults.life import EarlyRequest
from ikesim.faults.revocation import ExpiresMeanwhile
from ikesim.ike.events import SaClosed, SaEstablished, SaRefused
from ikesim.sim.host import SimHost
from ikesim.sim.network import Transit
from ikesim.sim.services import Answer
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Header, encode_message
from ikesim.wire.payloads import Notify
from tests.faults.stage import Expected, check, play, switchboard
from tests.ike.wiretap import IKE_AUTH, IKE_SA_INIT, INFORMATIONAL, counters, is_message, sent, tap

MakePair = Callable[..., Pair]


# DC23


@pytest.mark.parametrize("liar", ["alice", "bob"], ids=["initiator", "responder"])
def test_dc23_a_certificate_that_expires_while_ike_auth_waits(ike_pki: SimPki, liar: str) -> None:
    _, pair = play(ExpiresMeanwhile(), ike_pki, liar=liar)
    check(pair, liar, Expected("cert-expired", "{liar}", "RFC 5280 6.1.3 (a)(2)"))


def test_dc23_one_that_lasts_until_the_verdict_is_good(ike_pki: SimPki) -> None:
    _, pair = play(ExpiresMeanwhile(seconds=10.0), ike_pki)
    assert_established(pair)


@pytest.mark.parametrize("delay", [1.0, 3.0])
def test_dc23_a_crl_replaced_while_ike_auth_waits(ike_pair: MakePair, ike_pki: SimPki, delay: float) -> None:
    # the root's CRL takes two seconds; that of the issuing CA is replaced meanwhile, or after the verdict
    pair = ike_pair(crls="http")
    crl = ike_pki.crls["north"]
    pair.world.services[ike_pki.crl_url("north")] = lambda request, wall: Answer(crl, delay=2.0)
    pair.world.after(delay, lambda world: ike_pki.revoke("alice"))
    pair.up()
    # what was fetched for this decision decides: the answer does not depend on who is faster
    assert_established(pair)
    pair.down()
    pair.world.run_until(20)
    pair.load_crls()
    pair.up()
    assert_refused(pair, "cert-revoked", by="bob")


# DC24


def third(pair: Pair, pki: SimPki, name: str, certificate: str, *, host: str = "192.0.2.3") -> SimHost:
    """Another host that calls bob, with the vault of `name` and the identity of alice."""
    template = pair.alice.config.connections["bob"]
    own, nat_t = Address.parse(f"{host}:500"), Address.parse(f"{host}:4500")
    connection = replace(template, local=own, local_nat_t=nat_t, local_certificates=(certificate,))
    config = replace(
        pair.alice.config, name=f"{name}-2", listen=(own,), listen_nat_t=(nat_t,), connections={"bob": connection}
    )
    return pair.world.add_host(config, pki.vault(name), pki.store(name))


def open_bob(pair: Pair, unique: str = "replace") -> None:
    """Let bob answer at any address."""
    template = pair.bob.config.connections["alice"]
    connection = replace(template, remote=None, remote_nat_t=None, unique=unique)
    pair.bob.reconfigure(replace(pair.bob.config, connections={"alice": connection}))


def call(pair: Pair, host: SimHost) -> None:
    sa = host.initiate("bob")
    pair.world.run_until(lambda: host.verdict(sa) is not None, 600)
    pair.world.settle()
    pair.world.run_until(pair.world.now + 1)


@pytest.mark.parametrize("certificate", ["the same", "another"])
@pytest.mark.parametrize(("unique", "left"), [("replace", 1), ("keep", 1), ("never", 2)])
def test_dc24_one_identity_at_two_places(
    ike_pair: MakePair, ike_pki: SimPki, certificate: str, unique: str, left: int
) -> None:
    pair = ike_pair(alice={"unique": "never"})  # no INITIAL_CONTACT
    open_bob(pair, unique=unique)
    pair.up()
    first = pair.bob.established
    if certificate == "another":
        ike_pki.issue("alice-b", host="alice", issuer="south-issuing")
    other = third(pair, ike_pki, "alice", "alice" if certificate == "the same" else "alice-b")
    call(pair, other)
    # who answers gives the initiator time to end what it knows to be older
    pair.world.run_until(pair.world.now + 60)
    assert len(pair.bob.established) == left
    if unique == "replace":
        assert pair.bob.established != first
        assert [event.reason for event in pair.bob.of(SaClosed)] == ["replaced"]
        assert pair.alice.established == [] and other.established
    elif unique == "keep":
        assert pair.bob.established == first
        assert [event.reason for event in pair.bob.of(SaRefused)] == ["unique-kept"]
        assert pair.ping() == 1


def test_dc24_the_initial_contact_of_an_impostor_ends_nothing(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # mallory has a good certificate of her own, and says that she is alice and knows of no other SA
    ike_pki.issue("mallory")
    pair = ike_pair()
    open_bob(pair)
    pair.up()
    mallory = third(pair, ike_pki, "mallory", "mallory")
    said = tap(mallory)
    call(pair, mallory)
    assert 16384 in said.of(IKE_AUTH, response=False)[0].notifies
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["id-mismatch"]
    assert_established(pair)
    assert not pair.bob.of(SaClosed) and pair.ping() == 1


# DC25


FORGED = {
    "AUTHENTICATION_FAILED": Notify(24),
    "NO_PROPOSAL_CHOSEN": Notify(14),
    "INVALID_SYNTAX": Notify(7),
    "INVALID_MAJOR_VERSION": Notify(5),
    "COOKIE": Notify(16390, b"forged"),
    "INVALID_KE_PAYLOAD": Notify(17, b"\x00\x0e"),
    "INVALID_KE_PAYLOAD of a method that was not offered": Notify(17, b"\x00\x01"),
}


def forge(pair: Pair, exchange: int, notify: Notify, *, times: int = 1) -> list[Transit]:
    """When alice sends a request of this exchange, somebody who saw it answers before bob can."""
    met: list[Transit] = []

    def answer(transit: Transit) -> None:
        if transit.source not in pair.alice.sockets or len(met) >= times:
            return
        if not is_message(transit, exchange, response=False):
            return
        met.append(transit)
        marked = transit.octets[:4] == bytes(4)
        header = Header.parse(transit.octets[4:] if marked else transit.octets)
        forged = encode_message(replace(header, flags=0x20), [notify])
        path = Path(transit.source, transit.destination)
        pair.world.after(0.0, lambda world: pair.alice.inject((bytes(4) if marked else b"") + forged, path))

    pair.world.network.add_filter(answer)
    return met


@pytest.mark.parametrize("exchange", [IKE_SA_INIT, IKE_AUTH], ids=["IKE_SA_INIT", "IKE_AUTH"])
@pytest.mark.parametrize("notify", FORGED.values(), ids=FORGED)
def test_dc25_forged_answers_do_not_end_an_initiation(ike_pair: MakePair, notify: Notify, exchange: int) -> None:
    pair = ike_pair()
    met = forge(pair, exchange, notify)
    pair.up()
    assert met
    assert_established(pair)
    assert pair.ping() == 1
    assert not pair.alice.of(SaRefused) and len(pair.alice.established) == 1


@pytest.mark.parametrize("exchange", [IKE_AUTH, INFORMATIONAL], ids=["IKE_AUTH", "INFORMATIONAL"])
def test_dc25_a_forged_refusal_ends_no_established_sa(ike_pair: MakePair, exchange: int) -> None:
    pair = ike_pair()
    pair.up()
    for host, peer in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        (sa,) = pair.sas(host)
        for flags in (0x00, 0x08, 0x20, 0x28):
            for message_id in range(4):
                header = Header(
                    bytes.fromhex(sa["spi_i"]), bytes.fromhex(sa["spi_r"]), 0, 0x20, exchange, flags, message_id, 0
                )
                octets = encode_message(header, [Notify(24)])
                host.inject(bytes(4) + octets, Path(host.sockets[-1], peer.sockets[-1]))
    pair.world.settle()
    assert_established(pair)
    assert pair.ping() == 1


# DC26


@pytest.mark.parametrize("what", ["delete", "informational", "rekey", "child", "clear"])
def test_dc26_nothing_but_ike_auth_is_heard_before_ike_auth(ike_pair: MakePair, what: str) -> None:
    pair = ike_pair()
    switchboard(pair.alice).enable(EarlyRequest(what=what))
    pair.up()
    # what came early was dropped without a word, and IKE_AUTH under the same message ID is still good
    assert_established(pair)
    assert pair.ping() == 1
    assert not [
        entry
        for entry in sent(pair, pair.bob)
        if not is_message(entry, IKE_SA_INIT) and not is_message(entry, IKE_AUTH)
    ]
    assert counters(pair.bob)["requests-before-auth"] == 1
    assert len(pair.bob.of(SaEstablished)) == 1


@pytest.mark.parametrize("what", ["delete", "informational", "rekey", "child"])
def test_dc26_nothing_is_made_or_ended_for_a_peer_that_never_authenticates(ike_pair: MakePair, what: str) -> None:
    pair = ike_pair()
    board = switchboard(pair.alice)
    board.enable(EarlyRequest(what=what))
    board.enable(DropMessage(exchange="IKE_AUTH"))
    pair.alice.initiate("bob")
    pair.world.settle()
    (sa,) = pair.sas(pair.bob)
    assert (sa["state"], sa["child_sas"]) == ("awaits-auth-request", [])
    pair.world.run_until(lambda: pair.bob.of(SaRefused), 60)
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["half-open-timeout"]
    assert pair.sas(pair.bob) == []
