"""Faults of the life of SAs: timers, sequence numbers, words in the clear, rekeying, and probes; chains of faults."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from ikesim.errors import NotFoundError, UsageError
from ikesim.esp.host import echo_request
from ikesim.faults import Fault, Switchboard, make
from ikesim.faults.flow import (
    BlockMessages,
    DripMessage,
    DropMessage,
    RecordMessages,
    SendNoDelete,
)
from ikesim.faults.life import (
    IgnoreExpiry,
    IgnoreMessages,
    ResetSequence,
    Revival,
    TimeoutOnRetransmit,
    TriggerTimer,
    UnencryptedNotify,
)
from ikesim.faults.messages import AddNotify, OmitNotify, OmitPayload
from ikesim.faults.negotiation import ForceNonce, RekeySelectors, WrongProtocol
from ikesim.faults.probes import LogId, LogKe, LogProposals, LogTs
from ikesim.faults.sealed import PretendAuth
from ikesim.ike.events import ChildDown, Rekeyed, Retransmitted, SaClosed, SaEstablished, SaRefused
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.payloads import Nonce
from tests.faults.stage import switchboard
from tests.ike.wiretap import CREATE_CHILD_SA, IKE_AUTH, IKE_SA_INIT, INFORMATIONAL, counters, sent, tap

MakePair = Callable[..., Pair]
IKE_FOLLOWUP_KE = 44


def up(make_pair: MakePair, **settings: Any) -> Pair:
    pair = make_pair(**settings)
    pair.up()
    assert_established(pair)
    return pair


def later(pair: Pair, seconds: float) -> None:
    pair.world.run_until(pair.world.now + seconds)


# DI01, DI03, DI04: what is kept


def test_di01_di04_a_recorded_message_comes_again_and_does_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair()
    board = switchboard(pair.bob)
    board.enable(RecordMessages(inbound=True))
    pair.up()
    before = [*pair.bob.events]
    for number in (1, 2, 3):
        board.enable(DripMessage(inbound=True, number=number))
        pair.world.settle()
    assert pair.bob.events == before
    assert pair.ping() == 1
    # the fragments of IKE_AUTH were answered from memory
    assert counters(pair.bob)["requests-repeated"] >= 1
    with pytest.raises(NotFoundError, match="there is no number 99"):
        board.enable(DripMessage(inbound=True, number=99))


def test_di03_di04_fragments_delivered_in_another_order(ike_pair: MakePair) -> None:
    pair = ike_pair()
    board = switchboard(pair.bob)
    block = board.enable(BlockMessages(inbound=True, exchange="IKE_AUTH"))
    pair.alice.initiate("bob")
    pair.world.settle()
    assert not pair.bob.established
    board.disable(block)
    for number in (2, 1):
        board.enable(DripMessage(inbound=True, number=number))
    pair.world.settle()
    assert_established(pair)
    assert not pair.alice.of(Retransmitted)


def test_di03_di04_a_blocked_answer_is_let_go(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    board = switchboard(pair.bob)
    block = board.enable(BlockMessages())
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.settle()
    board.disable(block)
    board.enable(DripMessage())
    pair.world.settle()
    later(pair, 20)
    assert not pair.alice.of(Retransmitted)


# DI08, DI10, DI55: retransmission, revival, silence


def test_di08_giving_up_at_the_first_retransmission(ike_pair: MakePair) -> None:
    pair = ike_pair()
    switchboard(pair.alice).enable(TimeoutOnRetransmit())
    switchboard(pair.bob).enable(DropMessage())
    pair.up()
    assert_refused(pair, "nobody-answered")
    assert not pair.alice.of(Retransmitted) and len(sent(pair, pair.alice, IKE_SA_INIT)) == 1


@pytest.mark.parametrize("revives", [True, False])
def test_di10_revival(ike_pair: MakePair, revives: bool) -> None:
    pair = up(ike_pair, alice={"liveness": {"interval": 10, "action": "restart"}})
    board = switchboard(pair.alice)
    if not revives:
        board.enable(Revival())
    silence = switchboard(pair.bob).enable(IgnoreMessages())
    pair.world.run_until(lambda: pair.alice.of(SaClosed), 600)
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["dead-peer"]
    assert bool(pair.sas(pair.alice)) is revives
    assert silence == 1


def test_di10_revival_can_be_triggered(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    switchboard(pair.alice).enable(Revival(trigger=True))
    pair.world.settle()
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["dead-peer"]
    assert_established(pair)
    assert len(pair.alice.established) == len(pair.bob.established) == 1
    assert pair.ping() == 1


def test_di55_a_peer_that_never_says_delete(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    switchboard(pair.alice).enable(SendNoDelete())
    pair.alice.terminate(pair.alice.established[0])
    pair.world.run_until(lambda: not pair.alice.established, 600)
    assert pair.bob.established
    pair.world.run_until(lambda: not pair.bob.established, 600)
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["dead-peer"]


# DI59, DI60: timers


def test_di59_a_missed_soft_limit_ends_at_the_hard_one(ike_pair: MakePair) -> None:
    lives = {"rekey_time": 1000, "child": {"rekey_time": 500}, "jitter": 0.0}
    pair = up(ike_pair, alice=lives, bob={**lives, "rekey_time": 0, "child": {"rekey_time": 0}})
    switchboard(pair.alice).enable(IgnoreExpiry())
    pair.world.run_until(560)
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["lifetime-expired"]
    assert not pair.alice.of(Rekeyed) and pair.bob.established
    pair.world.run_until(1200)
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["lifetime-expired"]
    assert not pair.bob.established


def test_di59_without_any_limit_an_sa_lives_on(ike_pair: MakePair) -> None:
    lives = {"rekey_time": 1000, "child": {"rekey_time": 500}}
    pair = up(ike_pair, alice=lives, bob={"rekey_time": 0, "child": {"rekey_time": 0}})
    switchboard(pair.alice).enable(IgnoreExpiry(which="both"))
    pair.world.run_until(3000)
    assert not pair.alice.of(Rekeyed) and not pair.alice.of(SaClosed)
    assert pair.ping() == 1


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_di60_timers_go_off_at_once(ike_pair: MakePair, who: str) -> None:
    pair = up(ike_pair)
    host = pair.alice if who == "alice" else pair.bob
    board = switchboard(host)
    board.enable(TriggerTimer(timer="rekey", child=True))
    pair.world.settle()
    assert len(host.of(Rekeyed)) == 1
    board.enable(TriggerTimer())
    pair.world.settle()
    assert len(host.of(Rekeyed)) == 2
    assert_established(pair)
    before = len(sent(pair, host, INFORMATIONAL))
    later(pair, 40)
    board.enable(TriggerTimer(timer="liveness"))
    pair.world.settle()
    assert len(sent(pair, host, INFORMATIONAL)) > before
    board.enable(TriggerTimer(timer="expire", child=True))
    pair.world.settle()
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    board.enable(TriggerTimer(timer="expire"))
    pair.world.settle()
    assert [event.reason for event in host.of(SaClosed)][-1] == "lifetime-expired"
    assert not pair.alice.established and not pair.bob.established
    with pytest.raises(NotFoundError, match="no timer 'reauthenticate' is running"):
        board.enable(TriggerTimer(timer="reauthenticate"))


def test_di60_a_keepalive_at_once(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    before = len(pair.world.network.log)
    switchboard(pair.alice).enable(TriggerTimer(timer="keepalive"))
    assert [entry.octets for entry in list(pair.world.network.log)[before:]] == [b"\xff"]
    pair.world.settle()
    assert pair.ping() == 1


# DI43, DI45: CREATE_CHILD_SA and DELETE


def test_di43_rekeying_an_sa_of_a_protocol_that_nobody_knows(ike_pair: MakePair) -> None:
    # CVE-2023-38710: libreswan's daemon ended on an invalid protocol ID in REKEY_SA
    pair = up(ike_pair)
    board = switchboard(pair.alice)
    fault = board.enable(WrongProtocol(where="rekey", exchange="CREATE_CHILD_SA"))
    said = tap_again(pair)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    assert 44 in said.of(CREATE_CHILD_SA, response=True)[0].notifies  # CHILD_SA_NOT_FOUND
    assert pair.ping() == 1
    # alice takes her word for it: she makes a new CHILD SA in place of the one that bob does not know (2.25)
    board.disable(fault)
    later(pair, 10)
    assert pair.alice.established and pair.bob.established
    assert pair.ping() == 1


def tap_again(pair: Pair) -> Any:
    """Listen to bob, who has no fault."""
    return tap(pair.bob)


@pytest.mark.parametrize("protocol", [0, 2, 99])
def test_di43_a_delete_for_a_protocol_that_has_no_such_sa(ike_pair: MakePair, protocol: int) -> None:
    pair = up(ike_pair)
    switchboard(pair.alice).enable(WrongProtocol(where="delete", protocol=protocol))
    said = tap_again(pair)
    pair.alice.terminate(pair.children(pair.alice)[0].id)
    pair.world.settle()
    # bob has nothing to delete: his CHILD SA stays, and the IKE SA too
    assert pair.bob.established and pair.children(pair.bob)
    assert [item.kinds for item in said.of(INFORMATIONAL, response=True)] == [[]]
    pair.alice.create_child(pair.alice.established[0], "net")
    pair.world.settle()
    assert pair.ping() == 1


@pytest.mark.parametrize("form", ["supernet", "subnet", "other"])
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_di45_rekeying_with_other_selectors(ike_pair: MakePair, form: str, who: str) -> None:
    pair = up(ike_pair)
    fault = RekeySelectors(form=form, response=who == "bob")
    switchboard(pair.alice if who == "alice" else pair.bob).enable(fault)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    later(pair, 5)
    assert pair.alice.established and pair.bob.established
    selectors = [child["local_ts"] for child in pair.sas(pair.bob)[0]["child_sas"] if child["state"] == "installed"]
    # whatever was asked, nothing leaves what is configured
    assert all(item in (["10.2.0.0/24"], ["10.2.0.0/32"]) for item in selectors)
    if who == "alice" and form == "supernet":
        assert selectors == [["10.2.0.0/24"]] and pair.ping() == 1
    if form == "other":
        # refused, and the old CHILD SA goes on
        assert pair.ping() == 1


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_di58_a_followup_without_its_link(ike_pair: MakePair, who: str) -> None:
    settings = {"proposals": "aes128gcm16-prfsha256-x25519-ke1_mlkem768"}
    pair = up(ike_pair, alice=settings, bob=settings)
    said = tap(pair.bob if who == "alice" else pair.alice)
    fault = OmitNotify(type="ADDITIONAL_KEY_EXCHANGE", exchange="IKE_FOLLOWUP_KE" if who == "alice" else "")
    board = switchboard(pair.alice if who == "alice" else pair.bob)
    number = board.enable(fault)
    pair.alice.rekey(pair.alice.established[0])
    later(pair, 60)
    # RFC 9370 2.2.4: without the link there is no state to go on with; the old SA stays
    assert not pair.alice.of(Rekeyed) and len(pair.sas(pair.bob)) == len(pair.sas(pair.alice)) == 1
    if who == "alice":
        assert 47 in said.of(IKE_FOLLOWUP_KE, response=True)[0].notifies  # STATE_NOT_FOUND
    assert pair.ping() == 1
    board.disable(number)
    pair.alice.rekey(pair.alice.established[0])
    later(pair, 10)
    assert len(pair.alice.of(Rekeyed)) == 1 and pair.ping() == 1


# DH11, DH13, DH22


@pytest.mark.parametrize("liar", ["stranger", "known"])
def test_dh11_going_on_after_a_refusal_with_an_answer_made_from_the_peers_key(
    ike_pair: MakePair, ike_pki: SimPki, liar: str
) -> None:
    # bob refuses alice, whose certificate names somebody else; alice goes on as if he had not
    leaf = ike_pki.authorities["south-issuing"].leaf("CN=bob", ["fqdn:bob.example"], ike_pki.now)
    key = leaf.key if liar == "known" else ike_pki.authorities["north"].key
    ike_pki.issue("alice", sans=["fqdn:mallory.example"])
    pair = ike_pair()
    chain = (leaf.certificate, *ike_pki.authorities["south-issuing"].chain)
    switchboard(pair.alice).enable(PretendAuth(key=key, certificates=chain))
    pair.up()
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["id-mismatch"]
    if liar == "known":
        assert pair.alice.of(SaEstablished) and pair.children(pair.alice)
    else:
        assert [event.reason for event in pair.alice.of(SaRefused)] == ["auth-bad-signature"]


def test_dh13_sequence_numbers_set_back_are_dropped_by_the_replay_window(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    assert pair.ping(5) == 5
    switchboard(pair.alice).enable(ResetSequence())
    assert pair.ping(5) == 0
    assert counters(pair.bob)["esp-replay"] == 5
    # beyond those that were seen it goes on
    assert pair.ping() == 1
    assert pair.alice.established and pair.bob.established


@pytest.mark.parametrize("type_", ["AUTHENTICATION_FAILED", "INVALID_IKE_SPI", "INVALID_SYNTAX", "40000"])
@pytest.mark.parametrize("response", [False, True])
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_dh22_dc25_nothing_said_in_the_clear_touches_an_sa(
    ike_pair: MakePair, type_: str, response: bool, who: str
) -> None:
    pair = up(ike_pair)
    host, peer = (pair.alice, pair.bob) if who == "alice" else (pair.bob, pair.alice)
    before, said = [*peer.events], len(sent(pair, peer))
    switchboard(host).enable(UnencryptedNotify(type=type_, response=response))
    pair.world.settle()
    assert peer.events == before and len(sent(pair, peer)) == said
    # and the message ID is still free for the true request
    host.check_liveness(host.established[0])
    pair.world.settle()
    assert not host.of(Retransmitted)
    assert pair.ping() == 1


def test_dh22_without_an_sa_there_is_nobody_to_tell(ike_pair: MakePair) -> None:
    with pytest.raises(UsageError, match="no IKE SA is established"):
        switchboard(ike_pair().alice).enable(UnencryptedNotify())


# DH07-DH10: probes


def test_probes_note_what_the_peer_says(ike_pair: MakePair) -> None:
    pair = ike_pair()
    board = switchboard(pair.bob)
    probes = {kind: kind() for kind in (LogId, LogKe, LogProposals, LogTs)}
    for probe in probes.values():
        board.enable(probe)
    pair.up()
    assert_established(pair)
    assert probes[LogId].notes == [
        "IKE_AUTH request 1: IDi fqdn:alice.example",
        "IKE_AUTH request 1: IDr fqdn:bob.example",
    ]
    assert probes[LogKe].notes == ["IKE_SA_INIT request 0: KE CURVE25519, 32 octets"]
    assert probes[LogTs].notes == ["IKE_AUTH request 1: TSi 10.1.0.0/24", "IKE_AUTH request 1: TSr 10.2.0.0/24"]
    spi = pair.children(pair.alice)[0].spi_in
    assert probes[LogProposals].notes == [
        "IKE_SA_INIT request 0: proposal 1 IKE: aes128gcm16-prfsha256-x25519",
        "IKE_SA_INIT request 0: proposal 2 IKE: aes256gcm16-prfsha384-ecp384",
        "IKE_SA_INIT request 0: proposal 3 IKE: aes128-prfsha256-sha256-modp2048",
        f"IKE_AUTH request 1: proposal 1 ESP SPI {spi}: aes128gcm16",
    ]


# chaining, switching, options


def test_faults_chain_on_one_hook_and_go_one_by_one(ike_pair: MakePair) -> None:
    pair = ike_pair()
    said = tap(pair.alice)
    board: Switchboard = switchboard(pair.alice)
    numbers = [
        board.enable(AddNotify(type="40001", exchange="IKE_AUTH")),
        board.enable(AddNotify(type="40002", exchange="IKE_AUTH")),
        board.enable(OmitPayload(payload="IDr")),
    ]
    seen = tap_received(pair)
    pair.up()
    kinds, notifies = seen[-1]
    assert notifies[-2:] == [40001, 40002] and "IDr" not in kinds
    # what listened before the faults saw the message as it was
    assert "IDr" in said.of(IKE_AUTH, response=False)[0].kinds
    board.disable(numbers[0])
    pair.down()
    pair.up()
    kinds, notifies = seen[-1]
    assert 40001 not in notifies and notifies[-1] == 40002
    board.clear()
    assert board.active == {}
    assert pair.alice.hooks.before_encode == said._encode
    pair.down()
    pair.up()
    kinds, notifies = seen[-1]
    assert 40002 not in notifies and "IDr" in kinds
    with pytest.raises(NotFoundError, match="no fault with number 3 is on"):
        board.disable(3)


def tap_received(pair: Pair) -> list[tuple[list[str], list[int]]]:
    """The payloads and notifies of the IKE_AUTH requests that bob reads."""
    seen: list[tuple[list[str], list[int]]] = []

    def look(sa: object, message: Any) -> None:
        if message.header.exchange == IKE_AUTH:
            kinds = [type(raw.payload()).__name__ for raw in message.payloads]
            seen.append((kinds, [int(item.type) for item in message.notifies()]))

    pair.bob.hooks.after_decode = look
    return seen


def test_forced_nonces_stand_before_each_other_and_step_aside(ike_pair: MakePair) -> None:
    pair = ike_pair()
    board = switchboard(pair.alice)
    true = pair.alice.endpoint.core.ports
    said = tap(pair.alice)
    first = board.enable(ForceNonce(octets=b"\x01"))
    second = board.enable(ForceNonce(octets=b"\x02"))

    def nonce() -> bytes:
        pair.up()
        return said.of(IKE_SA_INIT, response=False)[-1].get(Nonce).data

    assert nonce() == b"\x02" * 32
    board.disable(first)
    assert nonce() == b"\x02" * 32
    twin = deepcopy(pair.world).hosts["alice"].endpoint
    assert twin.core.ports.entropy("nonce", 2) == b"\x02\x02"
    board.disable(second)
    assert pair.alice.endpoint.core.ports is true
    assert nonce() != b"\x02" * 32


def test_what_cannot_start_is_not_on(ike_pair: MakePair) -> None:
    board = switchboard(ike_pair().alice)
    with pytest.raises(UsageError, match="it works in tests only"):
        board.enable(PretendAuth())
    assert board.active == {}


def test_a_dropped_datagram_reaches_no_later_fault(ike_pair: MakePair) -> None:
    pair = ike_pair()
    board = switchboard(pair.alice)
    board.enable(DropMessage(times=1))
    record = RecordMessages()
    board.enable(record)
    pair.up()
    assert_established(pair)
    assert len(record.target.outbound) == len(sent(pair, pair.alice))


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("add-notifi", {}, "there is no fault 'add-notifi'; did you mean add-notify?"),
        ("expired-certificate", {}, "it cannot be switched on"),
        ("add-notify", {"colour": "red"}, "fault add-notify has no option 'colour'"),
        ("add-notify", {"times": "often"}, "add-notify: times is int, not 'often'"),
        ("add-notify", {"data": "xyz"}, "add-notify: data is bytes, not 'xyz'"),
        ("add-notify", {"type": "NO_SUCH"}, "'NO_SUCH' is no notify type"),
        ("drop-message", {"exchange": "IKE_NOTHING"}, "exchange 'IKE_NOTHING' is not one of"),
        ("drop-message", {"inbound": "perhaps"}, "drop-message: inbound is bool"),
        ("ignore-expiry", {"which": "none"}, "'none' is not soft, hard or both"),
        ("set-length", {"payload": "XYZ"}, "payload 'XYZ' is not one of"),
    ],
)
def test_what_cannot_be_switched_on(name: str, options: dict[str, str], error: str) -> None:
    with pytest.raises((NotFoundError, UsageError)) as caught:
        make(name, options)
    assert error in str(caught.value)


def test_options_as_text() -> None:
    made = make("drop-message", {"exchange": "ike_auth", "inbound": "yes", "message-id": "0x10", "response": "no"})
    assert isinstance(made, Fault) and isinstance(made, DropMessage)
    assert (made.inbound, made.message_id, made.response, made.times) == (True, 16, False, 0)
    spi = make("set-ike-spi", {"spi-i": "0102030405060708"})
    assert vars(spi)["spi_i"] == bytes(range(1, 9)) and vars(spi)["spi_r"] is None


def test_esp_does_not_pass_through_faults_of_ike(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    switchboard(pair.alice).enable(DropMessage())
    assert pair.ping(3) == 3
    assert echo_request("10.1.0.1", "10.2.0.1", 1, 1, b"")
