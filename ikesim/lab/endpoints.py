"""The configuration files and PKI objects of a lab's endpoints, written as a person would write them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

from ikesim.pki.authority import Authority
from ikesim.pki.store import PkiStore


@dataclass(frozen=True, slots=True)
class Site:
    """Where an endpoint stands and who it is."""

    name: str
    address: str
    inner: str
    """The address behind it that answers pings."""
    subnet: str
    port: int = 5500
    nat_t_port: int = 5501

    @property
    def identity(self) -> str:
        """Its IKE identity, which its certificate proves."""
        return f"{self.name}.example"


def toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML of tables by their dotted names; values are strings, numbers, booleans and lists of strings."""
    # what JSON writes for these is TOML as well
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def configuration(
    own: Site,
    peer: Site,
    *,
    profiles: Sequence[str],
    group: Sequence[str],
    endpoint: Mapping[str, Any],
    revocation_check: Mapping[str, Any],
) -> dict[str, Mapping[str, Any]]:
    """The tables of one endpoint with one connection, named after the peer.

    It has a CA profile for each of `profiles`, and trusts those of them in `group`; `endpoint` adds keys to
    `[endpoint]`, `revocation_check` is that of every profile.
    """
    tables: dict[str, Mapping[str, Any]] = {
        "endpoint": {
            "name": own.name,
            "listen": [f"{own.address}:{own.port}"],
            "listen-nat-t": [f"{own.address}:{own.nat_t_port}"],
            "state": f"state/{own.name}",
            **endpoint,
        }
    }
    for profile in profiles:
        tables[f"pki.ca-profile.{profile}"] = {"ca-identity": f"{profile}.example"}
        tables[f"pki.ca-profile.{profile}.revocation-check"] = revocation_check
    return tables | {
        "pki.trusted-ca-group.partners": {"ca-profiles": list(group)},
        f"connection.{peer.name}": {
            "remote": f"{peer.address}:{peer.port}",
            "remote-nat-t": f"{peer.address}:{peer.nat_t_port}",
            "local-id": f"fqdn:{own.identity}",
            "remote-id": f"fqdn:{peer.identity}",
            "local-certificate": own.name,
            "trusted-ca-group": "partners",
        },
        f"connection.{peer.name}.child.net": {"local-ts": [own.subnet], "remote-ts": [peer.subnet]},
    }


def enrol(state: Path, site: Site, issuer: Authority, roots: Mapping[str, Authority], now: datetime) -> bytes:
    """Fill an endpoint's state: a key of its own vault, the certificate for its request, the roots by CA profile.

    Returns the DER of its certificate.
    """
    with PkiStore.open(state) as store:
        store.generate(site.name)
        request = store.request(site.name, f"CN={site.identity}", fqdn=[site.identity])
        certificate = issuer.issue(request, None, None, now, name=site.name)
        bundle = "".join(map(DER_cert_to_PEM_cert, (certificate, *issuer.chain)))
        store.load(bundle.encode(), as_id=site.name)
        for profile, root in roots.items():
            store.load(root.certificate, ca=profile)
    return certificate
