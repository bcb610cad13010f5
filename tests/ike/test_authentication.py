"""IKE_AUTH: certificates that are asked for and sent, and signatures that prove them (RFC 7296 2.15, 3.6 to 3.8)."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikesim.ike.events import SaClosed, SaEstablished, SaRefused
from ikesim.pki.identity import Identity
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.address import Path
from ikesim.wire.payloads import AUTH, CERT, CERTREQ, IDi, IDr, Notify
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    Said,
    counters,
    hold,
    is_message,
    sent,
    states,
    tap,
)

SIGNATURE_HASH_ALGORITHMS, AUTHENTICATION_FAILED = 16431, 24
WHOLE = {"fragment_size": 0}


def key_of(der: bytes) -> Any:
    return x509.load_der_x509_certificate(der).public_key()


def spki_sha1(der: bytes) -> bytes:
    """RFC 7296 3.7, by the library alone."""
    spki = key_of(der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha1(spki, usedforsecurity=False).digest()


def hide_hashes(said: Said) -> list[Any] | None:
    """A peer from before RFC 7427."""
    if said.exchange != IKE_SA_INIT:
        return None
    return [item for item in said.payloads if getattr(item, "type", None) != SIGNATURE_HASH_ALGORITHMS]


# signatures


@pytest.mark.parametrize(
    ("key", "size", "schemes", "identifier"),
    [
        # AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420 appendix A
        ("ecdsa", 256, None, "300a06082a8648ce3d040302"),
        ("ecdsa", 384, None, "300a06082a8648ce3d040303"),
        ("ecdsa", 521, None, "300a06082a8648ce3d040304"),
        # a P-256 key takes SHA-256 first, whatever the order of the list
        ("ecdsa", 256, ["ecdsa-sha512", "ecdsa-sha384"], "300a06082a8648ce3d040302"),
        ("ed25519", None, None, "300506032b6570"),
        ("ed448", None, None, "300506032b6571"),
        ("rsa", 2048, ["rsa-pkcs1-sha256"], "300d06092a864886f70d01010b0500"),
        ("rsa", 2048, ["rsa-pkcs1-sha512"], "300d06092a864886f70d01010d0500"),
        # RSASSA-PSS with SHA2-256, MGF1 of it and 32 octets of salt: the default before PKCS#1 v1.5
        (
            "rsa",
            3072,
            None,
            "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
            "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
        ),
    ],
)
def test_signature_schemes(
    ike_pair: MakePair, ike_pki: SimPki, key: str, size: int | None, schemes: list[str] | None, identifier: str
) -> None:
    for name in ("alice", "bob"):
        ike_pki.issue(name, key=key, size=size)
    # the CAs sign with ECDSA and SHA-256, so that scheme stays allowed
    settings = {"signature_schemes": [*schemes, "ecdsa-sha256"]} if schemes else {}
    pair = ike_pair(alice=settings, bob=settings)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    for said in (ours.of(IKE_AUTH, response=False)[0], theirs.of(IKE_AUTH, response=True)[0]):
        auth = said.get(AUTH)
        assert auth.method == 14
        assert auth.data[0] == len(identifier) // 2
        assert auth.data[1 : 1 + auth.data[0]].hex() == identifier
    assert pair.ping() == 1


@pytest.mark.parametrize(
    ("size", "method", "octets", "algorithm"),
    [
        (256, 9, 64, hashes.SHA256()),
        (384, 10, 96, hashes.SHA384()),
        (521, 11, 132, hashes.SHA512()),
    ],
)
def test_a_peer_that_hides_its_hashes_gets_the_method_of_the_curve(
    ike_pair: MakePair,
    ike_pki: SimPki,
    size: int,
    method: int,
    octets: int,
    algorithm: hashes.HashAlgorithm,
) -> None:
    for name in ("alice", "bob"):
        ike_pki.issue(name, key="ecdsa", size=size)
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    ours.change = theirs.change = hide_hashes
    signed: list[bytes] = []
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed.append(octets)
    pair.up()
    assert_established(pair)
    auth = ours.of(IKE_AUTH, response=False)[0].get(AUTH)
    assert (auth.method, len(auth.data)) == (method, octets)
    # RFC 4754 7: r and s side by side, over the octets of RFC 7296 2.15, which start with the request as sent
    key = key_of(ike_pki.leaves["alice"].certificate)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    half = octets // 2
    signature = encode_dss_signature(int.from_bytes(auth.data[:half]), int.from_bytes(auth.data[half:]))
    assert signed[0].startswith(sent(pair, pair.alice, IKE_SA_INIT)[0].octets)
    key.verify(signature, signed[0], ec.ECDSA(algorithm))


def test_method_1_only_where_it_is_configured(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", key="rsa", size=2048)
    old = {"signature_schemes": ["rsa-pkcs1-sha1", "ecdsa-sha256"]}
    # bob hides his hashes; alice may use method 1, and bob takes it
    pair = ike_pair(alice=old, bob=old)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    theirs.change = hide_hashes
    signed: list[bytes] = []
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed.append(octets)
    pair.up()
    assert_established(pair)
    auth = ours.of(IKE_AUTH, response=False)[0].get(AUTH)
    assert auth.method == 1
    key = key_of(ike_pki.leaves["alice"].certificate)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(auth.data, signed[0], padding.PKCS1v15(), hashes.SHA1())
    # a bob who does not allow it refuses
    pair = ike_pair(alice=old)
    tap(pair.bob).change = hide_hashes
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")
    # and without it alice has no way to sign: she refuses, nothing is sent
    pair = ike_pair()
    tap(pair.bob).change = hide_hashes
    pair.up()
    event = assert_refused(pair, "auth-method-not-allowed", by="alice")
    assert "can sign in no way that both sides allow" in event.detail
    assert sent(pair, pair.alice, IKE_AUTH) == []


def test_a_scheme_that_the_peer_does_not_allow_is_refused(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", key="ed25519")
    pair = ike_pair(bob={"signature_schemes": ["ecdsa-sha256"]})
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")


def test_the_next_certificate_is_taken_when_the_first_cannot_sign(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice-rsa", host="alice", key="rsa", size=2048)
    settings = {"local_certificates": ("alice-rsa", "alice")}
    pair = ike_pair(alice=settings)
    ours = tap(pair.alice)
    tap(pair.bob).change = hide_hashes
    pair.up()
    assert_established(pair)
    assert ours.of(IKE_AUTH, response=False)[0].get(AUTH).method == 9


# AUTH by somebody else


def another_key(pair: Pair, host: SimHost, pki: SimPki) -> None:
    """Let a host sign with a key that its certificate knows nothing of (strongSwan's conftest: rebuild_auth)."""
    pki.vault("mallory").generate("mallory", "ecdsa", 256)
    octets: list[bytes] = []
    host.hooks.before_sign = lambda sa, signed, certificate: octets.append(signed)
    host.hooks.after_sign = lambda sa, signature, certificate: pki.vault("mallory").sign(
        "mallory", scheme_of(pair), octets[-1]
    )


def scheme_of(pair: Pair) -> Any:
    return pair.alice.config.connections["bob"].signature_schemes[2]  # ecdsa-sha256


@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_auth_by_another_key(ike_pair: MakePair, ike_pki: SimPki, liar: str) -> None:
    pair = ike_pair()
    host = pair.alice if liar == "alice" else pair.bob
    another_key(pair, host, ike_pki)
    pair.up()
    event = assert_refused(pair, "auth-bad-signature", by="bob" if liar == "alice" else "alice")
    assert event.decision is not None
    failed = [check for path in event.decision.paths for check in path.checks if check.outcome == "fail"]
    assert [(check.rule, check.reason) for check in failed] == [("RFC 7296 2.15", "auth-bad-signature")]


@pytest.mark.parametrize(
    ("forge", "reasons"),
    [
        # CVE-2013-2944: an empty or zero signature counted as a good one
        (lambda signature: bytes(len(signature)), {"auth-bad-signature", "auth-bad-encoding"}),
        (lambda signature: encode_dss_signature(0, 0), {"auth-bad-signature"}),
        (lambda signature: signature[:-1] + bytes((signature[-1] ^ 1,)), {"auth-bad-signature"}),
    ],
    ids=["zero octets", "r and s zero", "one bit"],
)
def test_a_spoiled_signature(ike_pair: MakePair, forge: Callable[[bytes], bytes], reasons: set[str]) -> None:
    pair = ike_pair()
    pair.alice.hooks.after_sign = lambda sa, signature, certificate: forge(signature)
    pair.up()
    (refusal,) = pair.bob.of(SaRefused)
    assert refusal.reason in reasons
    assert pair.alice.established == pair.bob.established == []


@pytest.mark.parametrize("part", ["message", "nonce", "identity"])
def test_auth_covers_the_message_the_nonce_and_the_identity(ike_pair: MakePair, part: str) -> None:
    # RFC 7296 2.15: RealMessage | NonceData | MACedID
    pair = ike_pair(alice=WHOLE, bob=WHOLE)

    def wrong(sa: object, octets: bytes, certificate: str) -> bytes:
        message = len(sent(pair, pair.alice, IKE_SA_INIT)[0].octets)
        assert len(octets) == message + 32 + 32
        at = {"message": 40, "nonce": message + 3, "identity": len(octets) - 1}[part]
        return octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]

    pair.alice.hooks.before_sign = wrong
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="bob")


def test_no_auth_payload(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        [item for item in said.payloads if not isinstance(item, AUTH)] if said.exchange == IKE_AUTH else None
    )
    pair.up()
    assert_refused(pair, "auth-missing", by="bob")


@pytest.mark.parametrize("method", [0, 2, 3, 12, 13, 99])
def test_an_auth_method_that_proves_nothing(ike_pair: MakePair, method: int) -> None:
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        [AUTH(method, item.data) if isinstance(item, AUTH) else item for item in said.payloads]
        if said.exchange == IKE_AUTH
        else None
    )
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")


@pytest.mark.parametrize(
    ("id_type", "data"),
    [
        (2, b"alice.example\0"),  # RFC 7296 3.5: no terminators
        (2, b""),
        (2, b"\xff" * 8),
        (1, b"\x0a\x00\x00"),
        (5, bytes(4)),
        (9, b"\x30\x80\x00\x00"),  # CVE-2013-6075: a crafted DN
        (9, b""),
        (10, b"\x30\x00"),
        (13, b""),
        (0, b"x"),
        (12, b"x"),
        (255, b"x"),
        (2, b"a" * 60000),
    ],
)
@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_an_identification_that_is_none(ike_pair: MakePair, liar: str, id_type: int, data: bytes) -> None:
    pair = ike_pair()
    host, other = (pair.alice, pair.bob) if liar == "alice" else (pair.bob, pair.alice)
    kind = IDi if liar == "alice" else IDr
    tap(host).change = lambda said: (
        [
            kind(id_type, data) if type(item) is kind and item.data == f"{liar}.example".encode() else item
            for item in said.payloads
        ]
        if said.exchange == IKE_AUTH
        else None
    )
    pair.up()
    assert_refused(pair, "id-invalid", by=other.name)
    assert host.established == []


def test_a_responder_that_lies_learns_that_it_was_refused(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # RFC 7296 2.21.2
    pair = ike_pair()
    another_key(pair, pair.bob, ike_pki)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    # HDR(2), SK {N(AUTHENTICATION_FAILED)} --> ; <-- HDR(2), SK {}
    (said,) = ours.of(INFORMATIONAL, response=False)
    assert (said.message_id, said.payloads) == (2, [Notify(AUTHENTICATION_FAILED)])
    assert [item.payloads for item in theirs.of(INFORMATIONAL, response=True)] == [[]]
    assert [type(event) for event in pair.bob.events[:1]] == [SaEstablished]
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["refused-by-peer"]
    assert pair.children(pair.bob) == []
    pair.world.run_until(60.0)
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []


def test_a_refusal_that_is_lost_is_said_again(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    another_key(pair, pair.bob, ike_pki)
    lost = hold(pair, lambda item: is_message(item, INFORMATIONAL, response=False), times=1)
    pair.up()
    pair.world.run_until(20.0)
    assert lost
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["refused-by-peer"]


def test_on_the_wire_a_refusal_is_authentication_failed_and_nothing_more(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.revoke("alice")
    pair = ike_pair()
    theirs = tap(pair.bob)
    pair.up()
    (said,) = theirs.of(IKE_AUTH, response=True)
    assert said.payloads == [Notify(AUTHENTICATION_FAILED)]
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.authenticated, refusal.decision) == (
        "peer",
        "peer-refused",
        True,
        None,
    )
    assert refusal.detail == "the responder answered AUTHENTICATION_FAILED"


def test_a_refusal_is_repeated_for_a_retransmission_until_it_is_forgotten(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    ike_pki.revoke("alice")
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    pair.up()
    (request,) = sent(pair, pair.alice, IKE_AUTH)
    (answer,) = sent(pair, pair.bob, IKE_AUTH)
    pair.world.send(request.octets, Path(request.source, request.destination))
    pair.world.settle()
    assert [item.octets for item in sent(pair, pair.bob, IKE_AUTH)] == [answer.octets] * 2
    pair.world.run_until(40.0)
    pair.world.send(request.octets, Path(request.source, request.destination))
    pair.world.settle()
    assert counters(pair.bob)["ike-unknown-spi"] == 1


def test_refused_sas_that_are_remembered_are_limited(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # anybody makes them: IKE_SA_INIT and an IKE_AUTH that is refused
    ike_pki.revoke("alice")
    pair = ike_pair(alice=WHOLE, bob={**WHOLE, "max_half_open": 3, "cookie_threshold": 100})
    for _ in range(8):
        pair.up()
    assert counters(pair.bob)["ended-forgotten-early"] == 5
    # the newest are still there to answer again, the oldest are not
    requests = sent(pair, pair.alice, IKE_AUTH)
    for request, known in ((requests[0], False), (requests[-1], True)):
        pair.bob.inject(request.octets, Path(request.destination, request.source))
        assert counters(pair.bob).get("requests-repeated", 0) == int(known)


# certificates: what is asked for, what is sent


def test_certreq_asks_for_the_keys_of_the_trusted_group(ike_pair: MakePair, ike_pki: SimPki) -> None:
    for trusted in ("north", "south"):
        ike_pki.issue("bob", issuer=f"{trusted}-issuing")
        pair = ike_pair(alice={"trusted_ca": trusted})
        ours = tap(pair.alice)
        pair.up()
        assert_established(pair)
        asked = ours.of(IKE_AUTH, response=False)[0].get(CERTREQ)
        assert (asked.encoding, asked.data) == (4, spki_sha1(ike_pki.authorities[trusted].certificate))


@pytest.mark.parametrize("asked", ["north", "south"])
@pytest.mark.parametrize("order", [("alice", "alice-south"), ("alice-south", "alice")])
def test_a_certreq_chooses_among_our_certificates(
    ike_pair: MakePair, ike_pki: SimPki, order: tuple[str, str], asked: str
) -> None:
    ike_pki.issue("alice-south", host="alice", issuer="south-issuing")
    pair = ike_pair(alice={"local_certificates": order}, bob={"trusted_ca": asked})
    ours = tap(pair.alice)
    pair.up()
    assert_established(pair)
    sent_ = ours.of(IKE_AUTH, response=False)[0].all(CERT)
    leaf = ike_pki.leaves["alice" if asked == "north" else "alice-south"].certificate
    assert [item.data for item in sent_] == [leaf, ike_pki.authorities[f"{asked}-issuing"].certificate]


def certreq(data: bytes, encoding: int = 4) -> Callable[[Said], list[Any] | None]:
    """bob's CERTREQ says this instead."""

    def change(said: Said) -> list[Any] | None:
        if said.exchange != IKE_SA_INIT:
            return None
        return [CERTREQ(encoding, data) if isinstance(item, CERTREQ) else item for item in said.payloads]

    return change


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", 4),
        (bytes(20), 4),
        (bytes(19), 4),
        (bytes(20 * 1000), 4),
        (bytes(20), 11),
        (b"?", 200),
    ],
    ids=["empty", "unknown CA", "no multiple of 20", "a thousand", "raw key", "unknown encoding"],
)
def test_a_certreq_that_matches_nothing_is_only_a_hint(ike_pair: MakePair, data: bytes, encoding: int) -> None:
    # DC21
    pair = ike_pair(bob={"fragment_size": 0})
    tap(pair.bob).change = certreq(data, encoding)
    pair.up()
    assert_established(pair)


@pytest.mark.parametrize(
    ("mode", "asked", "count"),
    [("always", True, 2), ("always", False, 2), ("if-asked", True, 2), ("if-asked", False, 0), ("never", True, 0)],
)
def test_send_certificate(ike_pair: MakePair, ike_pki: SimPki, mode: str, asked: bool, count: int) -> None:
    pair = ike_pair(alice={"send_certificate": mode})
    ours, theirs = tap(pair.alice), tap(pair.bob)
    if not asked:
        theirs.change = lambda said: [item for item in said.payloads if not isinstance(item, CERTREQ)]
    pair.up()
    assert len(ours.of(IKE_AUTH, response=False)[0].all(CERT)) == count
    if count:
        assert_established(pair)
    else:
        assert_refused(pair, "cert-not-sent", by="bob")


def test_idr_chooses_the_connection_and_with_it_the_certificate(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("carol", host="bob", issuer="south-issuing", sans=["fqdn:carol.example"], subject="CN=carol")
    pair = ike_pair(alice={"remote_id": "fqdn:carol.example"})
    bob = pair.bob.config.connections["alice"]
    carol = replace(
        bob,
        name="carol",
        local_id=Identity.parse("fqdn:carol.example"),
        local_certificates=("carol",),
    )
    pair.bob.reconfigure(replace(pair.bob.config, connections={"alice": bob, "carol": carol}))
    theirs = tap(pair.bob)
    verdict = pair.up()
    assert isinstance(verdict, SaEstablished)
    # HDR, SK {IDi, ..., IDr(carol)} --> ; <-- HDR, SK {IDr(carol), CERT(carol), AUTH}
    said = theirs.of(IKE_AUTH, response=True)[0]
    assert said.get(IDr).data == b"carol.example"
    assert said.all(CERT)[0].data == ike_pki.leaves["carol"].certificate
    assert [event.connection for event in pair.bob.of(SaEstablished)] == ["carol"]
    assert verdict.decision.identity == "fqdn:carol.example"


def test_the_next_connection_is_tried_when_trust_fails(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"trusted_ca": "south"})
    first = pair.bob.config.connections["alice"]
    second = replace(first, name="partners", trusted_ca=None, trusted_ca_group="partners")
    pair.bob.reconfigure(replace(pair.bob.config, connections={"alice": first, "partners": second}))
    pair.up()
    (event,) = pair.bob.of(SaEstablished)
    assert event.connection == "partners"
    assert [(item.connection, item.reason) for item in event.decision.attempts] == [
        ("alice", "cert-ca-not-allowed"),
        ("partners", None),
    ]


def test_the_certificates_of_unknown_encodings_are_passed_over(ike_pair: MakePair) -> None:
    # strongSwan's conftest pads IKE_AUTH with CERT payloads of encoding 201 (DH06)
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        [*said.payloads, CERT(201, bytes(3000))] if said.exchange == IKE_AUTH else None
    )
    pair.up()
    assert_established(pair)


def test_only_encodings_that_we_do_not_read(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        [CERT(11, item.data) if isinstance(item, CERT) else item for item in said.payloads]
        if said.exchange == IKE_AUTH
        else None
    )
    pair.up()
    assert_refused(pair, "cert-encoding", by="bob")


def test_payloads_may_come_in_any_order(ike_pair: MakePair) -> None:
    # RFC 7296 2.5 (DH23): what counts is what is there. The end certificate still comes first (3.6).
    pair = ike_pair()
    tap(pair.alice).change = lambda said: (
        sorted(said.payloads, key=lambda item: not isinstance(item, AUTH)) if said.exchange == IKE_AUTH else None
    )
    pair.up()
    assert_established(pair)
    assert states(pair, pair.bob) == ["established"]
