"""What will stop working, and when: everything that expires or runs stale is known today.

A decision depends on time only through the bounds of what it looked at. So it is enough to decide again just after
each of these bounds, in order, until the answer changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.crl import read_crl
from ikesim.pki.decision import TrustDecision, plain
from ikesim.pki.der import DerError
from ikesim.pki.profiles import RevocationMethod, RevocationPolicy
from ikesim.pki.request import Anchor, Evidence, TrustPolicy, TrustRequest
from ikesim.pki.snapshot import LocalCertificate, TrustStore
from ikesim.pki.trust import decide
from ikesim.reasons import Reason

_TICK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a connection that stops working at `at`."""

    at: datetime
    connection: str
    reason: Reason
    subject: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """The change in a stable JSON form."""
        return {
            "at": plain(self.at),
            "connection": self.connection,
            "reason": self.reason.value,
            "subject": self.subject,
            "detail": self.detail,
        }


def first_refusal(
    request: TrustRequest, evidence: Evidence, until: datetime
) -> tuple[datetime, TrustDecision] | None:
    """When, from `request.at` to `until`, a peer is first refused, and why; None if it is accepted all the time."""
    certificates = [*request.certificates, *(anchor.certificate for anchor in request.policy.anchor_list)]
    for moment in (request.at, *_bounds(certificates, (*evidence.intermediates,), evidence.crls, request.at, until)):
        decision = decide(replace(request, at=moment), evidence)
        if not decision.accepted:
            return moment, decision
    return None


def changes(
    connection: str,
    policy: TrustPolicy,
    local: Iterable[LocalCertificate],
    store: TrustStore,
    now: datetime,
    until: datetime,
) -> list[Change]:
    """What ends by itself: a connection's own certificates, the CAs of its group, and their CRLs; in time order."""
    found: list[Change] = []
    for held in local:
        for der in (held.certificate, *held.chain):
            found += _expiry(connection, parse(der), f"our certificate {held.certificate_id!r}", policy)
    for anchor in policy.anchor_list:
        profile = f"CA profile {anchor.ca_profile}"
        found += _expiry(connection, parse(anchor.certificate), f"every peer under {profile}", policy)
        if _needs_crl(anchor, policy):
            found += _staleness(connection, anchor, store, profile)
    return sorted(
        (replace(change, at=max(change.at, now)) for change in found if change.at <= until),
        key=lambda change: (change.at, change.reason, change.subject),
    )


def _expiry(connection: str, certificate: Certificate, what: str, policy: TrustPolicy) -> list[Change]:
    problem = None
    key = certificate.public_key
    bits = getattr(key, "key_size", None)
    floor = {"RSAPublicKey": policy.strength.rsa, "ECPublicKey": policy.strength.ecdsa}.get(type(key).__name__, 0)
    if bits is not None and bits < floor:
        problem = Change(
            certificate.not_before,
            connection,
            Reason.KEY_WEAK,
            certificate.names,
            f"{what}: its key has {bits} bits, minimum-strength asks for {floor}",
        )
    ends = Change(
        certificate.not_after + _TICK,
        connection,
        Reason.CERT_EXPIRED,
        certificate.names,
        f"{what} is no longer valid",
    )
    return [ends] if problem is None else [problem, ends]


def _needs_crl(anchor: Anchor, policy: TrustPolicy) -> bool:
    wanted = RevocationPolicy(anchor.policy or policy.revocation)
    method = RevocationMethod(anchor.method or RevocationMethod.CRL)
    return wanted is RevocationPolicy.STRICT and method is RevocationMethod.CRL


def _staleness(connection: str, anchor: Anchor, store: TrustStore, profile: str) -> list[Change]:
    ends: list[datetime] = []
    for der in store.crls.get(anchor.ca_profile or "", ()):
        try:
            crl = read_crl(der)
        except DerError:
            continue
        if crl.next_update is not None:
            ends.append(crl.next_update)
    if not ends:
        return []
    newer = f"fetched from {anchor.urls[0]}" if anchor.urls else "loaded, or fetched from where certificates say"
    detail = f"every peer under {profile}, unless a newer CRL is {newer}"
    return [Change(max(ends) + _TICK, connection, Reason.CRL_STALE, f"CRL of {profile}", detail)]


def _bounds(
    certificates: Iterable[bytes], others: Iterable[bytes], crls: Iterable[bytes], start: datetime, until: datetime
) -> list[datetime]:
    """Just after each moment at which something held begins or ends to be valid."""
    moments: set[datetime] = set()
    for der in (*certificates, *others):
        try:
            certificate = parse(bytes(der))
        except CertificateError:
            continue
        moments |= {certificate.not_before, certificate.not_after + _TICK}
    for der in crls:
        try:
            crl = read_crl(der)
        except DerError:
            continue
        moments.add(crl.this_update)
        if crl.next_update is not None:
            moments.add(crl.next_update + _TICK)
    return sorted(moment for moment in moments if start < moment <= until)
