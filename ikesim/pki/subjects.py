"""Distinguished names as people write them, made into DER.

`C=CH, O=Org A, CN=alice`: the order written is the order encoded (strongSwan's habit, not RFC 4514's reversal), a
comma or slash separates RDNs, `+` joins attributes of one RDN, a backslash or double quotes protect a separator.
"""

from ikesim.errors import UsageError
from ikesim.pki.der_writer import ia5, oid, printable, sequence, set_of, utf8

ATTRIBUTES: dict[str, str] = {
    "CN": "2.5.4.3",
    "SURNAME": "2.5.4.4",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "S": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "TITLE": "2.5.4.12",
    "G": "2.5.4.42",
    "GN": "2.5.4.42",
    "I": "2.5.4.43",
    "DN": "2.5.4.46",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "E": "1.2.840.113549.1.9.1",
    "EMAIL": "1.2.840.113549.1.9.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
}
_PRINTABLE = frozenset({"2.5.4.6", "2.5.4.5", "2.5.4.46"})
_IA5 = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})
_BOUNDS = {"2.5.4.6": 2, "2.5.4.3": 64, "2.5.4.10": 64, "2.5.4.11": 64}
"""Upper bounds of RFC 5280 appendix A.1 that readers enforce."""


def subject_der(text: str) -> bytes:
    """The DER of the Name that `text` spells; an empty text is the empty Name. Raises UsageError."""
    rdns: list[list[tuple[str, str]]] = []
    for separator, part in _split(text):
        attribute = _attribute(part, text)
        if separator == "+" and rdns:
            rdns[-1].append(attribute)
        else:
            rdns.append([attribute])
    return sequence(*(set_of(sequence(oid(name), _value(name, value, text)) for name, value in rdn) for rdn in rdns))


def _split(text: str) -> list[tuple[str, str]]:
    """The attributes of a name as written, each with the separator before it."""
    parts: list[tuple[str, str]] = []
    separator, current, quoted, escaped = ",", "", False, False
    separators = "/+" if text.startswith("/") else ",+"
    for char in text:
        if escaped:
            current, escaped = current + char, False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char in separators and not quoted:
            parts.append((separator, current.strip()))
            separator, current = char, ""
        else:
            current += char
    if quoted or escaped:
        raise UsageError(f"the name {text!r} ends inside a quotation or an escape")
    parts.append((separator, current.strip()))
    if text.startswith("/"):
        parts = parts[1:]
    return [] if parts == [(",", "")] else parts


def _attribute(part: str, text: str) -> tuple[str, str]:
    key, found, value = part.partition("=")
    name = key.strip()
    dotted = ATTRIBUTES.get(name.upper(), name if name[:1].isdigit() else "")
    if not found or not dotted or not value.strip():
        raise UsageError(
            f"{part!r} in the name {text!r} is not TYPE=VALUE with a type such as CN, O, OU, C, ST, L, DC or an OID"
        )
    return dotted, value.strip()


def _value(dotted: str, value: str, text: str) -> bytes:
    bound = _BOUNDS.get(dotted)
    if bound is not None and len(value) > bound:
        raise UsageError(f"{value!r} in the name {text!r} is longer than the {bound} characters of RFC 5280")
    if dotted in _PRINTABLE:
        return printable(value)
    if dotted in _IA5:
        return ia5(value)
    return utf8(value)
