"""Faults of the IKE header, before the message is authenticated: SPIs, version, flags (DH15-DH18, DI20-DI23)."""

from dataclasses import dataclass, replace

from ikesim.faults.base import MessageFault, exchange_number
from ikesim.ike.ids import SaId
from ikesim.wire.message import Flags, Header


@dataclass(kw_only=True)
class HeaderFault(MessageFault):
    """Sends another header."""

    def before_header(self, sa: SaId | None, header: Header) -> Header | None:
        """The message is encoded, and not yet protected."""
        return self.change(header) if self.chosen(header) else None

    def change(self, header: Header) -> Header:
        """The header to send instead."""
        raise NotImplementedError


@dataclass(kw_only=True)
class SetIkeInitiator(HeaderFault, rows="DH15"):
    """Flip the Initiator flag."""

    def change(self, header: Header) -> Header:
        """As if the other end had begun the IKE SA."""
        return replace(header, flags=header.flags ^ Flags.INITIATOR)


@dataclass(kw_only=True)
class SetIkeRequest(HeaderFault, rows="DH16"):
    """Flip the Response flag."""

    def change(self, header: Header) -> Header:
        """A request says that it is a response, and the other way round."""
        return replace(header, flags=header.flags ^ Flags.RESPONSE)


@dataclass(kw_only=True)
class SetIkeSpi(HeaderFault, rows="DH17 DI29"):
    """Send other SPIs."""

    spi_i: bytes | None = None
    """Eight octets; empty: as it is."""
    spi_r: bytes | None = None

    def change(self, header: Header) -> Header:
        """Of either side."""
        return replace(
            header,
            spi_i=header.spi_i if self.spi_i is None else self.spi_i,
            spi_r=header.spi_r if self.spi_r is None else self.spi_r,
        )


@dataclass(kw_only=True)
class SetIkeVersion(HeaderFault, rows="DH18 DI20"):
    """Send another version, or the flag that says a higher one is understood."""

    major: int = 2
    minor: int = 0
    higher: bool = False

    def change(self, header: Header) -> Header:
        """In any message."""
        flags = header.flags | (Flags.VERSION if self.higher else 0)
        return replace(header, version=(self.major & 15) << 4 | self.minor & 15, flags=flags)


@dataclass(kw_only=True)
class BogusFlag(HeaderFault, rows="DI21"):
    """Set reserved flags of the header."""

    bits: int = 0xC7
    """Those that RFC 7296 3.1 calls X."""

    def change(self, header: Header) -> Header:
        """Ignored on receipt."""
        return replace(header, flags=header.flags | self.bits)


@dataclass(kw_only=True)
class SetExchange(HeaderFault, rows="DI23"):
    """Send messages under another exchange type."""

    to: str = "INFORMATIONAL"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._to = exchange_number(self.to)

    def change(self, header: Header) -> Header:
        """With exchange=IKE_AUTH and response=yes: libreswan's bad_ike_auth_xchg."""
        return replace(header, exchange=self._to)


@dataclass(kw_only=True)
class SetMessageId(HeaderFault, rows="DH16"):
    """Send messages under another message ID."""

    diff: int = 1

    def change(self, header: Header) -> Header:
        """Beside the window of one."""
        return replace(header, message_id=(header.message_id + self.diff) % 2**32)
