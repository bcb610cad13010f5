"""The tables of a configuration file: every key, its type, its limits and its default, as pydantic models.

Pydantic lives in this package only: `building` turns what is read here into the frozen dataclasses of ike/ and pki/.
Defaults are those of `config/reference.toml`; a key without one is required.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ikesim.configuration import values
from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.config import DEFAULT_SIGNATURE_SCHEMES
from ikesim.ike.negotiation import parse_esp_proposal, parse_ike_proposal
from ikesim.wire.proposals import Proposal

DEFAULT_IKE_PROPOSALS = (
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm16-prfsha384-ecp384",
    "aes128-sha256-modp2048",
)
DEFAULT_ESP_PROPOSALS = ("aes128gcm16",)


def _kebab(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Table(BaseModel):
    """A TOML table: kebab-case keys, no unknown ones, no silent conversion between types."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=_kebab,
        populate_by_name=False,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )


class Retransmit(Table):
    """`retransmit`: waits of initial * factor**n; `tries` retransmissions after the first send."""

    initial: values.PositiveDuration = 4.0
    factor: Annotated[float, Field(ge=1, le=10)] = 1.8
    tries: Annotated[int, Field(ge=0, le=100)] = 5


class EndpointTable(Table):
    """`[endpoint]`."""

    name: values.Name
    listen: Annotated[list[values.LocalAddress], Field(min_length=1)]
    listen_nat_t: list[values.LocalAddress] | None = None
    state: Annotated[str, Field(min_length=1)]
    key_protection: bool = False
    key_protection_file: Annotated[str, Field(min_length=1)] | None = None
    encapsulation: Literal["always", "auto"] = "always"
    framing: Literal["strongswan", "bare-init"] = "strongswan"
    retransmit: Retransmit = Retransmit()
    fragment_size: values.FragmentSize = 1280
    cookie_threshold: Annotated[int, Field(ge=0)] = 10
    max_half_open: Annotated[int, Field(ge=1)] = 1000
    half_open_timeout: values.PositiveDuration = 30.0
    fetch_private_addresses: bool = False


class RolesTable(Table):
    """`[roles]`: user names or numbers."""

    cryptographic_administrator: list[values.User] | None = None
    security_administrator: list[values.User] | None = None
    socket: Annotated[str, Field(min_length=1)] | None = None


class Ocsp(Table):
    """`ocsp` of a CA profile's revocation check."""

    url: list[values.Url] = []
    nonce: bool = True
    accept_unknown: bool = False


class RevocationCheck(Table):
    """`[pki.ca-profile.NAME.revocation-check]`."""

    method: Literal["crl", "ocsp", "ocsp-then-crl", "disable"] = "crl"
    ocsp: Ocsp = Ocsp()
    policy: Literal["strict", "if-uri", "relaxed"] = "strict"
    on_download_failure: Literal["reject", "accept"] = "reject"
    url: list[values.Url] = []
    refresh_interval: values.RefreshInterval = 0.0


class CaProfileTable(Table):
    """`[pki.ca-profile.NAME]`."""

    ca_identity: Annotated[str, Field(min_length=1)]
    administrator_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    partial_chain: bool = False
    revocation_check: RevocationCheck = RevocationCheck()


class TrustedCaGroupTable(Table):
    """`[pki.trusted-ca-group.NAME]`."""

    ca_profiles: Annotated[list[values.Name], Field(min_length=1, max_length=20)]


class MinimumStrength(Table):
    """`minimum-strength`: bits of RSA moduli and of elliptic curves."""

    rsa: Annotated[int, Field(ge=1024, le=16384)] = 2048
    ecdsa: Annotated[int, Field(ge=160, le=521)] = 256


class Liveness(Table):
    """`liveness`: interval 0 switches the check off."""

    interval: values.Duration = 30.0
    action: Literal["clear", "restart"] = "clear"


def _read_scheme(value: object) -> SignatureScheme:
    if isinstance(value, str) and value in tuple(SignatureScheme):
        return SignatureScheme(value)
    raise ValueError(
        f"{values.shown(value)} is no signature scheme"
        + values.nearest(value, [str(scheme) for scheme in SignatureScheme])
        + f"; accepted are {', '.join(SignatureScheme)}"
    )


Scheme = Annotated[SignatureScheme, BeforeValidator(_read_scheme)]


def _ike_defaults() -> list[Proposal]:
    return [parse_ike_proposal(text) for text in DEFAULT_IKE_PROPOSALS]


def _esp_defaults() -> list[Proposal]:
    return [parse_esp_proposal(text) for text in DEFAULT_ESP_PROPOSALS]


class ConnectionTable(Table):
    """`[connection.NAME]`, without its children."""

    local: values.LocalAddress | None = None
    remote: values.PeerAddress | None = None
    remote_nat_t: values.PeerAddress | None = None
    local_id: values.LocalIdentity
    remote_id: values.RemoteIdentity
    local_certificate: Annotated[list[values.Name], BeforeValidator(_as_list), Field(min_length=1)]
    trusted_ca: values.Name | None = None
    trusted_ca_group: str | None = None
    proposals: Annotated[list[values.IkeProposal], Field(min_length=1, default_factory=_ike_defaults)]
    prefer: Literal["ours", "theirs"] = "ours"
    signature_schemes: Annotated[list[Scheme], Field(min_length=1)] = list(DEFAULT_SIGNATURE_SCHEMES)
    minimum_strength: MinimumStrength = MinimumStrength()
    max_chain_depth: Annotated[int, Field(ge=1, le=100)] = 7
    rule_profile: Literal["rfc", "strongswan", "libreswan", "openiked"] = "rfc"
    policy_oids: Annotated[list[values.Oid], Field(max_length=5)] = []
    send_certificate: Literal["always", "if-asked", "never"] = "always"
    unique: Literal["replace", "keep", "never"] = "replace"
    on_revocation: Literal["delete", "at-rekey", "ignore"] = "delete"
    rekey_time: values.Duration = 14400.0
    liveness: Liveness = Liveness()
    start: Literal["on-request", "immediately"] = "on-request"
    over_time: values.Percentage = 0.1
    jitter: values.Percentage = 0.1
    reauth_time: values.Duration = 0.0
    reauth: Literal["make-before-break", "break-before-make"] = "make-before-break"
    mobike: bool = True
    keepalive: values.Keepalive = 20.0
    request_address: Annotated[list[Literal["ipv4", "ipv6"]], BeforeValidator(_as_list), Field(max_length=2)] = []
    address_pool: list[values.Network] = []
    dns: list[values.Host] = []
    childless: Literal["allow", "prefer", "force", "never"] = "allow"
    follow_redirects: bool = False
    redirect_to: values.HostOrNone = ""
    redirect_at: Literal["init", "auth"] = "init"
    announce_auth_methods: bool = False
    ppk_id: Annotated[str, Field(max_length=255)] = ""
    ppk_secret: values.NameOrNone = ""
    ppk_required: bool = False


class ChildTable(Table):
    """`[connection.NAME.child.NAME]`."""

    local_ts: Annotated[list[values.Selector], Field(min_length=1)]
    remote_ts: Annotated[list[values.Selector], Field(min_length=1)]
    inner_address: values.Host | None = None
    esp_proposals: Annotated[list[values.EspProposal], Field(min_length=1, default_factory=_esp_defaults)]
    rekey_time: values.Duration = 3600.0
    rekey_bytes: Annotated[int, Field(ge=0)] = 0
    rekey_packets: Annotated[int, Field(ge=0)] = 0
    esn: bool = False
