"""The cases of the matrix, as data. Each is run in both roles."""

from dataclasses import dataclass, field

CELLS = 68
"""How many cells the table has: two for each case. Asserted, so that none is lost unnoticed."""

OUR_NAME, THEIR_NAME = "ours.test", "theirs.test"
FALSE_NAME = "mallory.test"
"""In nobody's certificate."""

DEFAULT_PROPOSAL = "aes128gcm16-prfsha256-x25519"
GCM_X25519 = {
    "encr-alg": "AES_GCM_16",
    "encr-keysize": "128",
    "prf-alg": "PRF_HMAC_SHA2_256",
    "dh-group": "CURVE_25519",
}


@dataclass(frozen=True)
class Leaf:
    """An end certificate, one of the same name for each side."""

    name: str
    key: str = "p256"
    issuer: str = "north"
    """For "intermediate": `near` for ours, `far` for theirs."""
    expired: bool = False
    revoked: bool = False


LEAVES = {
    leaf.name: leaf
    for leaf in (
        Leaf("p256"),
        Leaf("double"),
        Leaf("p384", key="p384"),
        Leaf("rsa", key="rsa"),
        Leaf("ed25519", key="ed25519"),
        Leaf("chained", issuer="intermediate"),
        Leaf("long-chained", key="rsa", issuer="intermediate"),
        Leaf("revoked", revoked=True),
        Leaf("expired", expired=True),
        Leaf("south", issuer="south"),
        Leaf("stranger", issuer="stranger"),
        Leaf("pointing", issuer="west"),
    )
}


@dataclass(frozen=True)
class Meeting:
    """A case that ends in a tunnel."""

    name: str
    leaf: str = "p256"
    proposal: str = DEFAULT_PROPOSAL
    esp: str = "aes128gcm16"
    schemes: tuple[str, ...] = ()
    """Ours; empty: the defaults."""
    auth: str = "pubkey"
    """strongSwan's own."""
    signed: str = "ECDSA_WITH_SHA256_DER"
    """What charon says that both signatures were made with."""
    ike: dict[str, str] = field(default_factory=lambda: dict(GCM_X25519))
    """The algorithms that charon lists for the IKE SA."""
    child: dict[str, str] = field(default_factory=lambda: {"encr-alg": "AES_GCM_16", "encr-keysize": "128"})
    charon: dict[str, str | int] = field(default_factory=dict)
    """Settings of strongswan.conf."""
    endpoint: dict[str, object] = field(default_factory=dict)
    """Keys of our [endpoint]."""
    ports: tuple[tuple[int, int], tuple[int, int]] = ((500, 4500), (500, 4500))
    """(IKE, NAT-T) of ours, of theirs."""
    words: tuple[str, ...] = ()
    """Patterns that charon's log must have besides."""
    words_as: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The same, by our role."""
    fetches: bool = False
    """Whether both sides have to fetch the other's CRL."""
    authority: str = "north"
    """The root that both sides trust."""
    rekey: tuple[str, str] | None = None
    """(what: "ike" or "child", who begins: "ikesim" or "strongSwan")."""


@dataclass(frozen=True)
class Refusal:
    """A case that ends in a refusal, for one cause."""

    name: str
    by: str
    """Who refuses: "us" or "them"."""
    reason: str
    """Our reason code when we refuse."""
    leaf: str = "p256"
    """The certificate of the side that is refused."""
    words: str = ""
    """A pattern for what charon says of the cause when it refuses."""
    our_id: str = OUR_NAME
    their_id: str = THEIR_NAME
    lie: str | None = None
    """What our own daemon does wrong, or suffers: see `tests.interop.liar`."""

    @property
    def row(self) -> str:
        """Its name in the table."""
        return f"{'strongSwan' if self.by == 'us' else 'ikesim'}'s {self.name}"


MEETINGS = (
    Meeting("ECDSA P-256, AES-GCM, X25519"),
    Meeting(
        "ECDSA P-384, AES-256-GCM, ECP-384",
        leaf="p384",
        proposal="aes256gcm16-prfsha384-ecp384",
        esp="aes256gcm16",
        signed="ECDSA_WITH_SHA384_DER",
        ike={"encr-alg": "AES_GCM_16", "encr-keysize": "256", "prf-alg": "PRF_HMAC_SHA2_384", "dh-group": "ECP_384"},
        child={"encr-alg": "AES_GCM_16", "encr-keysize": "256"},
    ),
    Meeting(
        "RSA-2048 PSS",
        leaf="rsa",
        schemes=("rsa-pss-sha256",),
        auth="ike:rsa/pss-sha256",
        signed="RSA_EMSA_PSS_SHA2_256_SALT_32",
    ),
    Meeting(
        "RSA-2048 PKCS#1 v1.5",
        leaf="rsa",
        schemes=("rsa-pkcs1-sha256",),
        auth="ike:rsa-sha256",
        signed="RSA_EMSA_PKCS1_SHA2_256",
    ),
    Meeting("Ed25519", leaf="ed25519", signed="ED25519"),
    # KH-07: the store is sealed at the start of the daemon, and opened again by the next case
    Meeting("ECDSA P-256, with key protection", endpoint={"key-protection": True}),
    Meeting(
        "RSA-2048 PSS, with key protection",
        leaf="rsa",
        schemes=("rsa-pss-sha256",),
        auth="ike:rsa/pss-sha256",
        signed="RSA_EMSA_PSS_SHA2_256_SALT_32",
        endpoint={"key-protection": True},
    ),
    Meeting(
        "ECDSA P-256, AUTH method 9",
        charon={"signature_authentication": "no"},
        signed="ECDSA-256 signature",
    ),
    Meeting(
        "AES-GCM, ECP-256",
        proposal="aes128gcm16-prfsha256-ecp256",
        ike=GCM_X25519 | {"dh-group": "ECP_256"},
    ),
    Meeting(
        "AES-CBC, HMAC-SHA2-256, MODP-2048",
        proposal="aes128-sha256-modp2048",
        esp="aes128-sha256",
        ike={
            "encr-alg": "AES_CBC",
            "encr-keysize": "128",
            "integ-alg": "HMAC_SHA2_256_128",
            "prf-alg": "PRF_HMAC_SHA2_256",
            "dh-group": "MODP_2048",
        },
        child={"encr-alg": "AES_CBC", "encr-keysize": "128", "integ-alg": "HMAC_SHA2_256_128"},
    ),
    Meeting(
        "ChaCha20-Poly1305",
        proposal="chacha20poly1305-prfsha256-x25519",
        esp="chacha20poly1305",
        ike={"encr-alg": "CHACHA20_POLY1305", "prf-alg": "PRF_HMAC_SHA2_256", "dh-group": "CURVE_25519"},
        child={"encr-alg": "CHACHA20_POLY1305"},
    ),
    Meeting(
        "an intermediate CA on each side",
        leaf="chained",
        words=('received issuer cert "O=Interop Lab, CN=near"', 'sending issuer cert "O=Interop Lab, CN=far"'),
    ),
    Meeting(
        "CRLs fetched over HTTP",
        leaf="pointing",
        authority="west",
        fetches=True,
        endpoint={"fetch-private-addresses": True},
        words=("fetching crl from 'http://10.88.0.2:8080/west.crl'",),
    ),
    Meeting(
        "fragmented IKE_AUTH, RSA, intermediates",
        leaf="long-chained",
        schemes=("rsa-pss-sha256",),
        auth="ike:rsa/pss-sha256",
        signed="RSA_EMSA_PSS_SHA2_256_SALT_32",
        charon={"fragment_size": 600},
        endpoint={"fragment-size": 600},
        words=(r"received fragment #1 of \d", r"splitting IKE message .* into \d fragments"),
    ),
    Meeting(
        "a cookie is asked (by the responder)",
        charon={"cookie_threshold": 1},
        endpoint={"cookie-threshold": 0},
        words_as={
            "initiator": (r"parsed IKE_SA_INIT request 0 \[ N\(COOKIE\) SA KE No",),
            "responder": (r"parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]",),
        },
    ),
    Meeting(
        "ports of one's own",
        charon={"port": 5600, "port_nat_t": 5601},
        ports=((5500, 5501), (5600, 5601)),
        words=(r"10\.88\.0\.2\[560[01]\]",),
    ),
    *(
        Meeting(f"{what.upper()} SA rekeyed by {who}", rekey=(what, who))
        for what in ("ike", "child")
        for who in ("ikesim", "strongSwan")
    ),
    *(
        Meeting(f"CHILD SA rekeyed by {who}, with PFS", rekey=("child", who), esp="aes128gcm16-x25519")
        for who in ("ikesim", "strongSwan")
    ),
)

REFUSALS = (
    Refusal("certificate is revoked", "us", "cert-revoked", leaf="revoked"),
    Refusal("certificate has expired", "us", "cert-expired", leaf="expired"),
    Refusal("certificate is of an unknown CA", "us", "cert-no-issuer", leaf="stranger"),
    Refusal("certificate is of a known CA outside the group", "us", "cert-ca-not-allowed", leaf="south"),
    # charon takes a wildcard for confirmed by a certificate that it covers, and sends it as it stands.
    Refusal("identity is not in its certificate", "us", "id-mismatch", their_id="*.test"),
    Refusal("AUTH is by another key", "us", "auth-bad-signature", lie="sees-another-certificate"),
    Refusal(
        "certificate is revoked",
        "them",
        "peer-refused",
        leaf="revoked",
        words=r"certificate was revoked on .* key compromise",
    ),
    Refusal(
        "certificate has expired",
        "them",
        "peer-refused",
        leaf="expired",
        words=r"subject certificate invalid \(valid from",
    ),
    Refusal(
        "certificate is of an unknown CA",
        "them",
        "peer-refused",
        leaf="stranger",
        words="no issuer certificate found",
    ),
    Refusal(
        "certificate is of a known CA outside the group",
        "them",
        "peer-refused",
        leaf="south",
        words="constraint check failed: peer not authenticated by CA 'O=Interop Lab, CN=north'",
    ),
    Refusal(
        "identity is not in its certificate",
        "them",
        "peer-refused",
        our_id=FALSE_NAME,
        lie="sends-another-identity",
        words=f"no trusted ECDSA public key found for '{FALSE_NAME}'",
    ),
    Refusal(
        "AUTH is by another key",
        "them",
        "peer-refused",
        lie="signs-with-another-key",
        words="signature validation failed, looking for another key",
    ),
)

ROWS = tuple(case.name for case in MEETINGS) + tuple(case.row for case in REFUSALS)
