"""UDP addresses and the path that a datagram took."""

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple


class Address(NamedTuple):
    """An IP address in its canonical text form, and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __deepcopy__(self, memo: object) -> "Address":
        return self  # immutable: copies of an endpoint share it

    @property
    def packed(self) -> bytes:
        """The IP address as octets: 4 for IPv4, 16 for IPv6."""
        return packed_host(self.host)

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> "Address":
        """Read "192.0.2.1:500", "[2001:db8::1]:500", or a host alone where `default_port` is given.

        Raises ValueError, saying what is wrong.
        """
        host, port = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise ValueError(f"{text!r} is not an address: expected [IPV6]:PORT")
            port = rest[1:]
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        if not port:
            if default_port is None:
                raise ValueError(f"{text!r} has no port: expected HOST:PORT")
            number = default_port
        elif port.isascii() and port.isdigit() and int(port) <= 65535:
            number = int(port)
        else:
            raise ValueError(f"{port!r} is not a UDP port")
        try:
            return cls(str(ip_address(host)), number)
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address (host names are not looked up)") from None


class Path(NamedTuple):
    """Where a datagram came in or goes out (local), and its other end (remote)."""

    local: Address
    remote: Address

    def __deepcopy__(self, memo: object) -> "Path":
        return self  # immutable: copies of an endpoint share it

    def __str__(self) -> str:
        return f"{self.local} <-> {self.remote}"


@lru_cache(maxsize=4096)
def packed_host(host: str) -> bytes:
    """The octets of an IP address given as text."""
    return ip_address(host).packed
