"""A CA, a certificate of its and a way to ask about it; a test states only what is different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ikesim.pki.authority import Authority
from ikesim.pki.budget import Budget
from ikesim.pki.certificates import Certificate, parse
from ikesim.pki.decision import Check, CheckOutcome
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.pki.profiles import OcspSettings, RevocationMethod, RevocationPolicy, RevocationSettings
from ikesim.pki.revocation import RevocationContext, RevocationResult, SignerVerdict, check_revocation
from ikesim.pki.verification import verify
from ikesim.reasons import Reason

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CDP = "http://crl.north.example/north.crl"
AIA = "http://ocsp.north.example"

CRL = RevocationSettings()
OCSP = RevocationSettings(method=RevocationMethod.OCSP)
OCSP_NO_NONCE = replace(OCSP, ocsp=OcspSettings(nonce=False))
OCSP_THEN_CRL = RevocationSettings(method=RevocationMethod.OCSP_THEN_CRL)
RELAXED = RevocationSettings(policy=RevocationPolicy.RELAXED)
IF_URI = RevocationSettings(policy=RevocationPolicy.IF_URI)


@dataclass
class World:
    """A root, and one certificate under check (`bob`, an end certificate unless `ca=True`)."""

    crl_at: Sequence[str] = ()
    ocsp_at: Sequence[str] = ()
    knobs: dict[str, Any] = field(default_factory=dict)
    root: Authority = field(init=False)
    leaf: Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.root = Authority.create("north", now=NOW - 30 * DAY, crl_at=self.crl_at, ocsp_at=self.ocsp_at)
        self.leaf = parse(self.root.leaf("CN=bob", ("fqdn:bob.example",), NOW - 10 * DAY, **self.knobs).certificate)

    @property
    def issuer(self) -> Certificate:
        return parse(self.root.certificate)

    def validate(self, signer: Certificate, context: RevocationContext) -> SignerVerdict:
        """A path of one step: the root signed it, and it is valid now."""
        if not verify(self.issuer.public_key, signer.algorithm, signer.tbs, signer.signature):
            return SignerVerdict(Reason.CERT_NO_ISSUER)
        if not signer.not_before <= context.at <= signer.not_after:
            return SignerVerdict(Reason.CERT_EXPIRED)
        found = check_revocation(signer, self.issuer, CRL, context)
        return SignerVerdict(found.reason, found.checks, found.wanted)

    def context(self, **given: Any) -> RevocationContext:
        signers = tuple(parse(der) for der in given.pop("signers", ()))
        given.setdefault("budget", Budget())
        return RevocationContext(at=given.pop("at", NOW), validate_signer=self.validate, signers=signers, **given)

    def check(self, settings: RevocationSettings = CRL, *crls: bytes, **given: Any) -> RevocationResult:
        return check_revocation(self.leaf, self.issuer, settings, self.context(crls=crls, **given))


def answer(body: bytes | None = None, error: str = "", **given: Any) -> FetchResult:
    """How a fetch ended."""
    return FetchResult(at=given.pop("at", NOW), body=body, error=error, **given)


def serve(
    world: World, settings: RevocationSettings, answers: Mapping[str, FetchResult], *crls: bytes, **given: Any
) -> tuple[RevocationResult, list[str]]:
    """Ask until nothing is wanted any more, as the core does; URLs not in `answers` are unreachable.

    Also returns the URLs in the order in which they were fetched.
    """
    fetched: dict[FetchRequest, FetchResult] = {}
    asked = []
    while True:
        result = world.check(settings, *crls, fetch=True, fetched=fetched, **given)
        if not result.wanted:
            return result, asked
        assert not result.accepted and result.reason is None
        assert not any(check.outcome is CheckOutcome.FAIL for check in result.checks)
        for request in result.wanted:
            assert request not in fetched, "nothing is fetched twice"
            asked.append(request.url)
            fetched[request] = answers.get(request.url, answer(error="connection refused"))


def failed(result: RevocationResult) -> list[Check]:
    """The checks that failed, without the verdict."""
    return [check for check in result.checks[:-1] if check.outcome is CheckOutcome.FAIL]


def line(result: RevocationResult, reason: Reason) -> Check:
    """The one line (not the verdict) that fell out with `reason`."""
    (found,) = [check for check in result.checks[:-1] if check.reason is reason]
    return found
