"""Payload bodies, each written once: the value and its octets, by hand from the figures of RFC 7296 and RFC 7383.

`open_from` is the number of octets after which a body may end anywhere (its last field has no length of its own).
Without it every octet is accounted for: a longer body is an error, a shorter one too unless it stands in `whole_at`.
"""

from dataclasses import dataclass

from ikesim.wire.payloads import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    KE,
    SA,
    SKF,
    Body,
    Delete,
    IDi,
    IDr,
    Nonce,
    Notify,
    TSi,
    TSr,
    VendorId,
)
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.selectors import TrafficSelector


@dataclass(frozen=True)
class Case:
    name: str
    value: Body
    octets: bytes
    open_from: int | None = None
    whole_at: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name


def _case(name: str, value: Body, text: str, open_from: int | None = None, whole_at: tuple[int, ...] = ()) -> Case:
    return Case(name, value, bytes.fromhex(text), open_from, whole_at)


IPV4_ALL = TrafficSelector(7, 0, 0, 65535, bytes(4), b"\xff" * 4)

CASES = (
    _case(
        "sa-ike",
        SA(
            (
                Proposal(1, 1, b"", (Transform(1, 20, 128), Transform(2, 5), Transform(4, 31))),
                Proposal(2, 1, b"", (Transform(1, 12, 256), Transform(3, 12), Transform(2, 5), Transform(4, 14))),
            )
        ),
        # proposal 1: 8 + 12 + 8 + 8 = 36 octets, more follow
        "02 00 0024 01 01 00 03"
        "03 00 000c 01 00 0014 800e 0080"
        "03 00 0008 02 00 0005"
        "00 00 0008 04 00 001f"
        # proposal 2: 8 + 12 + 8 + 8 + 8 = 44 octets, last
        "00 00 002c 02 01 00 04"
        "03 00 000c 01 00 000c 800e 0100"
        "03 00 0008 03 00 000c"
        "03 00 0008 02 00 0005"
        "00 00 0008 04 00 000e",
    ),
    _case(
        "sa-esp",
        SA((Proposal(1, 3, bytes.fromhex("c0ffee01"), (Transform(1, 20, 256), Transform(5, 1))),)),
        "00 00 0020 01 03 04 02 c0ffee01  03 00 000c 01 00 0014 800e 0100  00 00 0008 05 00 0001",
    ),
    _case(
        "sa-rekey-of-ike",
        SA((Proposal(7, 1, bytes.fromhex("0102030405060708"), (Transform(2, 7),)),)),
        "00 00 0018 07 01 08 01 0102030405060708  00 00 0008 02 00 0007",
    ),
    _case(
        "sa-unknown-attributes",
        SA((Proposal(1, 1, b"", (Transform(1, 65000, 128, ((17, b"\x01\x02\x03"), (18, 5))), Transform(4, 31))),)),
        # the long attribute is 4 + 3 octets, so the transform is 8 + 4 + 7 + 4
        "00 00 0027 01 01 00 02  03 00 0017 01 00 fde8 800e 0080 0011 0003 010203 8012 0005  00 00 0008 04 00 001f",
    ),
    _case(
        "sa-long-key-length-is-not-understood",
        SA((Proposal(1, 1, b"", (Transform(1, 12, None, ((14, b"\x00\x80"),)),)),)),
        "00 00 0016 01 01 00 01  00 00 000e 01 00 000c 000e 0002 0080",
    ),
    _case("sa-no-transforms", SA((Proposal(1, 3, b"\1\2\3\4", ()),)), "00 00 000c 01 03 04 00 01020304"),
    _case("ke", KE(31, bytes(range(32))), "001f 0000" + bytes(range(32)).hex(), 4),
    _case("id-initiator-fqdn", IDi(2, b"alice.example"), "02 000000" + b"alice.example".hex(), 4),
    _case("id-responder-ipv4", IDr(1, bytes((192, 0, 2, 1))), "01 000000 c0000201", 4),
    _case("id-reserved-kept", IDi(11, b"k", reserved=b"\1\2\3"), "0b 010203 6b", 4),
    _case("id-null", IDi(13, b""), "0d 000000", 4),
    _case("cert", CERT(4, b"\x30\x03\x02\x01\x05"), "04 3003020105", 1),
    _case(
        "cert-hash-and-url",
        CERT(12, b"\x5c" * 20 + b"http://pki.example/alice.der"),
        "0c" + "5c" * 20 + b"http://pki.example/alice.der".hex(),
        1,
    ),
    _case("certreq", CERTREQ(4, b"\xaa" * 20 + b"\xbb" * 20), "04" + "aa" * 20 + "bb" * 20, 1),
    _case("certreq-empty", CERTREQ(4, b""), "04", 1),
    _case("auth", AUTH(14, b"\x0c" + bytes(12)), "0e 000000 0c" + "00" * 12, 4),
    _case("auth-reserved-kept", AUTH(1, b"\xff", reserved=b"\3\2\1"), "01 030201 ff", 4),
    _case("nonce-shortest", Nonce(bytes(range(16))), bytes(range(16)).hex(), 16),
    _case("nonce-longest", Nonce(b"\x5a" * 256), "5a" * 256, 16),
    _case("notify-bare", Notify(16384), "00 00 4000", 4),
    _case("notify-cookie", Notify(16390, b"\xc0" * 64), "00 00 4006" + "c0" * 64, 5),
    _case("notify-invalid-ke", Notify(17, b"\x00\x13"), "00 00 0011 0013"),
    _case("notify-nat", Notify(16388, b"\x11" * 20), "00 00 4004" + "11" * 20),
    _case("notify-rekey-sa", Notify(16393, b"", 3, b"\xde\xad\xbe\xef"), "03 04 4009 deadbeef", 8),
    _case("notify-window", Notify(16385, b"\0\0\0\5"), "00 00 4001 00000005"),
    _case("notify-of-the-ike-sa", Notify(43, b"", 1), "01 00 002b", 4),
    _case("notify-unknown", Notify(40961, b"hello"), "00 00 a001 68656c6c6f", 4),
    _case("delete-ike", Delete(1), "01 00 0000"),
    _case("delete-esp", Delete(3, (b"\1\2\3\4", b"\5\6\7\x08")), "03 04 0002 01020304 05060708"),
    _case("vendor-id", VendorId(b"ikesim"), "696b6573696d", 0),
    _case("ts-initiator-ipv4", TSi((IPV4_ALL,)), "01 000000  07 00 0010 0000 ffff 00000000 ffffffff"),
    _case(
        "ts-responder-mixed",
        TSr(
            (
                TrafficSelector(7, 6, 80, 80, bytes((10, 2, 0, 0)), bytes((10, 2, 0, 255))),
                TrafficSelector(8, 17, 65535, 0, b"\x20\x01\x0d\xb8" + bytes(12), b"\x20\x01\x0d\xb8" + b"\xff" * 12),
            )
        ),
        "02 000000"
        "07 06 0010 0050 0050 0a020000 0a0200ff"
        "08 11 0028 ffff 0000 20010db8000000000000000000000000 20010db8ffffffffffffffffffffffff",
    ),
    _case(
        "ts-one-address",
        TSi((TrafficSelector(7, 0, 0, 65535, bytes((192, 0, 2, 66)), bytes((192, 0, 2, 66))),)),
        "01 000000  07 00 0010 0000 ffff c0000242 c0000242",
    ),
    _case(
        "ts-unknown-type",
        TSi((IPV4_ALL, TrafficSelector(10, 0, 0, 0, b"label", b""), TrafficSelector(99, 6, 0, 0, b"", b""))),
        "03 000000  07 00 0010 0000 ffff 00000000 ffffffff  0a 00 0009 6c6162656c  63 06 0004",
    ),
    _case(
        "cp-request",
        CP(1, ((1, b""), (8, bytes(16) + b"\x40"), (16000, b"x"))),
        "01 000000  0001 0000  0008 0011 00000000000000000000000000000000 40  3e80 0001 78",
        # attributes are not counted: the body may end after any of them
        whole_at=(4, 8, 29),
    ),
    _case("eap", EAP(bytes.fromhex("0105000501")), "0105000501", 0),
    _case("skf-alone", SKF(1, 1, b"sealed"), "0001 0001 7365616c6564", 4),
    _case("skf", SKF(2, 3, b"sealed"), "0002 0003 7365616c6564", 4),
)


@dataclass(frozen=True)
class Fault:
    """A body that must be refused: where the error stands in it, and by which section."""

    name: str
    kind: int
    octets: bytes
    offset: int
    rule: str

    def __str__(self) -> str:
        return self.name


def _fault(name: str, kind: int, text: str, offset: int, rule: str) -> Fault:
    return Fault(name, kind, bytes.fromhex(text), offset, rule)


FAULTS = (
    _fault("sa-empty", 33, "", 0, "RFC 7296 3.3.1"),
    _fault("sa-header-cut", 33, "00 00 0008 01 01 00", 0, "RFC 7296 3.3.1"),
    _fault("sa-more-but-none", 33, "02 00 0010 01 01 00 01  00 00 0008 02 00 0005", 16, "RFC 7296 3.3.1"),
    _fault("sa-last-but-more", 33, "00 00 0010 01 01 00 01  00 00 0008 02 00 0005  00", 16, "RFC 7296 3.3.1"),
    _fault(
        "sa-last-but-a-whole-one-follows",
        33,
        "00 00 0010 01 01 00 01  00 00 0008 02 00 0005  00 00 0010 02 01 00 01  00 00 0008 02 00 0007",
        16,
        "RFC 7296 3.3.1",
    ),
    _fault("sa-more-octet", 33, "01 00 0010 01 01 00 01  00 00 0008 02 00 0005", 0, "RFC 7296 3.3.1"),
    _fault("proposal-length-zero", 33, "00 00 0000 01 01 00 01  00 00 0008 02 00 0005", 2, "RFC 7296 3.3.1"),
    _fault("proposal-length-seven", 33, "00 00 0007 01 01 00 00", 2, "RFC 7296 3.3.1"),
    _fault("proposal-overshoots", 33, "00 00 0011 01 01 00 01  00 00 0008 02 00 0005", 2, "RFC 7296 3.3.1"),
    _fault("proposal-spi-overshoots", 33, "00 00 0010 01 07 09 01  00 00 0008 02 00 0005", 6, "RFC 7296 3.3.1"),
    _fault("proposal-esp-spi-8", 33, "00 00 0010 01 03 08 00  0102030405060708", 6, "RFC 7296 3.3.1"),
    _fault("proposal-esp-no-spi", 33, "00 00 0010 01 03 00 01  00 00 0008 01 00 0014", 6, "RFC 7296 3.3.1"),
    _fault("proposal-ike-spi-4", 33, "00 00 000c 01 01 04 00  01020304", 6, "RFC 7296 3.3.1"),
    _fault("proposal-number-repeats", 33, "02 00 0008 01 01 00 00  00 00 0008 01 01 00 00", 12, "RFC 7296 3.3.1"),
    _fault("proposal-number-jumps", 33, "02 00 0008 01 01 00 00  00 00 0008 03 01 00 00", 12, "RFC 7296 3.3.1"),
    _fault("proposal-numbers-from-2", 33, "02 00 0008 02 01 00 00  00 00 0008 03 01 00 00", 4, "RFC 7296 3.3.1"),
    _fault("transform-count-too-high", 33, "00 00 0010 01 01 00 02  00 00 0008 02 00 0005", 8, "RFC 7296 3.3.1"),
    _fault("transform-count-zero-lies", 33, "00 00 0010 01 01 00 00  00 00 0008 02 00 0005", 8, "RFC 7296 3.3.1"),
    _fault("transform-header-cut", 33, "00 00 000c 01 01 00 01  00 00 0004", 8, "RFC 7296 3.3.2"),
    _fault("transform-length-zero", 33, "00 00 0010 01 01 00 01  00 00 0000 02 00 0005", 10, "RFC 7296 3.3.2"),
    _fault("transform-overshoots", 33, "00 00 0010 01 01 00 01  00 00 0009 02 00 0005", 10, "RFC 7296 3.3.2"),
    _fault("transform-more-but-none", 33, "00 00 0010 01 01 00 01  03 00 0008 02 00 0005", 16, "RFC 7296 3.3.2"),
    _fault("transform-last-but-more", 33, "00 00 0011 01 01 00 01  00 00 0008 02 00 0005 00", 16, "RFC 7296 3.3.2"),
    _fault(
        "transform-last-but-a-whole-one-follows",
        33,
        "00 00 0018 01 01 00 02  00 00 0008 02 00 0005  00 00 0008 02 00 0007",
        16,
        "RFC 7296 3.3.2",
    ),
    _fault("transform-more-octet", 33, "00 00 0010 01 01 00 01  02 00 0008 02 00 0005", 8, "RFC 7296 3.3.2"),
    _fault("attribute-cut", 33, "00 00 0013 01 01 00 01  00 00 000b 01 00 000c 800e00", 16, "RFC 7296 3.3.5"),
    _fault(
        "attribute-overshoots", 33, "00 00 0014 01 01 00 01  00 00 000c 01 00 000c 0011 0001", 18, "RFC 7296 3.3.5"
    ),
    _fault(
        "attribute-twice",
        33,
        "00 00 0018 01 01 00 01  00 00 0010 01 00 000c 800e 0080 800e 0100",
        20,
        "RFC 7296 3.3.5",
    ),
    _fault("ke-short", 34, "001f 00", 0, "RFC 7296 3.4"),
    _fault("idi-short", 35, "02 0000", 0, "RFC 7296 3.5"),
    _fault("idr-empty", 36, "", 0, "RFC 7296 3.5"),
    _fault("cert-empty", 37, "", 0, "RFC 7296 3.6"),
    _fault("certreq-empty", 38, "", 0, "RFC 7296 3.7"),
    _fault("auth-short", 39, "0e 0000", 0, "RFC 7296 3.8"),
    _fault("nonce-15", 40, "00" * 15, 0, "RFC 7296 3.9"),
    _fault("nonce-257", 40, "00" * 257, 0, "RFC 7296 3.9"),
    _fault("notify-short", 41, "00 00 40", 0, "RFC 7296 3.10"),
    _fault("notify-spi-overshoots", 41, "09 05 4009 01020304", 1, "RFC 7296 3.10"),
    _fault("notify-esp-spi-3", 41, "03 03 4009 010203", 1, "RFC 7296 3.10"),
    _fault("notify-ike-spi-8", 41, "01 08 4000 0102030405060708", 1, "RFC 7296 3.10"),
    _fault("notify-cookie-empty", 41, "00 00 4006", 4, "RFC 7296 2.6"),
    _fault("notify-cookie-65", 41, "00 00 4006" + "00" * 65, 4, "RFC 7296 2.6"),
    _fault("notify-nat-19", 41, "00 00 4005" + "00" * 19, 4, "RFC 7296 2.23"),
    _fault("notify-invalid-ke-3", 41, "00 00 0011 000013", 4, "RFC 7296 1.2"),
    _fault("notify-hashes-odd", 41, "00 00 402f 000200", 4, "RFC 7427 4"),
    _fault("delete-short", 42, "03 04 00", 0, "RFC 7296 3.11"),
    _fault("delete-count-too-high", 42, "03 04 ffff 01020304", 2, "RFC 7296 3.11"),
    _fault("delete-count-too-low", 42, "03 04 0001 01020304 05060708", 2, "RFC 7296 3.11"),
    _fault("delete-spi-of-nothing", 42, "03 00 ffff", 1, "RFC 7296 3.11"),
    _fault("delete-ike-with-spi", 42, "01 08 0001 0102030405060708", 1, "RFC 7296 3.11"),
    _fault("delete-esp-spi-8", 42, "03 08 0001 0102030405060708", 1, "RFC 7296 3.11"),
    _fault("ts-short", 44, "01 0000", 0, "RFC 7296 3.13"),
    _fault("ts-none", 44, "00 000000", 0, "RFC 7296 2.9"),
    _fault("ts-count-too-high", 45, "02 000000  07 00 0010 0000 ffff 00000000 ffffffff", 0, "RFC 7296 3.13"),
    _fault(
        "ts-count-too-low",
        45,
        "01 000000  07 00 0010 0000 ffff 00000000 ffffffff  07 00 0010 0000 ffff 00000000 ffffffff",
        0,
        "RFC 7296 3.13",
    ),
    _fault("ts-selector-cut", 44, "01 000000  07 00 00", 4, "RFC 7296 3.13.1"),
    _fault("ts-selector-length-zero", 44, "01 000000  07 00 0000", 6, "RFC 7296 3.13.1"),
    _fault("ts-selector-overshoots", 44, "01 000000  07 00 0011 0000 ffff 00000000 ffffffff", 6, "RFC 7296 3.13.1"),
    _fault("ts-ipv4-of-12", 44, "01 000000  07 00 000c 0000 ffff 00000000", 6, "RFC 7296 3.13.1"),
    _fault("ts-ipv6-of-16", 44, "01 000000  08 00 0010 0000 ffff 00000000 ffffffff", 6, "RFC 7296 3.13.1"),
    _fault("ts-backwards", 44, "01 000000  07 00 0010 0000 ffff 0a000002 0a000001", 12, "RFC 7296 3.13.1"),
    _fault("ts-ports-backwards", 44, "01 000000  07 06 0010 0051 0050 0a000001 0a000002", 8, "RFC 7296 3.13.1"),
    _fault("cp-short", 47, "01 0000", 0, "RFC 7296 3.15"),
    _fault("cp-attribute-cut", 47, "01 000000  0001 00", 4, "RFC 7296 3.15.1"),
    _fault("cp-attribute-overshoots", 47, "01 000000  0001 0005 01020304", 6, "RFC 7296 3.15.1"),
    _fault("skf-short", 53, "0001 00", 0, "RFC 7383 2.5"),
    _fault("skf-number-zero", 53, "0000 0001", 0, "RFC 7383 2.5"),
    _fault("skf-total-zero", 53, "0001 0000", 0, "RFC 7383 2.5"),
    _fault("skf-number-above-total", 53, "0003 0002", 0, "RFC 7383 2.5"),
)
