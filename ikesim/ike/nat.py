"""Which path an IKE SA takes: NAT detection, the choice of ports, and the framing (RFC 7296 2.23, RFC 3948)."""

from hashlib import sha1

from ikesim.ike.config import ConnectionConfig, EndpointConfig
from ikesim.ike.sa import IkeSa
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify
from ikesim.wire.registry import NotifyType

IKE_PORT = 500


def detection_hash(spi_i: bytes, spi_r: bytes, packed: bytes, port: int) -> bytes:
    """The data of a NAT_DETECTION notify: SHA-1 of the SPIs, an address and a port (RFC 7296 2.23)."""
    return sha1(spi_i + spi_r + packed + port.to_bytes(2), usedforsecurity=False).digest()


def detection_notifies(spi_i: bytes, spi_r: bytes, path: Path, pretend: bool) -> tuple[Notify, Notify]:
    """What we say about a message on `path`; with `pretend` our source matches nothing, so the peer sees a NAT."""
    source = path.local
    packed, port = (bytes(len(source.packed)), 0) if pretend else (source.packed, source.port)
    remote = path.remote
    return (
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, detection_hash(spi_i, spi_r, packed, port)),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, detection_hash(spi_i, spi_r, remote.packed, remote.port)),
    )


def learn(sa: IkeSa, message: Message, path: Path, pretend: bool) -> None:
    """Note from the peer's NAT_DETECTION notifies who is behind a NAT. Without them there is nothing to say."""
    header = message.header
    sources: list[bytes] = []
    destinations: list[bytes] = []
    for item in message.notifies():
        if item.type == NotifyType.NAT_DETECTION_SOURCE_IP:
            sources.append(item.data)
        elif item.type == NotifyType.NAT_DETECTION_DESTINATION_IP:
            destinations.append(item.data)
    remote, local = path.remote, path.local
    seen = detection_hash(header.spi_i, header.spi_r, remote.packed, remote.port)
    addressed = detection_hash(header.spi_i, header.spi_r, local.packed, local.port)
    sa.nat_remote = bool(sources) and seen not in sources
    sa.mapped = bool(destinations) and addressed not in destinations
    sa.nat_local = pretend or sa.mapped


def first_path(config: EndpointConfig, connection: ConnectionConfig, remote: Address) -> tuple[Path, bool]:
    """Where an initiator sends IKE_SA_INIT, and whether with the non-ESP marker.

    strongSwan's habit: bare where either port is 500, marked where neither is. "bare-init" is the other one.
    """
    path = Path(connection.local, remote)
    custom = IKE_PORT not in (path.local.port, path.remote.port)
    return path, custom and config.framing == "strongswan"


def later_path(connection: ConnectionConfig, sa: IkeSa) -> tuple[Path, bool]:
    """Where an initiator goes on after IKE_SA_INIT, once a NAT was seen or MOBIKE is wanted: the NAT-T ports, marked.

    Where everything was marked from the start only our source port moves (so does strongSwan).
    """
    remote = sa.path.remote
    if not sa.marked and connection.remote_nat_t is not None:
        remote = Address(remote.host, connection.remote_nat_t.port)
    return Path(connection.local_nat_t, remote), True
