"""From checked tables to the frozen dataclasses of the core, with everything that one table alone cannot tell."""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ikesim.configuration import schema
from ikesim.configuration.document import resolved_state
from ikesim.configuration.reading import Checked, M, Problems, Tables
from ikesim.configuration.roles import Roles
from ikesim.configuration.values import nearest
from ikesim.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, LivenessConfig, RetransmitConfig
from ikesim.pki.profiles import (
    CaProfile,
    OcspSettings,
    RevocationMethod,
    RevocationPolicy,
    RevocationSettings,
    TrustedCaGroup,
)
from ikesim.pki.vault import ID_PATTERN
from ikesim.wire.address import Address
from ikesim.wire.selectors import TrafficSelector

NAT_T_PORT = 4500
"""RFC 7296 section 2.23."""


def check(tables: Tables, problems: Problems) -> None:
    """Note every dangling reference and impossible combination."""
    _check_endpoint(tables, problems)
    for group in tables.groups.values():
        if group.has("ca_profiles"):
            _check_members(group, tables, problems)
    for name, connection in tables.connections.items():
        _check_trust(connection, tables, problems)
        _check_addresses(connection, tables, problems)
        _check_lists(connection, problems)
        _check_ppk(connection, problems)
        if connection.has("childless") and connection.model.childless == "never" and not tables.children[name]:
            problems.add(connection.path, "childless", '"never" needs a child: there is none to begin with')
        for child in tables.children[name].values():
            _check_child(child, problems)


def _check_endpoint(tables: Tables, problems: Problems) -> None:
    endpoint = tables.endpoint
    if endpoint is None:
        return
    model = endpoint.model
    if endpoint.has("listen"):
        _refuse_twice(endpoint, "listen", model.listen, problems)
    if endpoint.has("listen_nat_t") and model.listen_nat_t is not None:
        _refuse_twice(endpoint, "listen-nat-t", model.listen_nat_t, problems)
        if not model.listen_nat_t:
            problems.add(endpoint.path, "listen-nat-t", "must not be empty; without it the port is 4500")
    if endpoint.has("listen", "listen_nat_t"):
        for position, address in enumerate(nat_t_addresses(model)):
            if address.port and address in model.listen:
                key = "listen" if model.listen_nat_t is None else f"listen-nat-t[{position}]"
                problems.add(
                    endpoint.path, key, f"{address} is in both listen and listen-nat-t; give each its own port"
                )
    if endpoint.has("cookie_threshold", "max_half_open") and model.cookie_threshold > model.max_half_open:
        problems.add(
            endpoint.path,
            "cookie-threshold",
            f"{model.cookie_threshold} is above max-half-open ({model.max_half_open}): no COOKIE would ever be asked",
        )


def _refuse_twice(table: Checked[M], key: str, values: Sequence[object], problems: Problems) -> None:
    for position, value in enumerate(values):
        if value in values[:position]:
            problems.add(table.path, f"{key}[{position}]", f"{value} is listed twice")


def _check_members(group: Checked[schema.TrustedCaGroupTable], tables: Tables, problems: Problems) -> None:
    members = group.model.ca_profiles
    _refuse_twice(group, "ca-profiles", members, problems)
    for position, member in enumerate(members):
        _check_profile(group.path, f"ca-profiles[{position}]", member, tables, problems)


def _check_profile(path: tuple[str, ...], key: str, name: str, tables: Tables, problems: Problems) -> None:
    if name not in tables.profiles:
        problems.add(path, key, _dangling("ca-profile", name, list(tables.profiles)))


def _dangling(what: str, name: str, declared: Sequence[str]) -> str:
    having = f"declared are {', '.join(declared)}" if declared else "none is declared"
    return f"there is no [pki.{what}.{name}]{nearest(name, declared)}; {having}"


def _check_trust(connection: Checked[schema.ConnectionTable], tables: Tables, problems: Problems) -> None:
    model = connection.model
    if connection.has("trusted_ca", "trusted_ca_group") and model.trusted_ca and model.trusted_ca_group:
        problems.add(
            connection.path,
            "trusted-ca",
            "trusted-ca and trusted-ca-group exclude each other: keep the one profile, or the group",
        )
    if connection.has("trusted_ca") and model.trusted_ca is not None:
        _check_profile(connection.path, "trusted-ca", model.trusted_ca, tables, problems)
    if (
        connection.has("trusted_ca_group")
        and model.trusted_ca_group is not None
        and model.trusted_ca_group not in tables.groups
    ):
        message = _dangling("trusted-ca-group", model.trusted_ca_group, list(tables.groups))
        problems.add(connection.path, "trusted-ca-group", message)


def _check_addresses(connection: Checked[schema.ConnectionTable], tables: Tables, problems: Problems) -> None:
    model = connection.model
    path = connection.path
    if connection.has("remote", "remote_nat_t") and model.remote is None and model.remote_nat_t is not None:
        problems.add(path, "remote-nat-t", "is set without remote; a connection for any peer learns its address")
    if connection.has("remote", "start") and model.remote is None and model.start == "immediately":
        problems.add(path, "start", '"immediately" needs remote: a connection for any peer only responds')
    if (
        connection.has("remote", "remote_nat_t")
        and model.remote
        and model.remote_nat_t
        and model.remote.is_ipv6 != model.remote_nat_t.is_ipv6
    ):
        problems.add(
            path, "remote-nat-t", f"{model.remote_nat_t} and remote {model.remote} are of different families"
        )
    endpoint = tables.endpoint
    if endpoint is None or not endpoint.has("listen") or not connection.has("local", "remote"):
        return
    listen = endpoint.model.listen
    if model.local is not None and model.local not in listen:
        near = nearest(model.local, [str(address) for address in listen])
        having = ", ".join(str(address) for address in listen)
        problems.add(path, "local", f"{model.local} is not among endpoint.listen{near}; accepted are {having}")
    elif model.local is not None and model.remote is not None and model.local.is_ipv6 != model.remote.is_ipv6:
        problems.add(path, "remote", f"{model.remote} and local {model.local} are of different address families")
    local = local_address(model, endpoint.model)
    if local is None:
        family = "IPv6" if model.remote is not None and model.remote.is_ipv6 else "IPv4"
        problems.add(path, "remote", f"{model.remote} is {family}, but endpoint.listen has no {family} address")
    elif endpoint.has("listen_nat_t") and local in listen and nat_t_for(local, endpoint.model) is None:
        problems.add(
            path, "local" if model.local else "remote", f"endpoint.listen-nat-t has no address on host {local.host}"
        )


def _check_lists(connection: Checked[schema.ConnectionTable], problems: Problems) -> None:
    model = connection.model
    if connection.has("local_certificate"):
        _refuse_twice(connection, "local-certificate", model.local_certificate, problems)
    if connection.has("signature_schemes"):
        _refuse_twice(connection, "signature-schemes", model.signature_schemes, problems)
    if connection.has("policy_oids"):
        _refuse_twice(connection, "policy-oids", model.policy_oids, problems)
    if connection.has("jitter") and model.jitter >= 1:
        problems.add(connection.path, "jitter", "100% would rekey at once, forever; give less")


def _check_ppk(connection: Checked[schema.ConnectionTable], problems: Problems) -> None:
    model = connection.model
    if not connection.has("ppk_id", "ppk_secret", "ppk_required"):
        return
    if not model.ppk_id and (model.ppk_secret or model.ppk_required):
        key = "ppk-secret" if model.ppk_secret else "ppk-required"
        problems.add(connection.path, key, "is set without ppk-id, the identity by which the peer knows the key")
    elif model.ppk_id and not model.ppk_secret and not ID_PATTERN.fullmatch(model.ppk_id):
        problems.add(connection.path, "ppk-id", f"{model.ppk_id!r} cannot name a secret: give ppk-secret as well")


def _check_child(child: Checked[schema.ChildTable], problems: Problems) -> None:
    model = child.model
    if child.has("local_ts", "inner_address") and model.inner_address is not None:
        inner = ip_address(model.inner_address).packed
        if not any(ts.start <= inner <= ts.end and len(inner) == len(ts.start) for ts in model.local_ts):
            having = ", ".join(str(selector) for selector in model.local_ts)
            problems.add(child.path, "inner-address", f"{model.inner_address} is outside local-ts ({having})")
    if child.has("local_ts", "remote_ts") and not _families(model.local_ts) & _families(model.remote_ts):
        problems.add(
            child.path, "remote-ts", "shares no address family with local-ts: no packet could ever match both"
        )


def _families(selectors: Sequence[TrafficSelector]) -> set[int]:
    return {len(selector.start) for selector in selectors}


def nat_t_addresses(endpoint: schema.EndpointTable) -> list[Address]:
    """listen-nat-t, or its default: the hosts of listen, port 4500."""
    if endpoint.listen_nat_t is not None:
        return endpoint.listen_nat_t
    return [Address(host, NAT_T_PORT) for host in dict.fromkeys(address.host for address in endpoint.listen)]


def local_address(connection: schema.ConnectionTable, endpoint: schema.EndpointTable) -> Address | None:
    """The IKE address of a connection: as set, else the first of the remote's family."""
    if connection.local is not None:
        return connection.local
    for address in endpoint.listen:
        if connection.remote is None or address.is_ipv6 == connection.remote.is_ipv6:
            return address
    return None


def nat_t_for(local: Address, endpoint: schema.EndpointTable) -> Address | None:
    """The NAT-T address on the same host."""
    return next((address for address in nat_t_addresses(endpoint) if address.host == local.host), None)


def build_endpoint(tables: Tables) -> EndpointConfig:
    """The endpoint's configuration, out of tables without faults."""
    assert tables.endpoint is not None
    model = tables.endpoint.model
    return EndpointConfig(
        name=model.name,
        listen=tuple(model.listen),
        listen_nat_t=tuple(nat_t_addresses(model)),
        connections={
            name: _build_connection(name, connection.model, tables) for name, connection in tables.connections.items()
        },
        ca_profiles={name: _build_profile(name, profile.model) for name, profile in tables.profiles.items()},
        trusted_ca_groups={
            name: TrustedCaGroup(name, tuple(group.model.ca_profiles)) for name, group in tables.groups.items()
        },
        encapsulation=model.encapsulation,
        framing=model.framing,
        retransmit=RetransmitConfig(model.retransmit.initial, model.retransmit.factor, model.retransmit.tries),
        fragment_size=model.fragment_size,
        cookie_threshold=model.cookie_threshold,
        max_half_open=model.max_half_open,
        half_open_timeout=model.half_open_timeout,
        fetch_private_addresses=model.fetch_private_addresses,
        key_protection=model.key_protection,
    )


def build_roles(tables: Tables, folder: Path) -> Roles:
    """Who has which role, out of tables without faults; relative paths are relative to `folder`."""
    if tables.roles is None:
        return Roles()
    model = tables.roles.model
    return Roles(
        None if model.cryptographic_administrator is None else tuple(model.cryptographic_administrator),
        None if model.security_administrator is None else tuple(model.security_administrator),
        None if model.socket is None else folder / model.socket,
    )


def secret_places(tables: Tables, file: Path, problems: Problems) -> tuple[Path, Path] | None:
    """(state folder, wrapping key), absolute; None where the tables do not say."""
    endpoint = tables.endpoint
    if endpoint is None or not endpoint.has("state", "key_protection_file"):
        return None
    state = resolved_state(file, endpoint.model.state)
    named = endpoint.model.key_protection_file
    key = state.with_name(f"{state.name}.wrapping-key") if named is None else resolved_state(file, named)
    if key.is_relative_to(state):
        problems.add(
            endpoint.path,
            "key-protection-file",
            f"{key} is inside the state folder: whoever copies that would have the key to it; name a file elsewhere",
        )
    return state, key


def _build_profile(name: str, model: schema.CaProfileTable) -> CaProfile:
    revocation = model.revocation_check
    return CaProfile(
        name=name,
        ca_identity=model.ca_identity,
        administrator_email=model.administrator_email,
        partial_chain=model.partial_chain,
        revocation=RevocationSettings(
            method=RevocationMethod(revocation.method),
            policy=RevocationPolicy(revocation.policy),
            on_download_failure=revocation.on_download_failure,
            url=tuple(revocation.url),
            refresh_interval=revocation.refresh_interval,
            ocsp=OcspSettings(tuple(revocation.ocsp.url), revocation.ocsp.nonce, revocation.ocsp.accept_unknown),
        ),
    )


def _build_connection(name: str, model: schema.ConnectionTable, tables: Tables) -> ConnectionConfig:
    assert tables.endpoint is not None
    local = local_address(model, tables.endpoint.model)
    assert local is not None
    local_nat_t = nat_t_for(local, tables.endpoint.model)
    assert local_nat_t is not None
    remote_nat_t = model.remote_nat_t
    if remote_nat_t is None and model.remote is not None:
        remote_nat_t = Address(model.remote.host, NAT_T_PORT)
    return ConnectionConfig(
        name=name,
        local=local,
        local_nat_t=local_nat_t,
        remote=model.remote,
        remote_nat_t=remote_nat_t,
        local_id=model.local_id,
        remote_id=model.remote_id,
        local_certificates=tuple(model.local_certificate),
        proposals=tuple(model.proposals),
        children=tuple(_build_child(child, table.model) for child, table in tables.children[name].items()),
        trusted_ca=model.trusted_ca,
        trusted_ca_group=model.trusted_ca_group,
        prefer=model.prefer,
        signature_schemes=tuple(model.signature_schemes),
        minimum_rsa=model.minimum_strength.rsa,
        minimum_ecdsa=model.minimum_strength.ecdsa,
        max_chain_depth=model.max_chain_depth,
        rule_profile=model.rule_profile,
        policy_oids=tuple(model.policy_oids),
        send_certificate=model.send_certificate,
        unique=model.unique,
        on_revocation=model.on_revocation,
        rekey_time=model.rekey_time,
        liveness=LivenessConfig(model.liveness.interval, model.liveness.action),
        start=model.start,
        over_time=model.over_time,
        jitter=model.jitter,
        reauth_time=model.reauth_time,
        reauth=model.reauth,
        mobike=model.mobike,
        keepalive=model.keepalive,
        request_address=tuple(model.request_address),
        address_pool=tuple(model.address_pool),
        dns=tuple(model.dns),
        childless=model.childless,
        follow_redirects=model.follow_redirects,
        redirect_to=model.redirect_to,
        redirect_at=model.redirect_at,
        announce_auth_methods=model.announce_auth_methods,
        ppk_id=model.ppk_id,
        ppk_secret=model.ppk_secret or model.ppk_id,
        ppk_required=model.ppk_required,
    )


def _build_child(name: str, model: schema.ChildTable) -> ChildConfig:
    return ChildConfig(
        name=name,
        local_ts=tuple(model.local_ts),
        remote_ts=tuple(model.remote_ts),
        proposals=tuple(model.esp_proposals),
        inner_address=model.inner_address,
        rekey_time=model.rekey_time,
        rekey_bytes=model.rekey_bytes,
        rekey_packets=model.rekey_packets,
        esn=model.esn,
    )
