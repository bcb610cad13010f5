"""The configuration of an endpoint as the core uses it: frozen, validated, in the protocol's own types.

`ikesim.configuration` makes these from TOML; tests and simulations make them directly. Durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ikesim.crypto.signatures import SignatureScheme
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.profiles import CaProfile, TrustedCaGroup
from ikesim.wire.address import Address
from ikesim.wire.proposals import Proposal
from ikesim.wire.selectors import TrafficSelector

DEFAULT_SIGNATURE_SCHEMES: tuple[SignatureScheme, ...] = tuple(
    scheme for scheme in SignatureScheme if scheme is not SignatureScheme.RSA_PKCS1_SHA1
)


@dataclass(frozen=True, slots=True)
class RetransmitConfig:
    """Waits of initial * factor**n seconds; `tries` counts the retransmissions after the first send."""

    initial: float = 4.0
    factor: float = 1.8
    tries: int = 5


@dataclass(frozen=True, slots=True)
class LivenessConfig:
    """An INFORMATIONAL after `interval` seconds of silence (0: never), and what to do about a dead peer."""

    interval: float = 30.0
    action: str = "clear"


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """One CHILD SA of a connection."""

    name: str
    local_ts: tuple[TrafficSelector, ...]
    remote_ts: tuple[TrafficSelector, ...]
    proposals: tuple[Proposal, ...]
    inner_address: str | None = None
    rekey_time: float = 3600.0
    rekey_bytes: int = 0
    rekey_packets: int = 0
    esn: bool = False

    def __deepcopy__(self, memo: object) -> "ChildConfig":
        return self  # immutable: copies of an endpoint share it


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """One `[connection.NAME]`: who the peer is, how it authenticates, what is protected."""

    name: str
    local: Address
    local_nat_t: Address
    remote: Address | None
    """None: any address, responder only."""
    remote_nat_t: Address | None
    local_id: Identity
    remote_id: IdentityPattern
    local_certificates: tuple[str, ...]
    """Certificate-IDs, in order of preference."""
    proposals: tuple[Proposal, ...]
    children: tuple[ChildConfig, ...] = ()
    trusted_ca: str | None = None
    trusted_ca_group: str | None = None
    prefer: str = "ours"
    signature_schemes: tuple[SignatureScheme, ...] = DEFAULT_SIGNATURE_SCHEMES
    minimum_rsa: int = 2048
    minimum_ecdsa: int = 256
    max_chain_depth: int = 7
    rule_profile: str = "rfc"
    policy_oids: tuple[str, ...] = ()
    send_certificate: str = "always"
    unique: str = "replace"
    on_revocation: str = "delete"
    rekey_time: float = 14400.0
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    start: str = "on-request"
    over_time: float = 0.1
    """Fraction of rekey_time after which an SA that was not rekeyed ends."""
    jitter: float = 0.1
    """Fraction of rekey_time that is taken off at random."""
    reauth_time: float = 0.0
    reauth: str = "make-before-break"
    mobike: bool = True
    keepalive: float = 20.0
    request_address: tuple[str, ...] = ()
    """As initiator: "ipv4", "ipv6", what to ask an address of; it then is our whole side of every CHILD SA."""
    address_pool: tuple[str, ...] = ()
    """As responder: networks that peers get addresses from; a peer's address is its whole side of every CHILD SA."""
    dns: tuple[str, ...] = ()
    """Name servers to tell peers that get an address."""
    childless: str = "allow"
    """Whether an IKE SA begins without a CHILD SA (RFC 6023): allow, prefer, force or never."""
    follow_redirects: bool = False
    """As initiator: whether we go where a gateway sends us (RFC 5685)."""
    redirect_to: str = ""
    """As responder: the address where initiators are sent; empty: they are served."""
    redirect_at: str = "init"
    announce_auth_methods: bool = False
    """Whether we say how the peer may authenticate (RFC 9593)."""
    ppk_id: str = ""
    """The identity of the postquantum preshared key that both ends mix in (RFC 8784); empty: none."""
    ppk_secret: str = ""
    """The name of the secret that it is."""
    ppk_required: bool = False


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """One endpoint: its addresses, limits, CA profiles and connections (in file order)."""

    name: str
    listen: tuple[Address, ...]
    listen_nat_t: tuple[Address, ...]
    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    ca_profiles: Mapping[str, CaProfile] = field(default_factory=dict)
    trusted_ca_groups: Mapping[str, TrustedCaGroup] = field(default_factory=dict)
    encapsulation: str = "always"
    framing: str = "strongswan"
    retransmit: RetransmitConfig = field(default_factory=RetransmitConfig)
    fragment_size: int = 1280
    """Octets of the IP packet that carries a fragment; 0 switches RFC 7383 off."""
    cookie_threshold: int = 10
    max_half_open: int = 1000
    half_open_timeout: float = 30.0
    fetch_private_addresses: bool = False
    key_protection: bool = False
