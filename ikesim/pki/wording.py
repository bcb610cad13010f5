"""The one sentence that says what a decision came to, from the check that decided."""

from collections.abc import Callable, Mapping

from ikesim.pki.decision import Check, RevocationSummary, plain
from ikesim.reasons import TRUST_REASONS, Reason

_LISTED = 8
"""Values of a list that a sentence holds."""


def refusal(reason: Reason, check: Check | None) -> str:
    """Why it was refused, with the values that matter."""
    if check is None:
        return f"Refused ({reason}): {TRUST_REASONS[reason].meaning}."
    sentence = _SENTENCES.get(reason)
    detail = sentence(check.evidence) if sentence is not None else None
    if detail is None:
        problem = check.evidence.get("problem") or check.evidence.get("cause")
        meaning, cause = TRUST_REASONS[reason].meaning, _text(problem) if problem else ""
        detail = f"{meaning} ({cause})" if cause and cause != meaning else meaning
    return f"Refused ({reason}): {check.subject}: {detail}."


def acceptance(
    subject: str, anchor: str, profile: str | None, length: int, revocation: RevocationSummary | None
) -> str:
    """Why it was accepted."""
    above = {2: "directly", 3: "through one intermediate CA"}.get(length, f"through {length - 2} intermediate CAs")
    named = f"{anchor} (CA profile {profile})" if profile else anchor
    status = "not checked" if revocation is None else revocation.outcome.text
    return f"Accepted: {subject} leads {above} to {named}; revocation {status}."


def _text(value: object) -> str:
    shown = plain(value)
    if isinstance(shown, (list, tuple)):
        more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
        return ", ".join(map(str, shown[:_LISTED])) + more or "none"
    return str(shown)


def _mismatch(evidence: Mapping[str, object]) -> str:
    near = evidence.get("near_misses")
    proves = _text(evidence.get("proves", ()))
    hint = f" ({_text(near)})" if near else ""
    return f"does not prove {_text(evidence.get('identity'))}{hint}; it proves {proves}"


def _constraint(evidence: Mapping[str, object]) -> str:
    return (
        f"the name {_text(evidence.get('name'))} is {_text(evidence.get('problem'))} by the name constraints of "
        f"{_text(evidence.get('constrained_by'))}"
    )


def _revoked(evidence: Mapping[str, object]) -> str | None:
    if "says" not in evidence:
        return None
    outcome = "on hold" if "hold" in _text(evidence.get("outcome")) else "revoked"
    date = evidence.get("revocation_date")
    since = f" since {_text(date)}" if date else ""
    return f"{outcome}{since} ({_text(evidence.get('revocation_reason'))}), says {_text(evidence['says'])}"


_SENTENCES: dict[Reason, Callable[[Mapping[str, object]], str | None]] = {
    Reason.CERT_NO_ISSUER: lambda e: (
        f"no CA certificate at hand has the name of its issuer, {_text(e.get('issuer'))}"
    ),
    Reason.CERT_CA_NOT_ALLOWED: lambda e: (
        f"a CA that is held, but outside of what is trusted here ({_text(e.get('group') or 'the given anchors')})"
    ),
    Reason.CERT_BAD_SIGNATURE: lambda e: f"its signature does not verify with the key of {_text(e.get('issuer'))}",
    Reason.CERT_SIGNATURE_WEAK: lambda e: f"signed with {_text(e.get('algorithm'))}, which policy does not allow",
    Reason.KEY_WEAK: lambda e: (
        f"its {_text(e.get('key'))} key of {_text(e.get('bits'))} bits is below {_text(e.get('minimum'))}"
    ),
    Reason.CERT_CRITICAL_EXT: lambda e: f"critical extension {_text(e.get('unknown_critical'))} is not known",
    Reason.CERT_NAME_CONSTRAINT: _constraint,
    Reason.CERT_NOT_YET_VALID: lambda e: f"valid from {_text(e.get('not_before'))}, and it is {_text(e.get('at'))}",
    Reason.CERT_EXPIRED: lambda e: f"expired at {_text(e.get('not_after'))}, and it is {_text(e.get('at'))}",
    Reason.CERT_KEY_USAGE: lambda e: f"its key usage ({_text(e.get('key_usage'))}) forbids signing",
    Reason.CERT_EKU: lambda e: f"its extended key usage ({_text(e.get('extended_key_usage'))}) excludes IKE",
    Reason.CERT_REVOKED: _revoked,
    Reason.CERT_ON_HOLD: _revoked,
    Reason.ID_MISMATCH: _mismatch,
    Reason.ID_NOT_ALLOWED: lambda e: f"proven, but the connection expects {_text(e.get('expected'))}",
}
