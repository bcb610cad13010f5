"""The human log and the hints."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ikesim.daemon.hints import hint
from ikesim.daemon.safe import escaped
from ikesim.daemon.text import log_line, sentence
from ikesim.ike import events
from ikesim.ike.ids import SaId
from ikesim.reasons import Reason
from ikesim.wire.address import Address

AT = datetime(2026, 3, 1, 12, 30, 1, 250_000, UTC)
COMMON: dict[str, Any] = {"sequence": 1, "time": AT, "endpoint": "alice"}
SA = SaId("ike#1")


def test_a_line_has_time_endpoint_and_sentence() -> None:
    event = events.Retransmitted(**COMMON, sa=SA, message_id=1, count=2)
    assert log_line(event) == "12:30:01.250 alice: ike#1: request 1 sent again (retransmission 2)"


def test_the_side_that_refused_is_named() -> None:
    common = {**COMMON, "sa": SA, "connection": "bob"}
    peer = events.SaRefused(**common, by="peer", reason=Reason.PEER_REFUSED, detail="AUTHENTICATION_FAILED")
    assert sentence(peer) == "ike#1: bob refused us, unauthenticated (peer-refused): AUTHENTICATION_FAILED"
    nobody = events.SaRefused(**common, by="nobody-answered", reason=Reason.NOBODY_ANSWERED)
    assert sentence(nobody) == "ike#1: nobody answered for bob (nobody-answered)"
    us = events.SaRefused(**common, by="us", reason=Reason.NO_CONNECTION, detail="nobody is configured for it")
    assert sentence(us) == "ike#1: we refused bob (no-connection): nobody is configured for it"


def test_every_event_has_a_sentence_of_its_own() -> None:
    """What falls through to the class's name has none."""
    plain = {
        events.FetchStarted: {"url": "http://x/"},
        events.FetchFinished: {"url": "http://x/", "result": "ok"},
        events.Rekeyed: {"old": SA, "new": SaId("ike#2")},
        events.Redirected: {"old": SA, "new": SaId("ike#2"), "gateway": "192.0.2.3"},
        events.AddressAssigned: {"sa": SA, "addresses": ("10.9.0.1",), "dns": ("10.9.0.53",)},
        events.Anomaly: {"what": "odd", "rule": "RFC 7296 2.21"},
        events.TrustChanged: {"what": "crl", "ca_profile": "north"},
        events.SaClosed: {"sa": SA, "connection": "bob", "reason": Reason.DELETED_BY_PEER},
        events.ChildDown: {"sa": SA, "child": SaId("child#2"), "name": "net", "reason": Reason.TS_MISMATCH},
        events.SelfTested: {"trigger": "start", "passed": False, "ran": 3, "failed": ("sha1",)},
        events.Ready: {"listen": (Address("::1", 500),), "listen_nat_t": ()},
    }
    for kind, fields in plain.items():
        assert sentence(kind(**COMMON, **fields)) != kind.__name__  # type: ignore[arg-type] # fields by kind
    others = {events.SaEstablished, events.SaRefused, events.ChildUp, events.Retransmitted}
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)}
    assert kinds - {events.Event} == set(plain) | others


def test_text_of_peers_cannot_command_the_terminal() -> None:
    hostile = "fqdn:\x1b[2J\r\n\u202eevil\x00.example"
    event = events.Anomaly(**COMMON, what=hostile, rule="RFC 7296")
    line = log_line(event)
    assert line.isprintable()
    assert "\\x1b[2J\\r\\n\\u202eevil\\x00.example" in line
    assert escaped("a" * 600).endswith("...")
    assert len(escaped("a" * 600)) == 500
    assert escaped("Grüße 鍵") == "Grüße 鍵"


def decision(profile: str | None) -> dict[str, Any]:
    return {"ca_profile": profile, "paths": []}


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("crl-missing", "ikesim pki load FILE.crl --crl north --endpoint a.toml"),
        ("crl-fetch-failed", "ikesim pki load FILE.crl --crl north --endpoint a.toml"),
        ("crl-stale", "ikesim pki load FILE.crl --crl north --endpoint a.toml"),
        ("crl-fetch-refused", "set url in [pki.ca-profile.north.revocation-check] of a.toml"),
        ("ocsp-missing", "set ocsp.url in [pki.ca-profile.north.revocation-check] of a.toml"),
    ],
)
def test_missing_revocation_data_ends_with_one_command_or_key(reason: str, says: str) -> None:
    verdict = {"reason": reason, "by": "us", "connection": "bob", "decision": decision("north")}
    line = hint(verdict, Path("a.toml"))
    assert line is not None
    assert says in line
    assert hint({**verdict, "by": "peer"}, Path("a.toml")) is None


def test_what_no_step_helps_has_no_hint() -> None:
    assert hint({"reason": "cert-revoked", "by": "us", "decision": decision("north")}, Path("a.toml")) is None
    assert hint({"reason": None, "decision": decision("north")}, Path("a.toml")) is None
