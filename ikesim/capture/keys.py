"""A Wireshark profile that opens our captures: the keys of every SA, in the folder that the user asked for.

A folder with four files, which `WIRESHARK_CONFIG_DIR=FOLDER wireshark capture.pcapng` reads:
`ikev2_decryption_table` and `esp_sa` (a row for each IKE SA and for each direction of a CHILD SA, appended when
their keys are made), `decode_as_entries` (our ports) and `preferences`. Whoever can read the folder can read the
traffic: it is made with mode 0700 and its files with 0600, and nothing of it exists unless a KeyLog was asked for.

Which algorithms are supported, and by which names, is that of Wireshark 4.0 (packet-isakmp.c and packet-ipsec.c); the
tests have an installed tshark decrypt a message of each.
"""

import os
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import IO

from ikesim.crypto.ciphers import CipherSuite
from ikesim.errors import UsageError
from ikesim.ike.config import EndpointConfig
from ikesim.ike.ids import SaId
from ikesim.ike.sa import InstalledChild, InstalledIke
from ikesim.wire.registry import EncryptionId, IntegrityId, name

Installed = InstalledIke | InstalledChild

IKE_TABLE = "ikev2_decryption_table"
ESP_TABLE = "esp_sa"
DECODE_AS = "decode_as_entries"
PREFERENCES = "preferences"
PREFERENCE_LINES = ("esp.enable_encryption_decode: TRUE", "esp.enable_authentication_check: TRUE")
KNOWN_PORTS = (500, 4500)
"""Ports that Wireshark decodes by itself."""
ROWS_REMEMBERED = 4096
"""Rows not to repeat, as when both ends of an SA live in one process; a row is some 300 octets."""

_AEAD_ICV: dict[int, tuple[str, int]] = {
    EncryptionId.AES_CCM_8: ("CCM", 8),
    EncryptionId.AES_CCM_12: ("CCM", 12),
    EncryptionId.AES_CCM_16: ("CCM", 16),
    EncryptionId.AES_GCM_8: ("GCM", 8),
    EncryptionId.AES_GCM_12: ("GCM", 12),
    EncryptionId.AES_GCM_16: ("GCM", 16),
}
_IKE_INTEGRITY: dict[int | None, str] = {
    None: "NONE [RFC4306]",
    IntegrityId.HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    IntegrityId.HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    IntegrityId.HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    IntegrityId.HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
}
_ESP_INTEGRITY: dict[int | None, str] = {
    None: "NULL",
    IntegrityId.HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    IntegrityId.HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    IntegrityId.HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    IntegrityId.HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
}


def ike_encryption_name(suite: CipherSuite) -> str | None:
    """Wireshark's name for an IKE SA's encryption, None where it cannot decrypt."""
    if suite.encryption in _AEAD_ICV:
        mode, icv = _AEAD_ICV[suite.encryption]
        return f"AES-{mode}-{suite.key_bits} with {icv} octet ICV [RFC5282]"
    names: dict[int, str] = {
        EncryptionId.AES_CBC: f"AES-CBC-{suite.key_bits} [RFC3602]",
        EncryptionId.AES_CTR: f"AES-CTR-{suite.key_bits} [RFC5930]",
        EncryptionId.NULL: "NULL [RFC2410]",
    }
    return names.get(suite.encryption)


def esp_encryption_name(suite: CipherSuite) -> str | None:
    """Wireshark's name for a CHILD SA's encryption, None where it cannot decrypt."""
    if suite.encryption in _AEAD_ICV:
        mode, icv = _AEAD_ICV[suite.encryption]
        return f"AES-GCM with {icv} octet ICV [RFC4106]" if mode == "GCM" else None
    names: dict[int, str] = {
        EncryptionId.AES_CBC: "AES-CBC [RFC3602]",
        EncryptionId.AES_CTR: "AES-CTR [RFC3686]",
        EncryptionId.NULL: "NULL",
    }
    return names.get(suite.encryption)


def ike_integrity(suite: CipherSuite) -> str | None:
    """Wireshark's name for an IKE SA's integrity transform, None where it cannot check it."""
    return _IKE_INTEGRITY.get(suite.integrity)


def esp_integrity(suite: CipherSuite) -> str | None:
    """Wireshark's name for a CHILD SA's integrity transform, None where it cannot check it."""
    return _ESP_INTEGRITY.get(suite.integrity)


class KeyLog:
    """The profile in `directory`. Its :meth:`install` is what `Hooks.on_install` wants.

    `warn` gets one sentence for each algorithm that Wireshark cannot decrypt, once each.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None] = lambda text: None) -> None:
        """Make or continue the profile. Raises UsageError when the folder cannot be made or written."""
        self.directory = directory
        self._warn = warn
        self._warned: set[str] = set()
        self._rows: dict[tuple[str, str], None] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files = {table: _open(directory / table) for table in (IKE_TABLE, ESP_TABLE)}
            self._add_lines(PREFERENCES, PREFERENCE_LINES)
        except OSError as error:
            raise UsageError(f"the key log {directory} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """End the log; rows stay."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> "KeyLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def decode_ports_of(self, config: EndpointConfig) -> None:
        """Have Wireshark decode the ports that an endpoint listens on or sends to, where it does not by itself."""
        marked = {address.port for address in (*config.listen, *config.listen_nat_t)}
        for connection in config.connections.values():
            for remote in (connection.remote, connection.remote_nat_t):
                if remote is not None:
                    marked.add(remote.port)
        bare: set[int] = set()
        if config.framing == "bare-init":
            bare = {address.port for address in config.listen}
        self.decode_ports(marked=marked - bare, bare=bare)

    def decode_ports(self, *, marked: Iterable[int] = (), bare: Iterable[int] = ()) -> None:
        """Have Wireshark decode UDP ports: `marked` carry ESP and marked IKE, `bare` carry IKE without a marker."""
        rows = [(port, "UDPENCAP") for port in sorted(marked)] + [(port, "ISAKMP") for port in sorted(bare)]
        lines = [f"decode_as_entry: udp.port,{port},(none),{what}" for port, what in rows if port not in KNOWN_PORTS]
        self._add_lines(DECODE_AS, lines)

    def install(self, sa: SaId | None, installed: Installed) -> None:
        """Write down the keys of an IKE or CHILD SA that has just got them."""
        if isinstance(installed, InstalledIke):
            self.add_ike(installed)
        else:
            self.add_child(installed)

    def add_ike(self, installed: InstalledIke) -> None:
        """A row for an IKE SA."""
        suite, keys = installed.suite, installed.keys
        encryption, integrity = ike_encryption_name(suite), ike_integrity(suite)
        if encryption is None or integrity is None:
            self._cannot_decrypt("IKE", suite)
            return
        row = [
            installed.spi_i.hex(),
            installed.spi_r.hex(),
            keys.ei.hex(),
            keys.er.hex(),
            f'"{encryption}"',
            keys.ai.hex(),
            keys.ar.hex(),
            f'"{integrity}"',
        ]
        self._append(IKE_TABLE, row)

    def add_child(self, installed: InstalledChild) -> None:
        """A row for each direction of a CHILD SA."""
        suite, keys = installed.suite, installed.keys
        encryption, integrity = esp_encryption_name(suite), esp_integrity(suite)
        if encryption is None or integrity is None:
            self._cannot_decrypt("ESP", suite)
            return
        local, remote = installed.path.local.host, installed.path.remote.host
        initiator, responder = (keys.ei, keys.ai), (keys.er, keys.ar)
        ours, theirs = (initiator, responder) if installed.initiator else (responder, initiator)
        for source, destination, spi, (key, integrity_key) in (
            (local, remote, installed.spi_out, ours),
            (remote, local, installed.spi_in, theirs),
        ):
            row = [
                f"IPv{ip_address(source).version}",
                source,
                destination,
                f"0x{spi.hex()}",
                encryption,
                f"0x{key.hex()}" if key else "",
                integrity,
                f"0x{integrity_key.hex()}" if integrity_key else "",
            ]
            self._append(ESP_TABLE, [f'"{field}"' for field in row])
        if installed.esn:
            self._say("extended sequence numbers: Wireshark 4.0 decrypts such ESP but calls its ICV bad")

    def _cannot_decrypt(self, what: str, suite: CipherSuite) -> None:
        algorithm = name(EncryptionId, suite.encryption)
        if suite.integrity is not None:
            algorithm += f" with {name(IntegrityId, suite.integrity)}"
        self._say(f"Wireshark 4.0 cannot decrypt {what} with {algorithm}: the capture shows it encrypted")

    def _say(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._warn(sentence)

    def _append(self, table: str, fields: list[str]) -> None:
        row = ",".join(fields) + "\n"
        if (table, row) in self._rows:
            return
        if len(self._rows) >= ROWS_REMEMBERED:
            del self._rows[next(iter(self._rows))]
        self._rows[table, row] = None
        self._files[table].write(row)
        self._files[table].flush()

    def _add_lines(self, table: str, lines: Iterable[str]) -> None:
        path = self.directory / table
        held = path.read_text().splitlines() if path.exists() else []
        with _open(path) as file:
            file.writelines(f"{line}\n" for line in lines if line not in held)


def _open(path: Path) -> IO[str]:
    """A file to append to that only its owner can read, also when it was there before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return open(descriptor, "a", encoding="utf-8")
