"""The configuration of an endpoint: TOML in, the frozen dataclasses of ike/ and pki/ out, or every fault at once.

Reading values takes pydantic and all that the protocol's types need, so it is imported on use: most commands want the
state folder only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ikesim.configuration.document import read_document, state_folder
from ikesim.configuration.roles import Roles

if TYPE_CHECKING:
    from ikesim.ike.config import EndpointConfig

__all__ = ["LoadedConfig", "load", "read", "state_folder"]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """One file, read and checked."""

    file: Path
    endpoint: "EndpointConfig"
    state: Path
    """The state folder, absolute."""
    wrapping_key: Path
    """Where the key is that seals all others under key-protection, absolute."""
    roles: Roles
    notes: tuple[str, ...] = ()
    """What is allowed but worth a line in the log."""


def load(path: str | Path) -> LoadedConfig:
    """Read and check a configuration file. Raises ConfigurationError with every fault it has, in file order."""
    file = Path(path)
    return read(read_document(file), file)


def read(document: Mapping[str, Any], file: Path) -> LoadedConfig:
    """Check a configuration given as TOML values; relative paths are relative to `file`."""
    from ikesim.configuration.building import build_endpoint, build_roles, check, secret_places
    from ikesim.configuration.reading import Problems, read_tables

    problems = Problems(str(file), document)
    tables = read_tables(document, problems)
    check(tables, problems)
    place = secret_places(tables, file, problems)
    problems.raise_any()
    assert place is not None
    endpoint = build_endpoint(tables)
    notes = tuple(
        f"connection {connection.name} names no trusted-ca and no group: any CA profile may validate its peer"
        for connection in endpoint.connections.values()
        if connection.trusted_ca is None and connection.trusted_ca_group is None
    )
    notes += tuple(
        f"the revocation check of CA profile {profile.name} is off (revocation-check.method = disable)"
        for profile in endpoint.ca_profiles.values()
        if profile.revocation.method == "disable"
    )
    return LoadedConfig(file, endpoint, *place, build_roles(tables, file.absolute().parent), notes)
