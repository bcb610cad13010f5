"""IKE SAs that come up without a CHILD SA (RFC 6023): who wants that, and who takes it.

The responder says in IKE_SA_INIT that it can; only then may the initiator leave the CHILD SA out of IKE_AUTH. What is
left out is made with CREATE_CHILD_SA, and so with a key exchange of its own where its proposals have one.
"""

from ikesim.errors import ProtocolError
from ikesim.ike.child import ChildFailure
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.sa import IkeSa
from ikesim.reasons import Reason
from ikesim.wire.registry import NotifyType

UNWANTED = 'the peer asks for an IKE SA without a CHILD SA, which childless = "never" rules out'


def begins_alone(sa: IkeSa, connection: ConnectionConfig) -> bool:
    """Whether our IKE_AUTH asks for no CHILD SA. Raises ProtocolError where there is no way that both sides take."""
    if connection.children and connection.childless in ("allow", "never"):
        return False
    if sa.childless:
        return True
    if connection.children and connection.childless == "prefer":
        return False
    raise ProtocolError(
        "the responder takes no IKE SA without a CHILD SA (RFC 6023), and "
        + ('childless = "force"' if connection.children else "the connection has no child"),
        reason=Reason.CHILD_FAILED,
    )


def check_offer(connection: ConnectionConfig) -> None:
    """Raises ChildFailure where the CHILD SA in a peer's IKE_AUTH comes too early for the connection."""
    if connection.childless == "force":
        raise ChildFailure(
            'childless = "force": CHILD SAs are made with CREATE_CHILD_SA only',
            reason=Reason.CHILD_FAILED,
            notify=NotifyType.NO_PROPOSAL_CHOSEN,
        )
