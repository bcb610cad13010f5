"""The holes that strongSwan and libreswan had: one test each, named by its CVE.

Each attack goes through a whole exchange; after it the same endpoint still does an honest handshake.
"""

from collections.abc import Callable
from typing import Any

import pytest

from ikesim.faults import Fault, SceneFault
from ikesim.faults.auth import RebuildAuth, SendCertificates
from ikesim.faults.certificates import (
    ContradictingAlgorithms,
    NameConstraints,
    PssParameters,
    TamperedSignature,
    UnknownCa,
)
from ikesim.faults.keys import rsa_spki
from ikesim.faults.life import EarlyRequest
from ikesim.faults.messages import AddPayload, MangleCertPubkey, PadWithUnknownPayloads
from ikesim.faults.negotiation import KePayload, KeyLengthAttribute, NullEncryption, SelectorCount, WrongProtocol
from ikesim.faults.proofs import NoSignature, OddRsaExponent, RsaForgery, WrongSigner
from ikesim.faults.scene import Scene
from ikesim.ike.events import ChildDown, ChildUp, SaEstablished, SaRefused
from ikesim.pki import cache_counters
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.faults.stage import Expected, check, deciding, host_of, play, switchboard, verdict
from tests.ike.wiretap import CREATE_CHILD_SA, IKE_AUTH, INFORMATIONAL, counters, is_message, sent, tap

MakePair = Callable[..., Pair]
AUTH = "RFC 7296 2.15"
KEY = "RFC 5280 4.1.2.7"
BOTH = pytest.mark.parametrize("liar", ["alice", "bob"], ids=["initiator", "responder"])


def honest(pair: Pair) -> None:
    """Without the fault both come together."""
    for host in (pair.alice, pair.bob):
        for seam in ("before_sign", "after_sign", "before_encode", "before_protect", "on_send"):
            setattr(host.hooks, seam, None)
    pair.down()
    for host in (pair.alice, pair.bob):
        host.events.clear()
    pair.up()
    assert_established(pair)
    assert pair.ping() == 1


def scene(fault: SceneFault, pki: SimPki, liar: str, reason: str, subject: str, rule: str) -> Pair:
    _, pair = play(fault, pki, liar=liar)
    check(pair, liar, Expected(reason, subject, rule))
    return pair


def attack(make: MakePair, fault: Fault, **settings: Any) -> Pair:
    pair = make(**settings)
    switchboard(pair.alice).enable(fault)
    pair.up()
    return pair


# strongSwan


@BOTH
@pytest.mark.parametrize("form", ["zeros", "zero-numbers"])
def test_cve_2013_2944_an_ecdsa_signature_of_zeros(ike_pki: SimPki, liar: str, form: str) -> None:
    honest(scene(NoSignature(form=form), ike_pki, liar, "auth-bad-signature", "{id}", AUTH))


@pytest.mark.parametrize("dn", ["3084ffffffff", "30ff", "3003310030", "31" * 200, "30820100" + "00" * 10])
def test_cve_2013_6075_a_crafted_dn_in_an_id_payload(ike_pair: MakePair, dn: str) -> None:
    pair = attack(ike_pair, RebuildAuth(identity=f"9:{dn}"), bob={"remote_id": "*"})
    assert_refused(pair, "id-invalid", by="bob")
    honest(pair)


@pytest.mark.parametrize("what", ["rekey", "child"])
def test_cve_2014_2338_rekeying_an_sa_that_was_never_authenticated(ike_pair: MakePair, what: str) -> None:
    pair = attack(ike_pair, EarlyRequest(what=what))
    # no IKE or CHILD SA came of it: the only one is that of the IKE_AUTH which followed
    assert not sent(pair, pair.bob, CREATE_CHILD_SA)
    assert len(pair.bob.of(SaEstablished)) == len(pair.bob.of(ChildUp)) == 1
    honest(pair)


def test_cve_2015_4171_nothing_is_given_to_a_peer_before_its_constraints_are_checked(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    # the responder is somebody: of a CA that we hold, and not the one that this connection trusts
    pair = ike_pair(alice={"trusted_ca": "north"}, crls="http")
    pair.up()
    assert_refused(pair, "cert-ca-not-allowed", by="alice")
    assert not pair.alice.of(ChildUp) and pair.alice.fetched_urls == []
    # all that alice says after IKE_AUTH is that it failed
    assert [is_message(entry, INFORMATIONAL) for entry in sent(pair, pair.alice, INFORMATIONAL)] == [True]
    assert counters(pair.alice).get("fetches-refused") is None


@BOTH
def test_cve_2018_16151_octets_behind_the_hash(ike_pki: SimPki, liar: str) -> None:
    honest(scene(RsaForgery(form="garbage"), ike_pki, liar, "auth-bad-signature", "{id}", AUTH))


@BOTH
def test_cve_2018_16152_a_forgery_for_the_exponent_3(ike_pki: SimPki, liar: str) -> None:
    honest(scene(RsaForgery(form="cube-root", exponent=3), ike_pki, liar, "auth-bad-signature", "{id}", AUTH))


@pytest.mark.parametrize(
    ("modulus", "reason"), [(0, "key-invalid"), (1, "key-invalid"), (15, None), (3 * 2**61 + 1, None)]
)
def test_cve_2018_17540_a_tiny_modulus(ike_pki: SimPki, modulus: int, reason: str | None) -> None:
    staged = Scene(ike_pki)
    certificate = staged.certify(public_key_info=rsa_spki(modulus, 3))
    pair = Pair.of(ike_pki)
    switchboard(pair.alice).enable(SendCertificates(payloads=[(4, certificate), (4, staged.issuer.certificate)]))
    pair.up()
    (refusal,) = pair.bob.of(SaRefused)
    # a library may load it or not: it is refused before anything is verified with it
    assert refusal.reason in ("key-invalid", "key-weak")
    assert deciding(verdict(pair, "bob")).subject == "CN=alice"
    honest(pair)


@BOTH
def test_cve_2021_41990_a_pss_salt_that_overflows(ike_pki: SimPki, liar: str) -> None:
    for salt in (2**31 - 1, 2**32, -1):
        pair = scene(PssParameters(salt=salt), ike_pki, liar, "cert-malformed", "{liar}", "RFC 5280 4.1.1.2")
    honest(pair)
    scene(RsaForgery(form="pss-long-salt"), ike_pki, liar, "auth-bad-encoding", "{id}", AUTH)


def test_cve_2021_41991_caches_stay_bounded_however_many_certificates_come(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    staged = Scene(ike_pki)
    other = staged.authority("flood", subject="CN=flood")
    key = staged.key("flood").public_key()
    flood = [staged.certify(other, key=key, subject=f"CN={number}") for number in range(640)]
    pair = ike_pair()
    board = switchboard(pair.alice)
    before = cache_counters()["certificates"]
    for start in range(0, len(flood), 40):
        number = board.enable(SendCertificates(payloads=[(4, der) for der in flood[start : start + 40]]))
        pair.up()
        board.disable(number)
    assert {event.reason for event in pair.bob.of(SaRefused)} == {"cert-no-issuer"}
    after = cache_counters()["certificates"]
    assert after["entries"] <= after["limit"] == before["limit"] < len(flood)
    pair.up()
    assert_established(pair)


@BOTH
def test_cve_2021_41991_a_variant_of_a_certificate_that_is_known_gains_nothing(ike_pki: SimPki, liar: str) -> None:
    # the caches know the true certificate, its signature and its path
    pair = Pair.of(ike_pki)
    pair.up()
    assert_established(pair)
    for fault, reason, rule in (
        (TamperedSignature(), "cert-bad-signature", "RFC 5280 6.1.3 (a)(1)"),
        (ContradictingAlgorithms(), "cert-malformed", "RFC 5280 4.1.1.2"),
    ):
        scene(fault, ike_pki, liar, reason, "{liar}", rule)
    # octets behind the signature of the very certificate that was accepted
    true = ike_pki.leaves[liar].certificate
    for variant in (true + b"\x00", true[:-1] + bytes((true[-1] ^ 1,))):
        pair = Pair.of(ike_pki)
        chain = ike_pki.authorities[ike_pki.leaves[liar].issuer].chain
        switchboard(host_of(pair, liar)).enable(SendCertificates(payloads=[(4, der) for der in (variant, *chain)]))
        pair.up()
        assert not pair.alice.established and not pair.bob.established


@pytest.mark.parametrize("untrusted", ["ca", "auth"])
def test_cve_2022_40617_no_url_of_an_unproven_certificate_is_visited(ike_pki: SimPki, untrusted: str) -> None:
    class Bait(SceneFault):
        def prepare(self, staged: Scene) -> None:
            staged.fetch = True
            staged.judge["fetch_private_addresses"] = True
            url = "http://127.0.0.1:8080/bait.crl"
            if untrusted == "ca":
                west = staged.authority("west", crl_at=(url,), ocsp_at=("http://127.0.0.1:8080/ocsp",))
                staged.send(staged.certify(west), west.certificate)
            else:
                staged.below(staged.certify(crl_urls=(url,), ocsp_urls=("http://127.0.0.1:8080/ocsp",)))
                staged.faults += _faults_of(WrongSigner(), staged)

    _, pair = play(Bait(), ike_pki)
    assert_refused(pair, "cert-no-issuer" if untrusted == "ca" else "auth-bad-signature", by="bob")
    assert pair.bob.fetched_urls == []
    scene(UnknownCa(), ike_pki, "alice", "cert-no-issuer", "O=west, CN=west", "RFC 5280 6.1.3 (a)(4)")


def _faults_of(fault: SceneFault, staged: Scene) -> list[Fault]:
    before = len(staged.faults)
    fault.prepare(staged)
    made = staged.faults[before:]
    del staged.faults[before:]
    return made


@pytest.mark.parametrize(
    "constraint",
    [
        {"excluded": "fqdn:EXAMPLE"},  # host names are compared without regard to case
        {"excluded": "fqdn:.example"},
        {"permitted": "fqdn:ample"},  # whole labels only
        {"permitted": "fqdn:alice.example.org"},
        {"excluded": "rfc822:.example", "san": "rfc822:root@mail.example"},
        {"permitted": "ip:192.0.2.0/25", "san": "ipv4:192.0.2.200"},
        {"permitted": "dn:OU=x"},
    ],
)
def test_cve_2026_35331_name_constraints_cannot_be_talked_around(ike_pki: SimPki, constraint: dict[str, str]) -> None:
    pair = scene(
        NameConstraints(**constraint), ike_pki, "alice", "cert-name-constraint", "{liar}", "RFC 5280 6.1.3 (b)(c)"
    )
    honest(pair)


# libreswan


@pytest.mark.parametrize("group", ["modp2048", "ecp256", "x25519"])
@pytest.mark.parametrize("fill", ["0", "255"])
def test_cve_2015_3240_a_public_value_without_a_shared_secret(ike_pair: MakePair, group: str, fill: str) -> None:
    settings = {"proposals": f"aes128gcm16-prfsha256-{group}"}
    pair = attack(ike_pair, KePayload(form=fill, times=1), alice=settings, bob=settings)
    (first,) = pair.bob.of(SaRefused) or [None]
    if (group, fill) == ("x25519", "255"):
        # a value like any other (RFC 7748 5: it is reduced): the keys just do not agree
        assert first is None or first.reason == "half-open-timeout"
    else:
        assert not pair.bob.established and not pair.sas(pair.bob)
    pair.world.run_until(pair.world.now + 60)
    honest(pair)


@pytest.mark.parametrize("what", ["clear", "informational", "delete"])
def test_cve_2019_12312_an_informational_between_ike_sa_init_and_ike_auth(ike_pair: MakePair, what: str) -> None:
    pair = attack(ike_pair, EarlyRequest(what=what))
    assert_established(pair)
    assert not sent(pair, pair.bob, INFORMATIONAL)
    honest(pair)


@pytest.mark.parametrize(
    "fault",
    [
        SelectorCount(number=0),
        SelectorCount(number=255),
        AddPayload(payload="TSi", data=b"\x01\x00\x00\x00\x07\x00\x00\x00", replace=True),
        AddPayload(payload="TSi", data=b"\x01\x00\x00\x00\x07\x00\x00\x07\x00\x00\xff\xff", replace=True),
        AddPayload(payload="TSr", data=b"\x01\x00\x00\x00\x08\x00\x00\x10" + bytes(12), replace=True),
        AddPayload(payload="TSr", data=b"\x02\x00\x00\x00\x07\x00\x00\x10" + bytes(12), replace=True),
    ],
    ids=["none", "many", "length 0", "length 7", "IPv6 of IPv4 length", "one short"],
)
def test_cve_2023_23009_malformed_traffic_selectors(ike_pair: MakePair, fault: Fault) -> None:
    pair = attack(ike_pair, fault)
    assert_refused(pair, "payload-malformed", by="bob")
    honest(pair)


@pytest.mark.parametrize("protocol", [0, 1, 2, 255])
def test_cve_2023_38710_a_rekey_notify_of_another_protocol(ike_pair: MakePair, protocol: int) -> None:
    pair = ike_pair()
    pair.up()
    said = tap(pair.bob)
    switchboard(pair.alice).enable(WrongProtocol(where="rekey", protocol=protocol, times=1))
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    answer = said.of(CREATE_CHILD_SA, response=True)[0]
    assert answer.notifies in ([44], [7])  # CHILD_SA_NOT_FOUND, INVALID_SYNTAX
    assert answer.kinds == ["Notify"]
    honest(pair)


@BOTH
def test_cve_2024_2357_our_own_key_is_missing(ike_pair: MakePair, ike_pki: SimPki, liar: str) -> None:
    # CL16: the certificate is there and its key is not; no half-made state may be left behind
    pair = ike_pair()
    ike_pki.vault(liar).delete(liar)
    pair.up()
    refusals = host_of(pair, liar).of(SaRefused)
    assert [event.reason for event in refusals] == ["local-key-missing"]
    assert not pair.alice.established and not pair.bob.established
    pair.world.run_until(pair.world.now + 120)
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []
    ike_pki.issue(liar)
    host_of(pair, liar).change_trust(ike_pki.store(liar))
    honest(pair)


@pytest.mark.parametrize(
    "fault",
    [NullEncryption(), KeyLengthAttribute(which="child", form="0"), KeyLengthAttribute(which="child", form="omit")],
    ids=["NULL", "0 bits", "no length"],
)
def test_cve_2024_3652_no_child_sa_without_key_material(ike_pair: MakePair, fault: Fault) -> None:
    pair = attack(ike_pair, fault)
    assert [event.reason for event in pair.bob.of(ChildDown)] == ["proposal-mismatch"]
    assert not pair.bob.of(ChildUp)
    honest(pair)


@pytest.mark.parametrize(("more", "accepted"), [(0, True), (1, False), (2000, False)])
def test_cve_2026_12413_a_full_table_of_payloads_in_fragments(ike_pair: MakePair, more: int, accepted: bool) -> None:
    pair = attack(ike_pair, PadWithUnknownPayloads(more=more, exchange="IKE_AUTH"))
    assert len(sent(pair, pair.alice, IKE_AUTH)) > 1
    if accepted:
        assert_established(pair)
    else:
        assert_refused(pair, "payload-malformed", by="bob")
    honest(pair)


@BOTH
@pytest.mark.parametrize("exponent", [0, 1])
def test_cve_2026_14957_a_certificate_with_an_impossible_exponent(ike_pki: SimPki, liar: str, exponent: int) -> None:
    honest(scene(OddRsaExponent(exponent=exponent), ike_pki, liar, "key-invalid", "{liar}", KEY))


def test_cve_2026_14957_an_exponent_overwritten_on_the_way(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", key="rsa", size=2048)
    pair = attack(ike_pair, MangleCertPubkey())
    assert_refused(pair, "cert-bad-signature", by="bob")
    honest(pair)


@BOTH
@pytest.mark.parametrize("form", ["cut-hash", "padded-hash", "garbage", "no-null"])
def test_cve_2026_50722_a_signed_hash_of_the_wrong_length(ike_pki: SimPki, liar: str, form: str) -> None:
    honest(scene(RsaForgery(form=form), ike_pki, liar, "auth-bad-signature", "{id}", AUTH))
