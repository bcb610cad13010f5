"""How the PKI objects lie on disk: DER files named by their SHA-256, and one index that says what they are.

The index is the only thing that is ever replaced, in one step, after everything it names was written: a process
killed at any moment leaves the old state or the new one. What no index names is swept by the next writer.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.objects import CaCertificate, CertificateRequest, HeldCrl, OwnCertificate, Provenance

FORMAT = 1
_INDEX = "index.json"
_OBJECTS = "objects"
_SUFFIX = ".der"
_BLOB = re.compile(r"[0-9a-f]{64}\.der")
_KNOWN = {
    "": re.compile(r"index\.json|lock|objects|keys|secrets"),
    _OBJECTS: _BLOB,
    "keys": re.compile(r"lock|.+\.key"),
    "secrets": re.compile(r"lock|.+\.secret"),
}
"""What there is in each folder of the partition, besides the leftovers of writes that were cut short."""
_KEYS = frozenset({"format", "certificates", "ca-certificates", "crls"})


@dataclass(slots=True)
class State:
    """Every object but the key pairs, which the vault has."""

    own: dict[str, OwnCertificate] = field(default_factory=dict)
    """By certificate-ID."""
    ca: dict[str, CaCertificate] = field(default_factory=dict)
    """By CA profile."""
    crls: dict[str, tuple[HeldCrl, ...]] = field(default_factory=dict)
    """By CA profile; the empty name holds those of CAs without one."""

    def copy(self) -> "State":
        """A state that can be changed without changing this one (the objects themselves never change)."""
        return State(dict(self.own), dict(self.ca), dict(self.crls))

    def blobs(self) -> Iterable[bytes]:
        """The DER of everything."""
        for own in self.own.values():
            yield from (() if own.certificate is None else (own.certificate,))
            yield from own.chain
            yield from (request.request for request in (own.origin, own.waiting) if request is not None)
        yield from (ca.certificate for ca in self.ca.values())
        for held in self.crls.values():
            yield from (crl.crl for crl in held)


def stamp(directory: Path) -> tuple[int, int] | None:
    """Which version of the index is there; None before the first."""
    try:
        status = os.stat(f"{directory}/{_INDEX}")  # asked for at every look at the store: joining Paths costs more
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def load(directory: Path) -> State:
    """The state in `directory`. Raises UsageError when it is damaged, open to others, or of another version."""
    path = directory / _INDEX
    if not path.exists():
        return State()
    content = disk.read_private(path)
    try:
        index = json.loads(content)
        version = index["format"]
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None
    if version != FORMAT:
        raise UsageError(
            f"{path} has format {version}, this version of ikesim reads {FORMAT}: use the one that wrote it"
        )
    if set(index) != _KEYS:
        raise UsageError(f"{path} names objects of an unknown kind ({', '.join(sorted(set(index) - _KEYS))})")
    try:
        return _decode(directory / _OBJECTS, index)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _damaged(path) from None


def save(directory: Path, state: State) -> None:
    """Make `state` the one in `directory`. The caller holds the write lock. Raises UsageError."""
    folder = directory / _OBJECTS
    disk.open_directory(folder)
    named = {_name(der): der for der in state.blobs()}
    for name, der in named.items():
        if not (folder / name).exists():
            disk.write_private(folder / name, der)
    disk.write_private(directory / _INDEX, json.dumps(_encode(state), indent=1).encode() + b"\n")
    for path in folder.iterdir():
        if path.name not in named and _is_ours(path, _BLOB):
            disk.remove_private(path)


def check_foreign(directory: Path) -> None:
    """Refuse what does not belong into the partition (UsageError): nobody can say what it means, or may remove it."""
    for folder, known in _KNOWN.items():
        if not (directory / folder).is_dir():
            continue
        for path in sorted((directory / folder).iterdir()):
            if not _is_ours(path, known):
                raise UsageError(f"{path} does not belong into the PKI store: move it elsewhere")


def _is_ours(path: Path, known: re.Pattern[str]) -> bool:
    return disk.is_leftover(path) or known.fullmatch(path.name) is not None


def _name(der: bytes) -> str:
    return sha256(der).hexdigest() + _SUFFIX


def _encode(state: State) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "certificates": {name: _encode_own(own) for name, own in sorted(state.own.items())},
        "ca-certificates": {
            name: {"certificate": _name(ca.certificate), **_encode_provenance(ca.loaded)}
            for name, ca in sorted(state.ca.items())
        },
        "crls": {
            name: [{"crl": _name(crl.crl), "fetched": crl.fetched, **_encode_provenance(crl.loaded)} for crl in held]
            for name, held in sorted(state.crls.items())
        },
    }


def _encode_own(own: OwnCertificate) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": own.certificate_class.value}
    if own.certificate is not None and own.loaded is not None:
        entry["certificate"] = {"certificate": _name(own.certificate), **_encode_provenance(own.loaded)}
        entry["chain"] = [_name(der) for der in own.chain]
    for key, request in (("origin", own.origin), ("waiting", own.waiting)):
        if request is not None:
            entry[key] = {"request": _name(request.request), **_encode_provenance(request.made)}
    return entry


def _encode_provenance(provenance: Provenance) -> dict[str, str]:
    return {"at": provenance.at.astimezone(UTC).isoformat(), "source": provenance.source}


def _decode(folder: Path, index: dict[str, Any]) -> State:
    state = State()
    for name, entry in index["certificates"].items():
        loaded = entry.get("certificate")
        own = OwnCertificate(
            name,
            certificate=None if loaded is None else _blob(folder, loaded["certificate"]),
            loaded=None if loaded is None else _decode_provenance(loaded),
            chain=tuple(_blob(folder, one) for one in entry.get("chain", ())),
            origin=_decode_request(folder, entry.get("origin")),
            waiting=_decode_request(folder, entry.get("waiting")),
        )
        if own.certificate_class.value != entry["class"]:
            raise ValueError(f"{name} is not {entry['class']}")
        state.own[name] = own
    for name, entry in index["ca-certificates"].items():
        state.ca[name] = CaCertificate(name, _blob(folder, entry["certificate"]), _decode_provenance(entry))
    for name, entries in index["crls"].items():
        state.crls[name] = tuple(
            HeldCrl(name, _blob(folder, entry["crl"]), _decode_provenance(entry), bool(entry["fetched"]))
            for entry in entries
        )
    return state


def _decode_request(folder: Path, entry: dict[str, str] | None) -> CertificateRequest | None:
    if entry is None:
        return None
    return CertificateRequest(_blob(folder, entry["request"]), _decode_provenance(entry))


def _decode_provenance(entry: dict[str, str]) -> Provenance:
    return Provenance(datetime.fromisoformat(entry["at"]), entry["source"])


def _blob(folder: Path, name: str) -> bytes:
    path = folder / Path(name).name
    try:
        content = disk.read_private(path)
    except NotFoundError:
        raise _damaged(path) from None
    if _name(content) != name:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path} is damaged: restore the state folder, or remove it and load the PKI objects again")
