"""A trust decision for a terminal: plain text, within a width, readable without colour.

What passed is one line for each certificate; what failed stands last, with everything that was compared, and after it
what would make it pass.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ikesim.pki.decision import TrustDecision
from ikesim.pki.names import show

_SUGGESTIONS = {
    "cert-not-sent": "let the peer send its certificate (send-certificate), or check that it has one",
    "cert-too-many": "let the peer send its end certificate and the intermediates above it only",
    "cert-encoding": "let the peer send X.509 certificates (CERT encoding 4)",
    "cert-malformed": "issue the certificate again; what is wrong inside stands above",
    "cert-path-budget": "let the peer send fewer certificates, or hold the right intermediate",
    "cert-no-issuer": "load the CA that issued it (pki load FILE --ca PROFILE), or let the peer send it along",
    "cert-path-loop": "load the root above these CAs as a CA profile",
    "cert-ca-not-allowed": "put that CA's profile into the connection's trusted-ca-group",
    "cert-bad-signature": "find out who made it: it was not signed by the CA of that name that is held here",
    "cert-signature-weak": "issue it again with SHA-256 or better",
    "key-invalid": "make a new key, and a new certificate for it",
    "key-weak": "make a longer key, or lower minimum-strength",
    "cert-not-ca": "issue the CA's certificate again with CA=true and keyCertSign",
    "cert-path-length": "raise the CA's path length (or max-chain-depth), or issue from a CA higher up",
    "cert-critical-ext": "issue it again without that extension, or with it not critical",
    "cert-name-constraint": "issue it again with names inside the CA's constraints",
    "cert-policy": "issue it under one of the wanted policies, or change policy-oids",
    "cert-not-yet-valid": "check both clocks, or wait until it is valid",
    "cert-expired": "renew that certificate; check both clocks",
    "cert-key-usage": "issue it again with digitalSignature",
    "cert-eku": "issue it again with ipsecIKE or without extended key usage, or choose another rule-profile",
    "cert-end-is-ca": "issue an end certificate with CA=false, or choose another rule-profile",
    "id-invalid": "let the peer send a well-formed identity",
    "id-mismatch": "let the peer use an identity that its certificate proves, or issue one with this identity",
    "id-not-allowed": "set remote-id to this identity, or a pattern that holds it",
    "auth-method-not-allowed": "allow the scheme in signature-schemes, or let the peer use another",
    "auth-missing": "let the peer authenticate with a signature; EAP alone is not accepted",
    "auth-hash-not-allowed": "let the peer use a hash that was announced to it (SHA-256, SHA-384, SHA-512, identity)",
    "auth-bad-encoding": "the peer's AUTH payload breaks RFC 7427; its implementation needs a fix",
    "auth-key-mismatch": "let the peer sign with the kind of key that its certificate holds",
    "auth-bad-signature": "check that the peer signs with the key of the certificate that it sends",
    "crl-missing": "load a CRL (pki load FILE --crl PROFILE), set a url in the profile, or relax the policy",
    "ocsp-missing": "set an OCSP url in the profile, or relax the policy",
    "crl-stale": "load or fetch a newer CRL",
    "ocsp-stale": "let the responder answer with a current response",
    "cert-on-hold": "ask the CA why it is on hold",
    "cert-revoked": "the peer needs a new certificate",
}
_LABEL = 13


def render_decision(decision: TrustDecision | Mapping[str, Any], width: int = 100, *, verbose: bool = False) -> str:
    """The text of a decision, given as it is or in its JSON form; `verbose` shows the evidence of every check.

    No line is longer than `width` (at least 40).
    """
    document = decision.to_json() if isinstance(decision, TrustDecision) else decision
    width = max(width, 40)
    lines = _wrapped(document["summary"], width)
    lines += _facts(document, width)
    paths: Sequence[Mapping[str, Any]] = document["paths"]
    # the path that decided stands last, so that the cause is what one reads last
    order = sorted(paths, key=lambda path: path["reason"] == document["reason"])
    for number, path in enumerate(order, start=1):
        lines.append("")
        lines += _path(path, number, len(paths), width, verbose)
    suggestion = _suggestion(document["reason"])
    if suggestion:
        lines += ["", *_field("to pass", suggestion, width)]
    return "\n".join(show(line.rstrip()) for line in lines) + "\n"


def _suggestion(reason: str | None) -> str:
    if reason is None:
        return ""
    if reason.endswith(("-fetch-failed", "-fetch-refused")):
        return "make the URL reachable, set another one in the profile, or set on-download-failure or the policy"
    kind = reason.partition("-")[0]
    general = "get a sound one from the CA, or relax the policy of the profile" if kind in ("crl", "ocsp") else ""
    return _SUGGESTIONS.get(reason, general)


def _facts(document: Mapping[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    if document["identity"]:
        lines += _field("identity", document["identity"], width)
    certificate = document["certificate"]
    if certificate:
        lines += _field(
            "certificate", f"{certificate['subject'] or '(no subject)'}, serial {certificate['serial']}", width
        )
        lines += _field("issuer", certificate["issuer"], width)
        if certificate["san"]:
            lines += _field("names", ", ".join(certificate["san"]), width)
        lines += _field("valid", f"{certificate['not_before']} to {certificate['not_after']}", width)
    if document["trusted_ca_group"] or document["ca_profile"]:
        group, profile = document["trusted_ca_group"] or "any", document["ca_profile"] or "none"
        lines += _field("trusted CA", f"{group}; profile {profile}", width)
    revocation = document["revocation"]
    if revocation:
        lines += _field("revocation", f"outcome {revocation['outcome']}, ceiling {revocation['ceiling']}", width)
    for attempt in document["attempts"]:
        lines += _field("tried", f"connection {attempt['connection']}: {attempt['reason'] or 'accepted'}", width)
    for url in document.get("wanted", ()):
        lines += _field("to fetch", url, width)
    return lines


def _path(path: Mapping[str, Any], number: int, count: int, width: int, verbose: bool) -> list[str]:
    title = f"path {number} of {count}" if count > 1 else "path"
    verdict = f"refused: {path['reason']}" if path["reason"] else "nothing failed"
    chain = " < ".join(path["certificates"])
    lines = _wrapped(f"{title}: {chain + '; ' if chain else ''}{verdict}", width)
    failed = [check for check in path["checks"] if check["outcome"] == "fail"]
    others = [check for check in path["checks"] if check["outcome"] != "fail"]
    blocks: list[tuple[str, list[str]]] = []
    if verbose:
        blocks += [(_headline(check), _evidence(check["evidence"])) for check in others]
    else:
        blocks += [(line, []) for line in _digest(others)]
    # what failed first decided, and stands last
    blocks += [(_headline(check), _evidence(check["evidence"])) for check in reversed(failed)]
    for position, (headline, evidence) in enumerate(blocks):
        last = position == len(blocks) - 1
        branch, trunk = ("└─ ", "   ") if last else ("├─ ", "│  ")
        lines += _wrapped(headline, width, branch, trunk + "     ")
        for item in evidence:
            lines += _wrapped(item, width, trunk + "     ", trunk + "       ")
    return lines


def _headline(check: Mapping[str, Any]) -> str:
    outcome = "FAIL" if check["outcome"] == "fail" else check["outcome"]
    return f"{outcome:<4} {check['subject']}: {check['rule']} [{check['source']}]"


def _digest(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each thing that was checked and outcome, with the rules."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for check in checks:
        rules = found.setdefault((check["outcome"], check["subject"], check["source"]), [])
        if check["rule"] not in rules:
            rules.append(check["rule"])
    return [
        f"{outcome:<4} {subject} [{source}]: {_rules(rules)}" for (outcome, subject, source), rules in found.items()
    ]


def _rules(rules: Sequence[str]) -> str:
    """Rules in a row, each RFC named once: "RFC 5280 4.1, 6.1.3 (a)(1); policy: minimum strength"."""
    documents: dict[str, list[str]] = {}
    for rule in rules:
        words = rule.split(" ", 2)
        if words[0] == "RFC" and len(words) == 3:
            documents.setdefault(" ".join(words[:2]), []).append(words[2])
        else:
            documents[rule] = []
    return "; ".join(f"{document} {', '.join(sections)}".strip() for document, sections in documents.items())


def _evidence(evidence: Mapping[str, Any]) -> list[str]:
    return [f"{key.replace('_', ' ')}: {_value(value)}" for key, value in evidence.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(_value(item) for item in value[:12])
        return (shown + (f" and {len(value) - 12} more" if len(value) > 12 else "")) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)


def _field(label: str, text: str, width: int) -> list[str]:
    return _wrapped(text, width, f"{label:<{_LABEL}}", " " * _LABEL)


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, replace_whitespace=False
    ) or [first]
