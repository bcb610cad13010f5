"""How long an IKE SA lives: rekeying, reauthentication, the hard end, and signs of life (RFC 7296 2.4, 2.8)."""

from ikesim.ike.child import early
from ikesim.ike.core import Core
from ikesim.ike.sa import IkeSa


def start(core: Core, sa: IkeSa, now: float) -> None:
    """Set the timers of an SA that has just been established, or made by rekeying."""
    connection = core.connection(sa)
    if connection.rekey_time:
        core.timers.set(sa, "rekey", now + early(core, connection.rekey_time, connection.jitter))
        core.timers.set(sa, "expire", now + connection.rekey_time * (1 + connection.over_time))
    if connection.liveness.interval:
        core.timers.set(sa, "liveness", now + connection.liveness.interval)
    if connection.keepalive and sa.nat_local:
        core.timers.set(sa, "keepalive", now + connection.keepalive)


def start_reauthentication(core: Core, sa: IkeSa, now: float) -> None:
    """Set when the peer is to be authenticated anew; rekeying does not put this off."""
    connection = core.connection(sa)
    if connection.reauth_time and sa.initiator:
        core.timers.set(sa, "reauthenticate", now + early(core, connection.reauth_time, connection.jitter))
