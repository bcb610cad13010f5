"""Certificates that must not pass, and odd ones that must (DC01-DC07, DC10, DC16, DC22).

Chains, constraints, names, signatures. The liar signs AUTH with its own key and sends these certificates for it, so
that nothing but the certificate is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ikesim.errors import UsageError
from ikesim.faults.keys import rsa_key
from ikesim.faults.scene import Scene, SceneFault
from ikesim.pki import der
from ikesim.pki.authority.extensions import EXTENDED_KEY_USAGES
from ikesim.pki.authority.signing import algorithm_of, sign_with
from ikesim.pki.der_writer import (
    bit_string,
    explicit,
    generalized_time,
    integer,
    octet_string,
    oid,
    sequence,
    tlv,
    utc_time,
)
from ikesim.pki.general_names import encode_general_name

DAY = timedelta(days=1)
LEVELS = ("leaf", "intermediate", "root")
ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1"


def _at_level(scene: Scene, level: str, **knobs: Any) -> None:
    """Send a chain whose certificate at one level has these knobs."""
    if level == "leaf":
        scene.below(scene.certify(**knobs))
    elif level == "intermediate":
        scene.send(scene.certify(), scene.recertify(scene.issuer, **knobs))
    elif level == "root":
        scene.replace_root(**knobs)
    else:
        raise UsageError(f"level {level!r} is not one of {', '.join(LEVELS)}")


# DC01: validity


@dataclass(kw_only=True)
class ExpiredCertificate(SceneFault, rows="DC01"):
    """A certificate of the chain has expired."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """Its notAfter was an hour ago."""
        _at_level(scene, self.level, not_before=scene.now - 9 * DAY, not_after=scene.now - timedelta(hours=1))


@dataclass(kw_only=True)
class FutureCertificate(SceneFault, rows="DC01"):
    """A certificate of the chain is not valid yet."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """Its notBefore is in an hour."""
        _at_level(scene, self.level, not_before=scene.now + timedelta(hours=1), not_after=scene.now + 9 * DAY)


@dataclass(kw_only=True)
class SwappedValidity(SceneFault, rows="DC01"):
    """notBefore and notAfter are exchanged: the certificate is never valid."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """From tomorrow until yesterday."""
        _at_level(scene, self.level, not_before=scene.now + DAY, not_after=scene.now - DAY)


@dataclass(kw_only=True)
class OddTimeEncoding(SceneFault, rows="DC01"):
    """notAfter in an unusual encoding: which century a UTCTime means, GeneralizedTime before 2050, no final Z."""

    form: str = "utc-1950"
    """utc-1950 (year 50), utc-2049 (year 49), generalized-2051, generalized-early (before 2050), utc-without-z."""

    def prepare(self, scene: Scene) -> None:
        """RFC 5280 4.1.2.5.1: two-digit years from 50 on are of the 20th century."""
        soon = scene.now + 30 * DAY
        forms = {
            "utc-1950": utc_time(datetime(1950, 1, 1, tzinfo=UTC)),
            "utc-2049": utc_time(datetime(2049, 12, 31, tzinfo=UTC)),
            "generalized-2051": generalized_time(datetime(2051, 1, 1, tzinfo=UTC)),
            "generalized-early": generalized_time(soon),
            "utc-without-z": tlv(0x17, f"{soon:%y%m%d%H%M%S}".encode()),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        scene.below(scene.certify(not_after=forms[self.form]))


# DC02, DC03: whose signature, whose CA


@dataclass(kw_only=True)
class TamperedSignature(SceneFault, rows="DC02"):
    """One bit of the signature on a certificate is flipped."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """The root's own signature proves nothing, so only the levels below it are of interest."""
        _at_level(scene, self.level, tamper=True)


@dataclass(kw_only=True)
class LookAlikeCa(SceneFault, rows="DC02 CL04"):
    """A CA of the same name and key identifier, with another key, has issued the certificate."""

    level: str = "root"
    """root: the whole hierarchy is copied; intermediate: only the issuing CA, and the true one is sent too."""
    key_type: str = "ecdsa-p256"
    """Of the look-alike root: another algorithm is no better."""

    def prepare(self, scene: Scene) -> None:
        """Everything is consistent in itself."""
        if self.level == "root":
            root = scene.twin(scene.root, key_type=self.key_type)
            false = scene.twin(scene.issuer, root)
            scene.send(scene.certify(false), false.certificate)
        else:
            false = scene.twin(scene.issuer)
            scene.below(scene.certify(false))


@dataclass(kw_only=True)
class UnknownCa(SceneFault, rows="DC03 CL03 CL12"):
    """The certificate leads to a root that the other side does not hold."""

    def prepare(self, scene: Scene) -> None:
        """It is even sent along: what a peer sends never becomes an anchor."""
        west = scene.authority("west", subject="O=west, CN=west")
        scene.send(scene.certify(west), west.certificate)


@dataclass(kw_only=True)
class CaOutsideGroup(SceneFault, rows="DC03 CL12"):
    """The certificate leads to a CA that the other side holds, but outside the connection's trusted CA group."""

    def prepare(self, scene: Scene) -> None:
        """The judge trusts only its own side here."""
        scene.judge["trusted_ca"] = "south" if scene.side == "north" else "north"


# DC04, DC05: the chain


@dataclass(kw_only=True)
class MissingIntermediate(SceneFault, rows="DC04 CL14 CO04"):
    """The end certificate comes without the intermediate above it."""

    def prepare(self, scene: Scene) -> None:
        """Nobody else holds it."""
        scene.send(scene.certify())


@dataclass(kw_only=True)
class GapInChain(SceneFault, rows="DC04 CL14"):
    """The end certificate and its issuer come, but the intermediate between that and the root does not."""

    held: bool = False
    """Whether the other side holds it."""

    def prepare(self, scene: Scene) -> None:
        """A second intermediate below the issuing CA."""
        lower = scene.pki.add_authority(f"{scene.side}-lower", parent=scene.issuer.name)
        if self.held:
            # whoever holds a certificate of this CA holds the chain above it
            judge = "bob" if scene.liar == "alice" else "alice"
            scene.pki.issue(f"{judge}-2", host=judge, issuer=scene.issuer.name)
        scene.send(scene.certify(lower), lower.certificate)


@dataclass(kw_only=True)
class OddChainOrder(SceneFault, rows="DC04 DC10"):
    """The right certificates in a strange order, number or company."""

    form: str = "shuffled"
    """shuffled, duplicated, superfluous (30 of other people), end-last, with-root."""

    def prepare(self, scene: Scene) -> None:
        """All of it must be borne."""
        lower = scene.pki.add_authority(f"{scene.side}-lower", parent=scene.issuer.name)
        leaf = scene.certify(lower)
        chain = (lower.certificate, scene.issuer.certificate)
        forms: dict[str, Callable[[], tuple[bytes, ...]]] = {
            "shuffled": lambda: (leaf, *reversed(chain)),
            "duplicated": lambda: (leaf, *chain, leaf, *chain),
            "superfluous": lambda: (leaf, *_strangers(scene, 30), *chain),
            "end-last": lambda: (*chain, leaf),
            "with-root": lambda: (leaf, *chain, scene.root.certificate),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        scene.send(*forms[self.form]())


def _strangers(scene: Scene, count: int) -> tuple[bytes, ...]:
    """Certificates that have nothing to do with the chain."""
    other = scene.authority("stranger", subject="CN=stranger")
    key = scene.key("stranger").public_key()
    return tuple(scene.certify(other, key=key, subject=f"CN=stranger {number}") for number in range(count))


@dataclass(kw_only=True)
class TooManyCertificates(SceneFault, rows="DC04"):
    """More CERT payloads than anybody needs."""

    count: int = 49

    def prepare(self, scene: Scene) -> None:
        """The right ones are among them."""
        scene.send(scene.certify(), *scene.issuer.chain, *_strangers(scene, self.count - 2))


@dataclass(kw_only=True)
class IssuerLoop(SceneFault, rows="DC05 CS06"):
    """Two CAs have signed each other, and no root has signed either."""

    def prepare(self, scene: Scene) -> None:
        """Each as if under the other."""
        one = scene.authority("loop one", subject="CN=loop one")
        two = scene.authority("loop two", subject="CN=loop two")
        scene.send(scene.certify(one), scene.recertify(one, two), scene.recertify(two, one))


@dataclass(kw_only=True)
class SelfIssuedLink(SceneFault, rows="DC05"):
    """The issuing CA changed its key: a self-issued certificate links the new one to the old (RFC 5280 6.1.4 (l))."""

    path_length: int = 0
    """Of the issuing CA, which a self-issued certificate does not use up."""

    def prepare(self, scene: Scene) -> None:
        """root -> issuing (path length 0) -> issuing, new key -> end certificate."""
        old = scene.recertify(scene.issuer, path_length=self.path_length)
        new = scene.authority(scene.issuer.name, scene.issuer, subject=scene.issuer.subject)
        new.crl_at = scene.issuer.crl_at
        scene.send(scene.certify(new), new.certificate, old)


@dataclass(kw_only=True)
class PathLength(SceneFault, rows="DC05 CS07"):
    """A CA limits the length of the path below it, to what is needed or one less."""

    limit: int = 0
    """pathLenConstraint of the issuing CA or the root."""
    intermediates: int = 1
    """How many CAs stand below the one that limits."""
    level: str = "intermediate"

    def prepare(self, scene: Scene) -> None:
        """The limit counts the intermediates below, not the end certificate (RFC 5280 4.2.1.9)."""
        if self.level == "root":
            scene.replace_root(path_length=self.limit)
            top, above = scene.issuer.certificate, self.intermediates - 1
        else:
            top, above = scene.recertify(scene.issuer, path_length=self.limit), self.intermediates
        chain = [top]
        lowest = scene.issuer
        for number in range(above):
            lowest = scene.pki.add_authority(f"{scene.side}-lower-{number}", parent=lowest.name)
            chain.insert(0, lowest.certificate)
        scene.send(scene.certify(lowest), *chain)


@dataclass(kw_only=True)
class DeepChain(SceneFault, rows="DC05 CS06"):
    """A sound chain of many intermediates."""

    intermediates: int = 7

    def prepare(self, scene: Scene) -> None:
        """The depth that is accepted is a local limit: seven certificates above the end certificate by default."""
        chain = [scene.issuer.certificate]
        lowest = scene.issuer
        for number in range(self.intermediates - 1):
            lowest = scene.pki.add_authority(f"{scene.side}-lower-{number}", parent=lowest.name)
            chain.insert(0, lowest.certificate)
        scene.send(scene.certify(lowest), *chain)


# DC06, DC07: what the extensions allow


@dataclass(kw_only=True)
class IssuerIsNoCa(SceneFault, rows="DC06 CL23"):
    """The issuing certificate is none of a CA."""

    form: str = "absent"
    """basicConstraints absent, or CA=false; or keyUsage without keyCertSign."""
    level: str = "intermediate"

    def prepare(self, scene: Scene) -> None:
        """All but the one extension says that it is."""
        forms: dict[str, dict[str, Any]] = {
            "absent": {"without": ("2.5.29.19",)},
            "false": {"ca": False, "key_usage": ("keyCertSign", "cRLSign")},
            "key-usage": {"key_usage": ("cRLSign", "digitalSignature")},
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        _at_level(scene, self.level, **forms[self.form])


@dataclass(kw_only=True)
class KeyUsage(SceneFault, rows="DC07 CL21"):
    """The end certificate's keyUsage: empty names leave the extension out."""

    names: str = "keyEncipherment"
    """Names of RFC 5280, joined by commas."""

    def prepare(self, scene: Scene) -> None:
        """RFC 4945 5.1.3.2: digitalSignature or nonRepudiation must be there, where the extension is."""
        scene.below(scene.certify(key_usage=tuple(self.names.split(",")) if self.names else None))


@dataclass(kw_only=True)
class ExtendedKeyUsage(SceneFault, rows="DC07 CL22"):
    """The end certificate's extendedKeyUsage."""

    names: str = "codeSigning"
    critical: bool = False

    def prepare(self, scene: Scene) -> None:
        """Names such as serverAuth, or OIDs, joined by commas; empty: no extension."""
        names = tuple(self.names.split(",")) if self.names else ()
        unknown = [name for name in names if name not in EXTENDED_KEY_USAGES and not name[:1].isdigit()]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is not one of {', '.join(EXTENDED_KEY_USAGES)}")
        scene.below(scene.certify(extended_key_usage=names, extended_key_usage_critical=self.critical))


@dataclass(kw_only=True)
class CriticalExtension(SceneFault, rows="DC07 CS31"):
    """A critical extension that nobody knows."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """Under an OID of no meaning."""
        _at_level(scene, self.level, critical=UNKNOWN_EXTENSION)


@dataclass(kw_only=True)
class EndCertificateIsCa(SceneFault, rows="CL23"):
    """The end certificate says CA=true."""

    def prepare(self, scene: Scene) -> None:
        """With the key usage of both."""
        scene.below(scene.certify(ca=True, key_usage=("digitalSignature", "keyCertSign", "cRLSign")))


# DC10: what a CERT payload may hold


@dataclass(kw_only=True)
class CertEncoding(SceneFault, rows="DC10 DH06"):
    """A CERT payload in an encoding that is not X.509: alone, or beside the right ones."""

    encoding: int = 201
    beside: bool = False

    def prepare(self, scene: Scene) -> None:
        """1 PKCS#7, 2 PGP, 9 SPKI, 11 raw RSA, 15 raw public key, 201 private use."""
        if self.beside:
            scene.below(scene.certify())
        scene.send(b"\x30\x03\x02\x01\x00", encoding=self.encoding)


@dataclass(kw_only=True)
class TwoEndCertificates(SceneFault, rows="DC10"):
    """Two end certificates of one name with different keys; AUTH is by the liar's own."""

    first: bool = True
    """Whether the right one stands first, as RFC 7296 3.6 demands."""

    def prepare(self, scene: Scene) -> None:
        """Both are valid."""
        right, other = scene.certify(), scene.certify(key=scene.key("other").public_key())
        scene.send(*((right, other) if self.first else (other, right)), *scene.issuer.chain)


@dataclass(kw_only=True)
class NotACertificate(SceneFault, rows="DC10"):
    """A CERT payload says X.509 and holds something else."""

    data: bytes = b"\x30\x82\x7f\xff"

    def prepare(self, scene: Scene) -> None:
        """Instead of the end certificate."""
        scene.send(self.data, *scene.issuer.chain)


# DC16: signatures on certificates


@dataclass(kw_only=True)
class WeakSignature(SceneFault, rows="DC16"):
    """A certificate is signed with a broken hash."""

    digest: str = "sha1"
    """sha1, or md5 (only with an RSA key)."""
    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """By a CA with an RSA test key, as such signatures come from."""
        old = scene.authority("old", scene.issuer.issuer, private_key=rsa_key(), subject=scene.issuer.subject)
        if self.level == "leaf":
            scene.send(scene.certify(old, digest=self.digest), old.certificate)
        else:
            older = scene.authority("older", scene.root, private_key=rsa_key(), subject=scene.root.subject)
            issuing = scene.recertify(scene.issuer, old, digest=self.digest)
            scene.send(scene.certify(), issuing, old.certificate, older.certificate)


@dataclass(kw_only=True)
class ContradictingAlgorithms(SceneFault, rows="DC16"):
    """The signature algorithms outside and inside the signed part of a certificate differ."""

    level: str = "leaf"

    def prepare(self, scene: Scene) -> None:
        """The outer one names SHA-512; the signature is right for the inner one."""
        _at_level(scene, self.level, outer_algorithm=algorithm_of(scene.issuer.key, "sha512"))


@dataclass(kw_only=True)
class HugeAlgorithmParameters(SceneFault, rows="DC16"):
    """The signature algorithm of a certificate carries kilobytes of parameters."""

    octets: int = 8192

    def prepare(self, scene: Scene) -> None:
        """Outside and inside alike, under an OID whose parameters must be absent."""
        scene.below(_with_algorithm(scene, sequence(oid(ECDSA_WITH_SHA256), octet_string(bytes(self.octets)))))


@dataclass(kw_only=True)
class PssParameters(SceneFault, rows="DC16"):
    """The signature algorithm of a certificate is RSASSA-PSS with an impossible salt (CVE-2021-41990)."""

    salt: int = 2**31 - 1

    def prepare(self, scene: Scene) -> None:
        """With SHA-256 for message and mask."""
        sha256 = sequence(oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00")
        mask = sequence(oid("1.2.840.113549.1.1.8"), sha256)
        parameters = sequence(explicit(0, sha256), explicit(1, mask), explicit(2, integer(self.salt)))
        scene.below(_with_algorithm(scene, sequence(oid("1.2.840.113549.1.1.10"), parameters)))


def _with_algorithm(scene: Scene, algorithm: bytes) -> bytes:
    """The end certificate with this AlgorithmIdentifier inside and outside; signed with ECDSA and SHA-256."""
    fields = [part.der for part in der.read(scene.certify()).children()[0].children()]
    tbs = sequence(*fields[:2], algorithm, *fields[3:])
    _, signature = sign_with(scene.issuer.key, tbs, "sha256")
    return sequence(tbs, algorithm, bit_string(signature))


# DC22: constraints


@dataclass(kw_only=True)
class NameConstraints(SceneFault, rows="DC22"):
    """A CA may issue for some names only."""

    permitted: str = ""
    """Subtrees joined by blanks, such as fqdn:example, ip:10.0.0.0/8, dn:O=north (see the authority's knobs)."""
    excluded: str = ""
    san: str = ""
    """Of the end certificate; default: its own."""
    level: str = "intermediate"

    def prepare(self, scene: Scene) -> None:
        """The constraints stand in the certificate of the issuing CA, or of the root (RFC 5937)."""
        knobs: dict[str, Any] = {"permitted": tuple(self.permitted.split()), "excluded": tuple(self.excluded.split())}
        if self.level == "root":
            scene.replace_root(**knobs)
            chain = scene.issuer.chain
        else:
            chain = (scene.recertify(scene.issuer, **knobs),)
        names = [f"fqdn:{scene.liar}.example", *([self.san] if self.san else [])]
        scene.send(scene.certify(sans=names), *chain)


@dataclass(kw_only=True)
class EmptySubtree(SceneFault, rows="DC22"):
    """A CA whose name constraints hold an empty base: every name of that type."""

    kind: str = "excluded"

    def prepare(self, scene: Scene) -> None:
        """An empty dNSName covers all host names (RFC 5280 4.2.1.10)."""
        empty = encode_general_name("fqdn:")
        scene.send(scene.certify(), scene.recertify(scene.issuer, **dict[str, Any]({self.kind: (empty,)})))


@dataclass(kw_only=True)
class RequireExplicitPolicy(SceneFault, rows="DC22 CS24"):
    """A CA demands a certificate policy, and the end certificate has none, or another."""

    policies: str = ""
    """Of the end certificate, OIDs joined by commas."""
    ca_policies: str = "1.3.6.1.4.1.99999.2"

    def prepare(self, scene: Scene) -> None:
        """requireExplicitPolicy 0 in the issuing CA."""
        issuing = scene.recertify(scene.issuer, policies=tuple(self.ca_policies.split(",")), require_explicit=0)
        scene.send(scene.certify(policies=tuple(self.policies.split(",")) if self.policies else ()), issuing)


@dataclass(kw_only=True)
class WantedPolicy(SceneFault, rows="DC22 CS24"):
    """The connection wants a certificate policy (policy-oids)."""

    wanted: str = "1.3.6.1.4.1.99999.2"
    policies: str = ""
    """Of the whole path."""

    def prepare(self, scene: Scene) -> None:
        """The issuing CA and the end certificate have the same policies."""
        scene.judge["policy_oids"] = (self.wanted,)
        policies = tuple(self.policies.split(",")) if self.policies else ()
        scene.send(scene.certify(policies=policies), scene.recertify(scene.issuer, policies=policies))


@dataclass(kw_only=True)
class PolicyMappingLoop(SceneFault, rows="DC22"):
    """Policies are mapped in a circle, from CA to CA, and at last to anyPolicy (which RFC 5280 forbids)."""

    to_any: bool = False

    def prepare(self, scene: Scene) -> None:
        """one -> two in the first CA, two -> one in the second; the end certificate has one."""
        one, two, every = "1.3.6.1.4.1.99999.2", "1.3.6.1.4.1.99999.3", "2.5.29.32.0"
        scene.judge["policy_oids"] = (one,)
        lower = scene.pki.add_authority(f"{scene.side}-lower", parent=scene.issuer.name)
        mapped = every if self.to_any else one
        chain = (
            scene.recertify(lower, policies=(one, two), policy_mappings=((two, mapped),)),
            scene.recertify(scene.issuer, policies=(one, two), policy_mappings=((one, two),)),
        )
        scene.send(scene.certify(lower, policies=(one,)), *chain)
