"""Name constraints (RFC 5280 4.2.1.10 and 6.1.3 (b)(c)), for every name form that certificates of IKE peers use.

Each CA above a certificate adds one level: a name must lie in none of the excluded subtrees of any level and, where
a level permits subtrees of its form, in at least one of that level's. A name or constraint that cannot be understood
never counts as permitted.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ikesim.pki.budget import Budget
from ikesim.pki.certificates import Certificate
from ikesim.pki.names import EMAIL_ADDRESS, GeneralName, Name

_FORMS = frozenset(("dn", "rfc822", "fqdn", "uri", "ip"))


class Level(NamedTuple):
    """The subtrees that one CA certificate sets."""

    issuer: str
    """That certificate, as people name it."""
    permitted: dict[str, list[GeneralName]]
    excluded: dict[str, list[GeneralName]]


class Violation(NamedTuple):
    """A name outside what is allowed; `constraints` are the subtrees that decide."""

    name: str
    kind: str
    """"not permitted", "excluded" or why it cannot be decided."""
    issuer: str
    constraints: tuple[str, ...]


def level(certificate: Certificate) -> Level | None:
    """The constraints in a CA certificate, by name form; None when it has none."""
    constraints = certificate.name_constraints
    if constraints is None:
        return None
    return Level(certificate.names, _by_form(constraints.permitted), _by_form(constraints.excluded))


def _by_form(names: Iterable[GeneralName]) -> dict[str, list[GeneralName]]:
    forms: dict[str, list[GeneralName]] = {}
    for item in names:
        forms.setdefault(item.kind, []).append(item)
    return forms


def constrained_names(certificate: Certificate) -> list[GeneralName]:
    """The names of a certificate that constraints speak about: subject, alternative names, and the subject's
    emailAddress where no rfc822Name stands beside it.
    """
    names = list(certificate.san)
    if not certificate.subject.is_empty:
        names.append(GeneralName("dn", certificate.subject))
        if not any(item.kind == "rfc822" for item in names):
            names.extend(GeneralName("rfc822", mail) for mail in certificate.subject.values(EMAIL_ADDRESS))
    return names


def violation(certificate: Certificate, levels: Sequence[Level], budget: Budget) -> Violation | None:
    """The first name of a certificate that the constraints above it forbid. Raises BudgetExceeded."""
    names = constrained_names(certificate)
    for item in levels:
        for name in names:
            excluded, permitted = item.excluded.get(name.kind, ()), item.permitted.get(name.kind, ())
            if not excluded and not permitted:
                continue
            if name.kind not in _FORMS:
                return Violation(name.text, "a name form whose constraints are not supported", item.issuer, ())
            budget.name(len(excluded) + len(permitted))
            hit = next((base for base in excluded if _within(name, base, excluded=True)), None)
            if hit is not None:
                return Violation(name.text, "excluded", item.issuer, (subtree_text(hit),))
            if permitted and not any(_within(name, base, excluded=False) for base in permitted):
                shown = tuple(subtree_text(base) for base in permitted[:8])
                return Violation(name.text, "not permitted", item.issuer, shown)
    return None


def subtree_text(base: GeneralName) -> str:
    """A subtree as people write it: "fqdn:.example", "ip:10.0.0.0/255.0.0.0"."""
    value = base.value
    if base.kind == "ip" and isinstance(value, bytes) and len(value) in (8, 32):
        half = len(value) // 2
        address, mask = GeneralName("ip", value[:half]).text, GeneralName("ip", value[half:]).text
        return f"{address}/{mask.partition(':')[2]}"
    return base.text


def _within(name: GeneralName, base: GeneralName, *, excluded: bool) -> bool:
    """Whether a name lies in a subtree. What cannot be decided counts against the name, whichever list it is."""
    value, subtree = name.value, base.value
    if isinstance(value, Name) and isinstance(subtree, Name):
        return value.key[: len(subtree.key)] == subtree.key
    if isinstance(value, bytes) and isinstance(subtree, bytes):
        return _within_range(value, subtree, excluded)
    if not isinstance(value, str) or not isinstance(subtree, str) or not (value.isascii() and subtree.isascii()):
        return excluded
    if name.kind == "fqdn":
        return _within_domain(value.lower().rstrip("."), subtree.lower().rstrip("."), excluded)
    if name.kind == "rfc822":
        return _within_mail(value, subtree, excluded)
    return _within_uri(value, subtree.lower(), excluded)


def _within_range(address: bytes, subtree: bytes, excluded: bool) -> bool:
    """Address and mask of 4 or 16 octets each; a mask with holes, or an odd size, is no range."""
    size = len(subtree) // 2
    if len(subtree) not in (8, 32) or len(address) not in (4, 16):
        return excluded
    mask = int.from_bytes(subtree[size:], "big")
    inverse = mask ^ ((1 << 8 * size) - 1)
    if inverse & (inverse + 1):
        return excluded
    if len(address) != size:
        return False
    return int.from_bytes(address, "big") & mask == int.from_bytes(subtree[:size], "big") & mask


def _within_domain(host: str, domain: str, excluded: bool) -> bool:
    """A domain holds itself and all below it; one with a leading dot only what is below; the empty one everything."""
    if not host or "\x00" in host:
        return excluded
    if not domain:
        return True
    if domain.startswith("."):
        return host.endswith(domain)
    if host == domain or host.endswith("." + domain):
        return True
    # a wildcard stands for names that the excluded subtree may hold
    return excluded and host.startswith("*.") and domain.partition(".")[2] == host[2:]


def _within_mail(mail: str, subtree: str, excluded: bool) -> bool:
    """A subtree is a mailbox, a host, or with a leading dot all hosts below a domain (RFC 5280 4.2.1.10)."""
    local, at, host = mail.rpartition("@")
    if not at or not local or not host or "\x00" in mail:
        return excluded
    host = host.lower()
    if not subtree:
        return True
    if "@" in subtree:
        wanted, _, domain = subtree.rpartition("@")
        return local == wanted and host == domain.lower()
    if subtree.startswith("."):
        return host.endswith(subtree.lower())
    return host == subtree.lower()


def _within_uri(uri: str, subtree: str, excluded: bool) -> bool:
    """The host of a URI; one without a host name cannot be decided (RFC 5280 4.2.1.10)."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        host = None
    if not host or ":" in host or host.replace(".", "").isdigit() or "\x00" in uri:
        return excluded
    host = host.rstrip(".")
    if not subtree:
        return True
    return host.endswith(subtree) if subtree.startswith(".") else host == subtree
