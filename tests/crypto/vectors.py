"""Known answers that tests of crypto/ and esp/ read: `shared/vectors`, and those that come with cryptography."""

import json
import struct
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cryptography_vectors

from ikesim.crypto.ciphers import CipherSuite, cipher_suite

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy names ciphers that cryptography is about to move
    from scapy.layers.inet import UDP
    from scapy.utils import rdpcap

NON_ESP_MARKER = bytes(4)


@cache
def load(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text())


def nist(*path: str) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Records of a file in NIST's format: (bracketed settings, fields); a field without value is ""."""
    settings: dict[str, str] = {}
    record: dict[str, str] = {}
    with cryptography_vectors.open_vector_file("/".join(path), "r") as file:
        for line in (*file.read().splitlines(), ""):
            line = line.strip()
            if line.startswith("["):
                key, _, value = line.strip("[]").partition("=")
                settings = {**settings, key.strip(): value.strip()}
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                record[key.strip()] = value.strip()
            elif not line and record:
                yield settings, record
                record = {}


@cache
def datagrams(capture: Path) -> tuple[bytes, ...]:
    """The UDP payloads of a capture, one for each frame (b"" where there is none)."""
    return tuple(bytes(packet[UDP].payload) if UDP in packet else b"" for packet in rdpcap(str(capture)))


def entry(shared_vectors: Path, file: str) -> Any:
    """What a correct decoder finds in a capture."""
    captures = load(shared_vectors / "captures" / "expectations.json")["captures"]
    return next(capture for capture in captures if capture["file"] == file)


def ike_octets(capture: Path, message: Any) -> bytes:
    """The octets of an IKE message that `expectations.json` describes, without the non-ESP marker."""
    octets = datagrams(capture)[message["frame"] - 1]
    return octets.removeprefix(NON_ESP_MARKER) if message["non_esp_marker"] else octets


class Protected(NamedTuple):
    """An SK or SKF payload of a capture with known keys: what goes into opening it, and what must come out."""

    message: Any
    payload: Any
    suite: CipherSuite
    key: bytes
    mac_key: bytes
    octets: bytes
    start: int
    """Where the IV starts in `octets`."""

    def open(self) -> bytes:
        """The padded plaintext. Raises IntegrityError."""
        aad, sealed = self.octets[: self.start], memoryview(self.octets)[self.start :]
        return self.suite.open(self.key, self.mac_key, aad=aad, sealed=sealed)


def protected(shared_vectors: Path, file: str) -> Iterator[Protected]:
    """Every SK and SKF payload of the SAs whose keys are known, in order."""
    expected, capture = entry(shared_vectors, file), shared_vectors / "captures" / file
    for keys in expected["keys"]:
        suite = cipher_suite(keys["encr"], keys["key_length"], keys["integ"])
        for message in expected["messages"]:
            payload = message["payloads"][-1] if message["payloads"] else {}
            if message["initiator_spi"] != keys["initiator_spi"] or payload.get("type") not in (46, 53):
                continue
            octets = ike_octets(capture, message)
            start = len(octets) - payload["length"] + (4 if payload["type"] == 46 else 8)
            side = "i" if message["flags"] & 8 else "r"
            key, mac_key = (bytes.fromhex(keys.get(f"SK_{kind}{side}") or "") for kind in "ea")
            yield Protected(message, payload, suite, key, mac_key, octets, start)


def chains(shared_vectors: Path, file: str) -> Iterator[tuple[Any, list[Any], bytes]]:
    """(message, inner payloads as expected, the octets of their chain), fragments joined."""
    chain = b""
    for item in protected(shared_vectors, file):
        plaintext = item.open()
        chain += plaintext[: -1 - plaintext[-1]]
        number, total = struct.unpack_from("!HH", item.octets, item.start - 4)
        if item.payload["type"] == 46 or number == total:
            yield item.message, item.payload["payloads"], chain
            chain = b""
