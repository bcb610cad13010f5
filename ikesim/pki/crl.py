"""Certificate revocation lists (RFC 5280 5): the header at once, the entries in one pass, once they are needed.

:func:`read_crl` reads everything but the entries, whose count does not matter to it. The entries are indexed on the
first lookup: one pass over the TLVs fills a sorted array of fixed-width records, one for each length of serial number
(the serial's octets, then where its entry stands), searched by bisection; dates and reasons are decoded for the entry
that was found. Nothing is kept of a CRL until a signature over it verified (:meth:`CrlCache.keep`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from ikesim.pki.caching import Cache
from ikesim.pki.crl_scope import (
    DistributionPoint,
    IssuingDistributionPoint,
    read_distribution_points,
    read_general_names,
    read_issuing_distribution_point,
)
from ikesim.pki.der import (
    BIT_STRING,
    BOOLEAN,
    ENUMERATED,
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    UTC_TIME,
    DerError,
    Element,
    header,
    read,
)
from ikesim.pki.names import GeneralName, Name, name

AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
CRL_NUMBER = "2.5.29.20"
DELTA_CRL_INDICATOR = "2.5.29.27"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
FRESHEST_CRL = "2.5.29.46"
ISSUER_ALT_NAME = "2.5.29.18"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"
KNOWN_CRL_EXTENSIONS = frozenset(
    (
        AUTHORITY_KEY_IDENTIFIER,
        CRL_NUMBER,
        DELTA_CRL_INDICATOR,
        ISSUING_DISTRIBUTION_POINT,
        FRESHEST_CRL,
        ISSUER_ALT_NAME,
        AUTHORITY_INFO_ACCESS,
    )
)

REASON_CODE = "2.5.29.21"
HOLD_INSTRUCTION = "2.5.29.23"
INVALIDITY_DATE = "2.5.29.24"
CERTIFICATE_ISSUER = "2.5.29.29"
KNOWN_ENTRY_EXTENSIONS = frozenset((REASON_CODE, HOLD_INSTRUCTION, INVALIDITY_DATE, CERTIFICATE_ISSUER))

REASON_NAMES = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: "certificateHold",
    8: "removeFromCRL",
    9: "privilegeWithdrawn",
    10: "aACompromise",
}
"""CRLReason, RFC 5280 5.3.1."""

CRL_CACHE_OCTETS = 256 * 1024 * 1024
"""Octets of verified CRLs and their indexes kept: one of 1,000,000 entries with 20-octet serials and reasons is about
50 MiB and its index 24 MiB."""
_SEEN_EXTENSIONS = 4096
"""Distinct extension octets of entries remembered in one pass; a CA without invalidity dates uses about ten."""


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One entry of a CRL, decoded."""

    date: datetime
    reason: str | None
    """A name of `REASON_NAMES`, "reason N" for others, None where the CRL does not say."""
    issuer: tuple[GeneralName, ...] | None
    """The certificate issuer that applies to the entry (RFC 5280 5.3.3); None: the issuer of the CRL."""

    @property
    def on_hold(self) -> bool:
        """The revocation may be taken back (certificateHold)."""
        return self.reason == "certificateHold"

    @property
    def removed(self) -> bool:
        """The entry takes a revocation back (removeFromCRL)."""
        return self.reason == "removeFromCRL"


@dataclass(slots=True)
class _Index:
    """The entries of a CRL by serial number."""

    groups: dict[int, bytes]
    """By length of the serial: sorted records of serial and 4 octets of offset."""
    issuers: list[tuple[int, tuple[GeneralName, ...]]]
    """Where a certificate issuer starts to apply, by offset."""
    critical: str | None
    """The first unknown critical entry extension, None without one."""
    count: int


class Crl:
    """A CRL, with everything but its entries read. Raises DerError when the octets are none."""

    __slots__ = (
        "_digest",
        "_entries",
        "_index",
        "authority_key_id",
        "base_number",
        "der",
        "freshest",
        "idp",
        "idp_der",
        "issuer",
        "next_update",
        "number",
        "signature",
        "signature_algorithm",
        "signed",
        "this_update",
        "unknown_critical",
        "verified_by",
    )

    def __init__(self, der: bytes) -> None:
        self.der = der
        outer = _three(read(der, SEQUENCE))
        to_be_signed = outer[0].expect(SEQUENCE)
        self.signed = (to_be_signed.start, to_be_signed.end)
        self.signature_algorithm = outer[1].expect(SEQUENCE).der
        octets, unused = outer[2].bits()
        self.signature = b"" if unused else octets  # no signature is anything but whole octets: none verifies
        self.number: int | None = None
        self.base_number: int | None = None
        self.idp: IssuingDistributionPoint | None = None
        self.idp_der = b""
        self.authority_key_id: bytes | None = None
        self.freshest: tuple[DistributionPoint, ...] = ()
        self.unknown_critical: tuple[str, ...] = ()
        self.verified_by: set[bytes] = set()
        """SHA-256 of the SubjectPublicKeyInfo of the keys whose signature over this CRL was seen to verify."""
        self._digest: bytes | None = None
        self._index: _Index | None = None
        self._read_fields(to_be_signed)

    def _read_fields(self, to_be_signed: Element) -> None:
        fields = list(to_be_signed)
        version = 0
        if fields and fields[0].tag == INTEGER:
            version = fields.pop(0).integer()
            if version != 1:
                raise DerError(f"version {version + 1} of a CRL", to_be_signed.start)
        if len(fields) < 3:
            raise DerError("a CRL without issuer or thisUpdate", to_be_signed.start)
        if fields[0].expect(SEQUENCE).der != self.signature_algorithm:
            raise DerError("inner and outer signature algorithm differ", fields[0].start)
        self.issuer: Name = name(fields[1].expect(SEQUENCE).der)
        _ = self.issuer.rdns
        self.this_update = fields[2].time()
        rest = fields[3:]
        self.next_update = rest.pop(0).time() if rest and rest[0].tag in (UTC_TIME, GENERALIZED_TIME) else None
        self._entries = (0, 0)
        if rest and rest[0].tag == SEQUENCE:
            entries = rest.pop(0)
            self._entries = (entries.content, entries.end)
        if rest and rest[0].tag == 0xA0:
            if version != 1:
                raise DerError("extensions in a CRL of version 1", rest[0].start)
            wrapped = rest.pop(0).children()
            if len(wrapped) != 1:
                raise DerError("extensions that are not one SEQUENCE", to_be_signed.start)
            self._read_extensions(wrapped[0])
        if rest:
            raise DerError("fields after the last of a CRL", rest[0].start)

    def _read_extensions(self, extensions: Element) -> None:
        found: dict[str, bytes] = {}
        for identifier, critical, value in read_extensions(extensions):
            if identifier in found:
                raise DerError(f"extension {identifier} twice", extensions.start)
            found[identifier] = value
            if critical and identifier not in KNOWN_CRL_EXTENSIONS:
                self.unknown_critical += (identifier,)
        if CRL_NUMBER in found:
            self.number = read(found[CRL_NUMBER], INTEGER).integer()
        if DELTA_CRL_INDICATOR in found:
            self.base_number = read(found[DELTA_CRL_INDICATOR], INTEGER).integer()
        if ISSUING_DISTRIBUTION_POINT in found:
            self.idp_der = found[ISSUING_DISTRIBUTION_POINT]
            self.idp = read_issuing_distribution_point(self.idp_der)
        if AUTHORITY_KEY_IDENTIFIER in found:
            for part in read(found[AUTHORITY_KEY_IDENTIFIER], SEQUENCE):
                if part.tag == 0x80:
                    self.authority_key_id = part.value
        if FRESHEST_CRL in found:
            self.freshest = read_distribution_points(found[FRESHEST_CRL])

    @property
    def to_be_signed(self) -> memoryview:
        """The octets under the signature, as they came."""
        return memoryview(self.der)[self.signed[0] : self.signed[1]]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the DER."""
        if self._digest is None:
            self._digest = sha256(self.der).digest()
        return self._digest

    @property
    def is_delta(self) -> bool:
        """The CRL lists changes since another one (RFC 5280 5.2.4)."""
        return self.base_number is not None

    @property
    def index(self) -> _Index:
        """The entries, indexed on first use. Raises DerError."""
        if self._index is None:
            self._index = _scan(self.der, *self._entries)
        return self._index

    @property
    def count(self) -> int:
        """The number of entries. Raises DerError."""
        return self.index.count

    @property
    def critical_entry_extension(self) -> str | None:
        """An unknown critical extension of some entry. Raises DerError."""
        return self.index.critical

    def find(self, serial: int) -> list[RevokedEntry]:
        """The entries with this serial number, in the order of the CRL. Raises DerError."""
        index = self.index
        key = serial_octets(serial)
        records = index.groups.get(len(key))
        if records is None:
            return []
        return [self._entry(offset, index) for offset in _bisect(records, key)]

    def entries(self) -> Iterator[tuple[int, RevokedEntry]]:
        """Every entry with its serial number, in the order of the CRL. Raises DerError."""
        offset, end = self._entries
        while offset < end:
            element = Element.at(self.der, offset, end)
            yield element.children()[0].integer(), self._entry(offset, self.index)
            offset = element.end

    def _entry(self, offset: int, index: _Index) -> RevokedEntry:
        fields = Element.at(self.der, offset, self._entries[1]).children()
        reason = None
        if len(fields) > 2:
            for identifier, _, value in read_extensions(fields[2]):
                if identifier == REASON_CODE:
                    number = read(value, ENUMERATED).integer()
                    reason = REASON_NAMES.get(number, f"reason {number}")
        issuer = None
        for start, names in index.issuers:
            if start > offset:
                break
            issuer = names
        return RevokedEntry(fields[1].time(), reason, issuer)


def serial_octets(serial: int) -> bytes:
    """The shortest two's complement octets of a serial number, as DER has them."""
    return serial.to_bytes((serial + (serial < 0)).bit_length() // 8 + 1, "big", signed=True)


def read_extensions(element: Element) -> list[tuple[str, bool, bytes]]:
    """Extensions as (OID, critical, value), in their order. Raises DerError."""
    out = []
    for extension in element.expect(SEQUENCE):
        parts = extension.expect(SEQUENCE).children()
        critical = False
        if len(parts) == 3:
            critical = parts.pop(1).expect(BOOLEAN).boolean()
        if len(parts) != 2:
            raise DerError("an extension that is not OID, criticality and value", extension.start)
        out.append((parts[0].oid(), critical, parts[1].expect(OCTET_STRING).value))
    return out


def _three(outer: Element) -> Sequence[Element]:
    parts = outer.children()
    if len(parts) != 3:
        raise DerError(f"{len(parts)} parts where a signed structure has 3", outer.start)
    parts[2].expect(BIT_STRING)
    return parts


def _scan(data: bytes, start: int, end: int) -> _Index:
    """One pass over revokedCertificates. Raises DerError."""
    if start == end:
        return _Index({}, [], None, 0)
    lists: list[list[bytes]] = [[] for _ in range(128)]
    issuers: list[tuple[int, tuple[GeneralName, ...]]] = []
    plain: set[bytes] = set()
    critical: str | None = None
    count = 0
    position = start
    try:
        while position < end:
            length = data[position + 1]
            if data[position] != 0x30 or length >= 0x80 or data[position + 2] != 0x02:
                _, inner, after = header(data, position, end)  # a long entry, or none at all
                if data[position] != 0x30 or data[inner] != INTEGER:
                    raise DerError("an entry that does not start with a serial number", position)
            else:
                inner = position + 2
                after = inner + length
                if after > end:
                    raise DerError("an entry that runs past its parent", position)
            size = data[inner + 1]
            time = inner + 2 + size
            if not 0 < size < 0x80 or data[time] not in (UTC_TIME, GENERALIZED_TIME):
                raise DerError("an entry without serial number or date", position)
            extensions = time + 2 + data[time + 1]
            lists[size].append(data[inner + 2 : time] + position.to_bytes(4, "big"))
            count += 1
            if extensions != after:
                if extensions > after:
                    raise DerError("a date that runs past its entry", position)
                octets = data[extensions:after]
                if octets not in plain:
                    issuer, unknown = _entry_extensions(octets)
                    if issuer is not None:
                        issuers.append((position, issuer))
                    elif unknown is None and len(plain) < _SEEN_EXTENSIONS:
                        plain.add(octets)
                    critical = critical or unknown
            position = after
    except IndexError:
        raise DerError("entries that are cut short", position) from None
    return _Index(_sorted_groups(lists), issuers, critical, count)


def _entry_extensions(octets: bytes) -> tuple[tuple[GeneralName, ...] | None, str | None]:
    """(certificate issuer, unknown critical extension) of one entry. Raises DerError."""
    issuer = None
    unknown = None
    for identifier, critical, value in read_extensions(read(octets)):
        if identifier == CERTIFICATE_ISSUER:
            issuer = read_general_names(read(value, SEQUENCE))
        elif identifier == REASON_CODE:
            read(value, ENUMERATED).integer()
        elif critical and identifier not in KNOWN_ENTRY_EXTENSIONS:
            unknown = unknown or identifier
    return issuer, unknown


def _sorted_groups(lists: list[list[bytes]]) -> dict[int, bytes]:
    """The records of each length of serial, sorted and joined; serials of needless length go to where they belong."""
    for size in range(127, 0, -1):
        records = lists[size]
        if not records:
            continue
        records.sort()
        if size > 1 and (_needless(records[0]) or _needless(records[-1])):
            lists[size - 1].extend(record[1:] for record in records if _needless(record))
            lists[size] = [record for record in records if not _needless(record)]
    return {size: b"".join(records) for size, records in enumerate(lists) if records}


def _needless(record: bytes) -> bool:
    """The first octet of the serial only repeats the sign (X.690 8.3.2)."""
    return record[0] in (0x00, 0xFF) and (record[0] ^ record[1]) < 0x80


def _bisect(records: bytes, key: bytes) -> list[int]:
    """The offsets of the records that start with `key`, ascending."""
    size = len(key)
    width = size + 4
    low, high = 0, len(records) // width
    while low < high:
        middle = (low + high) // 2
        at = middle * width
        if records[at : at + size] < key:
            low = middle + 1
        else:
            high = middle
    offsets = []
    at = low * width
    while records[at : at + size] == key:
        offsets.append(int.from_bytes(records[at + size : at + width], "big"))
        at += width
    return offsets


class CrlCache(Cache[bytes, Crl]):
    """Verified CRLs by their DER, the least recently used leaving first; `limit` is in octets.

    It spares parsing, indexing and verifying, and never changes an answer: what it hands out was read from the same
    octets, and whose signature verified is remembered by key.
    """

    __slots__ = ("octets", "signatures")

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.octets = 0
        """Octets held now."""
        self.signatures = 0
        """Signatures over CRLs that had to be verified."""

    def read(self, der: bytes) -> Crl:
        """The CRL of these octets. Raises DerError."""
        known = self.get(der)  # a bytes object remembers its hash: cheap for those that a store holds
        return Crl(der) if known is None else known

    def keep(self, crl: Crl, key: bytes) -> None:
        """Remember a CRL whose signature the key with this SHA-256 verified."""
        crl.verified_by.add(key)
        cost = _cost(crl)
        if crl.der in self._entries or cost > self.limit:
            return
        self._entries[crl.der] = crl
        self.octets += cost
        while self.octets > self.limit:
            _, oldest = self._entries.popitem(last=False)
            self.octets -= _cost(oldest)

    def clear(self) -> None:
        """Forget every CRL; the counters start again."""
        super().clear()
        self.octets = self.signatures = 0


def _cost(crl: Crl) -> int:
    """Octets that a kept CRL takes at most: an index record is shorter than its entry."""
    return 2 * len(crl.der) + 4096


CRL_CACHE = CrlCache("crls", CRL_CACHE_OCTETS)


def read_crl(der: bytes) -> Crl:
    """The CRL of these octets, from the cache where it was verified before. Raises DerError."""
    return CRL_CACHE.read(der)
