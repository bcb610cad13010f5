"""What one endpoint does to messages, and how the other takes it: on the wire, in its events and its counters.

Every fault that can be switched on is here, in the roles in which it means something.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ikesim.faults import Fault
from ikesim.faults.auth import (
    AuthAlgorithm,
    AuthByAnotherKey,
    EmptySignature,
    ForceAuthMethod,
    RebuildAuth,
    RsaSignature,
    SendCertificates,
    SignedOctets,
)
from ikesim.faults.flow import (
    CorruptEncrypted,
    DelayMessages,
    DropMessage,
    DuplicateMessages,
    ReplayEncrypted,
    ReplayMessages,
    SuppressRetransmits,
)
from ikesim.faults.headers import (
    BogusFlag,
    SetExchange,
    SetIkeInitiator,
    SetIkeRequest,
    SetIkeSpi,
    SetIkeVersion,
    SetMessageId,
)
from ikesim.faults.messages import (
    AddNotify,
    AddPayload,
    DuplicatePayload,
    FillIkeAuth,
    IgnoreNotify,
    MangleCertPubkey,
    OddCertreq,
    OmitChild,
    OmitNotify,
    OmitPayload,
    PadWithUnknownPayloads,
    SendPkcs7,
    SetCritical,
    SetLength,
    SetReserved,
    UnsortPayloads,
)
from ikesim.faults.negotiation import (
    AddTransform,
    CustomProposal,
    DdosCookie,
    ForceCookie,
    ForceNonce,
    KePayload,
    KeyLengthAttribute,
    NullEncryption,
    ProposalNone,
    SelectorCount,
    SetProposalNumber,
    SpiSize,
    WrongProtocol,
)
from ikesim.faults.sealed import UnknownOutside
from ikesim.ike.events import ChildDown, Retransmitted, SaClosed
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify
from tests.faults.stage import host_of, switchboard
from tests.ike.wiretap import IKE_AUTH, IKE_SA_INIT, INFORMATIONAL, Tap, counters, sent, tap

MakePair = Callable[..., Pair]
INVALID_MAJOR_VERSION, INVALID_SYNTAX, UNSUPPORTED_CRITICAL_PAYLOAD = 5, 7, 1
NO_PROPOSAL_CHOSEN, AUTHENTICATION_FAILED = 14, 24
INIT, AUTH = {"exchange": "IKE_SA_INIT"}, {"exchange": "IKE_AUTH"}
BOTH = ("alice", "bob")


class Story(NamedTuple):
    """A pair after one side misbehaved."""

    pair: Pair
    taps: dict[str, Tap]
    judge: str

    @property
    def notifies(self) -> list[int]:
        """The error notifies that the judge sent, in protected messages and in the clear."""
        protected = [number for said in self.taps[self.judge].said for number in said.notifies if number < 16384]
        clear: list[int] = []
        for entry in sent(self.pair, host_of(self.pair, self.judge), IKE_SA_INIT, response=True):
            clear += [int(item.type) for item in Message.parse(entry.octets[-_length(entry.octets) :]).all(Notify)]
        return protected + [number for number in clear if number < 16384]


def _length(octets: bytes) -> int:
    start = 4 if octets[:4] == bytes(4) else 0
    return int.from_bytes(octets[start + 24 : start + 28])


def meet(make: MakePair, fault: Fault, who: str, **settings: Any) -> Story:
    """Two endpoints meet, one of them with the fault."""
    pair = make(**settings)
    taps = {"alice": tap(pair.alice), "bob": tap(pair.bob)}
    switchboard(host_of(pair, who)).enable(fault)
    pair.up()
    return Story(pair, taps, "bob" if who == "alice" else "alice")


class Met(NamedTuple):
    fault: Fault
    who: tuple[str, ...] = BOTH

    @property
    def name(self) -> str:
        defaults = {key: item.default for key, item in type(self.fault).options().items()}
        options = [
            f"{key}={value}" for key, value in vars(self.fault).items() if key in defaults and value != defaults[key]
        ]
        return " ".join([" ".join(type(self.fault).rows), type(self.fault).title(), *options])


def cases(*met: Met) -> Any:
    return pytest.mark.parametrize(
        ("fault", "who"),
        [pytest.param(item.fault, who, id=f"{item.name}-{who}") for item in met for who in item.who],
    )


def fresh(fault: Fault) -> Fault:
    """The same fault without what it remembers, since cases are made once."""
    made: Fault = type(fault)(
        **{key: getattr(fault, key) for key in type(fault).__dataclass_fields__ if key in vars(fault)}
    )
    return made


# what must be borne: the tunnel comes up and carries traffic

INITIATOR, RESPONDER = ("alice",), ("bob",)


@cases(
    Met(AddNotify()),  # a status that nobody knows: RFC 7296 3.10.1
    Met(AddNotify(type="100"), INITIATOR),  # an error in a request says nothing
    Met(AddNotify(type="AUTHENTICATION_FAILED", **AUTH), INITIATOR),
    Met(AddNotify(type="NO_PROPOSAL_CHOSEN", **INIT)),  # unauthenticated, and contradicted by what stands beside it
    Met(AddPayload()),  # RFC 7296 2.5: skip what is unknown and not critical
    Met(AddPayload(data=b"", first=True)),
    Met(UnknownOutside()),
    Met(PadWithUnknownPayloads()),
    Met(OmitNotify()),  # SIGNATURE_HASH_ALGORITHMS: the older methods are left
    Met(OmitNotify(type="IKEV2_FRAGMENTATION_SUPPORTED")),
    Met(OmitNotify(type="CHILDLESS_IKEV2_SUPPORTED"), RESPONDER),
    Met(OmitNotify(type="NAT_DETECTION_SOURCE_IP")),
    Met(IgnoreNotify()),
    Met(IgnoreNotify(type="IKEV2_FRAGMENTATION_SUPPORTED")),
    Met(IgnoreNotify(type="MOBIKE_SUPPORTED")),
    Met(OmitPayload(), INITIATOR),  # IDr
    Met(OmitPayload(payload="CERTREQ")),
    Met(OmitPayload(payload="V")),
    Met(DuplicatePayload(payload="CERT")),
    Met(FillIkeAuth(octets=20000)),
    Met(SetCritical()),
    Met(SetCritical(payloads="SA,KE,AUTH")),
    Met(SetReserved()),
    Met(UnsortPayloads()),
    Met(UnsortPayloads(order="NONCE,KE,TSr,TSi,AUTH")),
    *(Met(OddCertreq(form=form)) for form in ("unknown", "empty", "cut", "many", "encoding", "twice", "none")),
    Met(BogusFlag()),
    Met(SetIkeVersion(minor=15, higher=True)),
    Met(CustomProposal(form="doubled"), INITIATOR),
    Met(CustomProposal(form="extra"), INITIATOR),
    Met(AddTransform(), INITIATOR),  # an unknown cipher beside a known one
    Met(ProposalNone()),  # NONE for integrity beside an AEAD is the same as nothing
    Met(ProposalNone(form="allow-none"), INITIATOR),
    Met(ForceNonce()),
    Met(ForceNonce(octets=b"\xff")),
    Met(ForceCookie(), RESPONDER),
    Met(DdosCookie(), INITIATOR),
    Met(DuplicateMessages()),
    Met(DuplicateMessages(inbound=True)),
    Met(ReplayMessages()),
    Met(ReplayMessages(inbound=True)),
    Met(CorruptEncrypted()),
    Met(ReplayEncrypted()),
    Met(DelayMessages(seconds=0.5)),
    Met(DelayMessages(seconds=0.5, inbound=True)),
    Met(SuppressRetransmits()),
)
def test_borne(ike_pair: MakePair, fault: Fault, who: str) -> None:
    story = meet(ike_pair, fresh(fault), who)
    assert_established(story.pair)
    assert story.pair.ping() == 1
    assert story.notifies == []
    # and rekeying and deleting work with it, too
    pair = story.pair
    pair.alice.rekey(pair.alice.established[-1])
    pair.world.run_until(pair.world.now + 3)
    pair.alice.rekey(pair.children(pair.alice)[-1].id)
    pair.world.run_until(pair.world.now + 3)
    assert_established(pair)
    assert pair.ping() == 1
    pair.down()
    assert pair.bob.established == []


# what is lost: it is sent again


@cases(
    Met(DropMessage(number=1)),
    Met(DropMessage(number=1, inbound=True)),
    Met(DropMessage(number=1, **AUTH)),
    Met(DropMessage(number=2, **AUTH), INITIATOR),  # the second fragment alone
    Met(DropMessage(times=3)),
    Met(CorruptEncrypted(only=True, times=2)),
    Met(DelayMessages(seconds=30.0, times=1)),
)
def test_retransmitted(ike_pair: MakePair, fault: Fault, who: str) -> None:
    story = meet(ike_pair, fresh(fault), who)
    assert_established(story.pair)
    assert story.pair.ping() == 1
    assert story.pair.alice.of(Retransmitted)


# what is met with silence, until the one who waits gives up


@cases(
    *(
        Met(fault(**exchange))
        for fault in (SetIkeInitiator, SetIkeRequest, SetExchange, SetMessageId)
        for exchange in (INIT, AUTH)
    ),
    Met(SetIkeSpi(spi_i=bytes(8), **INIT)),
    Met(SetIkeSpi(spi_r=b"12345678", **INIT), INITIATOR),
    *(Met(SetIkeSpi(spi_i=spi, **AUTH)) for spi in (bytes(8), b"12345678")),
    *(Met(SetIkeSpi(spi_r=spi, **AUTH)) for spi in (bytes(8), b"12345678")),
    Met(SetIkeVersion(major=1)),
    Met(SetIkeVersion(major=3, **AUTH)),
    Met(CorruptEncrypted(only=True)),
    Met(DropMessage(**AUTH)),
    Met(DropMessage(**AUTH, inbound=True)),
    # an answer to IKE_SA_INIT that breaks the rules may be anybody's: it is dropped, and the true one awaited
    *(
        Met(fault, RESPONDER)
        for fault in (
            AddPayload(critical=True, **INIT),
            AddPayload(payload="SA", replace=True, **INIT),
            AddPayload(payload="NONCE", data=b"x", replace=True, **INIT),
            OmitPayload(payload="NONCE"),
            DuplicatePayload(),
            PadWithUnknownPayloads(more=1, **INIT),
            SetLength(**INIT),
            SetLength(diff=-1, **INIT),
            SpiSize(**INIT),
            SetProposalNumber(which="ike"),
            CustomProposal(which="ike"),
            CustomProposal(which="ike", form="unknown-id"),
            CustomProposal(which="ike", form="doubled"),
            CustomProposal(which="ike", form="no-transforms"),
            AddTransform(which="ike"),
            KeyLengthAttribute(which="ike"),
            KeyLengthAttribute(which="ike", form="256"),
            ProposalNone(transform="dh", which="ike"),
            WrongProtocol(**INIT),
            KePayload(form="omit"),
            KePayload(form="empty"),
            KePayload(form="duplicate"),
            KePayload(form="cut"),
            KePayload(form="method"),
            KePayload(form="0"),
        )
    ),
)
def test_silence(ike_pair: MakePair, fault: Fault, who: str) -> None:
    story = meet(ike_pair, fresh(fault), who)
    pair = story.pair
    if pair.bob.established:
        # it accepted alice, and only its answer never reached her: it finds out by itself (RFC 7296 2.4)
        pair.world.run_until(lambda: not pair.bob.established, 600)
        assert [event.reason for event in pair.bob.of(SaClosed)] == ["dead-peer"]
    assert_refused(pair, "nobody-answered", by="nobody-answered")
    assert [event.count for event in pair.alice.of(Retransmitted)] == [1, 2, 3, 4, 5]
    judge = host_of(pair, story.judge)
    # what the judge said in the clear, if anything, is that it knows no such SA
    assert set(story.notifies) <= {4, INVALID_MAJOR_VERSION}
    assert judge.established == []


# what is answered with an error, or refused


def answered(fault: Fault, who: str, reason: str, notify: int) -> Any:
    name = Met(fault).name
    return pytest.param(fault, who, reason, notify, id=f"{name}-{who}")


@pytest.mark.parametrize(
    ("fault", "who", "reason", "notify"),
    [
        answered(SetIkeVersion(major=3, **INIT), "alice", "major-version", INVALID_MAJOR_VERSION),
        answered(AddPayload(critical=True, **INIT), "alice", "peer-refused", UNSUPPORTED_CRITICAL_PAYLOAD),
        answered(AddPayload(critical=True, **AUTH), "alice", "payload-critical", UNSUPPORTED_CRITICAL_PAYLOAD),
        answered(AddPayload(critical=True, **AUTH), "bob", "payload-critical", AUTHENTICATION_FAILED),
        answered(UnknownOutside(critical=True, **AUTH), "alice", "payload-critical", UNSUPPORTED_CRITICAL_PAYLOAD),
        answered(UnknownOutside(critical=True, **AUTH), "bob", "payload-critical", AUTHENTICATION_FAILED),
        # RFC 7296 3.10.1: an error in a response, whether known or not, means that the request failed
        answered(AddNotify(type="100", **AUTH), "bob", "peer-refused", AUTHENTICATION_FAILED),
        answered(AddNotify(type="AUTHENTICATION_FAILED", **AUTH), "bob", "peer-refused", AUTHENTICATION_FAILED),
        *(
            answered(fault, "alice", "peer-refused", INVALID_SYNTAX)
            for fault in (
                AddPayload(payload="SA", replace=True, **INIT),
                AddPayload(payload="KE", data=b"\x00", replace=True, **INIT),
                AddPayload(payload="NONCE", data=b"x", replace=True, **INIT),
                PadWithUnknownPayloads(more=1, **INIT),
                OmitPayload(payload="NONCE"),
                OmitPayload(payload="SA", **INIT),
                DuplicatePayload(),
                SetLength(**INIT),
                SetLength(diff=-1, **INIT),
                SetLength(diff=10000, **INIT),
                SetProposalNumber(which="ike"),
                SetProposalNumber(which="ike", new=0),
                KeyLengthAttribute(which="ike", form="duplicate"),
                SpiSize(**INIT),
                KePayload(form="omit"),
                KePayload(form="empty"),
                KePayload(form="cut"),
                KePayload(form="0"),
            )
        ),
        *(
            answered(fault, who, "payload-malformed", INVALID_SYNTAX if who == "alice" else AUTHENTICATION_FAILED)
            for fault in (
                AddPayload(payload="SA", replace=True, **AUTH),
                AddPayload(payload="AUTH", data=b"\x00", replace=True, **AUTH),
                AddPayload(payload="TSi", data=b"\x01", replace=True, **AUTH),
                AddPayload(payload="KE", data=b"\x00", **AUTH),
                PadWithUnknownPayloads(more=1, **AUTH),
                DuplicatePayload(payload="AUTH"),
                OmitPayload(payload="TSi"),
                SetLength(**AUTH),
                SetLength(diff=-1, **AUTH),
                SetLength(payload="CERT", diff=5000, **AUTH),
                SelectorCount(),
                SelectorCount(number=255),
                SelectorCount(payload="TSr", number=2),
                KeyLengthAttribute(which="child", form="duplicate"),
                SpiSize(**AUTH),
            )
            for who in BOTH
        ),
        *(
            answered(fault, "alice", "proposal-mismatch", NO_PROPOSAL_CHOSEN)
            for fault in (
                *(CustomProposal(which="ike", form=form) for form in ("unknown-type", "unknown-id", "attribute")),
                *(CustomProposal(which="ike", form=form) for form in ("no-encryption", "no-transforms")),
                *(KeyLengthAttribute(which="ike", form=form) for form in ("omit", "empty", "136", "0")),
                ProposalNone(transform="dh", which="ike"),
                ProposalNone(transform="dh", which="ike", form="omit"),
                AddTransform(type=99, which="ike"),
                WrongProtocol(**INIT),
            )
        ),
        answered(OmitPayload(payload="AUTH"), "alice", "auth-missing", AUTHENTICATION_FAILED),
        answered(OmitPayload(payload="AUTH"), "bob", "auth-missing", AUTHENTICATION_FAILED),
        *(
            answered(fault, who, reason, AUTHENTICATION_FAILED)
            for fault, reason in (
                (AuthByAnotherKey(), "auth-bad-signature"),
                (AuthByAnotherKey(kind="rsa"), "auth-key-mismatch"),
                (RsaSignature(form="garbage"), "auth-key-mismatch"),
                (EmptySignature(), "auth-bad-signature"),
                (SignedOctets(), "auth-bad-signature"),
                (AuthAlgorithm(), "auth-bad-encoding"),
                (ForceAuthMethod(), "auth-method-not-allowed"),
                (ForceAuthMethod(method=1), "auth-method-not-allowed"),
                (ForceAuthMethod(method=9), "auth-bad-encoding"),
                (ForceAuthMethod(method=13), "auth-method-not-allowed"),
                (ForceAuthMethod(method=255), "auth-method-not-allowed"),
                (SendPkcs7(), "cert-encoding"),
                (SendCertificates(payloads=[(4, b"\x30\x00")]), "cert-malformed"),
                (AddPayload(payload="CERT", data=b"\x04\x30", replace=True, times=1), "cert-malformed"),
            )
            for who in BOTH
        ),
        answered(RebuildAuth(), "alice", "id-mismatch", AUTHENTICATION_FAILED),
        answered(
            RebuildAuth(identity="fqdn:alice.example", sign=False, reserved=b"abc"), "alice", "auth-bad-signature", 24
        ),
    ],
)
def test_answered(ike_pair: MakePair, fault: Fault, who: str, reason: str, notify: int) -> None:
    story = meet(ike_pair, fresh(fault), who)
    in_clear = reason in ("peer-refused", "major-version")
    assert_refused(story.pair, reason, by=None if in_clear else story.judge)
    assert story.notifies == [notify]
    pair = story.pair
    if who == "bob" and notify == AUTHENTICATION_FAILED:
        # the responder believed the SA established, and is told that it is not
        assert [event.reason for event in pair.bob.of(SaClosed)] == ["refused-by-peer"]
        assert len(sent(pair, pair.alice, INFORMATIONAL)) == 1


def test_di22_the_reserved_octets_of_an_id_are_part_of_what_auth_covers(ike_pair: MakePair) -> None:
    story = meet(ike_pair, RebuildAuth(identity="fqdn:alice.example", reserved=b"\x01\x02\x03"), "alice")
    assert_established(story.pair)


@pytest.mark.parametrize("who", BOTH)
def test_di52_the_exponent_of_a_certificate_overwritten(ike_pair: MakePair, ike_pki: SimPki, who: str) -> None:
    ike_pki.issue(who, key="rsa", size=2048)
    story = meet(ike_pair, MangleCertPubkey(), who)
    assert_refused(story.pair, "cert-bad-signature", by=story.judge)


# the CHILD SA fails, the IKE SA stays


@pytest.mark.parametrize(
    ("fault", "who"),
    [
        pytest.param(fault, who, id=f"{Met(fault).name}-{who}")
        for fault in (
            *(
                CustomProposal(which="child", form=form)
                for form in ("unknown-type", "unknown-id", "attribute", "integrity", "no-encryption", "no-transforms")
            ),
            *(KeyLengthAttribute(which="child", form=form) for form in ("omit", "empty", "136", "256", "0")),
            AddTransform(type=99, which="child"),
            NullEncryption(),
            WrongProtocol(**AUTH),
        )
        for who in BOTH
    ],
)
def test_no_child(ike_pair: MakePair, fault: Fault, who: str) -> None:
    story = meet(ike_pair, fresh(fault), who)
    pair = story.pair
    assert pair.alice.established and pair.bob.established
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["proposal-mismatch"]
    pair.world.run_until(pair.world.now + 2)
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    assert story.notifies == ([NO_PROPOSAL_CHOSEN] if who == "alice" else [])


@pytest.mark.parametrize("who", BOTH)
def test_di57_an_ike_auth_without_a_child(ike_pair: MakePair, who: str) -> None:
    story = meet(ike_pair, OmitChild(), who)
    pair = story.pair
    assert pair.alice.established and pair.bob.established
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["child-failed"]
    pair.world.run_until(pair.world.now + 2)
    assert pair.children(pair.bob) == []
    # a CHILD SA can be made afterwards
    pair.alice.create_child(pair.alice.established[0], "net")
    pair.world.settle()
    assert pair.ping() == 1


def test_di31_a_damaged_cookie_gets_another_one(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"cookie_threshold": 0})
    switchboard(pair.alice).enable(DdosCookie(form="mangle", times=2))
    pair.up()
    assert_established(pair)
    # bob answers what is spoiled with the same cookie, and takes the next one once his secret has changed
    assert counters(pair.bob)["cookies-sent"] > 2 and counters(pair.bob)["cookies-accepted"] == 1
    assert len(pair.sas(pair.bob)) == 1


def test_dh04_the_cookie_comes_back_first(ike_pair: MakePair) -> None:
    story = meet(ike_pair, ForceCookie(cookie=b"\x01" * 64), "bob")
    assert_established(story.pair)
    first, second = story.taps["alice"].of(IKE_SA_INIT, response=False)
    assert first.kinds[0] == "SA"
    assert second.kinds[0] == "Notify" and second.payloads[0].data == b"\x01" * 64
    assert second.kinds[1:] == first.kinds
    assert story.taps["alice"].of(IKE_AUTH, response=False)
