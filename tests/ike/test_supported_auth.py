"""SUPPORTED_AUTH_METHODS: what is announced, and what follows for schemes and certificates (RFC 9593)."""

from hashlib import sha1
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikesim.crypto.signatures import SignatureScheme, algorithm_identifier, scheme_of
from ikesim.ike.events import SaEstablished
from ikesim.sim.network import Transit
from ikesim.testing import Pair, assert_established, assert_refused
from ikesim.testing.pki import SimPki
from ikesim.wire.payloads import AUTH, CERTREQ, Notify
from tests.ike.wiretap import IKE_AUTH, IKE_SA_INIT, MakePair, Said, counters, is_message, sent, tap

SUPPORTED_AUTH_METHODS, IKE_INTERMEDIATE = 16443, 43
ON: dict[str, Any] = {"announce_auth_methods": True}
BOTH_KINDS: dict[str, Any] = {"local_certificates": ("alice-ed", "alice-rsa")}

# AlgorithmIdentifiers in DER: RFC 8410, RFC 5758, RFC 4055
ED25519 = bytes.fromhex("300506032b6570")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")


def announcements(notify: Notify | None) -> list[tuple[int, int, bytes]]:
    """(method, CA link, AlgorithmIdentifier) of each, by RFC 9593 3.2."""
    assert notify is not None
    found, rest = [], notify.data
    while rest:
        item, rest = rest[: rest[0]], rest[rest[0] :]
        assert len(item) == item[0] > 2
        found.append((item[1], item[2], item[3:]))
    return found


def announced(*items: tuple[int, int, bytes]) -> Notify:
    body = b"".join(bytes((3 + len(identifier), method, link)) + identifier for method, link, identifier in items)
    return Notify(SUPPORTED_AUTH_METHODS, body)


def two_kinds(ike_pki: SimPki, *, host: str = "alice", second_issuer: str = "north-issuing") -> None:
    """A host with an Ed25519 and an RSA certificate."""
    names = [f"fqdn:{host}.example"]
    ike_pki.issue(f"{host}-ed", host=host, key="ed25519", sans=names)
    ike_pki.issue(f"{host}-rsa", host=host, key="rsa", sans=names, issuer=second_issuer)


def scheme_used(pair: Pair, by: str) -> str:
    """What a side signed with, as the other's status shows it."""
    judge = pair.bob if by == "alice" else pair.alice
    return str(pair.sas(judge)[0]["auth"]["scheme"])


# what is said


def test_what_a_responder_announces(ike_pair: MakePair) -> None:
    schemes = ("ed25519", "ecdsa-sha256", "rsa-pkcs1-sha256")
    pair = ike_pair(bob={**ON, "signature_schemes": schemes})
    bob, alice = tap(pair.bob), tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert announcements(bob.of(IKE_SA_INIT, response=True)[0].notify(SUPPORTED_AUTH_METHODS)) == [
        (14, 0, ED25519),
        (14, 0, ECDSA_SHA256),
        (14, 0, RSA_SHA256),
        (9, 0, b""),
    ]
    # who was not told to announce does not, whatever it hears
    assert alice.of(IKE_AUTH, response=False)[0].notify(SUPPORTED_AUTH_METHODS) is None


def test_method_1_is_announced_without_an_identifier(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={**ON, "signature_schemes": ("ecdsa-sha256", "rsa-pkcs1-sha1")})
    bob = tap(pair.bob)
    pair.up()
    said = announcements(bob.of(IKE_SA_INIT, response=True)[0].notify(SUPPORTED_AUTH_METHODS))
    assert said == [(14, 0, ECDSA_SHA256), (9, 0, b""), (1, 0, b"")]


def test_an_initiator_announces_to_who_did(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**ON, "signature_schemes": ("ecdsa-sha256",)}, bob=ON)
    alice = tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert alice.of(IKE_SA_INIT, response=False)[0].notify(SUPPORTED_AUTH_METHODS) is None
    said = announcements(alice.of(IKE_AUTH, response=False)[0].notify(SUPPORTED_AUTH_METHODS))
    assert said == [(14, 0, ECDSA_SHA256), (9, 0, b"")]


def test_an_initiator_announces_to_nobody_else(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=ON)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    assert all(SUPPORTED_AUTH_METHODS not in said.notifies for said in alice.said + bob.said)


# what follows


def test_without_an_announcement_the_first_certificate_is_taken_and_refused(
    ike_pki: SimPki, ike_pair: MakePair
) -> None:
    two_kinds(ike_pki)
    pair = ike_pair(alice=BOTH_KINDS, bob={"signature_schemes": ("rsa-pss-sha256", "ecdsa-sha256")})
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")


def test_an_initiator_takes_the_certificate_that_the_responder_can_use(ike_pki: SimPki, ike_pair: MakePair) -> None:
    two_kinds(ike_pki)
    pair = ike_pair(alice=BOTH_KINDS, bob={**ON, "signature_schemes": ("rsa-pss-sha256", "ecdsa-sha256")})
    pair.up()
    assert_established(pair)
    assert scheme_used(pair, "alice") == "rsa-pss-sha256"


def test_a_responder_takes_the_certificate_that_the_initiator_can_use(ike_pki: SimPki, ike_pair: MakePair) -> None:
    two_kinds(ike_pki, host="bob", second_issuer="south-issuing")
    pair = ike_pair(
        alice={**ON, "signature_schemes": ("rsa-pkcs1-sha384", "ecdsa-sha256")},
        bob={**ON, "local_certificates": ("bob-ed", "bob-rsa")},
    )
    pair.up()
    assert_established(pair)
    assert scheme_used(pair, "bob") == "rsa-pkcs1-sha384"


def test_the_scheme_is_one_that_was_announced(ike_pki: SimPki, ike_pair: MakePair) -> None:
    ike_pki.issue("alice-rsa", host="alice", key="rsa", sans=["fqdn:alice.example"])
    rsa = {"local_certificates": "alice-rsa"}
    pair = ike_pair(alice=rsa, bob={**ON, "signature_schemes": ("rsa-pkcs1-sha512", "ecdsa-sha256")})
    pair.up()
    assert_established(pair)
    # without the announcement it would be PSS
    assert scheme_used(pair, "alice") == "rsa-pkcs1-sha512"


def test_where_nothing_fits_the_end_is_clear(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={**ON, "signature_schemes": ("ed25519", "rsa-pss-sha256")})
    pair.up()
    refused = assert_refused(pair, "auth-method-not-allowed", by="alice")
    assert "the peer announces ed25519, rsa-pss-sha256" in refused.detail
    assert sent(pair, pair.alice, IKE_AUTH) == []


def instead(pair: Pair, notify: Notify, *, exchange: int = IKE_SA_INIT) -> None:
    """Let bob announce something else, in a response of `exchange`."""

    def change(said: Said) -> list[Any] | None:
        if said.exchange != exchange or not said.response:
            return None
        kept = [item for item in said.payloads if getattr(item, "type", None) != SUPPORTED_AUTH_METHODS]
        return [*kept, notify]

    tap(pair.bob).change = change


def test_an_older_method_is_taken_where_only_that_was_announced(ike_pair: MakePair) -> None:
    pair = ike_pair()
    alice = tap(pair.alice)
    instead(pair, announced((9, 0, b"")))
    pair.up()
    assert_established(pair)
    assert alice.of(IKE_AUTH, response=False)[0].get(AUTH).method == 9


@pytest.mark.parametrize(
    ("identifier", "established"),
    [
        # of ECDSA with SHA-256 only the bare form is right (RFC 5758 3.2); an unknown scheme is none of ours
        (ECDSA_SHA256, True),
        (bytes.fromhex("300b0609608648016503040311"), False),
        (b"?", False),
    ],
)
def test_only_schemes_that_we_know_count(ike_pair: MakePair, identifier: bytes, established: bool) -> None:
    pair = ike_pair()
    instead(pair, announced((14, 0, identifier)))
    pair.up()
    if established:
        assert_established(pair)
    else:
        assert_refused(pair, "auth-method-not-allowed", by="alice")


def test_an_announcement_for_one_ca_holds_for_its_certificates_only(ike_pki: SimPki, ike_pair: MakePair) -> None:
    # bob takes Ed25519 for the south and RSA for the north; both certificates of alice are from the north
    two_kinds(ike_pki)
    pair = ike_pair(alice=BOTH_KINDS)
    seen: list[int] = []

    def change(said: Said) -> list[Any] | None:
        if said.exchange != IKE_SA_INIT or not said.response:
            return None
        asked = said.get(CERTREQ).authorities
        north = next(n for n, item in enumerate(asked, 1) if item == spki_sha1(ike_pki, "north"))
        south = next(n for n, item in enumerate(asked, 1) if item == spki_sha1(ike_pki, "south"))
        seen.extend((north, south))
        return [*said.payloads, announced((14, south, ED25519), (14, north, RSA_SHA256))]

    tap(pair.bob).change = change
    pair.up()
    assert_established(pair)
    assert sorted(seen) == [1, 2]
    assert scheme_used(pair, "alice") == "rsa-pkcs1-sha256"


def spki_sha1(ike_pki: SimPki, authority: str) -> bytes:
    certificate = x509.load_der_x509_certificate(ike_pki.authorities[authority].certificate)
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha1(info, usedforsecurity=False).digest()


def test_a_link_to_no_ca_holds_for_nobody(ike_pair: MakePair) -> None:
    pair = ike_pair()
    instead(pair, announced((14, 77, ECDSA_SHA256)))
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="alice")


def test_announcements_may_follow_in_ike_intermediate(ike_pki: SimPki, ike_pair: MakePair) -> None:
    two_kinds(ike_pki)
    hybrid = {"proposals": "aes128gcm16-prfsha256-x25519-ke1_ecp256"}
    pair = ike_pair(alice={**BOTH_KINDS, **hybrid}, bob=hybrid)

    def change(said: Said) -> list[Any] | None:
        if not said.response or said.exchange not in (IKE_SA_INIT, IKE_INTERMEDIATE):
            return None
        later = said.exchange == IKE_INTERMEDIATE
        return [*said.payloads, announced((14, 0, RSA_SHA256)) if later else Notify(SUPPORTED_AUTH_METHODS)]

    tap(pair.bob).change = change
    pair.up()
    assert_established(pair)
    assert scheme_used(pair, "alice") == "rsa-pkcs1-sha256"


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x01", b"\x03\x0e", b"\x02\x09\x0f\x0e\x00", b"\xff" * 9, b"\x02\x09\x00"]
)
def test_an_announcement_that_does_not_parse_says_nothing(ike_pair: MakePair, data: bytes) -> None:
    pair = ike_pair()
    instead(pair, Notify(SUPPORTED_AUTH_METHODS, data))
    pair.up()
    assert_established(pair)
    assert counters(pair.alice)["auth-announcements-malformed"] == 1


def test_two_octets_name_a_method_of_no_ca(ike_pair: MakePair) -> None:
    # shared keys (method 2) are nothing that we could use; beside them there is what we can
    pair = ike_pair()
    instead(pair, Notify(SUPPORTED_AUTH_METHODS, b"\x02\x02" + announced((14, 0, ECDSA_SHA256)).data))
    pair.up()
    assert_established(pair)


def test_a_changed_announcement_is_found_by_auth(ike_pair: MakePair) -> None:
    pair = ike_pair(bob=ON)
    mark = bytes((3 + len(ED25519), 14, 0)) + ED25519

    def spoil(transit: Transit) -> None:
        if is_message(transit, IKE_SA_INIT, response=True):
            assert mark in transit.octets
            transit.octets = transit.octets.replace(mark, mark[:2] + b"\x05" + mark[3:])

    pair.world.network.add_filter(spoil)
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="alice")
    assert len(pair.bob.of(SaEstablished)) == 1


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_every_identifier_is_read_back(scheme: SignatureScheme) -> None:
    assert scheme_of(algorithm_identifier(scheme)) is scheme
