"""The endpoints of a pair, from keyword settings: the documented defaults, and only what a test says otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Any

from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, LivenessConfig, RetransmitConfig
from ikesim.ike.negotiation import parse_esp_proposal, parse_ike_proposal
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.profiles import (
    CaProfile,
    OcspSettings,
    RevocationMethod,
    RevocationPolicy,
    RevocationSettings,
    TrustedCaGroup,
)
from ikesim.wire.address import Address
from ikesim.wire.selectors import TrafficSelector

PROPOSALS = ("aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048")
ESP_PROPOSALS = ("aes128gcm16",)
GROUP = "partners"

Settings = Mapping[str, Any]

_ENDPOINT = {item.name for item in fields(EndpointConfig)} - {"name", "connections"}
_CONNECTION = {item.name for item in fields(ConnectionConfig)} - {"name", "children", "remote_nat_t", "local_nat_t"}
_CHILD = {item.name for item in fields(ChildConfig)}
_OWN = {"children", "child", "clock_offset", "revocation", "inner"}


def check(settings: Settings, host: str) -> None:
    """TypeError for a setting that does not exist, with the nearest one that does."""
    _check(settings, _ENDPOINT | _CONNECTION | _OWN, host)
    _check(settings.get("child", {}), _CHILD, f"{host}'s child")


def _check(settings: Settings, known: set[str], where: str) -> None:
    for key in settings:
        if key not in known:
            near = get_close_matches(key, sorted(known), 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
            raise TypeError(f"{where} has no setting {key!r}{hint}")


def endpoint_config(host: str, settings: Settings, peer: str, peer_settings: Settings, number: int) -> EndpointConfig:
    """The configuration of host `number` (1 or 2) of a pair, with one connection named after its peer."""
    listen, nat_t = listen_addresses(settings, number)
    peer_listen, peer_nat_t = listen_addresses(peer_settings, 3 - number)
    given = {key: _endpoint_value(key, value) for key, value in settings.items() if key in _ENDPOINT}
    profiles = {
        name: CaProfile(name, f"{name}.example", revocation=_revocation(settings.get("revocation", {})))
        for name in ("north", "south")
    }
    defaults: dict[str, Any] = {
        "ca_profiles": profiles,
        "trusted_ca_groups": {GROUP: TrustedCaGroup(GROUP, ("north", "south"))},
    }
    connection = _connection(
        peer,
        {
            "local": listen[0],
            "local_nat_t": nat_t[0],
            "remote": peer_listen[0],
            "remote_nat_t": peer_nat_t[0],
            "local_id": f"fqdn:{host}.example",
            "remote_id": f"fqdn:{peer}.example",
            "local_certificates": (host,),
            "proposals": PROPOSALS,
            "trusted_ca_group": None if "trusted_ca" in settings else GROUP,
            **{key: value for key, value in settings.items() if key in _CONNECTION},
        },
        tuple(_child(child) for child in _children(settings, number)),
    )
    return EndpointConfig(
        name=host, connections={peer: connection}, **{**defaults, **given, "listen": listen, "listen_nat_t": nat_t}
    )


def listen_addresses(settings: Settings, number: int) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """Both kinds of sockets of host `number`: 192.0.2.NUMBER with ports 500 and 4500 unless it is said otherwise."""
    listen = _addresses(settings.get("listen", f"192.0.2.{number}:500"))
    nat_t = settings.get("listen_nat_t")
    return listen, _addresses(nat_t) if nat_t else tuple(Address(address.host, 4500) for address in listen)


def inner_networks(config: EndpointConfig) -> list[str]:
    """The networks behind a host, as text: its local traffic selectors, where they are whole networks."""
    networks: list[str] = []
    for connection in config.connections.values():
        for child in connection.children:
            networks += [str(selector).partition("[")[0] for selector in child.local_ts]
    return networks


def _addresses(value: str | Address | Sequence[str | Address]) -> tuple[Address, ...]:
    items = [value] if isinstance(value, (str, Address)) else value
    return tuple(Address.parse(item) if isinstance(item, str) else item for item in items)


def _endpoint_value(key: str, value: Any) -> Any:
    return RetransmitConfig(**value) if key == "retransmit" and isinstance(value, Mapping) else value


def _connection(name: str, settings: dict[str, Any], children: tuple[ChildConfig, ...]) -> ConnectionConfig:
    typed = {key: _connection_value(key, value) for key, value in settings.items()}
    return ConnectionConfig(name=name, children=children, **typed)


def _connection_value(key: str, value: Any) -> Any:
    match key, value:
        case ("local" | "remote", str()):
            return Address.parse(value)
        case "local_id", str():
            return Identity.parse(value)
        case "remote_id", str():
            return IdentityPattern.parse(value)
        case "proposals", _:
            return tuple(parse_ike_proposal(item) if isinstance(item, str) else item for item in _several(value))
        case "signature_schemes", _:
            return tuple(SignatureScheme(item) for item in _several(value))
        case (("local_certificates" | "policy_oids"), _):
            return tuple(_several(value))
        case "liveness", Mapping():
            return LivenessConfig(**value)
    return value


def _several(value: Any) -> Sequence[Any]:
    return [value] if isinstance(value, str) else value


def _children(settings: Settings, number: int) -> list[dict[str, Any]]:
    standard = {
        "name": "net",
        "local_ts": (f"10.{number}.0.0/24",),
        "remote_ts": (f"10.{3 - number}.0.0/24",),
        "proposals": ESP_PROPOSALS,
    }
    if "children" in settings:
        return [{**standard, **child} for child in settings["children"]]
    return [{**standard, **settings.get("child", {})}]


def _child(settings: dict[str, Any]) -> ChildConfig:
    esn = bool(settings.get("esn", False))
    typed: dict[str, Any] = {}
    for key, value in settings.items():
        match key:
            case "local_ts" | "remote_ts":
                typed[key] = tuple(_selector(item) if isinstance(item, str) else item for item in _several(value))
            case "proposals":
                typed[key] = tuple(
                    parse_esp_proposal(item, esn=esn) if isinstance(item, str) else item for item in _several(value)
                )
            case _:
                typed[key] = value
    return ChildConfig(**typed)


def _selector(text: str) -> TrafficSelector:
    return TrafficSelector.parse(text)


def _revocation(settings: Settings | RevocationSettings) -> RevocationSettings:
    if isinstance(settings, RevocationSettings):
        return settings
    given = dict(settings)
    if "method" in given:
        given["method"] = RevocationMethod(given["method"])
    if "policy" in given:
        given["policy"] = RevocationPolicy(given["policy"])
    if isinstance(given.get("ocsp"), Mapping):
        given["ocsp"] = OcspSettings(**given["ocsp"])
    return replace(RevocationSettings(), **given)


def first_host(network: str) -> str:
    """The first address of a network that a host may have."""
    parsed = ip_network(network)
    return str(parsed[1] if parsed.num_addresses > 1 else parsed[0])
