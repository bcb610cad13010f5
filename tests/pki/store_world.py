"""An endpoint's store and the CAs around it, at a fixed time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ikesim.pki.authority import Authority
from ikesim.pki.store import PkiStore

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class World:
    """Roots north and south, north-issuing below north, and a store whose clock stands at `now`."""

    folder: Path
    now: datetime = NOW
    north: Authority = field(default_factory=lambda: Authority.create("north", now=NOW - DAY))
    south: Authority = field(default_factory=lambda: Authority.create("south", now=NOW - DAY))
    issuing: Authority = field(init=False)
    store: PkiStore = field(init=False)

    def __post_init__(self) -> None:
        self.issuing = Authority.create("north-issuing", issuer=self.north, now=NOW - DAY)
        self.store = self.open()

    def open(self) -> PkiStore:
        """The store as another process would open it."""
        return PkiStore.open(self.folder / "state", clock=lambda: self.now)

    def request(self, certificate_id: str = "alice") -> bytes:
        """A key pair and its request."""
        self.store.generate(certificate_id)
        return self.store.request(certificate_id, f"CN={certificate_id}", fqdn=[f"{certificate_id}.example"])

    def enrol(self, certificate_id: str = "alice", issuer: Authority | None = None) -> bytes:
        """A local certificate; its DER."""
        certificate = (issuer or self.north).issue(self.request(certificate_id), None, None, self.now - DAY)
        self.store.load(certificate, as_id=certificate_id)
        return certificate
