"""Path building: every way from an end certificate to an anchor, likely issuers first, within a budget.

A candidate issuer is a certificate whose subject is the issuer that was named (RFC 5280 6.1.3 (a)(4)). Key
identifiers only order the candidates, since they may lie; what decides is the signature, which is verified before the
search goes higher. The order is a function of the certificates alone, not of the order in which they came.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ikesim.pki.budget import Budget
from ikesim.pki.certificates import Certificate, CertificateError
from ikesim.pki.verification import verify_signed


class Ending(Enum):
    """Why a candidate path ends where it does."""

    ANCHOR = "an anchor"
    KNOWN = "a CA that is held, outside the trusted CA group"
    NO_ISSUER = "no certificate at hand has the issuer's name"
    LOOP = "the only issuers are already part of the path"
    SIGNATURE = "the issuer's key does not verify the certificate"
    DEPTH = "the depth limit"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that the search found, end certificate first, and where it ended."""

    certificates: tuple[Certificate, ...]
    ending: Ending


@dataclass(slots=True)
class Links:
    """Signatures between certificates: each is verified and counted once for a decision, whatever caches know."""

    budget: Budget
    _known: dict[tuple[bytes, bytes], bool | None] = field(default_factory=dict)

    def verify(self, certificate: Certificate, issuer: Certificate) -> bool | None:
        """Whether the issuer's key verifies the certificate; None when that key cannot be used.

        Raises BudgetExceeded.
        """
        pair = (issuer.spki, certificate.der)
        if pair in self._known:
            return self._known[pair]
        self.budget.signature()
        try:
            key = issuer.public_key
        except CertificateError:
            result = None
        else:
            result = verify_signed(
                issuer.spki, key, certificate.algorithm, certificate.der, certificate.tbs, certificate.signature
            )
        self._known[pair] = result
        return result


def is_self_signed(certificate: Certificate, links: Links) -> bool:
    """Whether a certificate is signed with its own key: by its key identifiers, else by its signature."""
    if not certificate.is_self_issued:
        return False
    claimed, own = certificate.authority_key, certificate.subject_key_id
    if claimed is not None and claimed.key_id is not None and own is not None:
        return claimed.key_id == own
    return links.verify(certificate, certificate) is not False


def _likelihood(certificate: Certificate, issuer: Certificate) -> int:
    """0: the key identifiers say that it is the issuer; 2: they say it is not; 1: they say nothing."""
    claimed = certificate.authority_key
    if claimed is None:
        return 1
    if claimed.key_id is not None and issuer.subject_key_id is not None:
        return 0 if claimed.key_id == issuer.subject_key_id else 2
    if claimed.serial is not None:
        return 0 if claimed.serial == issuer.serial else 2
    return 1


@dataclass(slots=True)
class Search:
    """A search for paths: what may link, and what ends a path."""

    pool: Sequence[Certificate]
    """All certificates at hand that may issue: the peer's, those held, the anchors. No two are equal."""
    anchors: Mapping[bytes, object]
    """By DER: certificates that end a path."""
    known: Mapping[bytes, object]
    """By DER: CAs outside the group that would end a path."""
    links: Links
    max_depth: int
    _issuers: dict[bytes, list[Certificate]] = field(default_factory=dict)

    def paths(self, end: Certificate) -> Iterator[Candidate]:
        """Every candidate path from `end`, complete or not. Raises BudgetExceeded."""
        yield from self._extend((end,))

    def issuers(self, certificate: Certificate) -> list[Certificate]:
        """The candidate issuers of a certificate, likely ones first."""
        found = self._issuers.get(certificate.der)
        if found is None:
            named = certificate.issuer
            found = [item for item in self.pool if item.subject == named and item.der != certificate.der]
            if len(found) > 1:
                found.sort(
                    key=lambda item: (_likelihood(certificate, item), item.der not in self.anchors, item.fingerprint)
                )
            self._issuers[certificate.der] = found
        return found

    def _extend(self, path: tuple[Certificate, ...]) -> Iterator[Candidate]:
        certificate = path[-1]
        budget = self.links.budget
        loop = False
        issuers = self.issuers(certificate)
        higher = False
        for issuer in issuers:
            budget.step()
            if issuer in path:
                loop = True
                continue
            higher = True
            longer = (*path, issuer)
            if len(path) > self.max_depth:
                yield Candidate(longer, Ending.DEPTH)
            elif not self.links.verify(certificate, issuer):
                yield Candidate(longer, Ending.SIGNATURE)
            elif issuer.der in self.anchors:
                yield Candidate(longer, Ending.ANCHOR)
            elif issuer.der in self.known:
                yield Candidate(longer, Ending.KNOWN)
                # it may not anchor, but it may link to one that does
                if any(item not in longer for item in self.issuers(issuer)):
                    yield from self._extend(longer)
            else:
                yield from self._extend(longer)
        if not higher:
            yield Candidate(path, Ending.LOOP if loop else Ending.NO_ISSUER)
