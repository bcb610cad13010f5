"""One revocation check in the making: its lines of evidence, what it found and what it still wants."""

from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from ikesim.pki.certificates import Certificate, CertificateError
from ikesim.pki.decision import Check, CheckOutcome, LearnedOcsp, RevocationOutcome
from ikesim.pki.fetching import FetchKind, FetchRequest
from ikesim.pki.names import show
from ikesim.pki.profiles import RevocationSettings
from ikesim.pki.publickeys import PublicKey
from ikesim.pki.revocation_types import LearnedCrl, RevocationContext
from ikesim.pki.verification import SignatureAlgorithm
from ikesim.reasons import TRUST_REASONS, Reason

FETCH_TIME = 10.0
"""Seconds that all fetches of one decision may take (design rule 6); several URLs of a certificate share them."""
MIN_FETCH_TIME = 1.0
MAX_URLS = 8
"""URLs tried for one certificate and kind; real certificates name one or two."""
MAX_URL_LENGTH = 2048
"""Characters of a URL; Junos allows 500 in a profile, browsers and servers cut at about 2,000."""
MAX_TEXT = 120
"""Characters of a peer's or server's text in evidence."""
WEAK_HASHES = frozenset(("md5", "sha1"))


@dataclass(slots=True, eq=False)
class Line:
    """One CRL or response (or the lack of one): used, not needed, or out at some step."""

    subject: str
    source: str
    rule: str
    evidence: dict[str, object] = field(default_factory=dict)
    outcome: CheckOutcome = CheckOutcome.PASS
    reason: Reason | None = None
    """The step where it fell out."""
    counts: bool = True
    """Whether that may be the reason of the whole check."""
    result: RevocationOutcome = RevocationOutcome.GOOD

    def out(self, reason: Reason, cause: str, *, counts: bool = True, **evidence: object) -> None:
        """It fell out at the step of `reason`, which replaces an earlier verdict on it."""
        self.reason = reason
        self.rule = TRUST_REASONS[reason].rule
        self.outcome = CheckOutcome.FAIL
        self.evidence = {**self.evidence, **evidence, "cause": cause}
        self.counts = counts
        stale = reason in (Reason.CRL_STALE, Reason.OCSP_STALE)
        self.result = RevocationOutcome.STALE if stale else RevocationOutcome.FAILED

    def unused(self, cause: str) -> None:
        """It was not needed."""
        self.outcome = CheckOutcome.SKIPPED
        self.evidence = {**self.evidence, "cause": cause}

    def check(self, outcome: CheckOutcome) -> Check:
        """The line as a check of the decision."""
        return Check(self.rule, self.subject, outcome, self.evidence, self.source, self.reason)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verified statement that a certificate is revoked or on hold."""

    reason: Reason
    line: Line
    evidence: dict[str, object]


@dataclass(slots=True, eq=False)
class Case:
    """One certificate under check."""

    certificate: Certificate
    issuer: Certificate
    settings: RevocationSettings
    context: RevocationContext
    lines: list[Line] = field(default_factory=list)
    wanted: dict[FetchRequest, None] = field(default_factory=dict)
    learned: dict[bytes, LearnedCrl] = field(default_factory=dict)
    learned_ocsp: dict[bytes, LearnedOcsp] = field(default_factory=dict)
    revoked: Finding | None = None
    on_hold: Finding | None = None
    good: Line | None = None
    unknown: Line | None = None
    """A verified and current OCSP response that says "unknown"."""

    def line(self, subject: str, source: str, rule: str, **evidence: object) -> Line:
        """A new line, in its place."""
        line = Line(subject, source, rule, evidence)
        self.lines.append(line)
        return line

    def want(self, request: FetchRequest) -> None:
        """Ask for a fetch."""
        self.wanted[request] = None

    def has_fault(self, prefix: str) -> bool:
        """A line already says why there is no CRL (or response) to use: its reason starts with `prefix`."""
        return any(line.counts and line.reason is not None and line.reason.startswith(prefix) for line in self.lines)

    def found(self, finding: Finding) -> None:
        """Note that the certificate is revoked or on hold; the first of each stays."""
        if finding.reason is Reason.CERT_REVOKED:
            self.revoked = self.revoked or finding
        else:
            self.on_hold = self.on_hold or finding


def wanted_check(request: FetchRequest) -> Check:
    """What is expected, as a check of the decision."""
    crl = request.kind is FetchKind.CRL
    subject, rule = ("CRL", "RFC 5280 6.3.3 (a)") if crl else ("OCSP response", "RFC 6960 2.1")
    return Check(rule, subject, CheckOutcome.INFO, {"state": "wanted", "method": request.method}, request.url)


def url_problem(url: str) -> str | None:
    """Why a URL is not fetched, None when it may be."""
    if len(url) > MAX_URL_LENGTH:
        return f"longer than {MAX_URL_LENGTH} characters"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "characters that no URL has"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme.lower() != "http":
        return f"scheme {parts.scheme or '(none)'}; only http is fetched"
    if not parts.hostname or port == 0:
        return "no host"
    return "user name or password in the URL" if parts.username or parts.password else None


def fetch_time(count: int) -> float:
    """Seconds for each of `count` fetches that may have to follow each other."""
    return max(MIN_FETCH_TIME, round(FETCH_TIME / max(count, 1), 3))


def excerpt(text: str) -> str:
    """Text of strangers for evidence: escaped and short."""
    shown = show(text)
    return shown if len(shown) <= MAX_TEXT else f"{shown[:MAX_TEXT]}..."


def not_der(octets: bytes) -> str:
    """What octets that should be DER look like, as an aside; empty when nothing comes to mind."""
    head = octets[:64].lstrip()
    if not octets:
        return " (nothing came)"
    if head.startswith(b"-----BEGIN"):
        return " (PEM, where RFC 2585 3 asks for DER)"
    if head.startswith(b"<"):
        return " (HTML or XML)"
    if head.startswith(b"\x1f\x8b"):
        return " (gzip)"
    return ""


def weak_algorithm(algorithm: SignatureAlgorithm, schemes: frozenset[str] | None) -> str | None:
    """Why a signature algorithm is not accepted on a CRL or response, None when it is."""
    if algorithm.irregular:
        return algorithm.irregular
    if not algorithm.scheme:
        return f"signature algorithm {algorithm.label} is not known"
    allowed = algorithm.hash not in WEAK_HASHES if schemes is None else algorithm.scheme in schemes
    return None if allowed else f"signature algorithm {algorithm.label} is not allowed"


def key_of(certificate: Certificate) -> PublicKey | None:
    """The public key, None when it is none."""
    try:
        return certificate.public_key
    except CertificateError:
        return None


def key_digest(certificate: Certificate) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo."""
    return sha256(certificate.spki).digest()
