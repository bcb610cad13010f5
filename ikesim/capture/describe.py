"""Inspected frames as one line for people and as JSON for programs. Text from peers is escaped."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from ikesim.capture.inspector import Inspected
from ikesim.errors import IkesimError, WireError
from ikesim.pki.certificates import parse as parse_certificate
from ikesim.pki.identity import Identity, IdentityError
from ikesim.pki.names import show
from ikesim.wire.message import Header, Message, Raw
from ikesim.wire.payloads import AUTH, CERT, CERTREQ, EAP, KE, SA, Delete, IDi, IDr, Nonce, Notify, TSi, TSr, VendorId
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import (
    TRANSFORM_IDS,
    AuthMethod,
    CertEncoding,
    ExchangeType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
    name,
)

_X509 = CertEncoding.X509_SIGNATURE


def line(found: Inspected) -> str:
    """One frame as one line: number, seconds, addresses, and what it says."""
    frame = found.frame
    when = datetime.fromtimestamp(frame.time, UTC).strftime("%H:%M:%S.%f")
    start = f"{frame.number:5} {when} {frame.source} > {frame.destination}"
    return f"{start} {headline(found)}{f' !! {show(found.error)}' if found.error else ''}"


def headline(found: Inspected) -> str:
    """What a frame says, without its number and addresses."""
    match found.kind:
        case "ike":
            return _ike(found)
        case "ikev1":
            header = found.header
            version = f"{header.major}.{header.minor}" if header else "?"
            return f"IKEv1 (version {version}, exchange {header.exchange if header else '?'}): not decoded"
        case "esp":
            inside = "" if found.inner_packet is None else f" {{ {inner_packet(found.inner_packet)} }}"
            return f"ESP {found.spi.hex()} {found.sequence} ({len(found.frame.octets)} octets){inside}"
        case "keepalive":
            return "keepalive"
    return f"{len(found.frame.octets)} octets that are neither IKE nor ESP"


def _ike(found: Inspected) -> str:
    header = found.header
    if header is None:
        return f"IKE? ({len(found.frame.octets)} octets)"
    kind = "response" if header.is_response else "request"
    parts = [name(ExchangeType, header.exchange), kind, str(header.message_id), _flags(header)]
    if header.major != 2:
        parts.append(f"version {header.major}.{header.minor}")
    if found.message is not None:
        parts += [payload_text(raw) for raw in found.message.payloads]
    if found.fragment is not None:
        parts[-1] += f"({found.fragment[0]}/{found.fragment[1]})"
    if found.inner is not None:
        inner = " ".join(payload_text(raw) for raw in found.inner.payloads)
        parts.append(f"{{ {inner} }}" if inner else "{ }")
    elif found.message is not None and found.fragment is None and found.message.raw(PayloadType.SK) is not None:
        parts.append("{ encrypted }")
    return " ".join(parts)


def _flags(header: Header) -> str:
    return "[i]" if header.from_initiator else "[r]"


def payload_text(raw: Raw) -> str:
    """A payload as a word, with what matters most in parentheses; a damaged one with an exclamation mark."""
    label = "V" if raw.kind == PayloadType.V else name(PayloadType, raw.kind).replace("payload ", "payload-")
    if raw.critical:
        label += "*"
    if raw.kind in (PayloadType.SK, PayloadType.SKF):
        return label
    try:
        payload = raw.payload()
    except WireError:
        return f"{label}!"
    match payload:
        case SA():
            return f"{label}({'; '.join(_proposal_text(proposal) for proposal in payload.proposals)})"
        case KE():
            return f"{label}({name(KeyExchangeId, payload.method)})"
        case IDi() | IDr():
            return f"{label}({_identity(payload)})"
        case CERT():
            return f"{label}({_certificate(payload)})"
        case CERTREQ():
            return f"{label}({len(payload.data) // 20 if payload.encoding == _X509 else _encoding(payload.encoding)})"
        case AUTH():
            return f"{label}({name(AuthMethod, payload.method)})"
        case Notify():
            return f"{label}({name(NotifyType, payload.type)})"
        case Delete():
            spis = " ".join(spi.hex() for spi in payload.spis)
            return f"{label}({name(ProtocolId, payload.protocol)}{f' {spis}' if spis else ''})"
        case VendorId():
            return f"{label}({_vendor(payload.data)})"
        case TSi() | TSr():
            return f"{label}({', '.join(str(selector) for selector in payload.selectors)})"
    return label


def _identity(payload: IDi | IDr) -> str:
    try:
        return show(str(Identity.from_payload(payload.id_type, payload.data)))
    except IdentityError:
        return f"type {payload.id_type} {payload.data.hex()}"


def _certificate(payload: CERT) -> str:
    if payload.encoding != _X509:
        return _encoding(payload.encoding)
    try:
        return show(parse_certificate(payload.data).subject.text)
    except IkesimError:
        return f"{len(payload.data)} octets that are no certificate"


def _encoding(value: int) -> str:
    return name(CertEncoding, value)


def _vendor(data: bytes) -> str:
    text = data.decode("latin-1")
    return text if data and text.isascii() and text.isprintable() else data.hex()


def _proposal_text(proposal: Proposal) -> str:
    words = []
    for transform in proposal.transforms:
        ids = TRANSFORM_IDS.get(TransformType(transform.type)) if transform.type in set(TransformType) else None
        word = name(ids, transform.id) if ids else f"type-{transform.type}/{transform.id}"
        words.append(word if transform.key_length is None else f"{word}_{transform.key_length}")
    return f"{name(ProtocolId, proposal.protocol)} {' '.join(words)}"


def inner_packet(packet: bytes) -> str:
    """The IP packet inside ESP, in a few words."""
    if packet[0] >> 4 == 4 and len(packet) >= 20:
        source, destination, protocol, start = packet[12:16], packet[16:20], packet[9], 4 * (packet[0] & 15)
    elif packet[0] >> 4 == 6 and len(packet) >= 40:
        source, destination, protocol, start = packet[8:24], packet[24:40], packet[6], 40
    else:
        return f"{len(packet)} octets"
    body = packet[start:]
    what = f"protocol {protocol}"
    if protocol in (1, 58) and len(body) >= 8:
        kinds = {8: "echo request", 0: "echo reply", 128: "echo request", 129: "echo reply"}
        what = f"ICMP {kinds.get(body[0], f'type {body[0]}')}"
        if body[0] in kinds:
            what += f" {int.from_bytes(body[6:8])}"
    return f"{ip_address(source)} > {ip_address(destination)} {what} ({len(packet)} octets)"


def to_json(found: Inspected) -> dict[str, Any]:
    """One frame as JSON types; octets are hexadecimal, numbers are IANA's, beside them their names."""
    frame = found.frame
    document: dict[str, Any] = {"frame": frame.number, "time": frame.time, "kind": found.kind}
    if frame.source is not None and frame.destination is not None:
        document |= {"source": str(frame.source), "destination": str(frame.destination)}
    if found.kind in ("ike", "ikev1"):
        document["non_esp_marker"] = found.marked
    if (header := found.header) is not None:
        document |= {
            "initiator_spi": header.spi_i.hex(),
            "responder_spi": header.spi_r.hex(),
            "version": f"{header.major}.{header.minor}",
            "exchange": header.exchange,
            "exchange_name": name(ExchangeType, header.exchange) if header.major == 2 else None,
            "flags": header.flags,
            "message_id": header.message_id,
            "length": header.length,
        }
    if found.message is not None:
        document["payloads"] = [_payload_json(raw, found) for raw in found.message.payloads]
    if found.kind == "esp":
        document |= {
            "spi": found.spi.hex(),
            "sequence": found.sequence,
            "icv_ok": found.icv_ok,
            "inner": None if found.inner_packet is None else inner_packet(found.inner_packet),
        }
    document["error"] = found.error or None
    return document


def _payload_json(raw: Raw, found: Inspected) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": raw.kind,
        "name": name(PayloadType, raw.kind),
        "length": len(raw.body) + 4,
        "critical": raw.critical,
    }
    if raw.kind in (PayloadType.SK, PayloadType.SKF):
        if found.fragment is not None:
            document |= {"fragment": found.fragment[0], "fragments": found.fragment[1]}
        opened = found.icv_ok is True or found.inner is not None
        document |= {
            "decrypted": opened,
            "icv_ok": found.icv_ok,
            "iv": found.iv.hex() or None,
            "icv": found.icv.hex() or None,
        }
        document["payloads"] = _inner_json(found.inner, found)
        return document
    try:
        payload = raw.payload()
    except WireError as error:
        return document | {"error": str(error)}
    for kind, describe in _DETAILS.items():
        if isinstance(payload, kind):
            return document | describe(payload)
    return document | {"data": bytes(raw.body).hex()}


def _inner_json(inner: Message | None, found: Inspected) -> list[dict[str, Any]]:
    return [] if inner is None else [_payload_json(raw, found) for raw in inner.payloads]


def _proposal_json(proposal: Proposal) -> dict[str, Any]:
    transforms = []
    for transform in proposal.transforms:
        entry: dict[str, Any] = {"type": transform.type, "id": transform.id}
        if transform.key_length is not None:
            entry["key_length"] = transform.key_length
        transforms.append(entry)
    return {
        "number": proposal.number,
        "protocol": proposal.protocol,
        "spi": proposal.spi.hex(),
        "transforms": transforms,
    }


def _certreq_json(payload: CERTREQ) -> dict[str, Any]:
    try:
        authorities = [authority.hex() for authority in payload.authorities]
    except WireError:
        return {"encoding": payload.encoding, "data": payload.data.hex()}
    return {"encoding": payload.encoding, "authorities": authorities}


def _selectors_json(payload: TSi | TSr) -> dict[str, Any]:
    return {
        "selectors": [
            {
                "type": selector.type,
                "protocol": selector.protocol,
                "start_port": selector.start_port,
                "end_port": selector.end_port,
                "start": str(ip_address(selector.start)),
                "end": str(ip_address(selector.end)),
            }
            for selector in payload.selectors
        ]
    }


def _id_json(payload: IDi | IDr) -> dict[str, Any]:
    return {"id_type": payload.id_type, "data": payload.data.hex(), "identity": _identity(payload)}


_DETAILS: dict[type, Callable[[Any], dict[str, Any]]] = {
    SA: lambda payload: {"proposals": [_proposal_json(proposal) for proposal in payload.proposals]},
    KE: lambda payload: {"group": payload.method, "data": payload.data.hex()},
    IDi: _id_json,
    IDr: _id_json,
    CERT: lambda payload: {
        "encoding": payload.encoding,
        "data_sha256": sha256(payload.data).hexdigest(),
        "subject": _certificate(payload),
    },
    CERTREQ: _certreq_json,
    AUTH: lambda payload: {"method": payload.method, "data": payload.data.hex()},
    Nonce: lambda payload: {"data": payload.data.hex()},
    Notify: lambda payload: {
        "notify": payload.type,
        "notify_name": name(NotifyType, payload.type),
        "protocol": payload.protocol,
        "spi": payload.spi.hex(),
        "data": payload.data.hex(),
    },
    Delete: lambda payload: {"protocol": payload.protocol, "spis": [spi.hex() for spi in payload.spis]},
    VendorId: lambda payload: {"data": payload.data.hex()},
    TSi: _selectors_json,
    TSr: _selectors_json,
    EAP: lambda payload: {"code": payload.data[0], "data": payload.data.hex()} if payload.data else {"data": ""},
}
