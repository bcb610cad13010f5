"""What the store lacks for a configuration: no error, but said at start, and by `pki check`."""

from dataclasses import dataclass

from ikesim.configuration import LoadedConfig
from ikesim.ike.config import ConnectionConfig
from ikesim.pki.certificates import parse
from ikesim.pki.identity import match_certificate
from ikesim.pki.snapshot import TrustStore
from ikesim.reasons import Reason


@dataclass(frozen=True, slots=True)
class Unready:
    """One thing that is missing, and the command that supplies it."""

    reason: Reason
    subject: str
    message: str


def unready(loaded: LoadedConfig, store: TrustStore) -> list[Unready]:
    """Everything that keeps connections from authenticating, in file order."""
    found: dict[tuple[Reason, str], Unready] = {}
    for connection in loaded.endpoint.connections.values():
        for item in (*_local(connection, loaded, store), *_anchors(connection, loaded, store)):
            found.setdefault((item.reason, item.subject), item)
    return list(found.values())


def _local(connection: ConnectionConfig, loaded: LoadedConfig, store: TrustStore) -> list[Unready]:
    """Our own certificates: at least one must be there and prove our identity."""
    found = []
    for certificate_id in connection.local_certificates:
        held = store.local.get(certificate_id)
        if held is None:
            found.append(_absent(certificate_id, loaded, store))
            continue
        match = match_certificate(connection.local_id, parse(held.certificate))
        if not match.proved:
            message = (
                f"certificate {certificate_id} does not prove {connection.local_id}, the local-id of connection "
                f"{connection.name}; request one that does, or change local-id in {loaded.file}"
            )
            subject = f"{connection.name}/{certificate_id}"
            found.append(Unready(Reason.LOCAL_ID_NOT_IN_CERTIFICATE, subject, message))
    return found if len(found) == len(connection.local_certificates) else []


def _absent(certificate_id: str, loaded: LoadedConfig, store: TrustStore) -> Unready:
    if certificate_id in store.pending:
        message = (
            f"certificate {certificate_id} is requested but not loaded; "
            f"load it with: ikesim pki load FILE --as {certificate_id} --endpoint {loaded.file}"
        )
        return Unready(Reason.LOCAL_CERTIFICATE_PENDING, certificate_id, message)
    message = (
        f"there is no certificate {certificate_id}; begin with: "
        f"ikesim pki key generate {certificate_id} --type ecdsa --endpoint {loaded.file}"
    )
    return Unready(Reason.LOCAL_CERTIFICATE_MISSING, certificate_id, message)


def _anchors(connection: ConnectionConfig, loaded: LoadedConfig, store: TrustStore) -> list[Unready]:
    """The CA profiles that may validate the peer: at least one must have its certificate."""
    endpoint = loaded.endpoint
    if connection.trusted_ca is not None:
        names: tuple[str, ...] = (connection.trusted_ca,)
    elif connection.trusted_ca_group is not None:
        names = endpoint.trusted_ca_groups[connection.trusted_ca_group].ca_profiles
    else:
        names = tuple(endpoint.ca_profiles)
    return [
        Unready(
            Reason.CA_CERTIFICATE_MISSING,
            name,
            f"CA profile {name} has no certificate; load it with: "
            f"ikesim pki load FILE --ca {name} --endpoint {loaded.file}",
        )
        for name in names
        if name not in store.ca
    ]
