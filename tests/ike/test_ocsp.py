"""OCSP across handshakes: good responses serve until they expire, nonces are fresh, concurrent demands share."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ikesim.ike.events import FetchStarted
from ikesim.pki.fetching import FetchKind, FetchRequest
from ikesim.sim.services import Answer
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.ike.wiretap import MakePair, states

URL = "http://ocsp.north.example/issuing"
ASKING: dict[str, Any] = {"revocation": {"method": "ocsp", "policy": "if-uri"}}
"""Only alice's certificate names a responder, so that her CA's own status is skipped."""
DAY = 86400.0


class Responder:
    """north-issuing's responder; notes each request as it came."""

    def __init__(self, pki: SimPki, *, days: float = 1.0, delay: float = 0.02) -> None:
        self.pki, self.days, self.delay = pki, days, delay
        self.asked: list[ocsp.OCSPRequest] = []

    def __call__(self, request: FetchRequest, wall: datetime) -> Answer:
        self.asked.append(ocsp.load_der_ocsp_request(request.body))
        authority = self.pki.authorities["north-issuing"]
        return Answer(authority.respond(request.body, wall, days=self.days), delay=self.delay)

    @property
    def nonces(self) -> list[bytes]:
        return [item.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce for item in self.asked]


def asking(make: MakePair, pki: SimPki, **given: Any) -> tuple[Pair, Responder]:
    """A pair in which bob asks a responder about alice."""
    pki.issue("alice", ocsp_urls=(URL,))
    pair = make(bob=ASKING, alice={"unique": "never"}, **given)
    responder = pair.world.services[URL] = Responder(pki)
    return pair, responder


def again(pair: Pair) -> None:
    pair.down()
    pair.up()


def test_a_good_response_serves_the_next_handshake_too(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, responder = asking(ike_pair, ike_pki)
    pair.up()
    _, first = assert_established(pair)
    assert first.decision.accepted
    again(pair)
    _, second = assert_established(pair)
    assert len(responder.asked) == 1
    checks = [check for check in second.decision.paths[0].checks if check.subject.startswith("OCSP response of")]
    assert [check.source for check in checks if check.outcome == "pass"] == ["held"]


def test_an_expired_response_is_asked_for_anew_and_replaced(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, responder = asking(ike_pair, ike_pki)
    pair.up()
    pair.down()
    pair.world.run_until(pair.world.now + DAY + 1)
    pair.up()
    assert_established(pair)
    assert len(responder.asked) == 2
    again(pair)
    assert len(responder.asked) == 2


def test_what_was_good_is_refused_once_the_response_has_expired(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, _ = asking(ike_pair, ike_pki)
    pair.up()
    pair.down()
    ike_pki.revoke("alice", "key-compromise", publish=False)
    pair.up()
    assert_established(pair)  # within the time that the responder itself has set
    pair.down()
    pair.world.run_until(pair.world.now + DAY + 1)
    pair.up()
    assert_refused(pair, "cert-revoked", by="bob")


@pytest.mark.parametrize("status", ["unknown", "revoked"])
def test_only_good_responses_are_kept(ike_pair: MakePair, ike_pki: SimPki, status: str) -> None:
    pair, responder = asking(ike_pair, ike_pki)
    authority, serial = ike_pki.authorities["north-issuing"], ike_pki.leaves["alice"].serial
    record = authority.issued.pop(serial) if status == "unknown" else None
    if record is None:
        authority.revoke(serial, at=ike_pki.now)
    pair.up()
    assert_refused(pair, "ocsp-unknown" if record else "cert-revoked", by="bob")
    if record:
        authority.issued[serial] = record
    else:
        authority.unrevoke(serial)
    pair.up()
    assert len(responder.asked) == 2
    assert_established(pair)


def test_a_response_without_next_update_is_not_kept(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, responder = asking(ike_pair, ike_pki)

    def without(request: FetchRequest, wall: datetime) -> bytes:
        responder.asked.append(ocsp.load_der_ocsp_request(request.body))
        return ike_pki.authorities["north-issuing"].respond(request.body, wall, next_update=None)

    pair.world.services[URL] = without
    pair.up()
    again(pair)
    assert_established(pair)
    assert len(responder.asked) == 2


def test_nonces_are_drawn_from_the_entropy_handed_in(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, responder = asking(ike_pair, ike_pki)
    chosen = [bytes([number]) * 32 for number in (1, 2, 3)]
    pair.bob.ports.random.chosen["ocsp"] = list(chosen)
    responder.days = -1.0  # past its nextUpdate: never kept
    pair.up()
    assert_refused(pair, "ocsp-stale", by="bob")
    assert responder.nonces == chosen[:1]
    pair.world.run_until(pair.world.now + 60)
    pair.up()
    assert responder.nonces[0] != responder.nonces[1]
    assert set(responder.nonces) <= set(chosen)


def test_peers_that_come_at_once_are_asked_about_once(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair, responder = asking(ike_pair, ike_pki)
    responder.delay = 5.0
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    pair.alice.initiate("bob")
    pair.world.run_until(2.0)
    assert states(pair, pair.bob) == ["awaits-verdict"] * 2
    pair.world.settle()
    assert len(pair.bob.established) == 2
    assert len(responder.asked) == 1
    assert _urls(pair.bob.of(FetchStarted)) == [URL]


def _urls(started: Sequence[FetchStarted]) -> list[str]:
    return [event.url for event in started]


def test_without_a_nonce_a_get_is_shared_too(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("alice", ocsp_urls=(URL,))
    pair = ike_pair(bob={"revocation": {"method": "ocsp", "policy": "if-uri", "ocsp": {"nonce": False}}})
    requests: list[FetchRequest] = []
    pair.bob.hooks.on_fetch = lambda sa, request: requests.append(request)

    def answer(request: FetchRequest, wall: datetime) -> bytes:
        return ike_pki.authorities["north-issuing"].ocsp(ike_pki.leaves["alice"].serial, wall)

    pair.world.services[URL] = answer
    pair.up()
    again(pair)
    assert_established(pair)
    assert [(item.kind, item.method) for item in requests] == [(FetchKind.OCSP, "GET")]
    assert "ocsp" not in pair.bob.ports.random.draws
