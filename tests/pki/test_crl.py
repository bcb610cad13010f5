"""Reading CRLs, against the parser of `cryptography`: fields, entries, limits and the cache."""

import tracemalloc
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ikesim.pki import crl as crl_module
from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.crl import CRL_CACHE, Crl, CrlCache, serial_octets
from ikesim.pki.crl_scope import ALL_REASONS, read_distribution_points, read_reasons, reason_names
from ikesim.pki.der import DerError
from ikesim.pki.der_writer import bit_string, explicit, implicit, integer, oid, sequence, set_of, tlv, utc_time, utf8
from tests.pki.revocation_world import CRL, DAY, HOUR, NOW, World

ALGORITHM = sequence(oid("1.2.840.10045.4.3.2"))
KEY_COMPROMISE = bytes.fromhex("300c300a0603551d1504030a0101")


def wrap(entries: bytes) -> bytes:
    """A CRL around revokedCertificates as given; nobody signed it."""
    name = sequence(set_of([sequence(oid("2.5.4.3"), utf8("north"))]))
    times = utc_time(NOW) + utc_time(NOW + DAY)
    return sequence(sequence(integer(1), ALGORITHM, name, times, sequence(entries)), ALGORITHM, bit_string(b"none"))


def entry(serial: bytes, rest: bytes = b"") -> bytes:
    return sequence(tlv(0x02, serial), utc_time(NOW), rest)


def test_entries_are_those_that_cryptography_finds() -> None:
    reasons = [reason for reason in x509.ReasonFlags if reason is not x509.ReasonFlags.unspecified]
    builder = x509.CertificateRevocationListBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "north")]), NOW, NOW + DAY
    )
    serials = [
        1,
        127,
        128,
        255,
        256,
        2**63,
        2**64 - 1,
        2**152 + 7,
        2**159 - 1,
        *(97**n % 2**158 for n in range(2, 60)),
    ]
    for position, serial in enumerate(dict.fromkeys(serials)):
        revoked = x509.RevokedCertificateBuilder(serial, NOW - timedelta(hours=position))
        if position % 3:
            revoked = revoked.add_extension(x509.CRLReason(reasons[position % len(reasons)]), critical=False)
        if position % 5 == 0:
            revoked = revoked.add_extension(x509.InvalidityDate(NOW.replace(tzinfo=None)), critical=False)
        builder = builder.add_revoked_certificate(revoked.build())
    theirs = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    ours = Crl(theirs.public_bytes(Encoding.DER))
    assert ours.count == len(theirs)
    for serial in serials:
        expected = theirs.get_revoked_certificate_by_serial_number(serial)
        assert expected is not None
        (found,) = ours.find(serial)
        assert found.date == expected.revocation_date_utc
        code = [item.value.reason.value for item in expected.extensions if isinstance(item.value, x509.CRLReason)]
        assert found.reason == (code[0] if code else None)
        for near in (serial - 1, serial + 1, serial << 8, -serial):
            assert bool(ours.find(near)) is (near in serials)


def test_every_crl_of_pkits_reads_as_cryptography_reads_it(shared_vectors: Path) -> None:
    files = sorted((shared_vectors / "pkits" / "crls").glob("*.crl"))
    assert len(files) == 173
    for file in files:
        der = file.read_bytes()
        ours, theirs = Crl(der), x509.load_der_x509_crl(der)
        assert ours.issuer.der == theirs.issuer.public_bytes()
        assert (ours.this_update, ours.next_update) == (theirs.last_update_utc, theirs.next_update_utc)
        assert bytes(ours.to_be_signed) == theirs.tbs_certlist_bytes
        known = {item.oid.dotted_string: item.value for item in theirs.extensions}
        number, delta = known.get("2.5.29.20"), known.get("2.5.29.27")
        assert ours.number == (number.crl_number if isinstance(number, x509.CRLNumber) else None)
        assert ours.base_number == (delta.crl_number if isinstance(delta, x509.DeltaCRLIndicator) else None)
        assert ours.count == len(theirs)
        for revoked in theirs:
            assert NOW > ours.find(revoked.serial_number)[0].date == revoked.revocation_date_utc
        point = known.get("2.5.29.28")
        assert (ours.idp is None) is (point is None)
        if isinstance(point, x509.IssuingDistributionPoint) and ours.idp is not None:
            assert (ours.idp.only_user, ours.idp.only_ca) == (
                point.only_contains_user_certs,
                point.only_contains_ca_certs,
            )
            assert (ours.idp.indirect, ours.idp.only_attribute) == (
                point.indirect_crl,
                point.only_contains_attribute_certs,
            )
            flags = None if point.only_some_reasons is None else {reason.value for reason in point.only_some_reasons}
            assert (set(reason_names(ours.idp.reasons)) == flags) if flags else ours.idp.reasons == ALL_REASONS


@pytest.mark.parametrize(
    ("serial", "octets"),
    [
        (0, "00"),
        (1, "01"),
        (-1, "ff"),
        (127, "7f"),
        (128, "0080"),
        (-128, "80"),
        (-129, "ff7f"),
        (255, "00ff"),
        (2**63, "008000000000000000"),
        (-(2**63), "8000000000000000"),
    ],
)
def test_serials_are_the_octets_of_der(serial: int, octets: str) -> None:
    assert serial_octets(serial).hex() == octets  # X.690 8.3


def test_negative_and_needlessly_long_serials_are_the_numbers_that_they_are() -> None:
    crl = Crl(wrap(entry(b"\x80") + entry(b"\x00\x00\x05") + entry(b"\xff\xff\xff\xfe") + entry(b"\x00\x80")))
    for serial in (-128, 5, -2, 128):
        assert len(crl.find(serial)) == 1
    for serial in (0x80 << 8, -5, 254, 0, -1):
        assert crl.find(serial) == []


def test_serial_that_stands_there_twice_gives_both_entries_in_order() -> None:
    crl = Crl(wrap(entry(b"\x07") + entry(b"\x05", KEY_COMPROMISE) + entry(b"\x05")))
    assert [found.reason for found in crl.find(5)] == ["keyCompromise", None]


BROKEN_ENTRIES = {
    "no sequence": tlv(0x31, b"\x02\x01\x05"),
    "no serial": sequence(utc_time(NOW)),
    "no date": sequence(integer(5)),
    "date of another type": sequence(integer(5), utf8("today")),
    "empty serial": sequence(b"\x02\x00", utc_time(NOW)),
    "runs past its parent": b"\x30\x20" + integer(5) + utc_time(NOW),
    "serial runs past": b"\x30\x13\x02\x7f" + b"\x00" * 17,
    "date runs past": b"\x30\x05\x02\x01\x05\x17\x0d",
    "octets after the date": entry(b"\x05", b"\x00"),
    "extensions of another type": entry(b"\x05", utf8("x")),
    "half a header": b"\x30",
}


@pytest.mark.parametrize("name", BROKEN_ENTRIES)
def test_broken_entry_is_a_named_error_on_lookup_and_does_not_touch_the_header(name: str) -> None:
    crl = Crl(wrap(entry(b"\x01") + BROKEN_ENTRIES[name]))
    assert crl.next_update == NOW + DAY
    with pytest.raises(DerError):
        crl.find(1)


def test_long_form_lengths_are_read() -> None:
    long = entry(b"\x05", sequence(tlv(0x30, _comment(150))))
    assert long[1] == 0x81
    crl = Crl(wrap(entry(b"\x04") + long + entry(b"\x06")))
    assert len(crl.find(5)) == 1


def _comment(length: int) -> bytes:
    """The content of an extension that nobody knows, not critical, with a value of `length` octets."""
    return oid("1.3.6.1.4.1.99999.1") + tlv(0x04, b"x" * length)


def test_unknown_critical_entry_extension_is_found_wherever_it_stands() -> None:
    plain = sequence(sequence(oid("1.2.3.4"), tlv(0x04, b"")))
    critical = sequence(sequence(oid("1.2.3.4"), b"\x01\x01\xff", tlv(0x04, b"")))
    assert Crl(wrap(entry(b"\x01", plain) + entry(b"\x02", plain))).critical_entry_extension is None
    assert Crl(wrap(entry(b"\x01", plain) + entry(b"\x02", critical))).critical_entry_extension == "1.2.3.4"


def test_crl_cut_anywhere_or_with_an_octet_changed_is_read_or_a_named_error() -> None:
    root = Authority.create("north", now=NOW)
    der = root.crl(
        NOW, entries=[(5, Revocation(NOW, "superseded"))], urls=("http://a.example/",), only_reasons=(1, 4)
    )
    for length in range(len(der)):
        with pytest.raises(DerError):
            Crl(der[:length])
    for position in range(len(der)):
        for change in (0x01, 0x80, 0xFF):
            broken = bytearray(der)
            broken[position] ^= change
            try:
                Crl(bytes(broken)).find(5)
            except DerError:
                continue


def test_many_entries_take_bounded_memory_and_few_steps() -> None:
    count, width = 30_000, 16
    serials = [1 << 126 | int.from_bytes(sha256(n.to_bytes(4, "big")).digest()[:15], "big") for n in range(count)]
    der = wrap(
        b"".join(entry(serial_octets(serial), KEY_COMPROMISE if n % 2 else b"") for n, serial in enumerate(serials))
    )
    tracemalloc.start()
    crl = Crl(der)
    assert tracemalloc.get_traced_memory()[1] < 100_000, "the header costs nothing in entries"
    assert crl.count == count
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < count * (width + 4) * 1.05
    assert peak < 4 * len(der)
    assert [found.reason for found in crl.find(serials[4711])] == ["keyCompromise"]
    assert all(crl.find(serial) for serial in serials[::97])
    assert not any(crl.find(serial ^ 1 << 121) for serial in serials[::97])


# scope


def test_reason_flags_are_named_bits() -> None:
    assert reason_names(read_reasons(b"\x07\x60\x80")) == ("keyCompromise", "cACompromise", "aACompromise")
    assert read_reasons(b"\x07\xff\x80") == ALL_REASONS
    assert read_reasons(b"\x00\x80") == 0
    with pytest.raises(DerError):
        read_reasons(b"")


@pytest.mark.parametrize(
    "value",
    [
        sequence(),
        sequence(sequence()),
        sequence(sequence(implicit(1, b"\x00\x40"))),
        sequence(sequence(explicit(3, b""))),
        sequence(sequence(explicit(0, implicit(2, b"", constructed=True)))),
        sequence(*(sequence(explicit(0, implicit(0, implicit(6, b"x"), constructed=True))) for _ in range(33))),
    ],
    ids=["no point", "empty", "only reasons", "unknown field", "unknown choice", "33 points"],
)
def test_distribution_points_that_break_the_profile(value: bytes) -> None:
    with pytest.raises(DerError):
        read_distribution_points(value)


# the cache


@pytest.fixture
def cold() -> CrlCache:
    CRL_CACHE.clear()
    return CRL_CACHE


def test_only_verified_crls_are_kept_and_their_signature_is_checked_once(cold: CrlCache) -> None:
    world = World()
    good, bad = world.root.crl(NOW - HOUR), world.root.crl(NOW - HOUR, tamper=True)
    first = world.check(CRL, good, bad)
    assert (len(cold), cold.signatures) == (1, 2)
    again = world.check(CRL, good, bad)
    assert again == first
    assert (len(cold), cold.signatures) == (1, 3), "only the bad one is verified again"
    CRL_CACHE.clear()
    assert world.check(CRL, good, bad) == first


def test_what_one_key_verified_is_not_believed_of_another(cold: CrlCache) -> None:
    world, twin = World(), World()
    der = world.root.crl(NOW - HOUR)
    assert world.check(CRL, der).accepted
    assert not twin.check(CRL, der).accepted


def test_cache_is_bounded_by_octets_and_drops_the_least_recently_used() -> None:
    root = Authority.create("north", now=NOW)
    crls = [Crl(root.crl(NOW, number=number)) for number in range(1, 4)]
    cost = 2 * len(crls[0].der) + 4096
    cache = CrlCache("crls of a test", 2 * cost + cost // 2)
    for crl in crls[:2]:
        cache.keep(crl, b"key")
    assert cache.read(crls[0].der) is crls[0]
    cache.keep(crls[2], b"key")
    assert cache.read(crls[1].der) is not crls[1], "the least recently used one left"
    assert cache.read(crls[0].der) is crls[0]
    assert len(cache) == 2
    assert cache.octets <= cache.limit
    small = CrlCache("small crls of a test", cost - 1)
    small.keep(crls[0], b"key")
    assert (len(small), small.octets) == (0, 0)


def test_entry_extensions_remembered_in_one_pass_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(crl_module, "_SEEN_EXTENSIONS", 2)
    blobs = [sequence(sequence(oid("1.2.3.4"), tlv(0x04, bytes((n,))))) for n in range(8)]
    assert Crl(wrap(b"".join(entry(bytes((n + 1,)), blob) for n, blob in enumerate(blobs)))).count == 8
