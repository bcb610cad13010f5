"""A small PKI for tests: valid by default, so that a test states only what deviates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cryptography.hazmat.primitives import serialization

from ikesim.pki.authority import Authority
from ikesim.pki.authority.authority import serial_of
from ikesim.pki.keys import Entropy, PrivateKey, make_key
from ikesim.pki.protection import KeyProtection
from ikesim.pki.snapshot import LocalCertificate, TrustStore
from ikesim.pki.vault import Vault
from ikesim.sim.clock import EPOCH
from ikesim.sim.entropy import SeededEntropy

AGE = timedelta(days=1)
"""How long before the simulation starts everything was issued."""
CRL_DAYS = 7


class PoolVault(Vault):
    """A vault in memory that takes its RSA keys from the test pool, in order: they cannot be seeded."""

    def __init__(self, owner: str, key_protection: bool = False) -> None:
        """`owner` picks where in the pool to begin, so that two hosts do not share a key."""
        super().__init__(None, lambda: EPOCH - AGE, KeyProtection.ephemeral() if key_protection else None)
        self._next_rsa = {"alice": 0, "bob": 1}.get(owner, 2)

    def _make(self, kind: str, bits: int, entropy: Entropy | None) -> PrivateKey:
        if kind != "rsa":
            return make_key(kind, bits, entropy)
        pool = _pool(bits)
        key = pool[self._next_rsa % len(pool)]
        self._next_rsa += 1
        return key


@lru_cache(maxsize=8)
def _pool(bits: int) -> tuple[PrivateKey, ...]:
    folder = files("ikesim.testing") / "keys"
    names = sorted(item.name for item in folder.iterdir() if item.name.startswith(f"test-only-rsa-{bits}-"))
    if not names:
        raise ValueError(f"the test pool has RSA keys of 2048 and 3072 bits, not {bits}")
    keys = (serialization.load_pem_private_key((folder / name).read_bytes(), None) for name in names)
    return tuple(keys)  # type: ignore[arg-type] # the pool holds RSA keys only


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that this PKI issued to a host."""

    certificate_id: str
    host: str
    issuer: str
    certificate: bytes
    """DER."""
    serial: int


class SimPki:
    """Roots `north` and `south`, below them `north-issuing` and `south-issuing`, leaves `alice` and `bob`.

    alice's certificate comes from the north, bob's from the south; each names a CRL distribution point of its issuer.
    Keys and serials follow from the seed.
    """

    def __init__(self, seed: int | str = 0, *, now: datetime = EPOCH, key_protection: bool = False) -> None:
        self.seed = str(seed)
        self.key_protection = key_protection
        """Whether the hosts' vaults seal their keys."""
        self.now = now
        """The wall time at which what follows is issued, revoked and published; a `Pair` moves it on."""
        self.authorities: dict[str, Authority] = {}
        self.leaves: dict[str, Leaf] = {}
        self.vaults: dict[str, Vault] = {}
        self.crls: dict[str, bytes] = {}
        """The CRL that each CA publishes now, DER."""
        self._entropy = SeededEntropy(self.seed, "pki")
        for root in ("north", "south"):
            self.add_authority(root)
            self.add_authority(f"{root}-issuing", parent=root)
        self.issue("alice", issuer="north-issuing")
        self.issue("bob", issuer="south-issuing")

    def __deepcopy__(self, memo: dict[int, Any]) -> "SimPki":
        """Copies of a pair share their PKI, as they share its keys."""
        return self

    def add_authority(self, name: str, *, parent: str | None = None, **knobs: Any) -> Authority:
        """A further CA, a root without `parent`; `knobs` go to `Authority.create`."""
        issuer = self.authorities[parent] if parent else None
        settings: dict[str, Any] = {
            "subject": f"O={issuer.root.name if issuer else name}, CN={name}",
            "issuer": issuer,
            "now": self.now - AGE,
            "entropy": self._entropy.stream(f"authority {name}"),
            "crl_at": (f"http://crl.{issuer.root.name if issuer else name}.example/{name}.crl",),
        }
        authority = Authority.create(name, **{**settings, **knobs})
        self.authorities[name] = authority
        self.publish(name)
        return authority

    def crl_url(self, authority: str) -> str:
        """Where a CA publishes its CRL in the simulated network."""
        return str(self.authorities[authority].crl_at[0])

    def vault(self, host: str) -> Vault:
        """The vault of a host."""
        if host not in self.vaults:
            self.vaults[host] = PoolVault(host, self.key_protection)
        return self.vaults[host]

    def issue(
        self,
        certificate_id: str,
        *,
        host: str | None = None,
        issuer: str | None = None,
        key: str = "ecdsa",
        size: int | None = None,
        subject: str | None = None,
        sans: Sequence[str] | None = None,
        now: datetime | None = None,
        **knobs: Any,
    ) -> Leaf:
        """Make a key pair in a host's vault and certify it; an ID that exists gets a new key and certificate.

        Without more said the host is called like the certificate-ID, the issuer stays what it was (else `north-
        issuing`), the certificate is `CN=HOST` with the SAN `fqdn:HOST.example`, issued a day ago. `knobs` (days and
        so on) go to `Authority.issue`.
        """
        known = self.leaves.get(certificate_id)
        host = host or (known.host if known else certificate_id)
        issuer = issuer or (known.issuer if known else "north-issuing")
        vault = self.vault(host)
        if certificate_id in vault:
            vault.delete(certificate_id)
        entropy = None if key == "rsa" else self._entropy.stream(f"key {certificate_id}")
        vault.generate(certificate_id, key, size, entropy=entropy)
        certificate = self.authorities[issuer].issue(
            vault.public_key(certificate_id),
            subject if subject is not None else f"CN={host}",
            sans if sans is not None else [f"fqdn:{host}.example"],
            now or self.now - AGE,
            name=certificate_id,
            **knobs,
        )
        return self.hold(certificate_id, certificate, host=host, issuer=issuer)

    def hold(self, certificate_id: str, certificate: bytes, *, host: str, issuer: str) -> Leaf:
        """Let a host hold this certificate (DER), whoever made it; the key pair must be in the host's vault."""
        leaf = Leaf(certificate_id, host, issuer, certificate, serial_of(certificate))
        self.leaves[certificate_id] = leaf
        return leaf

    def revoke(self, name: str, reason: str | None = None, *, publish: bool = True) -> None:
        """Revoke a leaf (by certificate-ID) or an intermediate CA, and publish its issuer's CRL.

        Hosts that exist already learn it by a fetch, or by `Pair.load_crls`.
        """
        if name in self.leaves:
            issuer, certificate = self.authorities[self.leaves[name].issuer], self.leaves[name].certificate
        else:
            above, certificate = self.authorities[name].issuer, self.authorities[name].certificate
            if above is None:
                raise ValueError(f"{name} is a root: nobody can revoke it")
            issuer = above
        issuer.revoke(certificate, reason, at=self.now)
        if publish:
            self.publish(issuer.name)

    def unrevoke(self, certificate_id: str) -> None:
        """Take a leaf off its issuer's CRL again, and publish it."""
        leaf = self.leaves[certificate_id]
        self.authorities[leaf.issuer].unrevoke(leaf.certificate)
        self.publish(leaf.issuer)

    def publish(self, authority: str, *, now: datetime | None = None, **knobs: Any) -> bytes:
        """Publish a CA's CRL as it stands, an hour old unless `now` says otherwise; `knobs` go to `Authority.crl`."""
        settings: dict[str, Any] = {"days": CRL_DAYS}
        at = now or self.now - timedelta(hours=1)
        crl = self.authorities[authority].crl(at, **{**settings, **knobs})
        self.crls[authority] = crl
        return crl

    def store(self, host: str, *, crls: bool = True) -> TrustStore:
        """What a host holds: its certificates with chains, every root as a CA profile, and (`crls`) all CRLs."""
        held: dict[str, tuple[bytes, ...]] = {}
        for name, crl in self.crls.items() if crls else ():
            root = self.authorities[name].root.name
            held[root] = (*held.get(root, ()), crl)
        return TrustStore(
            local={
                leaf.certificate_id: LocalCertificate(
                    leaf.certificate_id, leaf.certificate, self.authorities[leaf.issuer].chain
                )
                for leaf in self.leaves.values()
                if leaf.host == host
            },
            ca={name: ca.certificate for name, ca in self.authorities.items() if ca.issuer is None},
            crls=held,
        )

    def without(self, store: TrustStore, *profiles: str) -> TrustStore:
        """A store that lacks some CA profiles' certificates and CRLs."""
        return replace(
            store,
            ca={name: der for name, der in store.ca.items() if name not in profiles},
            crls={name: ders for name, ders in store.crls.items() if name not in profiles},
        )
