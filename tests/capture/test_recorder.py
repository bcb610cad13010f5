"""The recorder: what tshark and scapy read back is what was sent, with the addresses it was sent from and to."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from struct import unpack

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from ikesim.capture.recorder import Recorder, ip_packet
from ikesim.errors import UsageError
from ikesim.wire import address
from ikesim.wire.address import Address
from tests.capture.tshark import read

FOUR = address.Path(Address("192.0.2.1", 500), Address("198.51.100.7", 4500))
SIX = address.Path(Address("2001:db8::1", 5500), Address("2001:db8::2", 65535))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 28, 1279, 65507])
@pytest.mark.parametrize("outbound", [True, False])
def test_headers_and_checksums_are_those_that_scapy_computes(length: int, outbound: bool) -> None:
    octets = bytes(i * 7 % 256 for i in range(length))
    for path in (FOUR, SIX):
        packet = ip_packet(octets, path, outbound=outbound, identification=70000)
        source, destination = (path.local, path.remote) if outbound else (path.remote, path.local)
        layer = (
            IPv6(src=source.host, dst=destination.host, hlim=64)
            if path is SIX
            else IP(src=source.host, dst=destination.host, id=70000 & 0xFFFF, flags="DF", ttl=64)
        )
        assert packet == bytes(layer / UDP(sport=source.port, dport=destination.port) / octets)


def test_a_checksum_of_zero_is_sent_as_all_ones() -> None:
    # RFC 768: the last two octets are chosen so that the sum is all ones and its complement zero.
    plain = ip_packet(bytes(2), SIX, outbound=True)
    complement = unpack("!H", plain[46:48])[0]
    packet = ip_packet(complement.to_bytes(2), SIX, outbound=True)
    assert packet[46:48] == b"\xff\xff"


def test_too_long_a_datagram_is_refused() -> None:
    with pytest.raises(ValueError, match="65508 octets"):
        ip_packet(bytes(65508), FOUR, outbound=True)


def test_tshark_shows_times_interfaces_and_directions(tmp_path: Path) -> None:
    file = tmp_path / "two.pcapng"
    with Recorder(file) as recorder:
        at = datetime(2026, 1, 1, 12, 0, 0, 250000, tzinfo=UTC)
        recorder.record(b"\xff", FOUR, at, outbound=True, endpoint="alice")
        recorder.record(b"\xff", FOUR, at.timestamp() + 1, outbound=False, endpoint="bob")
        recorder.record(b"\xff", SIX, at.timestamp() + 2, outbound=False)
    fields = (
        "frame.time_epoch",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "udp.srcport",
        "udp.dstport",
    )
    found = [tuple(packet.values()) for packet in read(file, None, *fields)]
    assert found == [
        ("1767268800.250000000", "alice", "0x00000002", "500", "4500"),
        ("1767268801.250000000", "bob", "0x00000001", "4500", "500"),
        ("1767268802.250000000", "unknown", "0x00000001", "65535", "5500"),
    ]


def test_the_file_of_a_killed_process_holds_all_it_recorded(tmp_path: Path) -> None:
    file = tmp_path / "killed.pcapng"
    program = f"""
import sys
from pathlib import Path
from ikesim.capture.recorder import Recorder
from ikesim.wire import address
recorder = Recorder(Path({str(file)!r}))
path = address.Path(address.Address("192.0.2.1", 500), address.Address("192.0.2.2", 500))
for number in range(3):
    recorder.record(bytes(9000 + number), path, 1.0, outbound=True)
print("recorded", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [packet["udp.length"] for packet in read(file, None, "udp.length")] == ["9008", "9009", "9010"]


def test_a_capture_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the capture .* cannot be written: No such file or directory"):
        Recorder(tmp_path / "nowhere" / "a.pcapng")


def test_recording_needs_no_scapy_until_someone_records() -> None:
    program = "import sys, ikesim.capture.recorder; print('scapy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
