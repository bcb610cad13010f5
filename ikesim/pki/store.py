"""The PKI store of one endpoint: its own folder, apart from the program and from the configuration.

Three types of object: key pairs (in the vault), certificates (local, pending or CA) and CRLs. A certificate-ID names
a key pair and what was made from it, from its creation to its deletion; a CA certificate and CRLs go by the name of
their CA profile. Other processes may change the folder at any time: every call sees it as it is.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki import catalogue, disk, loading
from ikesim.pki.catalogue import State
from ikesim.pki.chains import chain_above
from ikesim.pki.containers import recognise
from ikesim.pki.crl import read_crl
from ikesim.pki.der import DerError
from ikesim.pki.keeping import is_sealed
from ikesim.pki.keys import Entropy
from ikesim.pki.objects import (
    CaCertificate,
    CertificateRequest,
    HeldCrl,
    Loaded,
    ObjectKind,
    OwnCertificate,
    Provenance,
)
from ikesim.pki.protection import KeyProtection, default_file
from ikesim.pki.secrets import SecretStore
from ikesim.pki.snapshot import LocalCertificate, TrustStore
from ikesim.pki.vault import KeyPair, Vault, check_name, utc_now


class PkiStore:
    """The PKI objects of one endpoint."""

    def __init__(self, directory: Path, vault: Vault, secrets: SecretStore, clock: Callable[[], datetime]) -> None:
        """Use :meth:`open`."""
        self.directory = directory
        """The PKI partition: a folder of its own inside the state folder."""
        self.vault = vault
        self.secrets = secrets
        """Preshared and manual keys: no PKI objects, but kept and protected beside them."""
        self._clock = clock
        self._state = State()
        self._stamp: tuple[int, int] | None = None
        self._snapshot: tuple[tuple[int, int], TrustStore] | None = None

    @classmethod
    def open(
        cls,
        state: Path,
        *,
        key_protection: bool = False,
        wrapping_key: Path | None = None,
        self_tests: bool = True,
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """The store in the state folder `state`, made when missing. `clock` dates what is made and loaded.

        With `self_tests` a new key is tested before anybody relies on it. With `key_protection` keys are sealed with
        the wrapping key in a file of its own (default: beside `state`).

        Raises UsageError when the store is damaged, of another version, open to others, or sealed with a wrapping key
        that is not there. That one daemon at a time uses a state folder is the daemon's matter; commands and a daemon
        share a store.
        """
        disk.open_directory(state)
        directory = state / "pki"
        disk.open_directory(directory)
        catalogue.check_foreign(directory)
        file = wrapping_key or default_file(state)
        protection: KeyProtection | bool = False
        if key_protection:
            with disk.folder_lock(directory / "lock"):
                sealed = any(is_sealed(path) for path in directory.glob("*/*") if path.suffix in (".key", ".secret"))
                protection = KeyProtection.open(file, create=not sealed)
        vault = Vault.open(directory / "keys", protection, wrapping_key=file, clock=clock)
        vault.tests_new_keys = self_tests
        secrets = SecretStore.open(directory / "secrets", protection, wrapping_key=file, clock=clock)
        store = cls(directory, vault, secrets, clock)
        store._refresh()
        return store

    def close(self) -> None:
        """Drop the secrets that were read into memory; used again, the store reads them again."""
        self.vault.forget()
        self.secrets.forget()

    def hold(self) -> None:
        """Read every secret into memory, as a daemon does at its start. Raises UsageError."""
        self.vault.hold()
        self.secrets.hold()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PkiStore {self.directory}>"

    # What is there

    def key_pairs(self) -> dict[str, KeyPair]:
        """What may be known of every key pair, by certificate-ID."""
        return {name: self.vault.info(name) for name in self.vault.ids()}

    def own_certificates(self) -> dict[str, OwnCertificate]:
        """Local and pending certificates, by certificate-ID."""
        return dict(sorted(self._refresh().own.items()))

    def ca_certificates(self) -> dict[str, CaCertificate]:
        """CA certificates, by CA profile."""
        return dict(sorted(self._refresh().ca.items()))

    def crls(self) -> dict[str, tuple[HeldCrl, ...]]:
        """CRLs, by CA profile."""
        return dict(sorted(self._refresh().crls.items()))

    def snapshot(self) -> TrustStore:
        """Everything that trust decisions need; the same object until something changes."""
        state = self._refresh()
        version = self.vault.version
        if self._snapshot is not None and self._snapshot[0] == version:
            return self._snapshot[1]
        keys = self.vault.ids()
        cas = [ca.certificate for ca in state.ca.values()]
        local = {
            name: LocalCertificate(name, own.certificate, chain_above(own.certificate, (*own.chain, *cas)))
            for name, own in sorted(state.own.items())
            if own.certificate is not None and name in keys
        }
        held = [crl for crls in state.crls.values() for crl in crls]
        snapshot = TrustStore(
            local=local,
            ca={name: ca.certificate for name, ca in sorted(state.ca.items())},
            crls={name: tuple(crl.crl for crl in crls) for name, crls in sorted(state.crls.items())},
            pending=frozenset(name for name, own in state.own.items() if own.certificate is None),
            crl_loaded_at={sha256(crl.crl).digest(): crl.loaded.at.timestamp() for crl in held},
        )
        self._snapshot = (version, snapshot)
        return snapshot

    # What can be done

    def generate(
        self, certificate_id: str, kind: str = "ecdsa", size: int | None = None, *, entropy: Entropy | None = None
    ) -> KeyPair:
        """Make a key pair (anchors KP-01, KP-02). Raises UsageError when the ID is taken."""
        if certificate_id in self._refresh().own:
            raise UsageError(
                f"{certificate_id} already names a certificate; an ID is free again after "
                f"ikesim pki rm {certificate_id}"
            )
        return self.vault.generate(certificate_id, kind, size, entropy=entropy)

    def request(
        self,
        certificate_id: str,
        subject: str,
        *,
        fqdn: Sequence[str] = (),
        email: Sequence[str] = (),
        ip: Sequence[str] = (),
    ) -> bytes:
        """Make a PKCS#10 request (DER) of a key pair and keep it as a pending certificate (anchors PC-01).

        For an ID with a local certificate it is a renewal: that one stays until the new one is loaded. Raises
        NotFoundError without the key pair, UsageError when a request waits already or a name cannot be encoded.
        """
        if not subject.strip():
            raise UsageError("a request needs a subject, such as --subject CN=alice")
        request = self.vault.request(certificate_id, subject, fqdn=fqdn, email=email, ip=ip)

        def change(state: State) -> None:
            own = state.own.get(certificate_id, OwnCertificate(certificate_id))
            if own.waiting is not None:
                raise UsageError(
                    f"{certificate_id} already waits for its certificate: load that, or remove the request with "
                    f"ikesim pki rm {certificate_id} --kind certificate-request"
                )
            made = Provenance(self._clock(), "this endpoint")
            state.own[certificate_id] = replace(own, waiting=CertificateRequest(request, made))

        self._change(change)
        return request

    def load(
        self,
        file: Path | bytes,
        *,
        as_id: str | None = None,
        ca: str | None = None,
        crl: str | None = None,
        profiles: Collection[str] | None = None,
        name: str | None = None,
    ) -> Loaded:
        """Load a certificate or CRL; what it is to this endpoint is found out, unless said.

        A certificate whose key is in the vault becomes local, in the place of the pending one (anchors PC-06); every
        other is a CA certificate (CA-01) and needs the profile `ca` (PF-01); a CRL goes to the profile of the CA that
        signed it, unless `crl` names one. `profiles` are the CA profiles of the configuration, where known; `name` is
        what sentences call octets that came without a file.

        Raises ForbiddenError when there is a private key in the file or a rule of the PKI model stands against it,
        NotFoundError for a name that does not exist, UsageError otherwise. Nothing is stored then.
        """
        octets, label = (file, name or "the input") if isinstance(file, bytes) else (_read(file), name or file.name)
        contents = recognise(octets, label)
        order = loading.Order(label, contents, as_id, ca, crl, profiles, self._clock())
        result: list[Loaded] = []
        self._change(lambda state: result.append(loading.load(state, self.vault, order)))
        return result[0]

    def save_fetched_crl(self, profile: str | None, der: bytes, url: str) -> bool:
        """Keep a CRL that was fetched and verified; False when the one held is newer. Raises UsageError on no CRL."""
        try:
            read_crl(der)
        except DerError as error:
            raise UsageError(f"what came from {url} is not a CRL: {error}") from None
        kept: list[bool] = []

        def change(state: State) -> None:
            held = HeldCrl(profile or "", der, Provenance(self._clock(), url), fetched=True)
            kept.append(loading.keep_crl(state, held) is None)

        self._change(change)
        return kept[0]

    def remove(self, certificate_id: str, kind: ObjectKind | None = None) -> tuple[ObjectKind, ...]:
        """Remove what stands under a certificate-ID, or only its key pair, request or certificate.

        Returns the kinds removed; the ID is free when nothing is left. Raises NotFoundError.
        """
        check_name(certificate_id)
        own = self._refresh().own.get(certificate_id)
        has_key = certificate_id in self.vault
        there = {
            ObjectKind.CERTIFICATE_REQUEST: own is not None and own.waiting is not None,
            ObjectKind.LOCAL_CERTIFICATE: own is not None and own.certificate is not None,
            ObjectKind.KEY_PAIR: has_key,
        }
        removed = tuple(one for one, present in there.items() if present and kind in (None, one))
        if not removed:
            what = "PKI object" if kind is None else kind.value
            raise NotFoundError(f"no {what} is named {certificate_id}: ikesim pki ls lists what there is")
        if set(removed) != {ObjectKind.KEY_PAIR}:
            self._change(lambda state: _forget(state, certificate_id, removed))
        if ObjectKind.KEY_PAIR in removed:
            self.vault.delete(certificate_id)
        return removed

    def remove_ca(self, profile: str) -> None:
        """Remove the CA certificate of a profile. Raises NotFoundError."""

        def change(state: State) -> None:
            if state.ca.pop(profile, None) is None:
                raise NotFoundError(
                    f"no CA certificate is held for profile {profile}: ikesim pki ls lists what there is"
                )

        self._change(change)

    def remove_crls(self, profile: str) -> int:
        """Remove the CRLs of a profile; how many there were. Raises NotFoundError."""
        count: list[int] = []

        def change(state: State) -> None:
            held = state.crls.pop(profile, ())
            if not held:
                raise NotFoundError(f"no CRL is held for profile {profile}: ikesim pki ls lists what there is")
            count.append(len(held))

        self._change(change)
        return count[0]

    def _refresh(self) -> State:
        """The state as it is on disk now."""
        if catalogue.stamp(self.directory) != self._stamp:
            with disk.folder_lock(self.directory / "lock", shared=True):
                self._read()
        return self._state

    def _read(self) -> None:
        found = catalogue.stamp(self.directory)
        if found != self._stamp:
            self._state = catalogue.load(self.directory)
            self._stamp = found
            self._snapshot = None

    def _change(self, change: Callable[[State], object]) -> None:
        """Apply a change to the state on disk, all of it or (when it raises) nothing."""
        with disk.folder_lock(self.directory / "lock"):
            self._read()
            state = self._state.copy()
            change(state)
            if state == self._state:
                return
            catalogue.save(self.directory, state)
            self._state = state
            self._stamp = catalogue.stamp(self.directory)
            self._snapshot = None


def _forget(state: State, certificate_id: str, kinds: Collection[ObjectKind]) -> None:
    own = state.own.pop(certificate_id)
    if ObjectKind.CERTIFICATE_REQUEST in kinds:
        own = replace(own, waiting=None)
    if ObjectKind.LOCAL_CERTIFICATE in kinds:
        own = replace(own, certificate=None, loaded=None, chain=(), origin=None)
    if own.certificate is not None or own.waiting is not None:
        state.own[certificate_id] = own


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{file} does not exist") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
