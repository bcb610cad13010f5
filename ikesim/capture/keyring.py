"""The keys of a Wireshark profile, read back: what `KeyLog` wrote, or what somebody entered in Wireshark."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from ikesim.capture.keys import (
    ESP_TABLE,
    IKE_TABLE,
    esp_encryption_name,
    esp_integrity,
    ike_encryption_name,
    ike_integrity,
)
from ikesim.crypto.ciphers import CipherSuite, cipher_suite
from ikesim.errors import UnsupportedAlgorithmError, UsageError
from ikesim.wire.registry import EncryptionId, IntegrityId

_INTEGRITIES = (
    None,
    IntegrityId.HMAC_SHA1_96,
    IntegrityId.HMAC_SHA2_256_128,
    IntegrityId.HMAC_SHA2_384_192,
    IntegrityId.HMAC_SHA2_512_256,
)


@dataclass(frozen=True, slots=True)
class IkeKey:
    """What opens the messages of one IKE SA."""

    suite: CipherSuite
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    ar: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EspKey:
    """What opens one direction of a CHILD SA."""

    suite: CipherSuite
    key: bytes = field(repr=False)
    integrity_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by SPIs. `problems` names the rows that were passed over, and why (no row's secrets)."""

    ike: Mapping[tuple[bytes, bytes], tuple[IkeKey, ...]] = field(default_factory=dict)
    """By initiator's and responder's SPI; several, in order, where IKE_INTERMEDIATE renewed them."""
    esp: Mapping[tuple[str, bytes], EspKey] = field(default_factory=dict)
    """By destination address and SPI."""
    problems: tuple[str, ...] = ()

    @classmethod
    def load(cls, directory: Path) -> "Keyring":
        """Read a profile folder. Raises UsageError when it is none or cannot be read."""
        if not directory.is_dir():
            raise UsageError(f"{directory} is not a folder of keys (ikesim run --keys DIR writes one)")
        ike: dict[tuple[bytes, bytes], tuple[IkeKey, ...]] = {}
        esp: dict[tuple[str, bytes], EspKey] = {}
        problems: list[str] = []
        for where, row in _rows(directory / IKE_TABLE):
            try:
                spis = _octets(row[0]), _octets(row[1])
                ike[spis] = (*ike.get(spis, ()), _ike_key(row))
            except (ValueError, IndexError, UnsupportedAlgorithmError) as error:
                problems.append(f"{where}: {_cause(error)}")
        for where, row in _rows(directory / ESP_TABLE):
            try:
                esp[str(ip_address(row[2])), _octets(row[3])] = _esp_key(row)
            except (ValueError, IndexError, UnsupportedAlgorithmError) as error:
                problems.append(f"{where}: {_cause(error)}")
        return cls(ike, esp, tuple(problems))


def _rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    for number, row in enumerate(csv.reader(lines), 1):
        if row and not row[0].startswith("#"):
            yield f"{file.name} row {number}", row


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _cause(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "fields are missing"
    named = isinstance(error, (UnsupportedAlgorithmError, _UnknownName))
    return str(error) if named else "a field does not parse"


class _UnknownName(ValueError):
    """An algorithm name that is not Wireshark 4.0's, or one that we do not implement."""


def _ike_key(row: list[str]) -> IkeKey:
    ei, er, ai, ar = (_octets(row[index]) for index in (2, 3, 5, 6))
    suite = _IKE_SUITES.get((row[4], row[7]))
    if suite is None:
        raise _UnknownName(f"{row[4]!r} with {row[7]!r} is not supported")
    if len(ei) != suite.key_length or len(er) != suite.key_length:
        raise _UnknownName(f"{row[4]} takes keys of {suite.key_length} octets")
    return IkeKey(suite, ei, er, ai, ar)


def _esp_key(row: list[str]) -> EspKey:
    key, integrity_key = _octets(row[5]), _octets(row[7])
    suite = _ESP_SUITES.get((row[4], row[6], len(key)))
    if suite is None:
        raise _UnknownName(f"{row[4]!r} with {row[6]!r} and a key of {len(key)} octets is not supported")
    return EspKey(suite, key, integrity_key)


def _suites() -> Iterator[CipherSuite]:
    """Every suite that Wireshark may have a name for."""
    for encryption in EncryptionId:
        for bits in (None, 128, 192, 256):
            for integrity in _INTEGRITIES:
                try:
                    yield cipher_suite(encryption, bits, integrity)
                except UnsupportedAlgorithmError:
                    continue


_IKE_SUITES = {
    (name, ike_integrity(suite) or ""): suite for suite in _suites() if (name := ike_encryption_name(suite))
}
_ESP_SUITES = {
    (name, esp_integrity(suite) or "", suite.key_length): suite
    for suite in _suites()
    if (name := esp_encryption_name(suite))
}
