"""DC01-DC16 and DC22: a peer with a valid AUTH (where AUTH is not the fault) and one thing wrong, through a whole
IKE_AUTH, once as initiator and once as responder. Expected are the reason, the subject and the rule that failed.
"""

from dataclasses import replace
from typing import Any

import pytest

from ikesim.faults import SceneFault
from ikesim.faults.certificates import (
    LEVELS,
    CaOutsideGroup,
    CertEncoding,
    ContradictingAlgorithms,
    CriticalExtension,
    DeepChain,
    EmptySubtree,
    EndCertificateIsCa,
    ExpiredCertificate,
    ExtendedKeyUsage,
    FutureCertificate,
    GapInChain,
    HugeAlgorithmParameters,
    IssuerIsNoCa,
    IssuerLoop,
    KeyUsage,
    LookAlikeCa,
    MissingIntermediate,
    NameConstraints,
    NotACertificate,
    OddChainOrder,
    OddTimeEncoding,
    PathLength,
    PolicyMappingLoop,
    PssParameters,
    RequireExplicitPolicy,
    SelfIssuedLink,
    SwappedValidity,
    TamperedSignature,
    TooManyCertificates,
    TwoEndCertificates,
    UnknownCa,
    WantedPolicy,
    WeakSignature,
)
from ikesim.faults.identities import SanMatch, SanMismatch, SwappedIdentity
from ikesim.faults.proofs import (
    DamagedAlgorithm,
    ImpossibleKey,
    NoSignature,
    OddRsaExponent,
    RsaForgery,
    UnannouncedHash,
    WeakRsaKey,
    WrongOctets,
    WrongSigner,
)
from ikesim.ike.events import SaClosed
from ikesim.testing import SimPki
from tests.faults.stage import ACCEPTED, Case, Expected, check, host_of, play

VALIDITY, SIGNATURE, ISSUER = "RFC 5280 6.1.3 (a)(2)", "RFC 5280 6.1.3 (a)(1)", "RFC 5280 6.1.3 (a)(4)"
AUTH = "RFC 7296 2.15"
KEY = "RFC 5280 4.1.2.7"
NAMES, POLICY = "RFC 5280 6.1.3 (b)(c)", "RFC 5280 6.1.3 (f)"
SUBJECTS = {"leaf": "{liar}", "intermediate": "{issuing}", "root": "{root}"}
KEY_FORMS = (
    *("off-curve", "infinity", "short-point", "explicit", "unknown-curve", "no-curve"),
    *("small-order", "empty", "x25519"),
)
ONE, OTHER = "1.3.6.1.4.1.99999.2", "1.3.6.1.4.1.99999.9"


def refused(
    row: str, fault: SceneFault, reason: str, subject: str, rule: str, judge: Any = None, **evidence: Any
) -> Case:
    return Case(row, fault, Expected(reason, subject, rule, evidence), judge or {})


def accepted(row: str, fault: SceneFault, **judge: Any) -> Case:
    return Case(row, fault, ACCEPTED, judge)


def auth(row: str, fault: SceneFault, reason: str = "auth-bad-signature", **evidence: Any) -> Case:
    return refused(row, fault, reason, "{id}", AUTH, **evidence)


CASES = [
    *(
        refused("DC01", fault(level=level), reason, SUBJECTS[level], VALIDITY)
        for fault, reason in (
            (ExpiredCertificate, "cert-expired"),
            (FutureCertificate, "cert-not-yet-valid"),
            (SwappedValidity, "cert-not-yet-valid"),
        )
        for level in LEVELS
    ),
    # RFC 5280 4.1.2.5.1: year 50 is 1950, year 49 is 2049; 4.1 asks for the Z
    refused("DC01", OddTimeEncoding(form="utc-1950"), "cert-expired", "{liar}", VALIDITY),
    refused("DC01", OddTimeEncoding(form="utc-without-z"), "cert-malformed", "CERT 1", "RFC 5280 4.1"),
    *(accepted("DC01", OddTimeEncoding(form=form)) for form in ("utc-2049", "generalized-2051", "generalized-early")),
    refused("DC02", TamperedSignature(level="leaf"), "cert-bad-signature", "{liar}", SIGNATURE),
    refused("DC02", TamperedSignature(level="intermediate"), "cert-bad-signature", "{issuing}", SIGNATURE),
    # an anchor is trusted because it was configured, not because of its own signature (RFC 5280 6.1)
    accepted("DC02", TamperedSignature(level="root")),
    refused("DC02", LookAlikeCa(), "cert-bad-signature", "{issuing}", SIGNATURE),
    refused("DC02", LookAlikeCa(key_type="ed25519"), "cert-bad-signature", "{issuing}", SIGNATURE),
    refused("DC02", LookAlikeCa(level="intermediate"), "cert-bad-signature", "{liar}", SIGNATURE),
    refused("DC03", UnknownCa(), "cert-no-issuer", "O=west, CN=west", ISSUER),
    refused("DC03", CaOutsideGroup(), "cert-ca-not-allowed", "{root}", "trusted CA group"),
    refused("DC04", MissingIntermediate(), "cert-no-issuer", "{liar}", ISSUER),
    refused("DC04", GapInChain(), "cert-no-issuer", "O={side}, CN={side}-lower", ISSUER),
    accepted("DC04", GapInChain(held=True)),
    *(
        accepted("DC04", OddChainOrder(form=form))
        for form in ("shuffled", "duplicated", "superfluous", "with-root", "end-last")
    ),
    refused("DC04", TooManyCertificates(count=49), "cert-too-many", "CERT", "local limit", certificates=49),
    accepted("DC04", TooManyCertificates(count=48)),
    refused("DC05", IssuerLoop(), "cert-path-loop", "CN=loop", "RFC 5280 6.1"),
    accepted("DC05", SelfIssuedLink()),
    accepted("DC05", PathLength(limit=0, intermediates=0)),
    refused("DC05", PathLength(limit=0), "cert-path-length", "O={side}, CN={side}-lower-0", "RFC 5280 6.1.4 (l)"),
    accepted("DC05", PathLength(limit=1)),
    refused(
        "DC05",
        PathLength(limit=1, intermediates=2),
        "cert-path-length",
        "O={side}, CN={side}-lower-1",
        "RFC 5280 6.1.4 (l)",
    ),
    refused("DC05", PathLength(level="root", limit=0), "cert-path-length", "{issuing}", "RFC 5280 6.1.4 (l)"),
    accepted("DC05", PathLength(level="root", limit=1)),
    accepted("DC05", DeepChain(intermediates=6)),
    refused(
        "DC05", DeepChain(intermediates=7), "cert-path-length", "{root}", "local limit: chain depth", max_depth=7
    ),
    *(
        refused(
            "DC06", IssuerIsNoCa(form=form, level=level), "cert-not-ca", SUBJECTS[level], f"RFC 5280 6.1.4 ({rule})"
        )
        for form, rule in (("absent", "k"), ("false", "k"), ("key-usage", "n"))
        for level in ("intermediate", "root")
    ),
    *(
        accepted("DC07", KeyUsage(names=names))
        for names in ("", "digitalSignature", "nonRepudiation", "digitalSignature,nonRepudiation,keyCertSign")
    ),
    *(
        refused("DC07", KeyUsage(names=names), "cert-key-usage", "{liar}", "RFC 4945 5.1.3.2")
        for names in ("keyCertSign", "keyEncipherment", "keyAgreement,dataEncipherment")
    ),
    *(
        accepted("DC07", ExtendedKeyUsage(names=names, critical=critical))
        for names in ("", "ipsecIKE", "any", "ikeIntermediate", "ipsecIKE,codeSigning")
        for critical in (False, True)
        if names or not critical
    ),
    *(
        refused("DC07", ExtendedKeyUsage(names=names, critical=critical), "cert-eku", "{liar}", "RFC 4945 5.1.3.12")
        for names in ("serverAuth", "clientAuth", "codeSigning", "serverAuth,codeSigning")
        for critical in (False, True)
    ),
    *(
        refused("DC07", CriticalExtension(level=level), "cert-critical-ext", SUBJECTS[level], rule)
        for level, rule in (
            ("leaf", "RFC 5280 6.1.5 (f)"),
            ("intermediate", "RFC 5280 6.1.4 (o)"),
            ("root", "RFC 5937 3.2"),
        )
    ),
    *(
        refused("DC08", SanMismatch(form=form), "id-mismatch", SanMismatch.FORMS[form][2], f"RFC 4945 3.1.{section}")
        for section, forms in (
            (1, "ip-as-dns ip-other ip-mapped"),
            (2, "absent other type uri dot blank wildcard parent prefix nul idn"),
            (3, "mail-case mail-in-subject"),
            (5, "dn-order dn-more dn-in-san fqdn-for-dn"),
            (7, "key-id"),
        )
        for form in forms.split()
    ),
    *(accepted("DC08", SanMatch(form=form)) for form in SanMatch.FORMS),
    refused("DC09", SwappedIdentity(), "id-mismatch", "{liar}", "RFC 4945 3.1.2"),
    refused("DC09", SwappedIdentity(identity="fqdn:{other}.example"), "id-mismatch", "{liar}", "RFC 4945 3.1.2"),
    accepted("DC09", SwappedIdentity(named=True)),
    auth("DC09", SwappedIdentity(named=True, signed=False)),
    refused(
        "DC09",
        SwappedIdentity(named=True, expected="fqdn:{liar}.example"),
        "id-not-allowed",
        "fqdn:mallory.example",
        "RFC 4301 4.4.3",
    ),
    # a DN in an ID_FQDN payload, and a host name in an ID_DER_ASN1_DN one
    refused(
        "DC09", SwappedIdentity(identity="2:300d310b300906035504030c0261"), "id-invalid", "fqdn:0", "RFC 7296 3.5"
    ),
    refused(
        "DC09", SwappedIdentity(identity=f"9:{b'alice.example'.hex()}"), "id-invalid", "dn:0x616c", "RFC 7296 3.5"
    ),
    refused("DC09", SwappedIdentity(identity="99:00"), "id-invalid", "identity type 99:0x00", "RFC 7296 3.5"),
    *(
        refused(
            "DC10", CertEncoding(encoding=encoding), "cert-encoding", "CERT", "RFC 7296 3.6", encodings=(encoding,)
        )
        for encoding in (1, 2, 9, 11, 15, 201)
    ),
    *(accepted("DC10", CertEncoding(encoding=encoding, beside=True)) for encoding in (1, 2, 9, 11, 15, 201)),
    accepted("DC10", TwoEndCertificates()),
    auth("DC10", TwoEndCertificates(first=False)),
    refused("DC10", NotACertificate(), "cert-malformed", "CERT 1", "RFC 5280 4.1"),
    auth("DC11", WrongSigner()),
    auth("DC11", WrongSigner(signer="ca")),
    auth("DC11", WrongSigner(signer="ed25519"), "auth-key-mismatch", scheme="ed25519"),
    auth("DC11", WrongSigner(signer="rsa"), "auth-key-mismatch", scheme="rsa-pkcs1-sha256"),
    auth("DC11", NoSignature(form="zeros")),
    auth("DC11", NoSignature(form="zero-numbers")),
    # nothing where a signature belongs does not parse as RFC 7427 3
    auth("DC11", NoSignature(form="empty"), "auth-bad-encoding"),
    auth("DC11", NoSignature(form="nothing"), "auth-bad-encoding"),
    *(
        auth("DC12", WrongOctets(form=form))
        for form in ("stale-nonce", "no-nonce", "own-nonce", "no-id", "wrong-direction", "header", "cut")
    ),
    *(auth("DC12", RsaForgery(form=form)) for form in ("cut-hash", "padded-hash")),
    *(
        auth("DC13", DamagedAlgorithm(form=form), "auth-bad-encoding")
        for form in ("length", "null-extra", "trailing", "cut")
    ),
    auth("DC13", DamagedAlgorithm(form="unknown"), "auth-method-not-allowed"),
    auth("DC13", UnannouncedHash(digest="sha1"), "auth-hash-not-allowed"),
    *(auth("DC13", RsaForgery(form=form), "auth-bad-encoding") for form in ("null-missing-outside", "pss-trailer")),
    auth("DC13", RsaForgery(form="pss-long-salt"), "auth-bad-encoding", salt_length=255, salt_length_at_most=222),
    auth("DC13", RsaForgery(form="pss-cut-salt")),
    accepted("DC14", RsaForgery(form="good")),
    accepted("DC14", RsaForgery(form="good", exponent=3)),
    auth("DC14", RsaForgery(form="garbage")),
    auth("DC14", RsaForgery(form="garbage", exponent=3)),
    auth("DC14", RsaForgery(form="cube-root", exponent=3)),
    auth("DC14", RsaForgery(form="no-null")),
    *(
        refused(
            "DC15", WeakRsaKey(bits=bits), "key-weak", "{liar}", "policy: minimum strength", bits=bits, minimum=2048
        )
        for bits in (512, 1024, 2047)
    ),
    accepted("DC15", WeakRsaKey(bits=2048)),
    *(
        refused("DC15", OddRsaExponent(exponent=e), "key-invalid", "{liar}", KEY)
        for e in (0, 1, 2, 4, 65536, 2**70 + 1)
    ),
    *(refused("DC15", ImpossibleKey(form=form), "key-invalid", "{liar}", KEY) for form in KEY_FORMS),
    *(
        refused(
            "DC16",
            WeakSignature(digest=digest, level=level),
            "cert-signature-weak",
            SUBJECTS[level],
            "policy: signature schemes",
            algorithm=f"rsa-pkcs1-{digest}",
        )
        for digest in ("sha1", "md5")
        for level in ("leaf", "intermediate")
    ),
    *(
        refused("DC16", ContradictingAlgorithms(level=level), "cert-malformed", SUBJECTS[level], "RFC 5280 4.1.1.2")
        for level in LEVELS
    ),
    refused("DC16", HugeAlgorithmParameters(), "cert-malformed", "{liar}", "RFC 5280 4.1.1.2"),
    refused("DC16", PssParameters(), "cert-malformed", "{liar}", "RFC 5280 4.1.1.2"),
    # sound parameters, but the signature is another CA's
    refused("DC16", PssParameters(salt=32), "cert-bad-signature", "{liar}", SIGNATURE),
    accepted("DC22", NameConstraints(permitted="fqdn:example")),
    accepted("DC22", NameConstraints(permitted="fqdn:.example")),
    *(
        refused(
            "DC22", fault, "cert-name-constraint", "{liar}", NAMES, name=name or "fqdn:{liar}.example", problem=how
        )
        for fault, name, how in (
            (NameConstraints(permitted="fqdn:org"), "", "not permitted"),
            (NameConstraints(permitted="fqdn:org", level="root"), "", "not permitted"),
            # the leading dot: hosts below only (RFC 5280 4.2.1.10 says so of URIs; for dNSName it is what peers do)
            (NameConstraints(permitted="fqdn:.sub.example"), "", "not permitted"),
            (NameConstraints(excluded="fqdn:example"), "", "excluded"),
            (NameConstraints(permitted="dn:O=other"), "dn:CN={liar}", "not permitted"),
            (NameConstraints(permitted="ip:10.0.0.0/8", san="ipv4:192.0.2.9"), "ipv4:192.0.2.9", "not permitted"),
            (NameConstraints(excluded="rfc822:example", san="rfc822:a@example"), "rfc822:a@example", "excluded"),
            (EmptySubtree(), "", "excluded"),
        )
    ),
    accepted("DC22", EmptySubtree(kind="permitted")),
    refused("DC22", RequireExplicitPolicy(), "cert-policy", "{liar}", POLICY),
    refused("DC22", RequireExplicitPolicy(policies=OTHER), "cert-policy", "{liar}", POLICY),
    accepted("DC22", RequireExplicitPolicy(policies=ONE)),
    refused("DC22", WantedPolicy(), "cert-policy", "{issuing}", POLICY),
    accepted("DC22", WantedPolicy(policies=ONE)),
    accepted("DC22", PolicyMappingLoop()),
    refused("DC22", PolicyMappingLoop(to_any=True), "cert-policy", "O={side}, CN={side}-lower", "RFC 5280 6.1.4 (a)"),
    # CL21-CL23 and CO: what daemons accept that RFC 4945 does not say, by rule profile
    *(
        accepted("CL22", ExtendedKeyUsage(names=names), rule_profile="libreswan")
        for names in ("", "ipsecIKE", "any", "serverAuth", "clientAuth", "clientAuth,codeSigning")
    ),
    refused(
        "CL22",
        ExtendedKeyUsage(names="codeSigning"),
        "cert-eku",
        "{liar}",
        "RFC 4945 5.1.3.12",
        {"rule_profile": "libreswan"},
    ),
    accepted("CL22", ExtendedKeyUsage(names="codeSigning"), rule_profile="strongswan"),
    accepted("CL23", EndCertificateIsCa()),
    refused(
        "CL23", EndCertificateIsCa(), "cert-end-is-ca", "{liar}", "RFC 4945 5.1.3.9", {"rule_profile": "libreswan"}
    ),
    accepted("CL27", WeakRsaKey(bits=2047), minimum_rsa=2047),
]


@pytest.mark.parametrize("liar", ["alice", "bob"], ids=["initiator", "responder"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scene(ike_pki: SimPki, case: Case, liar: str) -> None:
    other = "bob" if liar == "alice" else "alice"
    named = {
        key: value.replace("{other}", other).replace("{liar}", liar)
        for key, value in vars(case.fault).items()
        if isinstance(value, str)
    }
    _, pair = play(replace(case.fault, **named), ike_pki, liar=liar, seed=case.name, **case.judge)
    check(pair, liar, case.expected)
    if case.expected.reason is not None and liar == "bob":
        # RFC 7296 2.21.2: the responder believed the SA established, and is told
        closed = host_of(pair, liar).of(SaClosed)
        assert [event.reason for event in closed] == ["refused-by-peer"]
