"""Reason codes: why a peer was refused, an SA ended or a start failed.

One name space for decisions, events, exit messages and test assertions. The trust codes are listed in order of
how far a certificate came before it failed: when several candidate paths fail, the decision reports the code that
stands lowest in the table (:func:`rank`).
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Every reason code that ikesim uses."""

    # trust, in order of how far one came
    CERT_NOT_SENT = "cert-not-sent"
    CERT_TOO_MANY = "cert-too-many"
    CERT_ENCODING = "cert-encoding"
    CERT_FETCH_REFUSED = "cert-fetch-refused"
    CERT_MALFORMED = "cert-malformed"
    CERT_PATH_BUDGET = "cert-path-budget"
    CERT_NO_ISSUER = "cert-no-issuer"
    CERT_PATH_LOOP = "cert-path-loop"
    CERT_CA_NOT_ALLOWED = "cert-ca-not-allowed"
    CERT_BAD_SIGNATURE = "cert-bad-signature"
    CERT_SIGNATURE_WEAK = "cert-signature-weak"
    KEY_INVALID = "key-invalid"
    KEY_WEAK = "key-weak"
    CERT_NOT_CA = "cert-not-ca"
    CERT_PATH_LENGTH = "cert-path-length"
    CERT_CRITICAL_EXT = "cert-critical-ext"
    CERT_NAME_CONSTRAINT = "cert-name-constraint"
    CERT_POLICY = "cert-policy"
    CERT_NOT_YET_VALID = "cert-not-yet-valid"
    CERT_EXPIRED = "cert-expired"
    CERT_KEY_USAGE = "cert-key-usage"
    CERT_EKU = "cert-eku"
    CERT_END_IS_CA = "cert-end-is-ca"
    ID_INVALID = "id-invalid"
    ID_MISMATCH = "id-mismatch"
    ID_NOT_ALLOWED = "id-not-allowed"
    AUTH_MISSING = "auth-missing"
    AUTH_METHOD_NOT_ALLOWED = "auth-method-not-allowed"
    AUTH_HASH_NOT_ALLOWED = "auth-hash-not-allowed"
    AUTH_BAD_ENCODING = "auth-bad-encoding"
    AUTH_KEY_MISMATCH = "auth-key-mismatch"
    AUTH_BAD_SIGNATURE = "auth-bad-signature"
    CRL_FETCH_REFUSED = "crl-fetch-refused"
    OCSP_FETCH_REFUSED = "ocsp-fetch-refused"
    CRL_FETCH_FAILED = "crl-fetch-failed"
    OCSP_FETCH_FAILED = "ocsp-fetch-failed"
    CRL_MISSING = "crl-missing"
    OCSP_MISSING = "ocsp-missing"
    CRL_MALFORMED = "crl-malformed"
    OCSP_MALFORMED = "ocsp-malformed"
    CRL_CRITICAL_EXT = "crl-critical-ext"
    CRL_BAD_ISSUER = "crl-bad-issuer"
    CRL_SIGNER_USAGE = "crl-signer-usage"
    OCSP_SIGNER_NOT_AUTHORIZED = "ocsp-signer-not-authorized"
    OCSP_SIGNER_EXPIRED = "ocsp-signer-expired"
    CRL_BAD_SIGNATURE = "crl-bad-signature"
    OCSP_BAD_SIGNATURE = "ocsp-bad-signature"
    CRL_SCOPE = "crl-scope"
    CRL_DELTA_BASE = "crl-delta-base"
    CRL_NUMBER_BACKWARDS = "crl-number-backwards"
    OCSP_ERROR_STATUS = "ocsp-error-status"
    OCSP_SERIAL_MISMATCH = "ocsp-serial-mismatch"
    OCSP_NONCE = "ocsp-nonce"
    OCSP_UNKNOWN = "ocsp-unknown"
    CRL_NOT_YET_VALID = "crl-not-yet-valid"
    OCSP_NOT_YET_VALID = "ocsp-not-yet-valid"
    CRL_STALE = "crl-stale"
    OCSP_STALE = "ocsp-stale"
    CERT_ON_HOLD = "cert-on-hold"
    CERT_REVOKED = "cert-revoked"
    # ends of exchanges and SAs
    PROPOSAL_MISMATCH = "proposal-mismatch"
    KE_MISMATCH = "ke-mismatch"
    TS_MISMATCH = "ts-mismatch"
    ENCAPSULATION_REQUIRED = "encapsulation-required"
    PAYLOAD_MALFORMED = "payload-malformed"
    PAYLOAD_CRITICAL = "payload-critical"
    NO_CONNECTION = "no-connection"
    NOBODY_ANSWERED = "nobody-answered"
    HALF_OPEN_TIMEOUT = "half-open-timeout"
    PEER_REFUSED = "peer-refused"
    REFUSED_BY_PEER = "refused-by-peer"
    DEAD_PEER = "dead-peer"
    DELETED_BY_PEER = "deleted-by-peer"
    DELETED_BY_US = "deleted-by-us"
    REPLACED = "replaced"
    UNIQUE_KEPT = "unique-kept"
    REKEYED = "rekeyed"
    REAUTHENTICATED = "reauthenticated"
    LIFETIME_EXPIRED = "lifetime-expired"
    REDIRECTED = "redirected"
    CONNECTION_REMOVED = "connection-removed"
    CHILD_FAILED = "child-failed"
    MAJOR_VERSION = "major-version"
    REVOKED_LATER = "revoked-later"
    SHUTDOWN = "shutdown"
    # local, known at load or start
    ID_NOT_CONFIGURED = "id-not-configured"
    LOCAL_CERTIFICATE_MISSING = "local-certificate-missing"
    LOCAL_CERTIFICATE_PENDING = "local-certificate-pending"
    LOCAL_KEY_MISSING = "local-key-missing"
    LOCAL_ID_NOT_IN_CERTIFICATE = "local-id-not-in-certificate"
    CA_CERTIFICATE_MISSING = "ca-certificate-missing"
    SELF_TEST_FAILED = "self-test-failed"
    RENEWAL_NOT_NEWER = "renewal-not-newer"


class TrustReason(NamedTuple):
    """What a trust code says, the rule behind it, and strongSwan's alert name for the same refusal."""

    meaning: str
    rule: str
    alert: str


TRUST_REASONS: dict[Reason, TrustReason] = {
    Reason.CERT_NOT_SENT: TrustReason(
        "no certificate came, and none is held for the peer", "RFC 7296 3.6", "peer-auth-failed"
    ),
    Reason.CERT_TOO_MANY: TrustReason(
        "more CERT payloads or octets than the limits allow", "local limit", "peer-auth-failed"
    ),
    Reason.CERT_ENCODING: TrustReason(
        "only CERT encodings that are not supported or not allowed", "RFC 7296 3.6", "peer-auth-failed"
    ),
    Reason.CERT_FETCH_REFUSED: TrustReason(
        "hash-and-URL not allowed, not reached, or the hash differs", "RFC 7296 3.6", "cert-validation-failed"
    ),
    Reason.CERT_MALFORMED: TrustReason(
        "not a certificate, or fields contradict each other (outer/inner algorithm)",
        "RFC 5280 4.1",
        "cert-validation-failed",
    ),
    Reason.CERT_PATH_BUDGET: TrustReason(
        "the search for a path was ended by its budget", "RFC 5280 6 (local limit)", "cert-validation-failed"
    ),
    Reason.CERT_NO_ISSUER: TrustReason("no path to any anchor we hold", "RFC 5280 6.1", "cert-no-issuer"),
    Reason.CERT_PATH_LOOP: TrustReason(
        "the only paths repeat a certificate", "RFC 5280 6.1", "cert-exceeded-path-len"
    ),
    Reason.CERT_CA_NOT_ALLOWED: TrustReason(
        "a path leads to a CA we hold, outside the connection's trusted CA group",
        "seed, trusted CA group",
        "cert-untrusted-root",
    ),
    Reason.CERT_BAD_SIGNATURE: TrustReason(
        "an issuer's key does not verify the certificate", "RFC 5280 6.1.3 (a)(1)", "cert-validation-failed"
    ),
    Reason.CERT_SIGNATURE_WEAK: TrustReason(
        "signature algorithm below policy (MD5, SHA-1)", "policy", "cert-policy-violation"
    ),
    Reason.KEY_INVALID: TrustReason(
        "key malformed or impossible (exponent 0, point off curve, explicit parameters)",
        "RFC 5280 4.1.2.7",
        "cert-validation-failed",
    ),
    Reason.KEY_WEAK: TrustReason("key below minimum strength", "policy", "cert-policy-violation"),
    Reason.CERT_NOT_CA: TrustReason(
        "an issuer without CA basicConstraints or keyCertSign", "RFC 5280 6.1.4 (k)(n)", "cert-validation-failed"
    ),
    Reason.CERT_PATH_LENGTH: TrustReason(
        "pathLenConstraint or depth cap exceeded", "RFC 5280 6.1.4 (l)(m)", "cert-exceeded-path-len"
    ),
    Reason.CERT_CRITICAL_EXT: TrustReason("unknown critical extension", "RFC 5280 4.2", "cert-validation-failed"),
    Reason.CERT_NAME_CONSTRAINT: TrustReason(
        "a name outside permitted or inside excluded subtrees", "RFC 5280 6.1.3 (b)(c)", "cert-policy-violation"
    ),
    Reason.CERT_POLICY: TrustReason(
        "certificate policies do not satisfy what is required", "RFC 5280 6.1.5", "cert-policy-violation"
    ),
    Reason.CERT_NOT_YET_VALID: TrustReason(
        "before notBefore (which certificate is in the evidence)", "RFC 5280 6.1.3 (a)(2)", "cert-expired"
    ),
    Reason.CERT_EXPIRED: TrustReason("after notAfter", "RFC 5280 6.1.3 (a)(2)", "cert-expired"),
    Reason.CERT_KEY_USAGE: TrustReason(
        "the end certificate's key usage forbids signing", "RFC 4945 5.1.3.2", "peer-auth-failed"
    ),
    Reason.CERT_EKU: TrustReason(
        "the end certificate's extended key usage excludes IKE (by rule profile)",
        "RFC 4945 5.1.3.12",
        "peer-auth-failed",
    ),
    Reason.CERT_END_IS_CA: TrustReason(
        "the end certificate is a CA, and the rule profile refuses that", "RFC 4945 5.1.3.9", "peer-auth-failed"
    ),
    Reason.ID_INVALID: TrustReason("the ID payload is malformed or oversized", "RFC 7296 3.5", "peer-auth-failed"),
    Reason.ID_MISMATCH: TrustReason(
        "the certificate does not prove the identity sent", "RFC 4945 3.1", "peer-auth-failed"
    ),
    Reason.ID_NOT_ALLOWED: TrustReason(
        "proven, but no connection expects this identity", "RFC 4301 4.4.3", "authorization-failed"
    ),
    Reason.AUTH_MISSING: TrustReason("no AUTH payload", "RFC 7296 1.2", "peer-auth-failed"),
    Reason.AUTH_METHOD_NOT_ALLOWED: TrustReason(
        "AUTH method or scheme not allowed by configuration", "RFC 7296 3.8, 7427 5", "peer-auth-failed"
    ),
    Reason.AUTH_HASH_NOT_ALLOWED: TrustReason("a hash that we never announced", "RFC 7427 4", "peer-auth-failed"),
    Reason.AUTH_BAD_ENCODING: TrustReason(
        "AUTH data does not parse (AlgorithmIdentifier, PSS parameters)", "RFC 7427 3", "peer-auth-failed"
    ),
    Reason.AUTH_KEY_MISMATCH: TrustReason(
        "AUTH algorithm does not fit the certificate's key", "RFC 7296 3.8, 7427 3", "peer-auth-failed"
    ),
    Reason.AUTH_BAD_SIGNATURE: TrustReason(
        "the signature does not verify over the octets", "RFC 7296 2.15", "peer-auth-failed"
    ),
    Reason.CRL_FETCH_REFUSED: TrustReason(
        "the URL is not allowed (scheme, address, size)", "local limit", "cert-validation-failed"
    ),
    Reason.OCSP_FETCH_REFUSED: TrustReason(
        "the URL is not allowed (scheme, address, size)", "local limit", "cert-validation-failed"
    ),
    Reason.CRL_FETCH_FAILED: TrustReason(
        "no URL answered in time (each URL and cause in the evidence)", "RFC 5280 6.3", "cert-validation-failed"
    ),
    Reason.OCSP_FETCH_FAILED: TrustReason(
        "no URL answered in time (each URL and cause in the evidence)", "RFC 6960 2.1", "cert-validation-failed"
    ),
    Reason.CRL_MISSING: TrustReason("none held, and nowhere to get one", "RFC 5280 6.3", "cert-validation-failed"),
    Reason.OCSP_MISSING: TrustReason("none held, and nowhere to get one", "RFC 5280 6.3", "cert-validation-failed"),
    Reason.CRL_MALFORMED: TrustReason("not parseable, or breaks its profile", "RFC 5280 5", "cert-validation-failed"),
    Reason.OCSP_MALFORMED: TrustReason(
        "not parseable, or breaks its profile", "RFC 6960 4.2", "cert-validation-failed"
    ),
    Reason.CRL_CRITICAL_EXT: TrustReason(
        "unknown critical extension in CRL or entry", "RFC 5280 5.2", "cert-validation-failed"
    ),
    Reason.CRL_BAD_ISSUER: TrustReason(
        "issued by another than the certificate's CA or named cRLIssuer",
        "RFC 5280 6.3.3 (b)",
        "cert-validation-failed",
    ),
    Reason.CRL_SIGNER_USAGE: TrustReason(
        "the signer may not sign CRLs", "RFC 5280 6.3.3 (f)", "cert-validation-failed"
    ),
    Reason.OCSP_SIGNER_NOT_AUTHORIZED: TrustReason(
        "the responder is neither the CA nor delegated nor trusted", "RFC 6960 4.2.2.2", "cert-validation-failed"
    ),
    Reason.OCSP_SIGNER_EXPIRED: TrustReason(
        "the responder's certificate is outside its validity", "RFC 6960 4.2.2.2", "cert-validation-failed"
    ),
    Reason.CRL_BAD_SIGNATURE: TrustReason("does not verify", "RFC 5280 6.3.3 (g)", "cert-validation-failed"),
    Reason.OCSP_BAD_SIGNATURE: TrustReason("does not verify", "RFC 6960 3.2", "cert-validation-failed"),
    Reason.CRL_SCOPE: TrustReason(
        "covers other certificates or reasons (IDP, CDP)", "RFC 5280 6.3.3 (b)(2)", "cert-validation-failed"
    ),
    Reason.CRL_DELTA_BASE: TrustReason(
        "delta without a fitting base", "RFC 5280 6.3.3 (c)", "cert-validation-failed"
    ),
    Reason.CRL_NUMBER_BACKWARDS: TrustReason(
        "older than one already held from the same issuer and scope", "RFC 5280 5.2.3", "cert-validation-failed"
    ),
    Reason.OCSP_ERROR_STATUS: TrustReason(
        "the response says or answers something else", "RFC 6960 3.2, 4.2.1, 4.4.1", "cert-validation-failed"
    ),
    Reason.OCSP_SERIAL_MISMATCH: TrustReason(
        "the response says or answers something else", "RFC 6960 3.2, 4.2.1, 4.4.1", "cert-validation-failed"
    ),
    Reason.OCSP_NONCE: TrustReason(
        "the response says or answers something else", "RFC 6960 3.2, 4.2.1, 4.4.1", "cert-validation-failed"
    ),
    Reason.OCSP_UNKNOWN: TrustReason(
        "the response says or answers something else", "RFC 6960 3.2, 4.2.1, 4.4.1", "cert-validation-failed"
    ),
    Reason.CRL_NOT_YET_VALID: TrustReason("from the future", "RFC 5280 5.1.2.4", "cert-validation-failed"),
    Reason.OCSP_NOT_YET_VALID: TrustReason("from the future", "RFC 6960 3.2", "cert-validation-failed"),
    Reason.CRL_STALE: TrustReason("past nextUpdate", "RFC 5280 6.3.3 (a)", "cert-validation-failed"),
    Reason.OCSP_STALE: TrustReason("past nextUpdate", "RFC 6960 3.2", "cert-validation-failed"),
    Reason.CERT_ON_HOLD: TrustReason("on a CRL with certificateHold", "RFC 5280 5.3.1", "cert-revoked"),
    Reason.CERT_REVOKED: TrustReason("on a verified CRL or OCSP response", "RFC 5280 6.3.3", "cert-revoked"),
}

_RANK = {reason: position for position, reason in enumerate(TRUST_REASONS)}


def rank(reason: Reason) -> int:
    """How far a path came before it failed with `reason`; higher is further.

    An exhausted budget outranks everything: the search was cut short, so no other code is the whole truth.
    """
    return len(_RANK) if reason is Reason.CERT_PATH_BUDGET else _RANK[reason]
