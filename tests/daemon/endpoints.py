"""Endpoints on loopback with real sockets, stores and certificates, for the tests of daemon and command line."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

from ikesim.pki.authority import Authority
from ikesim.pki.store import PkiStore


@dataclass(slots=True)
class Ca:
    """A root for both endpoints, with what it issued by name."""

    authority: Authority
    issued: dict[str, bytes]

    @classmethod
    def create(cls) -> "Ca":
        return cls(Authority.create("north", now=datetime.now(UTC)), {})

    def enrol(self, state: Path, name: str) -> PkiStore:
        """A store with a key and certificate of that name, and the root as profile north."""
        store = PkiStore.open(state)
        store.generate(name, "ecdsa", 256)
        self.sign(store.request(name, f"CN={name}", fqdn=[f"{name}.example"]), name)
        store.load(DER_cert_to_PEM_cert(self.issued[name]).encode(), as_id=name)
        store.load(self.authority.certificate, ca="north")
        return store

    def sign(self, request: bytes, name: str) -> bytes:
        """Certify a request; its certificate."""
        self.issued[name] = self.authority.issue(request, None, None, datetime.now(UTC), name=name)
        return self.issued[name]

    def crl(self) -> bytes:
        return self.authority.crl(datetime.now(UTC))

    def revoke(self, name: str) -> None:
        self.authority.revoke(self.issued[name], "key-compromise", at=datetime.now(UTC))


def write_config(
    folder: Path,
    name: str,
    peer: str,
    *,
    address: str,
    listen: tuple[int, int] = (0, 0),
    remote: tuple[str, int, int] | None = None,
    endpoint: str = "",
    profile: str = "",
    revocation: str = "",
    connection: str = "",
    state: str | None = None,
) -> Path:
    """A configuration file with one connection, named after the peer; text is added to its tables."""
    index, other = (1, 2) if name == "alice" else (2, 1)
    host = f"[{address}]" if ":" in address else address
    to = ""
    if remote is not None:
        at = f"[{remote[0]}]" if ":" in remote[0] else remote[0]
        to = f'remote = "{at}:{remote[1]}"\nremote-nat-t = "{at}:{remote[2]}"'
    file = folder / f"{name}.toml"
    file.write_text(f"""
[endpoint]
name = "{name}"
listen = ["{host}:{listen[0]}"]
listen-nat-t = ["{host}:{listen[1]}"]
state = "{state or f"state/{name}"}"
retransmit = {{ initial = 0.1, factor = 1.5, tries = 3 }}
{endpoint}
[pki.ca-profile.north]
ca-identity = "north.example"
{profile}
[pki.ca-profile.north.revocation-check]
{revocation}
[connection.{peer}]
{to}
local-id = "fqdn:{name}.example"
remote-id = "fqdn:{peer}.example"
local-certificate = "{name}"
trusted-ca = "north"
{connection}
[connection.{peer}.child.net]
local-ts = ["10.{index}.0.0/24", "fd00:{index}::/64"]
remote-ts = ["10.{other}.0.0/24", "fd00:{other}::/64"]
""")
    return file
