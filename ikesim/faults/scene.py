"""A scene: what one endpoint sends in IKE_AUTH and what services publish, before two endpoints meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from ikesim.faults.base import Fault, Named
from ikesim.pki.authority import Authority, Leaf
from ikesim.pki.general_names import GeneralNameText
from ikesim.pki.keys import PrivateKey, PublicKey, make_key
from ikesim.pki.vault import Vault
from ikesim.sim.entropy import SeededEntropy
from ikesim.sim.services import Service

X509 = 4
"""CERT encoding "X.509 Certificate - Signature"."""
AGE = timedelta(days=1)


class Pki(Protocol):
    """The part of `ikesim.testing.SimPki` that scenes are made with."""

    seed: str
    now: datetime
    authorities: dict[str, Authority]
    crls: dict[str, bytes]

    def vault(self, host: str) -> Vault: ...  # noqa: D102
    def issue(self, certificate_id: str, **settings: Any) -> Any: ...  # noqa: D102
    def add_authority(self, name: str, *, parent: str | None = None, **knobs: Any) -> Authority: ...  # noqa: D102
    def publish(self, authority: str, **knobs: Any) -> bytes: ...  # noqa: D102
    def revoke(self, name: str, reason: str | None = None, *, publish: bool = True) -> None: ...  # noqa: D102
    def crl_url(self, authority: str) -> str: ...  # noqa: D102


@dataclass
class Scene:
    """Who lies, and everything that is prepared for it. All else is valid: a fault states only its deviation.

    alice's certificate comes from north-issuing under north, bob's from south-issuing under south.
    """

    pki: Pki
    liar: str = "alice"
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    """CERT payloads (encoding, data) in place of the liar's own; empty: its own."""
    services: dict[str, Service] = field(default_factory=dict)
    """Modelled HTTP services that stand in for those of the CAs."""
    own: dict[str, Any] = field(default_factory=dict)
    """Settings of the liar's configuration."""
    judge: dict[str, Any] = field(default_factory=dict)
    """Settings of the other side's."""
    faults: list[Fault] = field(default_factory=list)
    """What is attached to the liar's endpoint."""
    fetch: bool = False
    """Whether the judge holds no CRL and asks the network."""

    def __post_init__(self) -> None:
        self.entropy = SeededEntropy(self.pki.seed, "scene")

    @property
    def now(self) -> datetime:
        """The wall time at which the endpoints meet."""
        return self.pki.now

    @property
    def side(self) -> str:
        """The name of the liar's root: north or south."""
        return "north" if self.liar == "alice" else "south"

    @property
    def root(self) -> Authority:
        """The root above the liar."""
        return self.pki.authorities[self.side]

    @property
    def issuer(self) -> Authority:
        """The CA that issued the liar's certificate."""
        return self.pki.authorities[f"{self.side}-issuing"]

    @property
    def public_key(self) -> PublicKey:
        """The liar's key, with which it really signs AUTH."""
        return self.pki.vault(self.liar).public_key(self.liar)

    def key(self, label: str, kind: str = "ecdsa", size: int | None = None) -> PrivateKey:
        """A key pair of the scene: not in any vault."""
        return make_key(kind, size, self.entropy.stream(f"key {label}"))

    def certify(
        self,
        issuer: Authority | None = None,
        *,
        key: PublicKey | None = None,
        sans: Sequence[GeneralNameText] | None = None,
        subject: str | bytes | None = None,
        **knobs: Any,
    ) -> bytes:
        """A certificate (DER) for the liar's key, valid but for the knobs."""
        return (issuer or self.issuer).issue(
            self.public_key if key is None else key,
            f"CN={self.liar}" if subject is None else subject,
            [f"fqdn:{self.liar}.example"] if sans is None else sans,
            self.now - AGE,
            **knobs,
        )

    def recertify(self, authority: Authority, issuer: Authority | None = None, **knobs: Any) -> bytes:
        """Another certificate (DER) for the key and name of a CA, valid but for the knobs; from its issuer."""
        above = issuer or authority.issuer or authority
        knobs.setdefault("ca", True)
        return above.issue(authority.key.public_key(), authority.subject, (), self.now - AGE, **knobs)

    def replace_root(self, **knobs: Any) -> None:
        """Let the judge hold another certificate of the liar's root: same name and key, valid but for the knobs."""
        root = self.root
        root.certificate = self.recertify(root, crl_urls=(), **knobs)

    def authority(self, name: str, issuer: Authority | None = None, **settings: Any) -> Authority:
        """A CA that nobody knows yet: a root, or one under `issuer`."""
        settings.setdefault("subject", f"O={self.side}, CN={name}")
        settings.setdefault("now", self.now - AGE)
        settings.setdefault("entropy", self.entropy.stream(f"authority {name}"))
        return Authority.create(name, issuer=issuer, **settings)

    def twin(self, authority: Authority, issuer: Authority | None = None, **settings: Any) -> Authority:
        """A look-alike of a CA: same name, same key identifier, another key."""
        key_id = authority.as_issuer().key_id
        made = self.authority(authority.name, issuer, subject=authority.subject, subject_key_id=key_id, **settings)
        made.crl_at = authority.crl_at
        return made

    def leaf(self, issuer: Authority, subject: str, sans: Sequence[GeneralNameText], **knobs: Any) -> Leaf:
        """An end certificate with a key of the scene."""
        key = self.key(f"leaf {subject}")
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return issuer.leaf(subject, sans, self.now - AGE, private_key=key, **knobs)

    def send(self, *certificates: bytes, encoding: int = X509) -> None:
        """Let the liar send these CERT payloads."""
        self.sent += [(encoding, der) for der in certificates]

    def below(self, certificate: bytes) -> None:
        """Let the liar send this end certificate with the chain of its issuing CA."""
        self.send(certificate, *self.issuer.chain)


@dataclass(kw_only=True)
class SceneFault(Named):
    """A fault that is prepared before two endpoints meet, with AUTH (but for faults of AUTH itself) valid."""

    def prepare(self, scene: Scene) -> None:
        """Prepare the scene."""
        raise NotImplementedError
