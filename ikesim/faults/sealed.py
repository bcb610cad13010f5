"""Faults inside and around the Encrypted payload, sealed again with our own keys (DI25, DI26, DH11)."""

from dataclasses import dataclass, field, replace
from struct import pack
from typing import Any

from ikesim.crypto.schedule import auth_octets
from ikesim.errors import IntegrityError, UsageError
from ikesim.faults.auth import INTERNAL, digital_signature
from ikesim.faults.base import Fault, MessageFault
from ikesim.faults.messages import UNKNOWN_PAYLOAD
from ikesim.ike.core import NON_ESP_MARKER
from ikesim.ike.ids import SaId
from ikesim.ike.sa import IkeSa
from ikesim.ike.tasks import AuthTask
from ikesim.pki.authority.signing import sign_with
from ikesim.pki.identity import Identity
from ikesim.pki.keys import PrivateKey
from ikesim.wire.address import Path
from ikesim.wire.message import Header, Message, encode_payloads, parse_payloads
from ikesim.wire.payloads import CERT, SA, IDr, Payload, TSi, TSr
from ikesim.wire.registry import CertEncoding, NotifyType, PayloadType

HEADER, GENERIC, NUMBERS = 28, 4, 4


@dataclass(kw_only=True)
class UnknownOutside(MessageFault, rows="DI25"):
    """Put an unknown payload before the Encrypted payload of messages, in the clear."""

    critical: bool = False
    data: bytes = b"\xde\xad\xbe\xef"

    def on_send(self, sa: SaId | None, octets: bytes, path: Path) -> bytes | None:
        """Opened with our own keys and sealed again (in each fragment), so that the check value covers it."""
        found, marked = self.target.sa(sa), octets[:4] == NON_ESP_MARKER
        plain = octets[4:] if marked else octets
        if found is None or found.keys is None or plain[16] not in (PayloadType.SK, PayloadType.SKF):
            return None
        header = Header.parse(plain)
        if not self.chosen(header):
            return None
        extra = pack("!BBH", plain[16], 0x80 if self.critical else 0, GENERIC + len(self.data)) + self.data
        changed = _reseal(found, plain, header, extra)
        return None if changed is None else (NON_ESP_MARKER if marked else b"") + changed


def _reseal(sa: IkeSa, octets: bytes, header: Header, extra: bytes) -> bytes | None:
    """Our own message with payloads in the clear before SK; None when it is not ours to open."""
    suite, keys = sa.suite, sa.keys
    assert suite is not None and keys is not None
    key, integrity_key = (keys.ei, keys.ai) if sa.initiator else (keys.er, keys.ar)
    start = HEADER + GENERIC + (NUMBERS if header.next_payload == PayloadType.SKF else 0)
    prefix, sealed = octets[:start], memoryview(octets)[start:]
    try:
        padded = suite.open(key, integrity_key, aad=prefix, sealed=sealed)
    except IntegrityError:
        return None
    first = replace(header, next_payload=UNKNOWN_PAYLOAD, length=len(octets) + len(extra)).encode()
    aad = first + extra + prefix[HEADER:]
    iv = bytes(sealed[: suite.iv_length])
    return aad + suite.seal(key, integrity_key, iv=iv, aad=aad, plaintext=padded)


@dataclass(kw_only=True)
class PretendAuth(Fault, rows="DH11"):
    """Where the responder refuses us, go on as if it had accepted, with an answer made from its key (for tests)."""

    key: PrivateKey | None = field(default=None, metadata=INTERNAL, repr=False)
    """Of the peer."""
    certificates: tuple[bytes, ...] = field(default=(), metadata=INTERNAL, repr=False)
    identity: str = field(default="fqdn:bob.example", metadata=INTERNAL)

    def start(self) -> None:
        """Raises UsageError without the peer's key, which only a test has."""
        if self.key is None:
            raise UsageError("pretend-auth needs the peer's key: it works in tests only")

    def after_decode(self, sa: SaId | None, message: Message) -> Message | None:
        """A whole IKE_AUTH response in place of AUTHENTICATION_FAILED."""
        found = self.target.sa(sa)
        if found is None or not found.initiator or message.notify(NotifyType.AUTHENTICATION_FAILED) is None:
            return None
        outstanding = found.window.outstanding
        task = outstanding.task if outstanding is not None else None
        if self.key is None or not isinstance(task, AuthTask) or found.keys is None:
            return None
        identity = Identity.parse(self.identity)
        own = IDr(identity.type, identity.data)
        signed = auth_octets(
            found.init_response, found.nonce_i, self.target.core.prf(found), found.keys.pr, own.encode()
        )
        payloads: list[Payload] = [own, *(CERT(CertEncoding.X509_SIGNATURE, der) for der in self.certificates)]
        payloads.append(digital_signature(*sign_with(self.key, signed)))
        payloads += self._child(task)
        first, chain = encode_payloads(payloads)
        return message.with_payloads(parse_payloads(first, chain))

    def _child(self, task: AuthTask) -> list[Any]:
        if task.offer is None:
            return []
        chosen = replace(task.offer.proposals[0], spi=b"\x11\x22\x33\x44")
        return [SA((chosen,)), TSi(task.offer.local_ts), TSr(task.offer.remote_ts)]
