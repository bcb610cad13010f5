"""The vault: where an endpoint's private keys are made, and what never lets them out.

A key pair is an object of its own, named by its certificate-ID. The vault signs; it has no way to take a private key
in, to show one, or to copy one out: `repr`, pickling and copying do not reach them. On disk each key is one file that
only its owner can read; a vault without a directory lives in memory and dies with the process. With key protection a
key is decrypted for the time of one signature, and sealed everywhere else.
"""

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, Self, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from ikesim.crypto import selftest
from ikesim.crypto.signatures import (
    SignatureScheme,
    Signing,
    algorithm_identifier,
    encode_auth,
    sign,
    verify_auth,
)
from ikesim.errors import AuthError, CryptoError, ForbiddenError, NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.buffers import KeyBuffer, KeyCopyError, overwrite
from ikesim.pki.der_writer import bit_string, explicit, integer, octet_string, oid, sequence, set_of
from ikesim.pki.general_names import encode_general_names
from ikesim.pki.keeping import Header, Keeper, damaged, is_sealed, secret_files
from ikesim.pki.keys import Entropy, PrivateKey, PublicKey, check_size, describe, make_key, spki
from ikesim.pki.protection import KeyProtection, default_file
from ikesim.pki.subjects import subject_der
from ikesim.wire.registry import AuthMethod

ID_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
"""Certificate-IDs and CA profile names: 1 to 32 characters (Junos' limit) that are safe in a file name."""
T = TypeVar("T")

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


@dataclass(slots=True)
class _Held:
    """What is known of a key pair in memory; without protection the private key is there too, ready for use."""

    info: KeyPair
    public: PublicKey
    key: PrivateKey | None
    stamp: tuple[int, int] | None
    """Which version of the file it came from."""

    def __repr__(self) -> str:
        return f"<private key of {self.info.id}>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a private key never leaves its vault")


class Vault:
    """The private keys of one endpoint."""

    def __init__(
        self,
        directory: Path | None,
        clock: Callable[[], datetime] = utc_now,
        protection: KeyProtection | None = None,
    ) -> None:
        """Use :meth:`open`."""
        self.tests_new_keys = False
        """Whether the self-tests of its algorithm run after a key was made, and the key must prove itself."""
        self._directory = directory
        self._clock = clock
        self._keeper = Keeper(directory, _SUFFIX, protection)
        self._held: dict[str, _Held] = {}
        self._changes = 0

    @classmethod
    def open(
        cls,
        directory: Path | None = None,
        key_protection: bool | KeyProtection = False,
        *,
        wrapping_key: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """The vault in `directory`, made when missing; in memory without one.

        `key_protection` seals its keys with the wrapping key in the file `wrapping_key` (default: beside the folder).
        Keys that are there already are brought to the form that is asked for.

        Raises UsageError when the folder or a key file is open to others, naming the command that closes it, and
        when a key is sealed with a wrapping key that is not there.
        """
        if directory is None:
            given = KeyProtection.ephemeral() if key_protection is True else key_protection or None
            return cls(None, clock, given)
        protection = open_folder(directory, _SUFFIX, key_protection, wrapping_key)
        return cls(directory, clock, protection)

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
        return self._keeper.names()

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
        info = _info(certificate_id, key.public_key(), self._clock())
        header = {"created": info.created.astimezone(UTC).isoformat(), "type": info.kind, "size": info.size}
        self._keeper.put(certificate_id, header, _octets(key, wipe=self.is_protected))
        kept = None if self.is_protected else key
        self._held[certificate_id] = _Held(info, key.public_key(), kept, self._keeper.stamp(certificate_id))
        self._changes += 1
        if self.tests_new_keys:
            self._test_new_key(info)
        return info

    def _test_new_key(self, info: KeyPair) -> None:
        """The known answers of its algorithm, then a signature by the key itself. Raises CryptoError.

        A key that fails is destroyed: nobody may ask for a certificate for it.
        """
        failed = [outcome.name for outcome in selftest.run(selftest.families_of_key(info.kind)) if not outcome.passed]
        public = self.public_key(info.id)
        scheme = request_scheme(public)
        signing = Signing(AuthMethod.DIGITAL_SIGNATURE, scheme)
        octets = b"ikesim: does the new key sign what its public half verifies?"
        try:
            data = encode_auth(signing, public, self.sign(info.id, scheme, octets))
            announced = frozenset({int(scheme.hash_algorithm)})
            verify_auth(signing.method, data, octets, public, allowed=[scheme], announced_hashes=announced)
        except (AuthError, CryptoError):
            failed.append("pairwise consistency")
        if failed:
            self._delete(info.id)
            raise CryptoError(
                f"self-test-failed: after {info.id} was generated ({', '.join(failed)}); the key is destroyed"
            )

    @property
    def is_protected(self) -> bool:
        """Whether keys are sealed while they are not in use."""
        return self._keeper.protection is not None

    def _make(self, kind: str, bits: int, entropy: Entropy | None) -> PrivateKey:
        """Where a private key comes into being; the simulator's vault overrides it to take RSA keys from its pool."""
        return make_key(kind, bits, entropy)

    def info(self, certificate_id: str) -> KeyPair:
        """What may be known about a key pair. Raises NotFoundError."""
        return self._get(certificate_id).info

    def public_key(self, certificate_id: str) -> PublicKey:
        """The public half. Raises NotFoundError."""
        return self._get(certificate_id).public

    def find(self, public: bytes) -> str | None:
        """The certificate-ID of the key pair whose SubjectPublicKeyInfo is `public`; None without one."""
        return next((name for name in self.ids() if self.info(name).public == public), None)

    def sign(self, certificate_id: str, scheme: SignatureScheme, octets: bytes) -> bytes:
        """A signature over `octets` (ECDSA as DER, deterministic). Raises NotFoundError."""
        return self._use(certificate_id, lambda key: sign(key, scheme, octets))

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
        public = self.public_key(certificate_id)
        names = (
            [f"fqdn:{name}" for name in fqdn] + [f"rfc822:{name}" for name in email] + [f"ip:{name}" for name in ip]
        )
        attributes = b""
        if names:
            extension = sequence(oid(_SUBJECT_ALT_NAME), octet_string(encode_general_names(names)))
            attributes = sequence(oid(_EXTENSION_REQUEST), set_of([sequence(extension)]))
        information = sequence(integer(0), subject_der(subject), spki(public), explicit(0, attributes))
        scheme = request_scheme(public)
        signature = self.sign(certificate_id, scheme, information)
        return sequence(information, algorithm_identifier(scheme), bit_string(signature))

    def delete(self, certificate_id: str) -> None:
        """Destroy a key pair; its ID is free afterwards. Raises NotFoundError."""
        self._get(certificate_id)
        if self._directory is None:
            self._delete(certificate_id)
            return
        with disk.folder_lock(self._directory / "lock"):
            self._delete(certificate_id)

    def _delete(self, certificate_id: str) -> None:
        self._keeper.delete(certificate_id)
        self._held.pop(certificate_id, None)
        self._changes += 1

    def forget(self) -> None:
        """Drop the private keys held in memory, where they are on disk as well."""
        self._keeper.forget()
        if self._directory is not None:
            self._held.clear()

    def hold(self) -> None:
        """Read every key into memory, as a daemon does at its start; one that cannot be read waits for its use."""
        for certificate_id in self.ids():
            with contextlib.suppress(UsageError, NotFoundError):
                self._get(certificate_id)

    def _get(self, certificate_id: str) -> _Held:
        """The key as it stands now: a file replaced or removed by another process is noticed."""
        held = self._held.get(certificate_id)
        if held is None:
            check_name(certificate_id)
        try:
            kept = self._keeper.get(certificate_id)
        except NotFoundError:
            self._held.pop(certificate_id, None)
            raise _no_key(certificate_id) from None
        if held is None or held.stamp != kept.stamp:
            held = self._held[certificate_id] = self._read(certificate_id, kept.header, kept.stamp)
        return held

    def _read(self, certificate_id: str, header: Header, stamp: tuple[int, int] | None) -> _Held:
        """What a key that was just read is, and (without protection) the key itself. Raises UsageError."""
        try:
            created = datetime.fromisoformat(header["created"])
            key = self._keeper.use(certificate_id, _load)
        except (ValueError, KeyError, TypeError, UnsupportedAlgorithm):
            raise damaged(self._keeper.path(certificate_id)) from None
        public = key.public_key()
        info = _info(certificate_id, public, created)
        return _Held(info, public, None if self.is_protected else key, stamp)

    def _use(self, certificate_id: str, action: Callable[[PrivateKey], T]) -> T:
        """Do something with a private key, which under protection exists for just as long."""
        held = self._get(certificate_id)
        if held.key is not None:
            return action(held.key)
        return self._keeper.use(certificate_id, lambda octets: action(_load_again(octets, held.info)))


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


def open_folder(
    directory: Path, suffix: str, key_protection: bool | KeyProtection, wrapping_key: Path | None = None
) -> KeyProtection | None:
    """Check a folder of secrets, bring them to the form that is asked for, and say what protects them.

    Raises UsageError when the folder or a file is open to others, or sealed with a wrapping key that is not there.
    """
    disk.open_directory(directory)
    files = secret_files(directory, suffix)
    for path in files:
        disk.check_private(path, disk.FILE_MODE)
    sealed = any(is_sealed(path) for path in files)
    protection: KeyProtection | None = None
    if isinstance(key_protection, KeyProtection):
        protection = key_protection
    elif key_protection or sealed:
        with disk.folder_lock(directory / "lock"):
            protection = KeyProtection.open(wrapping_key or default_file(directory), create=not sealed)
    keeper = Keeper(directory, suffix, protection if key_protection else None)
    keeper.convert(protection)
    for path in files if keeper.protection is not None else ():
        if is_sealed(path):
            keeper.get(path.name.removesuffix(suffix))
    return keeper.protection


def _info(certificate_id: str, public: PublicKey, created: datetime) -> KeyPair:
    kind, size = describe(public)
    return KeyPair(certificate_id, kind, size, created, spki(public))


def _octets(key: PrivateKey, *, wipe: bool) -> KeyBuffer:
    """The octets of a key that was just made, in a buffer that the vault owns."""
    octets = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def write(target: memoryview) -> None:
        target[:] = octets

    buffer = KeyBuffer.receive(len(octets), write)
    if wipe:
        overwrite(octets)
    return buffer


def _load(octets: memoryview) -> PrivateKey:
    """A key out of its octets. Raises ValueError, UnsupportedAlgorithm.

    An RSA key is not validated: this vault made it, and the test of its primes leaves copies of them in memory.
    """
    key = serialization.load_der_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    ):
        raise ValueError("not a kind of key that the vault makes")
    return key


def _load_again(octets: memoryview, info: KeyPair) -> PrivateKey:
    """As :func:`_load`, into the library's memory, where nothing else looks for damage. Raises KeyCopyError."""
    try:
        key = _load(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyCopyError(f"the key {info.id} was damaged on its way to the library") from None
    if spki(key.public_key()) != info.public:
        raise KeyCopyError(f"the key {info.id} was damaged on its way to the library")
    return key
