"""The one command or key that supplies what a verdict was missing. Light on imports: works on the verdict's JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MISSING = ("missing", "fetch-failed", "fetch-refused", "stale")


def hint(verdict: Mapping[str, Any], config: Path) -> str | None:
    """What to do about a verdict ({"reason", "connection", "decision"}), where one step would help; else None."""
    reason = verdict.get("reason") or ""
    kind, _, what = reason.partition("-")
    if verdict.get("by") == "us" and kind in ("crl", "ocsp") and what in _MISSING:
        return _revocation_hint(kind, what, verdict.get("decision") or {}, config)
    if reason == "nobody-answered":
        return f"check that the peer runs, and that connection {verdict['connection']} in {config} has its address"
    return None


def _revocation_hint(kind: str, what: str, decision: Mapping[str, Any], config: Path) -> str:
    profile = _profile(kind, decision)
    table = f"[pki.ca-profile.{profile}.revocation-check]"
    if kind == "ocsp":
        return f"to supply it: set ocsp.url in {table} of {config}"
    if what == "fetch-refused":
        return f"to supply it: set url in {table} of {config}: an operator's URL may have any address"
    return f"to supply it: ikesim pki load FILE.crl --crl {profile} --endpoint {config}"


def _profile(kind: str, decision: Mapping[str, Any]) -> str:
    """The CA profile whose revocation data is lacking: that of the failed check, else of the anchor."""
    for path in decision.get("paths", ()):
        for check in path["checks"]:
            named = check["evidence"].get("ca_profile")
            if check["outcome"] == "fail" and named:
                return str(named)
    return str(decision.get("ca_profile") or "PROFILE")
