"""A lab's authorities in a folder: what `ikesim ca` works on.

`ca.json` holds certificates, revocations and CRL numbers, `keys/` the authorities' private keys (private to their
owner); beside them lie, for people and services, `NAME.pem` of every certificate and `NAME.crl` of every authority.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, Unpack

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.authority.authority import Authority, Issued
from ikesim.pki.authority.certificate import key_identifier
from ikesim.pki.authority.crl import CrlKnobs, Revocation
from ikesim.pki.authority.ocsp import Responder
from ikesim.pki.certificates import parse
from ikesim.pki.keys import PrivateKey
from ikesim.pki.vault import check_name

FORMAT = 1
_INDEX = "ca.json"
_LOCK = "lock"


class LabCa:
    """The authorities of one folder. Change it inside :meth:`edit`, read it with :meth:`open`."""

    def __init__(self, directory: Path) -> None:
        """Use :meth:`create`, :meth:`open` or :meth:`edit`."""
        self.directory = directory
        self.authorities: dict[str, Authority] = {}
        self.responders: dict[str, Responder] = {}
        """Delegated OCSP signers, by authority."""
        self.crl_days: dict[str, float] = {}
        """How long an authority's CRLs last, where it is not a week."""

    @classmethod
    @contextmanager
    def create(cls, directory: Path) -> Iterator[Self]:
        """A new folder, saved when the block ends well. Raises UsageError when it holds authorities already."""
        if (directory / _INDEX).exists():
            raise UsageError(f"{directory} holds a lab's authorities already: name another folder, or remove it")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{directory} cannot be made: {(error.strerror or str(error)).lower()}") from None
        with disk.folder_lock(directory / _LOCK):
            lab = cls(directory)
            yield lab
            lab._save()

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The authorities in `directory`, to read. Raises NotFoundError or UsageError."""
        lab = cls(directory)
        lab._load()
        return lab

    @classmethod
    @contextmanager
    def edit(cls, directory: Path) -> Iterator[Self]:
        """The authorities in `directory`, saved when the block ends well. Raises NotFoundError or UsageError."""
        if not (directory / _INDEX).exists():
            raise _no_lab(directory)
        with disk.folder_lock(directory / _LOCK):
            lab = cls.open(directory)
            yield lab
            lab._save()

    def add(self, authority: Authority) -> Authority:
        """Take up an authority under its name, and write its certificate beside the others."""
        self.authorities[authority.name] = authority
        self.write_pem(authority.name, authority.certificate)
        return authority

    def check_free(self, name: str) -> None:
        """Raise UsageError when `name` names something here already, or cannot name anything."""
        check_name(name, "name")
        issued = {one.name for authority in self.authorities.values() for one in authority.issued.values()}
        if name in self.authorities or name in issued:
            raise UsageError(f"{name} names a certificate of {self.directory} already: choose another name")

    def authority(self, name: str | None) -> Authority:
        """An authority by name; without one the only one. Raises NotFoundError, or UsageError (there are several)."""
        if name is None:
            if len(self.authorities) == 1:
                return next(iter(self.authorities.values()))
            raise UsageError(f"say which authority: --issuer {'|'.join(self.authorities)}")
        if name not in self.authorities:
            raise NotFoundError(f"{self.directory} has no authority {name}: it has {', '.join(self.authorities)}")
        return self.authorities[name]

    def find(self, name_or_serial: str) -> tuple[Authority, Issued]:
        """A certificate by name or hexadecimal serial, and who issued it. Raises NotFoundError."""
        for authority in self.authorities.values():
            try:
                return authority, authority.find(name_or_serial)
            except NotFoundError:
                continue
        raise NotFoundError(f"{self.directory} issued nothing named {name_or_serial}, and no such serial")

    def publish(self, name: str, now: datetime, days: float | None = None, **knobs: Unpack[CrlKnobs]) -> Path:
        """Make an authority's next full CRL and write it as NAME.crl (DER); where it is."""
        crl = self.authority(name).crl(now, days or self.crl_days.get(name, 7), **knobs)
        path = self.directory / f"{name}.crl"
        write_public(path, crl)
        return path

    def crl(self, name: str) -> bytes:
        """The CRL that an authority has published (DER). Raises NotFoundError."""
        path = self.directory / f"{self.authority(name).name}.crl"
        try:
            return path.read_bytes()
        except OSError:
            raise NotFoundError(f"{path} is not there: ikesim ca crl --dir {self.directory} makes it") from None

    def respond(self, name: str, request: bytes, now: datetime) -> bytes:
        """Answer an OCSP request (DER) for certificates of an authority, by its responder where it has one."""
        responder = self.responders.get(name)
        if responder is None:
            return self.authority(name).respond(request, now)
        return self.authority(name).respond(request, now, responder=responder)

    def write_pem(self, name: str, *certificates: bytes) -> Path:
        """Write certificates as NAME.pem; where it is."""
        path = self.directory / f"{name}.pem"
        write_public(path, b"".join(pem(one) for one in certificates))
        return path

    def stamp(self) -> tuple[int, int]:
        """Differs from an earlier one when the records were changed since. Raises NotFoundError."""
        try:
            status = os.stat(self.directory / _INDEX)
        except FileNotFoundError:
            raise _no_lab(self.directory) from None
        return status.st_ino, status.st_mtime_ns

    def _save(self) -> None:
        keys = self.directory / "keys"
        disk.open_directory(keys)
        held = {name: authority.key for name, authority in self.authorities.items()}
        held |= {f"{name}.ocsp": responder.key for name, responder in self.responders.items()}
        for name, key in held.items():
            path = keys / f"{name}.pem"
            if not path.exists():
                disk.write_private(path, private_pem(key))
        index = {
            "format": FORMAT,
            "authorities": {
                name: _encode(authority, self.responders.get(name), self.crl_days.get(name))
                for name, authority in self.authorities.items()
            },
        }
        disk.write_private(self.directory / _INDEX, json.dumps(index, indent=1).encode() + b"\n")

    def _load(self) -> None:
        path = self.directory / _INDEX
        if not path.exists():
            raise _no_lab(self.directory)
        try:
            index = json.loads(disk.read_private(path))
            if index["format"] != FORMAT:
                raise UsageError(f"{path} has format {index['format']}; this version of ikesim reads {FORMAT}")
            for name, entry in index["authorities"].items():
                self._decode(name, entry)
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path} is damaged: make the folder again with ikesim ca init") from None

    def _decode(self, name: str, entry: Mapping[str, Any]) -> None:
        authority = Authority(
            name,
            self._key(name),
            base64.b64decode(entry["subject"]),
            base64.b64decode(entry["certificate"]),
            issuer=None if entry["issuer"] is None else self.authorities[entry["issuer"]],
            crl_at=entry["crl_at"],
            ocsp_at=entry["ocsp_at"],
        )
        authority.crl_number = entry["crl_number"]
        authority.revoked = _decode_revoked(entry["revoked"])
        authority.published = {int(number): _decode_revoked(one) for number, one in entry["published"].items()}
        for one in entry["issued"]:
            serial = int(one["serial"], 16)
            authority.issued[serial] = Issued(serial, base64.b64decode(one["certificate"]), one["name"])
        self.authorities[name] = authority
        if entry["responder"] is not None:
            self.responders[name] = responder_of(base64.b64decode(entry["responder"]), self._key(f"{name}.ocsp"))
        if entry["crl_days"] is not None:
            self.crl_days[name] = float(entry["crl_days"])

    def _key(self, name: str) -> PrivateKey:
        return read_private_key(disk.read_private(self.directory / "keys" / f"{name}.pem"), name)


def responder_of(certificate: bytes, key: PrivateKey) -> Responder:
    """A responder from its certificate (DER) and key."""
    parsed = parse(certificate)
    return Responder(certificate, key, parsed.subject.der, key_identifier(parsed.spki))


def read_private_key(octets: bytes, name: str) -> PrivateKey:
    """A private key of the lab from PEM. Raises UsageError."""
    try:
        key = serialization.load_pem_private_key(octets, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"the key of {name} is damaged: make the folder again with ikesim ca init") from None
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    ):
        raise UsageError(f"the key of {name} is of a kind that signs nothing here")
    return key


def private_pem(key: PrivateKey) -> bytes:
    """A private key of the lab (never an endpoint's) as unencrypted PKCS#8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(certificate: bytes) -> bytes:
    """A certificate in PEM."""
    body = base64.encodebytes(certificate).replace(b"\n", b"")
    lines = b"\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"


def write_public(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before, in one step. Raises UsageError."""
    temporary = path.with_name(f".new-{path.name}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def _no_lab(directory: Path) -> NotFoundError:
    return NotFoundError(f"{directory} holds no authorities: ikesim ca init {directory} makes one")


def _encode(authority: Authority, responder: Responder | None, crl_days: float | None) -> dict[str, Any]:
    return {
        "subject": _b64(authority.subject),
        "certificate": _b64(authority.certificate),
        "issuer": None if authority.issuer is None else authority.issuer.name,
        "crl_at": list(authority.crl_at),
        "ocsp_at": list(authority.ocsp_at),
        "crl_number": authority.crl_number,
        "crl_days": crl_days,
        "responder": None if responder is None else _b64(responder.certificate),
        "revoked": _encode_revoked(authority.revoked),
        "published": {str(number): _encode_revoked(one) for number, one in authority.published.items()},
        "issued": [
            {"serial": f"{one.serial:x}", "name": one.name, "certificate": _b64(one.certificate)}
            for one in authority.issued.values()
        ],
    }


def _encode_revoked(revoked: Mapping[int, Revocation]) -> dict[str, dict[str, str | None]]:
    return {
        f"{serial:x}": {
            "at": entry.at.astimezone(UTC).isoformat(),
            "reason": entry.reason,
            "invalid": None if entry.invalidity_date is None else entry.invalidity_date.astimezone(UTC).isoformat(),
        }
        for serial, entry in revoked.items()
    }


def _decode_revoked(entries: Mapping[str, Mapping[str, str | None]]) -> dict[int, Revocation]:
    return {int(serial, 16): _decode_revocation(entry) for serial, entry in entries.items()}


def _decode_revocation(entry: Mapping[str, str | None]) -> Revocation:
    at, invalid = entry["at"], entry["invalid"]
    revocation = Revocation(datetime.fromisoformat(at or ""), entry["reason"])
    return revocation if invalid is None else replace(revocation, invalidity_date=datetime.fromisoformat(invalid))


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
