"""The certificate scenarios of strongSwan (CS), libreswan (CL) and OpenIKED (CO) that are not a single wrong thing.

Those that are stand among the scenes of test_certificates and test_revocation, under the rows that they name.

Left out, since ikesim's PKI model forbids them: key containers (CS23 and CS26 in part), peer certificates pinned
without a CA (CL02, CL05), identity checks that are switched off (CL07).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.events import ChildDown, SaEstablished, SaRefused
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.profiles import CaProfile, TrustedCaGroup
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.payloads import CERT, CERTREQ
from ikesim.wire.selectors import TrafficSelector
from tests.faults.stage import deciding, verdict
from tests.ike.wiretap import IKE_AUTH, tap

MakePair = Callable[..., Pair]
DAY = timedelta(days=1)


def connections(host: SimHost, **variants: dict[str, Any]) -> None:
    """Give a host several connections in place of its one: copies of it, each with its own settings."""
    (template,) = host.config.connections.values()
    made: dict[str, ConnectionConfig] = {}
    for name, settings in variants.items():
        settings = dict(settings)
        network = settings.pop("network", None)
        if network is not None:
            (child,) = template.children
            settings["children"] = (replace(child, local_ts=(TrafficSelector.parse(network),)),)
        made[name] = replace(template, name=name, **settings)
    host.reconfigure(replace(host.config, connections=made))


def attempts(pair: Pair, judge: str) -> list[tuple[str, str | None]]:
    return [(item.connection, item.reason) for item in verdict(pair, judge).attempts]


# building and fetching


@pytest.mark.parametrize("gateway", ["alice", "bob"])
def test_cs01_cs02_every_crl_of_the_path_is_fetched_for_peers_of_two_sub_cas(
    ike_pair: MakePair, ike_pki: SimPki, gateway: str
) -> None:
    # gateway and peer know the roots only; the peer's sub-CA comes in CERT, asked for by CERTREQ
    peer = "bob" if gateway == "alice" else "alice"
    side = "south" if peer == "bob" else "north"
    for name in ("research", "sales"):
        ike_pki.add_authority(name, parent=side)
        ike_pki.issue(peer, issuer=name)
        pair = ike_pair(crls="http")
        said = tap(pair.alice)
        pair.up()
        assert_established(pair)
        assert pair.ping() == 1
        assert said.of(IKE_AUTH, response=False)[0].all(CERTREQ)
        host = pair.alice if gateway == "alice" else pair.bob
        assert sorted(host.fetched_urls) == sorted(ike_pki.crl_url(ca) for ca in (name, side))
        checks = [check for check in verdict(pair, gateway).paths[0].checks if check.subject.startswith("CRL")]
        assert sorted(check.source for check in checks) == sorted(host.fetched_urls)
        assert {check.outcome.value for check in checks} == {"pass"}


def test_cs04_cs58_a_pki_of_three_levels_below_the_root(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.add_authority("level-2", parent="north-issuing")
    ike_pki.add_authority("level-3", parent="level-2")
    ike_pki.issue("alice", issuer="level-3")
    pair = ike_pair(crls="http")
    pair.up()
    assert_established(pair)
    path = ("north", "north-issuing", "level-2", "level-3")
    assert sorted(pair.bob.fetched_urls) == sorted(map(ike_pki.crl_url, path))


@pytest.mark.parametrize("revoked", ["level-2", "north-issuing"])
def test_cs08_a_revoked_ca_in_the_middle(ike_pair: MakePair, ike_pki: SimPki, revoked: str) -> None:
    ike_pki.add_authority("level-2", parent="north-issuing")
    ike_pki.issue("alice", issuer="level-2")
    ike_pki.revoke(revoked)
    pair = ike_pair()
    pair.up()
    assert_refused(pair, "cert-revoked", by="bob")
    assert deciding(verdict(pair, "bob")).subject == f"O=north, CN={revoked}"


def test_co04_an_intermediate_alone_is_no_anchor_unless_it_is_said_to_be(ike_pair: MakePair, ike_pki: SimPki) -> None:
    def meet(partial: bool) -> Pair:
        pair = ike_pair(
            bob={
                "ca_profiles": {"issuing": CaProfile("issuing", "issuing.example", partial_chain=partial)},
                "trusted_ca_groups": {"partners": TrustedCaGroup("partners", ("issuing",))},
            }
        )
        store = pair.bob.ports.store
        issuing = {"issuing": ike_pki.authorities["north-issuing"].certificate}
        pair.bob.change_trust(replace(store, ca=issuing, crls={"issuing": (ike_pki.crls["north-issuing"],)}))
        pair.alice.reconfigure(pair.alice.config)
        pair.up()
        return pair

    pair = meet(False)
    assert_refused(pair, "cert-no-issuer", by="bob")
    assert deciding(verdict(pair, "bob")).subject == "O=north, CN=north-issuing"
    pair = meet(True)
    assert_established(pair)
    assert verdict(pair, "bob").ca_profile == "issuing"


@pytest.mark.parametrize("judge", ["alice", "bob"])
def test_cl03_nobody_is_accepted_where_no_ca_is_held(ike_pair: MakePair, ike_pki: SimPki, judge: str) -> None:
    pair = ike_pair()
    host = pair.alice if judge == "alice" else pair.bob
    host.change_trust(ike_pki.without(host.ports.store, "north", "south"))
    pair.up()
    assert_refused(pair, "cert-no-issuer", by=judge)


def test_co02_each_side_of_its_own_ca(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    ours, theirs = assert_established(pair)
    assert (ours.decision.ca_profile, theirs.decision.ca_profile) == ("south", "north")


def test_cs30_certificates_beyond_2038(ike_pki: SimPki, request: pytest.FixtureRequest) -> None:
    # the wall clock itself is past 2^31 seconds, and notAfter past 2049 is a GeneralizedTime
    pki = SimPki("2038", now=datetime(2039, 6, 1, tzinfo=UTC))
    for name in ("alice", "bob"):
        pki.issue(name, days=20 * 365)
    pair = Pair.of(pki)
    pair.up()
    ours, _ = assert_established(pair)
    assert ours.decision.certificate is not None
    assert ours.decision.certificate.not_after.year == 2059


# which connection answers


def test_cs03_cl13_a_peer_is_switched_to_the_connection_of_its_ca(ike_pair: MakePair) -> None:
    pair = ike_pair()
    connections(
        pair.bob,
        sales={"trusted_ca": "south", "trusted_ca_group": None, "network": "10.2.0.0/25"},
        research={"trusted_ca": "north", "trusted_ca_group": None, "network": "10.2.0.128/25"},
    )
    pair.up()
    assert_established(pair)
    assert attempts(pair, "bob") == [("sales", "cert-ca-not-allowed"), ("research", None)]
    (child,) = pair.sas(pair.bob)[0]["child_sas"]
    assert child["local_ts"] == ["10.2.0.128/25"]


def test_cs03_what_belongs_to_the_other_group_is_not_given(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"child": {"remote_ts": ("10.2.0.0/25",)}})
    connections(
        pair.bob,
        sales={"trusted_ca": "south", "trusted_ca_group": None, "network": "10.2.0.0/25"},
        research={"trusted_ca": "north", "trusted_ca_group": None, "network": "10.2.0.128/25"},
    )
    pair.up()
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["ts-mismatch"]
    assert pair.alice.established and pair.bob.established and not pair.children(pair.bob)


@pytest.mark.parametrize(
    ("unit", "asked", "network"),
    [
        ("Research", "10.2.0.0/24", "10.2.0.0/25"),
        ("Accounting", "10.2.0.0/24", "10.2.0.128/25"),
        ("Research", "10.2.0.128/25", None),
        ("Sales", "10.2.0.0/24", None),
    ],
)
def test_cs28_cl08_a_dn_pattern_chooses_the_connection(
    ike_pair: MakePair, ike_pki: SimPki, unit: str, asked: str, network: str | None
) -> None:
    subject = f"C=CH, O=strong, OU={unit}, CN=alice"
    ike_pki.issue("alice", subject=subject, sans=[])
    pair = ike_pair(alice={"local_id": f"dn:{subject}", "child": {"remote_ts": (asked,)}})
    connections(
        pair.bob,
        research={
            "remote_id": IdentityPattern.parse("dn:C=CH, O=strong, OU=Research, CN=*"),
            "network": "10.2.0.0/25",
        },
        # the same in the other order of RDNs
        accounting={
            "remote_id": IdentityPattern.parse("dn:CN=*, OU=Accounting, O=strong, C=CH"),
            "network": "10.2.0.128/25",
        },
    )
    pair.up()
    if unit == "Sales":
        assert_refused(pair, "id-not-allowed", by="bob")
    elif network is None:
        assert [event.reason for event in pair.alice.of(ChildDown)] == ["ts-mismatch"]
    else:
        assert_established(pair)
        assert pair.sas(pair.bob)[0]["child_sas"][0]["local_ts"] == [network]


@pytest.mark.parametrize(("expected", "allowed"), [("fqdn:alice.example", True), ("fqdn:carol.example", False)])
def test_cs29_co05_only_listed_identities(ike_pair: MakePair, expected: str, allowed: bool) -> None:
    pair = ike_pair(bob={"remote_id": expected})
    pair.up()
    if allowed:
        assert_established(pair)
    else:
        assert_refused(pair, "id-not-allowed", by="bob")
        assert deciding(verdict(pair, "bob")).rule == "RFC 4301 4.4.3"


def test_cl09_an_address_where_a_dn_is_expected(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", sans=["ipv4:192.0.2.1"], subject="C=CH, CN=alice")
    pair = ike_pair(alice={"local_id": "ipv4:192.0.2.1"}, bob={"remote_id": "dn:C=CH, CN=alice"})
    pair.up()
    assert_refused(pair, "id-not-allowed", by="bob")


@pytest.mark.parametrize("name", ["bob.example", "www.example", "*.wild.example"])
def test_cl10_the_responder_chooses_its_certificate_by_idr(ike_pair: MakePair, ike_pki: SimPki, name: str) -> None:
    for number, fqdn in enumerate(("bob.example", "www.example", "*.wild.example")):
        ike_pki.issue(
            f"bob-{number}", host="bob", issuer="south-issuing", subject=f"CN={number}", sans=[f"fqdn:{fqdn}"]
        )
    pair = ike_pair(alice={"remote_id": IdentityPattern(Identity.parse(f"fqdn:{name}"))})
    connections(
        pair.bob,
        **{
            f"answer-{number}": {
                "local_id": Identity.parse(f"fqdn:{fqdn}"),
                "local_certificates": (f"bob-{number}",),
            }
            for number, fqdn in enumerate(("bob.example", "www.example", "*.wild.example"))
        },
    )
    pair.up()
    ours, _ = assert_established(pair)
    assert ours.decision.certificate is not None
    assert ours.decision.certificate.san == (f"fqdn:{name}",)


@pytest.mark.parametrize(("size", "connection"), [(384, "sha384"), (521, "sha512"), (256, None)])
def test_cs21_a_connection_for_signers_of_one_hash(
    ike_pair: MakePair, ike_pki: SimPki, size: int, connection: str | None
) -> None:
    ike_pki.issue("alice", size=size)
    pair = ike_pair(bob={"signature_schemes": ["ecdsa-sha384", "ecdsa-sha512", "ecdsa-sha256"]})
    own = SignatureScheme.ED25519
    ike_pki.issue("bob", key="ed25519")
    pair.bob.change_trust(ike_pki.store("bob"))
    connections(
        pair.bob,
        sha384={"signature_schemes": (SignatureScheme.ECDSA_SHA384, own)},
        sha512={"signature_schemes": (SignatureScheme.ECDSA_SHA512, own)},
    )
    pair.up()
    if connection is None:
        assert_refused(pair, "auth-method-not-allowed", by="bob")
        assert [name for name, _ in attempts(pair, "bob")] == ["sha384", "sha512"]
    else:
        assert_established(pair)
        assert pair.bob.of(SaEstablished)[0].connection == connection


# keys and signatures


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_cs22_rsa_pss(ike_pair: MakePair, ike_pki: SimPki, digest: str) -> None:
    ike_pki.issue("alice", key="rsa", size=2048)
    pair = ike_pair(alice={"signature_schemes": [f"rsa-pss-{digest}", "ecdsa-sha256"]})
    pair.up()
    assert_established(pair)
    checks = verdict(pair, "bob").paths[0].checks
    assert [check.evidence["scheme"] for check in checks if "scheme" in check.evidence] == [f"rsa-pss-{digest}"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("ecdsa", 256), ("ecdsa", 384)),
        (("ecdsa", 521), ("ecdsa", 256)),
        (("rsa", 2048), ("ecdsa", 256)),
        (("ecdsa", 256), ("rsa", 3072)),
        (("ed25519", None), ("ed25519", None)),
        (("ed448", None), ("rsa", 2048)),
    ],
)
def test_cs20_cs23_cs24_cl25_cl26_any_two_kinds_of_key(
    ike_pair: MakePair, ike_pki: SimPki, ours: Any, theirs: Any
) -> None:
    ike_pki.issue("alice", key=ours[0], size=ours[1])
    ike_pki.issue("bob", key=theirs[0], size=theirs[1])
    pair = ike_pair()
    pair.up()
    assert_established(pair)
    assert pair.ping() == 1


def test_cl24_cl25_a_scheme_that_is_not_configured_is_refused(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", key="rsa", size=2048)
    pair = ike_pair(bob={"signature_schemes": ["ecdsa-sha256"]})
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")
    pair = ike_pair(alice={"signature_schemes": ["rsa-pkcs1-sha512"]}, bob={"signature_schemes": ["rsa-pss-sha256"]})
    pair.up()
    assert pair.bob.of(SaRefused) and not pair.alice.established


# certificates in band


@pytest.mark.parametrize(("mode", "accepted"), [("always", True), ("if-asked", True), ("never", False)])
def test_cl01_cl11_certificates_are_sent_or_not(ike_pair: MakePair, mode: str, accepted: bool) -> None:
    pair = ike_pair(alice={"send_certificate": mode})
    said = tap(pair.alice)
    pair.up()
    assert bool(said.of(IKE_AUTH, response=False)[0].all(CERT)) is accepted
    if accepted:
        assert_established(pair)
    else:
        assert_refused(pair, "cert-not-sent", by="bob")


def test_cl01_if_asked_stays_silent_without_a_certreq(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"send_certificate": "if-asked"})
    tap(pair.bob).change = lambda said: [item for item in said.payloads if not isinstance(item, CERTREQ)]
    said = tap(pair.alice)
    pair.up()
    assert not said.of(IKE_AUTH, response=False)[0].all(CERT)
    assert_refused(pair, "cert-not-sent", by="bob")


# revocation


def test_cs32_a_crl_at_hand_is_not_fetched(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="held")
    pair.up()
    assert_established(pair)
    assert pair.bob.fetched_urls == [] and pair.alice.fetched_urls == []
    revocation = verdict(pair, "bob").revocation
    assert revocation is not None and revocation.outcome.text == "good"


def test_cs34_a_stale_crl_is_replaced_before_the_verdict(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.publish("north-issuing", now=ike_pki.now - 9 * DAY, days=1)
    pair = ike_pair(crls="held")
    ike_pki.publish("north-issuing")
    pair.up()
    assert_established(pair)
    assert pair.bob.fetched_urls == [ike_pki.crl_url("north-issuing")]
    # what was fetched is kept: the next peer needs no fetch
    pair.down()
    pair.up()
    assert_established(pair)
    assert len(pair.bob.fetched_urls) == 1


def test_cs39_ocsp_switched_off_leaves_crls(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", ocsp_urls=("http://ocsp.north.example",))
    pair = ike_pair(crls="http")
    pair.up()
    assert_established(pair)
    assert not [url for url in pair.bob.fetched_urls if "ocsp" in url]


def test_cl17_a_responder_of_the_profile_for_certificates_that_name_none(ike_pair: MakePair, ike_pki: SimPki) -> None:
    url = "http://ocsp.example/default"

    def meet() -> Pair:
        pair = ike_pair(bob={"revocation": {"method": "ocsp", "ocsp": {"url": (url,)}}}, crls="none")
        pair.alice.change_trust(ike_pki.store("alice"))

        def respond(request: Any, wall: datetime) -> bytes:
            # the responder of all CAs: each answers for what it issued
            asked = next(
                ca for ca in ike_pki.authorities.values() if any(n.to_bytes(16) in request.body for n in ca.issued)
            )
            return asked.respond(request.body, wall)

        pair.world.services[url] = respond
        pair.up()
        return pair

    assert_established(meet())
    ike_pki.revoke("alice")
    assert_refused(meet(), "cert-revoked", by="bob")
