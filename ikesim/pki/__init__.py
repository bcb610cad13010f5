"""Certificates, trust, revocation, identities, and the decision about them.

decision = decide(TrustRequest(certificates=[leaf, intermediate], identity=Identity.parse("fqdn:bob.example"),
                               policy=TrustPolicy(anchors=[root]), at=now), Evidence(crls=[crl]))
"""

from ikesim.pki.caching import cache_counters, clear_caches
from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.decision import Check, CheckOutcome, PathReport, RevocationOutcome, TrustDecision
from ikesim.pki.fetching import FetchKind, FetchRequest, FetchResult
from ikesim.pki.identity import Identity, IdentityPattern, match_certificate
from ikesim.pki.trust import (
    Anchor,
    AuthState,
    Evidence,
    MinimumStrength,
    RuleProfile,
    TrustPolicy,
    TrustRequest,
    decide,
)

__all__ = [
    "Anchor",
    "AuthState",
    "Certificate",
    "CertificateError",
    "Check",
    "CheckOutcome",
    "Evidence",
    "FetchKind",
    "FetchRequest",
    "FetchResult",
    "Identity",
    "IdentityPattern",
    "MinimumStrength",
    "PathReport",
    "RevocationOutcome",
    "RuleProfile",
    "TrustDecision",
    "TrustPolicy",
    "TrustRequest",
    "cache_counters",
    "clear_caches",
    "decide",
    "match_certificate",
    "parse",
]
