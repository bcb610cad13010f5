"""The vault: where an endpoint's private keys are made, and what never lets them out.

A key pair is an object of its own, named by its certificate-ID. The vault signs; it has no way to take a private key
in, to show one, or to copy one out: `repr`, pickling and copying do not reach them. On disk each key is one file that
only its owner can read; a vault without a directory lives in memory and dies with the process.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from ikesim.crypto.signatures import SignatureScheme, algorithm_identifier, sign
from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.der_writer import bit_string, explicit, integer, octet_string, oid, sequence, set_of
from ikesim.pki.general_names import encode_general_names
from ikesim.pki.keys import Entropy, PrivateKey, PublicKey, check_size, describe, make_key, spki
from ikesim.pki.subjects import subject_der

ID_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
"""Certificate-IDs and CA profile names: 1 to 32 characters (Junos' limit) that are safe in a file name."""
_MAGIC = b"ikesim key 1\n"
_HEADER_LENGTH = 128
"""Octets of the line after the magic: JSON, padded with blanks."""
_SUFFIX = ".key"
_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
_SUBJECT_ALT_NAME = "2.5.29.17"


def utc_now() -> datetime:
    """The wall clock of the host."""
    return datetime.now(UTC)


def check_name(name: str, what: str = "certificate-ID") -> str:
    """`name` if it can name a PKI object; UsageError otherwise."""
    if not ID_PATTERN.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a {what}: it has 1 to 32 letters, digits, dots, dashes and underscores, "
            "and no dot or dash first"
        )
    return name


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What may be known about a key pair: everything but its private half."""

    id: str
    kind: str
    """ecdsa, rsa, ed25519 or ed448."""
    size: int
    """Bits."""
    created: datetime
    public: bytes
    """DER of its SubjectPublicKeyInfo."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, in hexadecimal."""
        return sha256(self.public).hexdigest()


class _Held:
    """A private key in memory, with the version of the file that it came from; never shown."""

    __slots__ = ("info", "key", "stamp")

    def __init__(self, key: PrivateKey, info: KeyPair, stamp: tuple[int, int] | None) -> None:
        self.key = key
        self.info = info
        self.stamp = stamp

    def __repr__(self) -> str:
        return f"<private key of {self.info.id}>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a private key never leaves its vault")


class Vault:
    """The private keys of one endpoint."""

    def __init__(self, directory: Path | None, clock: Callable[[], datetime] = utc_now) -> None:
        """Use :meth:`open`."""
        self._directory = directory
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._changes = 0

    @classmethod
    def open(
        cls,
        directory: Path | None = None,
        key_protection: bool = False,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """The vault in `directory`, made when missing; in memory without one.

        Raises UsageError when the folder or a key file is open to others, naming the command that closes it, and
        when `key_protection` is asked for.
        """
        if key_protection:
            raise UsageError("endpoint.key-protection = true is not available in this version: set it to false")
        if directory is not None:
            disk.open_directory(directory)
            for path in sorted(directory.glob(f"*{_SUFFIX}")):
                if not disk.is_leftover(path):
                    disk.check_private(path, disk.FILE_MODE)
        return cls(directory, clock)

    def __repr__(self) -> str:
        return f"<Vault {self._directory or 'in memory'}>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a vault is never copied: its keys never leave it")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Copies of a simulation share their vault, as copies of a program share a hardware token."""
        return self

    def ids(self) -> tuple[str, ...]:
        """The certificate-IDs that have a key pair, sorted."""
        if self._directory is None:
            return tuple(sorted(self._held))
        names = (path.name for path in self._directory.glob(f"*{_SUFFIX}") if not disk.is_leftover(path))
        return tuple(sorted(name.removesuffix(_SUFFIX) for name in names))

    @property
    def version(self) -> tuple[int, int]:
        """Differs from an earlier one when key pairs were made or removed since, here or by another process."""
        return self._changes, 0 if self._directory is None else os.stat(self._directory).st_mtime_ns

    def __contains__(self, certificate_id: str) -> bool:
        return certificate_id in self.ids()

    def generate(
        self, certificate_id: str, kind: str = "ecdsa", size: int | None = None, *, entropy: Entropy | None = None
    ) -> KeyPair:
        """Make a key pair. With `entropy` (count -> octets) ECDSA and EdDSA keys are a function of it.

        Raises UsageError when the ID is taken or the type or size is not offered.
        """
        check_name(certificate_id)
        bits = check_size(kind, size)
        if self._directory is None:
            return self._generate(certificate_id, kind, bits, entropy)
        with disk.folder_lock(self._directory / "lock"):
            return self._generate(certificate_id, kind, bits, entropy)

    def _generate(self, certificate_id: str, kind: str, bits: int, entropy: Entropy | None) -> KeyPair:
        if certificate_id in self:
            raise UsageError(
                f"{certificate_id} already names a key pair; an ID is free again after ikesim pki rm {certificate_id}"
            )
        key = self._make(kind, bits, entropy)
        info = _info(certificate_id, key, self._clock())
        stamp = None
        if self._directory is not None:
            path = self._path(certificate_id)
            disk.write_private(path, memoryview(_pack(key, info)))
            stamp = _stamp(path)
        self._held[certificate_id] = _Held(key, info, stamp)
        self._changes += 1
        return info

    def _make(self, kind: str, bits: int, entropy: Entropy | None) -> PrivateKey:
        """Where a private key comes into being; the simulator's vault overrides it to take RSA keys from its pool."""
        return make_key(kind, bits, entropy)

    def info(self, certificate_id: str) -> KeyPair:
        """What may be known about a key pair. Raises NotFoundError."""
        return self._get(certificate_id).info

    def public_key(self, certificate_id: str) -> PublicKey:
        """The public half. Raises NotFoundError."""
        return self._get(certificate_id).key.public_key()

    def find(self, public: bytes) -> str | None:
        """The certificate-ID of the key pair whose SubjectPublicKeyInfo is `public`; None without one."""
        return next((name for name in self.ids() if self.info(name).public == public), None)

    def sign(self, certificate_id: str, scheme: SignatureScheme, octets: bytes) -> bytes:
        """A signature over `octets` (ECDSA as DER, deterministic). Raises NotFoundError."""
        return sign(self._get(certificate_id).key, scheme, octets)

    def request(
        self,
        certificate_id: str,
        subject: str,
        *,
        fqdn: Sequence[str] = (),
        email: Sequence[str] = (),
        ip: Sequence[str] = (),
    ) -> bytes:
        """The DER of a PKCS#10 request (RFC 2986) for a key pair, with its identities as subjectAltName.

        Raises NotFoundError without such a key pair, UsageError for a name that cannot be encoded.
        """
        key = self._get(certificate_id).key
        names = (
            [f"fqdn:{name}" for name in fqdn] + [f"rfc822:{name}" for name in email] + [f"ip:{name}" for name in ip]
        )
        attributes = b""
        if names:
            extension = sequence(oid(_SUBJECT_ALT_NAME), octet_string(encode_general_names(names)))
            attributes = sequence(oid(_EXTENSION_REQUEST), set_of([sequence(extension)]))
        information = sequence(integer(0), subject_der(subject), spki(key.public_key()), explicit(0, attributes))
        scheme = request_scheme(key.public_key())
        return sequence(information, algorithm_identifier(scheme), bit_string(sign(key, scheme, information)))

    def delete(self, certificate_id: str) -> None:
        """Destroy a key pair; its ID is free afterwards. Raises NotFoundError."""
        self._get(certificate_id)
        if self._directory is not None:
            with disk.folder_lock(self._directory / "lock"):
                disk.remove_private(self._path(certificate_id))
        self._held.pop(certificate_id, None)
        self._changes += 1

    def forget(self) -> None:
        """Drop the private keys held in memory, where they are on disk as well."""
        if self._directory is not None:
            self._held.clear()

    def _path(self, certificate_id: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{certificate_id}{_SUFFIX}"

    def _get(self, certificate_id: str) -> _Held:
        """The key as it stands now: a file replaced or removed by another process is noticed."""
        held = self._held.get(certificate_id)
        if self._directory is None:
            if held is None:
                raise _no_key(certificate_id)
            return held
        path = self._path(check_name(certificate_id))
        stamp = _stamp(path)
        if stamp is None:
            self._held.pop(certificate_id, None)
            raise _no_key(certificate_id)
        if held is None or held.stamp != stamp:
            held = _unpack(certificate_id, path, memoryview(disk.read_private(path)), stamp)
            self._held[certificate_id] = held
        return held


def request_scheme(key: PublicKey) -> SignatureScheme:
    """The scheme that a request by `key` is signed with: the one every CA accepts."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {
            256: SignatureScheme.ECDSA_SHA256,
            384: SignatureScheme.ECDSA_SHA384,
            521: SignatureScheme.ECDSA_SHA512,
        }[key.key_size]
    if isinstance(key, rsa.RSAPublicKey):
        return SignatureScheme.RSA_PKCS1_SHA256
    return SignatureScheme.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else SignatureScheme.ED448


def _no_key(certificate_id: str) -> NotFoundError:
    return NotFoundError(
        f"no key pair is named {certificate_id}: ikesim pki key generate {certificate_id} --type ecdsa makes one"
    )


def _info(certificate_id: str, key: PrivateKey, created: datetime) -> KeyPair:
    public = key.public_key()
    kind, size = describe(public)
    return KeyPair(certificate_id, kind, size, created, spki(public))


def _pack(key: PrivateKey, info: KeyPair) -> bytes:
    header = json.dumps({"created": info.created.astimezone(UTC).isoformat(), "type": info.kind, "size": info.size})
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _MAGIC + header.encode().ljust(_HEADER_LENGTH - 1) + b"\n" + private


def _unpack(certificate_id: str, path: Path, content: memoryview, stamp: tuple[int, int]) -> _Held:
    """The key in a file of the vault. Raises UsageError."""
    damaged = UsageError(f"{path} is not a key of this vault, or is damaged: restore it, or remove it by hand")
    if content[: len(_MAGIC)] != _MAGIC:
        raise damaged
    begin = len(_MAGIC) + _HEADER_LENGTH
    try:
        created = datetime.fromisoformat(json.loads(bytes(content[len(_MAGIC) : begin]))["created"])
        key = serialization.load_der_private_key(content[begin:], None)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        raise damaged from None
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    ):
        raise damaged
    return _Held(key, _info(certificate_id, key, created), stamp)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
