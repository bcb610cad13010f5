"""What `ikesim status` shows of an endpoint: the stable JSON form of interface and control API."""

import hashlib
from typing import Any

from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import to_json
from ikesim.ike.negotiation import proposal_text
from ikesim.ike.sa import Authenticated, ChildSa, IkeSa, IkeState
from ikesim.reasons import Reason

_GONE = (IkeState.REFUSED, IkeState.DELETED)
"""SAs that only answer retransmissions."""


def status(endpoint: Endpoint, now: float) -> dict[str, Any]:
    """The state of an endpoint: `endpoint, listen, ike_sas[], counters`. Plain JSON types, no keys."""
    core = endpoint.core
    return {
        "endpoint": core.config.name,
        "listen": [str(address) for address in core.config.listen],
        "listen_nat_t": [str(address) for address in core.config.listen_nat_t],
        "ike_sas": [_ike_sa(sa, now) for sa in core.sas.values() if sa.state not in _GONE],
        "state": "error" if core.self_tests.failed else "operational",
        "reason": Reason.SELF_TEST_FAILED.value if core.self_tests.failed else None,
        "self_test": core.self_tests.to_json(),
        "counters": dict(sorted(core.counters.values.items())),
    }


def _ike_sa(sa: IkeSa, now: float) -> dict[str, Any]:
    peer = sa.peer
    return {
        "id": sa.id,
        "connection": sa.connection,
        "state": sa.state.value,
        "role": "initiator" if sa.initiator else "responder",
        "spi_i": sa.spi_i.hex(),
        "spi_r": sa.spi_r.hex(),
        "local": str(sa.path.local),
        "remote": str(sa.path.remote),
        "identity": str(peer.identity) if peer is not None else None,
        "key_fingerprint": _key_fingerprint(peer),
        "proposal": proposal_text(sa.proposal) if sa.proposal is not None else None,
        "established_at": to_json(sa.established_at),
        "rekey_in": round(sa.timers["rekey"] - now, 3) if "rekey" in sa.timers else None,
        "ppk": sa.ppk,
        "auth": {"method": peer.auth.method, "scheme": str(peer.auth.scheme)} if peer is not None else None,
        "decision": peer.decision.to_json() if peer is not None else None,
        "assigned": list(sa.assigned),
        "leased": list(sa.leased),
        "child_sas": [_child_sa(sa, child, now) for child in sa.children.values()],
    }


def _key_fingerprint(peer: Authenticated | None) -> str | None:
    """SHA-256 of the SubjectPublicKeyInfo that the peer's AUTH verified with."""
    if peer is None or peer.decision.leaf is None:
        return None
    return f"sha256:{hashlib.sha256(peer.decision.leaf.spki).hexdigest()}"


def _child_sa(sa: IkeSa, child: ChildSa, now: float) -> dict[str, Any]:
    rekey = sa.timers.get(f"rekey {child.id}")
    return {
        "id": child.id,
        "name": child.name,
        "state": child.state.value,
        "spi_in": child.spi_in.hex(),
        "spi_out": child.spi_out.hex(),
        "proposal": proposal_text(child.proposal),
        "local_ts": [str(item) for item in child.local_ts],
        "remote_ts": [str(item) for item in child.remote_ts],
        "rekey_in": None if rekey is None else round(rekey - now, 3),
        "bytes_in": child.inbound.octets,
        "bytes_out": child.outbound.octets,
        "packets_in": child.inbound.packets,
        "packets_out": child.outbound.packets,
    }
