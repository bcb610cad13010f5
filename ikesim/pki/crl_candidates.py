"""From octets to a CRL that can be believed: who issued it, who signed it, and that the signer may (RFC 5280 6.3.3).

Every CRL that is held or was fetched gets its line here; those that fall out before their signature verified leave no
other trace.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ikesim.pki.certificates import CRL_SIGN, Certificate, key_usage_names
from ikesim.pki.crl import CRL_CACHE, Crl, RevokedEntry, read_crl
from ikesim.pki.crl_scope import DistributionPoint, reason_names
from ikesim.pki.decision import CheckOutcome
from ikesim.pki.der import DerError
from ikesim.pki.fetching import FetchRequest
from ikesim.pki.names import Name
from ikesim.pki.revocation_case import Case, Line, key_digest, key_of, not_der, weak_algorithm
from ikesim.pki.revocation_types import LearnedCrl
from ikesim.pki.verification import signature_algorithm, verify
from ikesim.reasons import Reason

HELD = "held"
USED_RULE = "RFC 5280 6.3.3"
MAX_SIGNERS = 8
"""Candidate signers tried for one CRL; two or three generations of a CA are what one meets."""
_SHOWN_OTHERS = 8


@dataclass(slots=True, eq=False)
class Candidate:
    """A CRL whose signature verified, by a signer that may sign it."""

    crl: Crl
    line: Line
    source: str
    fetched: bool
    obtained: datetime
    key: bytes
    """SHA-256 of the signer's SubjectPublicKeyInfo."""

    listed: RevokedEntry | None
    """What it says about the certificate under check."""

    @property
    def order(self) -> tuple[int, datetime]:
        """Newer CRLs of one scope sort higher."""
        return (-1 if self.crl.number is None else self.crl.number), self.crl.this_update


def entry_for(crl: Crl, certificate: Certificate) -> RevokedEntry | None:
    """The entry for a certificate; when there are several, the gravest. Raises DerError."""
    best = None
    for entry in crl.find(certificate.serial):
        names = (crl.issuer,) if entry.issuer is None else tuple(general.value for general in entry.issuer)
        if certificate.issuer in names and (best is None or best.removed or (best.on_hold and not entry.removed)):
            best = entry
    return best


class Opening:
    """The steps before a CRL is believed, for all CRLs of one check; `candidates` are those that passed."""

    def __init__(self, case: Case, points: tuple[DistributionPoint, ...]) -> None:
        self.case = case
        self.candidates: list[Candidate] = []
        self.issuers: list[Name] = [case.certificate.issuer]
        for point in points:
            self.issuers += [issuer for issuer in point.issuers() if issuer not in self.issuers]
        self.known = {case.issuer.subject, *(signer.subject for signer in case.context.signers)}
        self.others: dict[str, int] = {}
        self.verdicts: dict[bytes, str | None] = {}
        self.signers_want: list[FetchRequest] = []
        """What the validation of signers still needs."""

    def open(self, octets: bytes, source: str, fetched_at: datetime | None) -> None:
        """Take one CRL through the steps; `fetched_at` is None for one that is held."""
        case = self.case
        try:
            crl = read_crl(octets)
        except DerError as error:
            line = case.line("CRL", source, USED_RULE, octets=len(octets))
            line.out(Reason.CRL_MALFORMED, f"not a CRL: {error}{not_der(octets)}")
            return
        if crl.issuer not in self.issuers and fetched_at is None and crl.issuer in self.known:
            self.others[crl.issuer.text] = self.others.get(crl.issuer.text, 0) + 1
            return
        line = case.line(crl_text(crl), source, USED_RULE, **crl_evidence(crl))
        if crl.unknown_critical:
            line.out(Reason.CRL_CRITICAL_EXT, "an unknown critical extension", extensions=crl.unknown_critical)
        elif crl.issuer not in self.issuers:
            expected = [issuer.text for issuer in self.issuers]
            line.out(Reason.CRL_BAD_ISSUER, "another issuer than the certificate's CA", expected=expected)
        else:
            signer = self._signer(crl, line)
            if signer is not None:
                self._admit(crl, line, source, fetched_at, signer)

    def _admit(self, crl: Crl, line: Line, source: str, fetched_at: datetime | None, signer: Certificate) -> None:
        """The signature verified: look at the entries, and keep the CRL."""
        context = self.case.context
        try:
            critical = crl.critical_entry_extension
            listed = entry_for(crl, self.case.certificate)
        except DerError as error:
            line.out(Reason.CRL_MALFORMED, f"an entry breaks the profile: {error}")
            return
        if critical is not None:
            line.out(Reason.CRL_CRITICAL_EXT, "an unknown critical extension of an entry", extensions=(critical,))
            return
        obtained = fetched_at
        if obtained is None:
            loaded = context.crl_loaded_at.get(crl.digest) if context.crl_loaded_at else None
            obtained = crl.this_update if loaded is None else datetime.fromtimestamp(loaded, UTC)
        fetched = fetched_at is not None
        self.candidates.append(Candidate(crl, line, source, fetched, obtained, key_digest(signer), listed))

    def _signer(self, crl: Crl, line: Line) -> Certificate | None:
        """The certificate whose key signed the CRL and that may; None with the line out."""
        case = self.case
        pool = {case.issuer.der: case.issuer} | {signer.der: signer for signer in case.context.signers}
        named = [certificate for certificate in pool.values() if certificate.subject == crl.issuer]
        if not named:
            line.out(Reason.CRL_SIGNER_USAGE, "no certificate of the CRL's issuer is at hand")
            return None
        named.sort(key=lambda certificate: (_key_distance(crl, certificate), certificate.der != case.issuer.der))
        weak = weak_algorithm(signature_algorithm(crl.signature_algorithm), case.context.schemes)
        if weak is not None:
            line.out(Reason.CRL_BAD_SIGNATURE, weak)
            return None
        refusals = []
        for certificate in named[:MAX_SIGNERS]:
            if not self._verifies(crl, certificate):
                continue
            refusal = self._refusal(certificate)
            if refusal is None:
                line.evidence["signer"] = certificate.names
                return certificate
            refusals.append(f"{certificate.names}: {refusal}")
        if refusals:
            line.out(Reason.CRL_SIGNER_USAGE, refusals[0], signers=tuple(refusals))
        else:
            tried = tuple(certificate.names for certificate in named[:MAX_SIGNERS])
            line.out(Reason.CRL_BAD_SIGNATURE, "no key of the CRL's issuer verifies the signature", signers=tried)
        return None

    def _verifies(self, crl: Crl, certificate: Certificate) -> bool:
        digest, budget = key_digest(certificate), self.case.context.budget
        memory = crl.digest + digest
        if digest in crl.verified_by:
            budget.remembered(memory)
            return True
        key = key_of(certificate)
        if key is None:
            return False
        budget.signature()
        CRL_CACHE.signatures += 1
        if not verify(key, signature_algorithm(crl.signature_algorithm), bytes(crl.to_be_signed), crl.signature):
            return False
        CRL_CACHE.keep(crl, digest)
        budget.verified(memory)
        return True

    def _refusal(self, certificate: Certificate) -> str | None:
        """Why a certificate whose key signed the CRL is not believed, None when it is (RFC 5280 6.3.3 (f))."""
        case = self.case
        usage = certificate.key_usage
        if usage is not None and not usage & CRL_SIGN:
            return f"key usage is {', '.join(key_usage_names(usage)) or 'empty'}, without cRLSign"
        if certificate.der == case.issuer.der or certificate.der in case.context.active:
            return None
        if certificate.der not in self.verdicts:
            self.verdicts[certificate.der] = self._judge(certificate)
        return self.verdicts[certificate.der]

    def _judge(self, certificate: Certificate) -> str | None:
        context = self.case.context
        inner = replace(context, active=context.active | {certificate.der})
        verdict = context.validate_signer(certificate, inner)
        self.signers_want += verdict.wanted
        if verdict.reason is not None:
            return f"its path ends in {verdict.reason}"
        return "its own status is not known yet" if verdict.wanted else None

    def mention_others(self) -> None:
        """One line for the CRLs at hand that are of other CAs."""
        if self.others:
            shown = tuple(sorted(self.others))[:_SHOWN_OTHERS]
            line = self.case.line("CRLs", HELD, "RFC 5280 6.3.3 (b)", count=sum(self.others.values()), issuers=shown)
            line.outcome = CheckOutcome.SKIPPED
            line.evidence["cause"] = "of other CAs"


def _key_distance(crl: Crl, certificate: Certificate) -> int:
    """How likely a certificate's key signed the CRL: 0 by key identifier, 2 when that speaks against it."""
    if crl.authority_key_id is None or certificate.subject_key_id is None:
        return 1
    return 0 if crl.authority_key_id == certificate.subject_key_id else 2


def learn(case: Case, candidate: Candidate) -> None:
    """A fetched CRL is worth keeping."""
    if candidate.fetched:
        case.learned[candidate.crl.der] = LearnedCrl(candidate.crl.der, candidate.source)


def crl_text(crl: Crl) -> str:
    """A CRL as people name it."""
    kind = "delta CRL" if crl.is_delta else "CRL"
    number = f" {crl.number}" if crl.number is not None else ""
    return f"{kind}{number} of {crl.issuer.text}"


def crl_evidence(crl: Crl) -> dict[str, object]:
    """What a CRL says about itself."""
    evidence: dict[str, object] = {"this_update": crl.this_update, "next_update": crl.next_update}
    if crl.base_number is not None:
        evidence["base_number"] = crl.base_number
    if crl.idp is not None and crl.idp.name is not None:
        evidence["distribution_point"] = tuple(name.text for name in crl.idp.name.resolve(crl.issuer))
    if crl.idp is not None and crl.idp.reasons != DistributionPoint().reasons:
        evidence["reasons"] = reason_names(crl.idp.reasons)
    return evidence
