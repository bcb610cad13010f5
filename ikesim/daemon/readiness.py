"""What the store lacks for a configuration: no error, but said at start, and by `pki check`."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from ikesim.configuration import LoadedConfig
from ikesim.ike.config import ConnectionConfig
from ikesim.pki.certificates import parse
from ikesim.pki.identity import Identity, IdentityMatch, match_certificate
from ikesim.pki.snapshot import TrustStore
from ikesim.reasons import Reason
from ikesim.wire.registry import IdType

_OPTIONS = {
    IdType.ID_FQDN: "--fqdn",
    IdType.ID_RFC822_ADDR: "--email",
    IdType.ID_IPV4_ADDR: "--ip",
    IdType.ID_IPV6_ADDR: "--ip",
}


@dataclass(frozen=True, slots=True)
class Unready:
    """One thing that is missing, and the command that supplies it."""

    reason: Reason
    subject: str
    message: str
    command: str


def unready(loaded: LoadedConfig, store: TrustStore, keys: Collection[str] = ()) -> list[Unready]:
    """Everything that keeps connections from authenticating, in file order; `keys` are the key pairs held."""
    found: dict[tuple[Reason, str], Unready] = {}
    for connection in loaded.endpoint.connections.values():
        for item in (*_local(connection, loaded, store, keys), *_anchors(connection, loaded, store)):
            found.setdefault((item.reason, item.subject), item)
    return list(found.values())


def missing_ppks(loaded: LoadedConfig, secrets: Collection[str]) -> list[Unready]:
    """The postquantum preshared keys that connections name and that are not among the `secrets` held."""
    found: dict[str, Unready] = {}
    for connection in loaded.endpoint.connections.values():
        name = connection.ppk_secret
        if not connection.ppk_id or name in secrets:
            continue
        command = f"ikesim pki secret add {name} --kind ike-psk --endpoint {shlex.quote(str(loaded.file))}"
        then = "cannot be initiated" if connection.ppk_required else "does without"
        message = f"PPK {name} is not held, and connection {connection.name} {then}; add it with: {command}"
        found.setdefault(name, Unready(Reason.LOCAL_KEY_MISSING, name, message, command))
    return list(found.values())


def _local(
    connection: ConnectionConfig, loaded: LoadedConfig, store: TrustStore, keys: Collection[str]
) -> list[Unready]:
    """Our own certificates: at least one must be there and prove our identity."""
    found = []
    for certificate_id in connection.local_certificates:
        held = store.local.get(certificate_id)
        if held is None:
            found.append(_absent(connection, certificate_id, loaded, store, keys))
            continue
        match = match_certificate(connection.local_id, parse(held.certificate))
        if not match.proved:
            found.append(_unproved(connection, certificate_id, match, loaded))
    return found if len(found) == len(connection.local_certificates) else []


def _absent(
    connection: ConnectionConfig,
    certificate_id: str,
    loaded: LoadedConfig,
    store: TrustStore,
    keys: Collection[str],
) -> Unready:
    if certificate_id in store.pending:
        command = f"ikesim pki load FILE --as {certificate_id} --endpoint {loaded.file}"
        message = f"certificate {certificate_id} is requested but not loaded; load it with: {command}"
        return Unready(Reason.LOCAL_CERTIFICATE_PENDING, certificate_id, message, command)
    if certificate_id in keys:
        command = _request(connection.local_id, certificate_id, loaded)
        message = f"there is a key pair {certificate_id}, but no certificate; request it with: {command}"
    else:
        command = f"ikesim pki key generate {certificate_id} --type ecdsa --endpoint {loaded.file}"
        message = f"there is no certificate {certificate_id}; begin with: {command}"
    return Unready(Reason.LOCAL_CERTIFICATE_MISSING, certificate_id, message, command)


def _unproved(
    connection: ConnectionConfig, certificate_id: str, match: IdentityMatch, loaded: LoadedConfig
) -> Unready:
    """A certificate that proves other identities than ours: the nearest one is named."""
    identity = str(connection.local_id)
    proved = cast(tuple[str, ...], match.evidence["proves"]) if "proves" in match.evidence else ()
    nearest = [f"the nearest that it proves is {one}" for one in get_close_matches(identity, proved, 1, 0.0)]
    near = "; ".join((*match.near_misses[:1], *nearest)) or "it proves none at all"
    command = _request(connection.local_id, certificate_id, loaded)
    message = (
        f"certificate {certificate_id} does not prove {identity}, the local-id of connection {connection.name} "
        f"({near}); change local-id in {loaded.file}, or request one that does with: {command}"
    )
    subject = f"{connection.name}/{certificate_id}"
    return Unready(Reason.LOCAL_ID_NOT_IN_CERTIFICATE, subject, message, command)


def _request(identity: Identity, certificate_id: str, loaded: LoadedConfig) -> str:
    """The command that asks for a certificate which proves an identity."""
    subject = identity.text if identity.type is IdType.ID_DER_ASN1_DN else f"CN={certificate_id}"
    option = _OPTIONS.get(cast(IdType, identity.type))
    names = f" {option} {identity.text}" if option is not None else ""
    return (
        f"ikesim pki request {certificate_id} --subject {shlex.quote(subject)}{names} --out {certificate_id}.csr "
        f"--endpoint {loaded.file}"
    )


def _anchors(connection: ConnectionConfig, loaded: LoadedConfig, store: TrustStore) -> list[Unready]:
    """The CA profiles that may validate the peer: at least one must have its certificate."""
    endpoint = loaded.endpoint
    if connection.trusted_ca is not None:
        names: tuple[str, ...] = (connection.trusted_ca,)
    elif connection.trusted_ca_group is not None:
        names = endpoint.trusted_ca_groups[connection.trusted_ca_group].ca_profiles
    else:
        names = tuple(endpoint.ca_profiles)
    found = []
    for name in names:
        if name not in store.ca:
            command = f"ikesim pki load FILE --ca {name} --endpoint {loaded.file}"
            message = f"CA profile {name} has no certificate; load it with: {command}"
            found.append(Unready(Reason.CA_CERTIFICATE_MISSING, name, message, command))
    return found
