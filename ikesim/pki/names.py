"""Distinguished and general names: read once, compared by RFC 5280 section 7, shown without tricks.

Text from peers is escaped where it is made into text, so that nothing shown later can move a cursor, reverse a line
or hide a NUL.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from ipaddress import ip_address
from typing import NamedTuple

from ikesim.pki import der
from ikesim.pki.caching import Cache

ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "T",
    "2.5.4.42": "GN",
    "2.5.4.43": "I",
    "2.5.4.46": "DN",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "E",
}
COMMON_NAME = "2.5.4.3"
EMAIL_ADDRESS = "1.2.840.113549.1.9.1"

MAX_RDNS = 256
"""Attributes of one name; the longest seen in the field have about 20."""

_CODECS = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "latin-1",
    der.TELETEX_STRING: "latin-1",
    der.IA5_STRING: "latin-1",
    der.VISIBLE_STRING: "latin-1",
    0x12: "latin-1",
    der.BMP_STRING: "utf-16-be",
    der.UNIVERSAL_STRING: "utf-32-be",
}
_IGNORED = dict.fromkeys(
    [0x00AD, 0x034F, 0x1806, *range(0x180B, 0x180E), 0x200B, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10), 0xFFFC]
)
"""Characters that LDAP string preparation maps to nothing (RFC 4518 2.2)."""
_SPECIAL = re.compile(r'([,+"\\<>;])')


def show(text: str) -> str:
    """`text` with what does not print as itself escaped: controls, bidirectional marks, odd spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)


class Attribute(NamedTuple):
    """One attribute of a distinguished name."""

    oid: str
    text: str
    """The value as text; of a type that is no string: "#" and its DER in hexadecimal (RFC 4514 2.4)."""
    key: str
    """What is compared: case folded, NFKC, white space trimmed and compressed (RFC 5280 7.1, RFC 4518)."""
    opaque: bool = False
    """The value is of a type that is no string."""


def prepare(text: str) -> str:
    """The form of a string in which equal ones are equal (RFC 5280 7.1: caseIgnoreMatch on prepared strings)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_IGNORED)).casefold())
    else:
        text = text.lower()
    return " ".join(text.split())


class Name:
    """A distinguished name (RFC 5280 4.1.2.4): equal to another when section 7.1 says so."""

    __slots__ = ("__dict__", "der")

    def __init__(self, octets: bytes) -> None:
        self.der = octets

    def __repr__(self) -> str:
        return f"Name({self.text!r})"

    def __deepcopy__(self, memo: object) -> "Name":
        return self

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Name):
            return NotImplemented
        return self.der == other.der or self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def rdns(self) -> tuple[tuple[Attribute, ...], ...]:
        """The RDNs in the order encoded, the attributes of each sorted as compared. Raises DerError."""
        rdns = []
        count = 0
        for rdn in der.read(self.der, der.SEQUENCE).children():
            attributes = []
            for pair in rdn.expect(der.SET).children():
                count += 1
                children = pair.expect(der.SEQUENCE).children()
                if len(children) != 2:
                    raise der.DerError("an attribute that is not a type and a value", pair.start)
                attributes.append(_attribute(children[0].oid(), children[1]))
            if not attributes:
                raise der.DerError("an RDN without attributes", rdn.start)
            if len(attributes) > 1:
                attributes.sort(key=lambda attribute: (attribute.oid, attribute.key))
            rdns.append(tuple(attributes))
        if count > MAX_RDNS:
            raise der.DerError(f"a name of more than {MAX_RDNS} attributes")
        return tuple(rdns)

    @cached_property
    def key(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """What is compared. Raises DerError."""
        return tuple(tuple((attribute.oid, attribute.key) for attribute in rdn) for rdn in self.rdns)

    @cached_property
    def text(self) -> str:
        """The name as people write it, in the order encoded, escaped where needed: "C=CH, O=Org A, CN=alice"."""
        try:
            rdns = self.rdns
        except der.DerError as error:
            return f"(a name that cannot be read: {error})"
        return ", ".join(
            "+".join(f"{ATTRIBUTE_NAMES.get(attribute.oid, attribute.oid)}={_escape(attribute)}" for attribute in rdn)
            for rdn in rdns
        )

    @property
    def is_empty(self) -> bool:
        """Whether the name has no RDN."""
        return len(self.der) == 2

    def values(self, oid: str) -> tuple[str, ...]:
        """The texts of all attributes of a type, in order."""
        return tuple(attribute.text for rdn in self.rdns for attribute in rdn if attribute.oid == oid)


_NAMES: Cache[bytes, Name] = Cache("names", 2048)


def name(octets: bytes) -> Name:
    """The Name of these octets; the same octets give the same object while they are remembered."""
    known = _NAMES.get(octets)
    return _NAMES.put(octets, Name(octets)) if known is None else known


def _attribute(oid: str, value: der.Element) -> Attribute:
    codec = _CODECS.get(value.tag)
    if codec is None:
        text = "#" + value.der.hex()
        return Attribute(oid, text, text, True)
    try:
        text = value.value.decode(codec)
    except UnicodeDecodeError:
        raise der.DerError(f"an attribute value that is not {codec}", value.start) from None
    return Attribute(oid, text, prepare(text))


def rdn_text(rdn: Iterable[Attribute]) -> str:
    """One RDN as people write it: "CN=alice", "CN=alice+serialNumber=7"."""
    return "+".join(f"{ATTRIBUTE_NAMES.get(item.oid, item.oid)}={_escape(item)}" for item in rdn)


def _escape(attribute: Attribute) -> str:
    """A value as RFC 4514 2.4 escapes it, and with what does not print made visible."""
    text = attribute.text
    if attribute.opaque or (text.isascii() and text.isalnum()):
        return text
    text = _SPECIAL.sub(r"\\\1", text)
    if text[:1] in (" ", "#"):
        text = "\\" + text
    if text.endswith(" ") and len(text) > 2:
        text = text[:-1] + "\\ "
    return show(text)


class GeneralName(NamedTuple):
    """A GeneralName (RFC 5280 4.2.1.6): its kind, and its value in the type that fits.

    Kinds and values: "rfc822", "fqdn", "uri": str (octets beyond ASCII as Latin-1); "dn": Name; "ip": bytes;
    "rid": str (dotted); "other", "x400", "edi": bytes (the DER).
    """

    kind: str
    value: "str | bytes | Name"

    @property
    def text(self) -> str:
        """The name as people write identities: "fqdn:bob.example", "ipv4:192.0.2.1", "dn:C=CH, CN=bob"."""
        if isinstance(self.value, Name):
            return f"dn:{self.value.text}"
        if self.kind == "ip" and isinstance(self.value, bytes) and len(self.value) in (4, 16):
            return f"ipv{4 if len(self.value) == 4 else 6}:{ip_address(self.value)}"
        return f"{self.kind}:{self.value.hex() if isinstance(self.value, bytes) else show(self.value)}"


_KINDS = {0x81: "rfc822", 0x82: "fqdn", 0x86: "uri"}
_OPAQUE = {0xA0: "other", 0xA3: "x400", 0xA5: "edi"}


def general_name(element: der.Element) -> GeneralName:
    """A GeneralName from its element. Raises DerError."""
    kind = _KINDS.get(element.tag)
    if kind is not None:
        return GeneralName(kind, element.value.decode("latin-1"))
    if element.tag == 0xA4:
        children = element.children()
        if len(children) != 1:
            raise der.DerError("a directoryName that is not one name", element.start)
        directory = name(children[0].expect(der.SEQUENCE).der)
        _ = directory.rdns
        return GeneralName("dn", directory)
    if element.tag == 0x87:
        return GeneralName("ip", element.value)
    if element.tag == 0x88:
        return GeneralName("rid", der.decode_oid(element.value, element.start))
    if element.tag in _OPAQUE:
        return GeneralName(_OPAQUE[element.tag], element.der)
    raise der.DerError(f"tag {element.tag:#04x} is no GeneralName", element.start)


def general_names(octets: bytes) -> tuple[GeneralName, ...]:
    """GeneralNames (RFC 5280 4.2.1.6), at least one. Raises DerError."""
    names = tuple(general_name(element) for element in der.read(octets, der.SEQUENCE))
    if not names:
        raise der.DerError("a list of names that is empty")
    return names
