"""Hostile datagrams from a seed: junk, damaged copies of live messages, and messages damaged before encryption.

An attacker here may do what any stranger can: exchange IKE_SA_INIT with keys of its own and then say anything under
the keys of that SA. It also sees the handshake of others, and sends what carries their SPIs and message IDs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from ikesim.crypto import exchange, schedule
from ikesim.crypto.ciphers import CipherSuite, cipher_suite
from ikesim.crypto.prf import prf
from ikesim.crypto.schedule import IkeKeys
from ikesim.ike.negotiation import algorithms, parse_ike_proposal
from ikesim.wire.message import Flags, Header, Message, encode_message, encode_payloads, protected_prefix
from ikesim.wire.payloads import (
    AUTH,
    CERT,
    CERTREQ,
    KE,
    SA,
    Delete,
    IDi,
    IDr,
    Nonce,
    Notify,
    Payload,
    TSi,
    TSr,
    VendorId,
)
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import NotifyType
from ikesim.wire.selectors import TrafficSelector

IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
PROPOSAL = replace(parse_ike_proposal("aes128gcm16-prfsha256-x25519"), number=1)
Ask = Callable[[bytes], bytes | None]
"""Sends a datagram to the victim from the attacker's address; the answer, None if there was none."""


@dataclass(slots=True)
class StrangerSa:
    """An IKE SA between the victim and a stranger, after IKE_SA_INIT."""

    spi_i: bytes
    spi_r: bytes
    suite: CipherSuite
    keys: IkeKeys
    request: bytes
    nonce_r: bytes
    iv: int = 0

    def seal(
        self,
        first: int,
        chain: bytes,
        *,
        kind: int = IKE_AUTH,
        message_id: int = 1,
        padding: bytes = b"\0",
        number: int = 0,
        total: int = 0,
    ) -> bytes:
        """A message of the initiator under the SA's keys, whatever its chain is."""
        header = Header(self.spi_i, self.spi_r, 0, 0x20, kind, int(Flags.INITIATOR), message_id, 0)
        octets = self.suite.iv_length + len(chain) + len(padding) + self.suite.icv_length
        prefix = protected_prefix(header, first, octets, number=number, total=total)
        self.iv += 1
        return prefix + self.suite.seal(
            self.keys.ei, self.keys.ai, iv=self.iv.to_bytes(8), aad=prefix, plaintext=chain + padding
        )


@dataclass(slots=True)
class Attacker:
    """Makes hostile datagrams; `ask` reaches the victim where an attack needs its answer."""

    random: Random
    ask: Ask
    pair: exchange.KeyPair = field(init=False)

    def __post_init__(self) -> None:
        self.pair = exchange.generate(31, self.random.randbytes)

    def begin(self) -> StrangerSa:
        """Exchange IKE_SA_INIT with the victim, with a COOKIE where it asks for one."""
        spi_i, nonce = b"\xee" + self.random.randbytes(7), self.random.randbytes(32)
        payloads: list[Payload] = [
            SA((PROPOSAL,)),
            KE(31, self.pair.public),
            Nonce(nonce),
            Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, bytes((0, 2, 0, 3, 0, 4, 0, 5))),
            Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
        ]
        header = Header(spi_i, bytes(8), 0, 0x20, IKE_SA_INIT, int(Flags.INITIATOR), 0, 0)
        for _ in range(4):
            request = encode_message(header, payloads)
            answer = self.ask(request)
            assert answer is not None, "the victim no longer answers IKE_SA_INIT"
            message = Message.parse(answer)
            cookie = message.notify(NotifyType.COOKIE)
            if cookie is None:
                break
            payloads = [cookie, *(item for item in payloads if getattr(item, "type", None) != NotifyType.COOKIE)]
        chosen, public, nonce_r = message.get(SA), message.get(KE), message.get(Nonce)
        assert chosen is not None and public is not None and nonce_r is not None
        picked = algorithms(chosen.proposals[0])
        assert picked.prf is not None
        suite = cipher_suite(picked.encryption, picked.key_bits, picked.integrity)
        spi_r = message.header.spi_r
        keys = schedule.ike_keys(
            prf(picked.prf),
            suite,
            ni=nonce,
            nr=nonce_r.data,
            spi_i=spi_i,
            spi_r=spi_r,
            shared=exchange.agree(self.pair, public.data),
        )
        return StrangerSa(spi_i, spi_r, suite, keys, request, nonce_r.data)

    def damage(self, octets: bytes) -> bytes:
        """One to four wounds."""
        random, spoiled = self.random, bytearray(octets)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            if not spoiled:
                break
            at = random.randrange(len(spoiled))
            match random.randrange(8):
                case 0:
                    spoiled[at] ^= 1 << random.randrange(8)
                case 1:
                    spoiled[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
                case 2:
                    del spoiled[at:]
                case 3:
                    spoiled += random.randbytes(random.choice((1, 4, 100, 2000)))
                case 4:
                    spoiled[at : at + 2] = random.choice((0, 1, 3, 4, 5, 0xFFFF, len(spoiled))).to_bytes(2)
                case 5:
                    length = random.randrange(1, 40)
                    spoiled[at:at] = spoiled[at : at + length]
                case 6:
                    del spoiled[at : at + random.randrange(1, 40)]
                case 7:
                    spoiled[at : at + 4] = random.randbytes(4)
        return bytes(spoiled)

    def live_copy(self, octets: bytes) -> bytes:
        """A genuine datagram with SPIs and message ID as they were, damaged elsewhere; mostly with its new length."""
        marked = octets[:4] == bytes(4)
        plain = octets[4:] if marked else octets
        body = self.damage(plain[28:])
        head = bytearray(plain[:28])
        for place in (16, 18, 19):
            if self.random.random() < 0.1:
                head[place] = self.random.randrange(256)
        if self.random.random() < 0.9:
            head[24:28] = (28 + len(body)).to_bytes(4)
        return (bytes(4) if marked else b"") + bytes(head) + body

    def live_clear(self, octets: bytes) -> bytes:
        """Unprotected payloads under the SPIs and message ID of a genuine message, as request or response."""
        plain = octets[4:] if octets[:4] == bytes(4) else octets
        header = Header.parse(plain)
        kind = self.random.choice((IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, self.random.randrange(256)))
        flags = self.random.choice((0x08, 0x20, 0x28, 0x00))
        made = replace(
            header, exchange=kind, flags=flags, message_id=header.message_id + self.random.choice((0, 0, 1))
        )
        return self.random.choice((b"", bytes(4))) + encode_message(made, self.payloads())

    def payloads(self) -> list[Payload]:
        """Some payloads that encode, in an order that may make no sense."""
        random = self.random
        net = (TrafficSelector.from_network("10.0.0.0/8"),)
        pool: list[Payload] = [
            SA((PROPOSAL,)),
            SA((Proposal(1, 3, random.randbytes(4), (Transform(1, 20, 128), Transform(5, 0))),)),
            KE(random.choice((31, 14, 4711)), random.randbytes(random.choice((0, 32, 256)))),
            Nonce(random.randbytes(32)),
            IDi(random.randrange(12), random.randbytes(random.choice((0, 4, 16, 300)))),
            IDr(2, b"bob.example"),
            CERT(random.choice((1, 4, 12, 201)), random.randbytes(random.choice((0, 20, 2000)))),
            CERTREQ(4, random.randbytes(random.choice((0, 19, 20, 400)))),
            AUTH(random.choice((1, 2, 9, 14)), random.randbytes(random.choice((0, 1, 64, 256)))),
            Notify(
                random.choice((1, 4, 5, 7, 14, 17, 24, 38, 43, 44, 16384, 16388, 16390, 16393, 16400, 16401, 16431))
            ),
            Notify(random.randrange(65536), random.randbytes(random.randrange(40)), 3, random.randbytes(4)),
            Delete(1),
            Delete(3, tuple(random.randbytes(4) for _ in range(random.randrange(1, 5)))),
            TSi(net),
            TSr(net),
            VendorId(random.randbytes(random.choice((0, 16, 3000)))),
        ]
        return random.choices(pool, k=random.choice((0, 1, 2, 5, 9, 70)))

    def sealed(self, genuine: bytes) -> Iterator[bytes]:
        """Messages of a stranger's own SA, damaged before encryption: `genuine` is the chain of a true IKE_AUTH."""
        sa = self.begin()
        random = self.random
        match random.randrange(6):
            case 0:
                yield sa.seal(35, self.damage(genuine))
            case 1:
                first, chain = encode_payloads(self.payloads())
                yield sa.seal(first, self.damage(chain) if random.random() < 0.5 else chain)
            case 2:
                yield sa.seal(
                    random.choice((0, 33, 35, 48, 53, 255)), random.randbytes(random.choice((0, 4, 60, 3000)))
                )
            case 3:
                yield sa.seal(35, genuine, padding=random.choice((b"", b"\xff", bytes((9,)) * 3)))
            case 4:
                half = len(genuine) // 2
                total = random.choice((2, 2, 3, 255, 65535))
                yield sa.seal(35, self.damage(genuine[:half]), number=1, total=total)
                yield sa.seal(0, genuine[half:], number=2, total=total)
                yield sa.seal(35, b"")
            case 5:
                first, chain = encode_payloads(self.payloads())
                kind = random.choice((INFORMATIONAL, CREATE_CHILD_SA, 43))
                yield sa.seal(first, chain, kind=kind, message_id=random.choice((0, 1, 2)))
                yield sa.seal(35, genuine)

    def init(self) -> bytes:
        """An IKE_SA_INIT request of its own, damaged."""
        header = Header(self.random.randbytes(8), bytes(8), 0, 0x20, IKE_SA_INIT, int(Flags.INITIATOR), 0, 0)
        proposals = SA((PROPOSAL, replace(parse_ike_proposal("aes128-sha256-modp2048"), number=2)))
        request = encode_message(header, [proposals, KE(31, self.pair.public), Nonce(self.random.randbytes(32))])
        octets = bytearray(request[:28] + self.damage(request[28:]))
        octets[24:28] = len(octets).to_bytes(4)
        return bytes(octets)

    def junk(self) -> bytes:
        """Anything else: noise, keepalives, lone markers, ESP of nobody, other protocols."""
        random = self.random
        match random.randrange(6):
            case 0:
                return random.randbytes(random.choice((0, 1, 3, 4, 8, 27, 28, 29, 100, 1400)))
            case 1:
                return b"\xff" * random.choice((1, 2, 28))
            case 2:
                return bytes(4) + random.randbytes(random.randrange(60))
            case 3:
                return bytes(random.choice((4, 28, 32, 1000)))
            case 4:
                return random.choice((b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" * 20))
            case _:
                octets = bytearray(random.randbytes(60))
                octets[17], octets[18], octets[24:28] = 0x20, random.randrange(34, 44), (60).to_bytes(4)
                return bytes(octets)


def batch(attacker: Attacker, count: int, live: list[bytes], genuine: bytes) -> Iterator[tuple[str, bytes]]:
    """`count` hostile datagrams and their kinds: a quarter sealed, at least half with live SPIs and message IDs."""
    made = 0
    while made < count:
        for kind, octets in _some(attacker, live, genuine):
            yield kind, octets
            made += 1
            if made == count:
                return


def _some(attacker: Attacker, live: list[bytes], genuine: bytes) -> Iterator[tuple[str, bytes]]:
    dice = attacker.random.random()
    if dice < 0.23:
        for octets in attacker.sealed(genuine):
            yield "sealed", octets
    elif dice < 0.58:
        yield "live", attacker.live_copy(attacker.random.choice(live))
    elif dice < 0.72:
        yield "live", attacker.live_clear(attacker.random.choice(live))
    elif dice < 0.86:
        yield "junk", attacker.init()
    else:
        yield "junk", attacker.junk()
