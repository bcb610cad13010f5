"""Events as one line each for people, with whatever a peer had a hand in escaped."""

from datetime import UTC

from ikesim.daemon.safe import escaped
from ikesim.ike.events import (
    AddressAssigned,
    Anomaly,
    ChildDown,
    ChildUp,
    Event,
    FetchFinished,
    FetchStarted,
    Ready,
    Redirected,
    Rekeyed,
    Retransmitted,
    SaClosed,
    SaEstablished,
    SaRefused,
    SelfTested,
    TrustChanged,
)


def log_line(event: Event) -> str:
    """The event as the human log has it: time, endpoint, what happened."""
    clock = event.time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{clock} {event.endpoint}: {escaped(sentence(event))}"


def sentence(event: Event) -> str:
    """What happened, in one sentence (not yet escaped)."""
    match event:
        case Ready():
            both = ", ".join(str(address) for address in (*event.listen, *event.listen_nat_t))
            return f"ready on {both}"
        case SaEstablished():
            return f"{event.sa} established with {event.connection}: {event.decision.summary}"
        case SaRefused():
            return _refusal(event)
        case SaClosed():
            why = f": {event.decision.summary}" if event.decision is not None else ""
            return f"{event.sa} with {event.connection} closed ({event.reason}){why}"
        case ChildUp():
            spis = f"SPI in {event.spi_in.hex()}, out {event.spi_out.hex()}"
            selectors = f"{', '.join(event.local_ts)} === {', '.join(event.remote_ts)}"
            return f"{event.name} ({event.child}) of {event.sa} carries {selectors} ({spis})"
        case ChildDown():
            which = f"{event.name} ({event.child})" if event.child else event.name
            return f"{which} of {event.sa} is down ({event.reason}){_detail(event.detail)}"
        case Rekeyed():
            return f"{event.old} was rekeyed; {event.new} takes its place"
        case AddressAssigned():
            servers = f", name servers {', '.join(event.dns)}" if event.dns else ""
            return f"{event.sa}: the peer gave us {', '.join(event.addresses)}{servers}"
        case Redirected():
            then = "" if event.new == event.old else f"; {event.new} takes its place"
            return f"{event.old} was redirected to {event.gateway}{then}"
        case Retransmitted():
            return f"{event.sa}: request {event.message_id} sent again (retransmission {event.count})"
        case FetchStarted():
            return f"fetching {event.url}"
        case FetchFinished():
            return f"fetched {event.url}: {event.result}"
        case TrustChanged():
            where = f" of CA profile {event.ca_profile}" if event.ca_profile else ""
            return f"PKI objects changed: {event.what}{where}"
        case SelfTested(passed=True):
            return f"{event.ran} cryptographic self-tests passed ({event.trigger})"
        case SelfTested():
            return f"cryptographic self-tests failed ({event.trigger}): {', '.join(event.failed)}; no new SA is made"
        case Anomaly():
            where = f" on {event.sa}" if event.sa else f" from {event.remote}" if event.remote else ""
            return f"anomaly{where}: {event.what} ({event.rule})"
        case _:
            return type(event).__name__


def _refusal(event: SaRefused) -> str:
    whom = event.connection or "an unknown peer"
    match event.by:
        case "us":
            who = f"we refused {whom}"
        case "peer":
            word = "" if event.authenticated else ", unauthenticated"
            who = f"{whom} refused us{word}"
        case _:
            who = f"nobody answered for {whom}"
    why = event.decision.summary if event.by == "us" and event.decision is not None else event.detail
    reason = "" if str(event.reason) in why else f" ({event.reason})"
    return f"{event.sa}: {who}{reason}{_detail(why)}"


def _detail(text: str) -> str:
    return f": {text}" if text else ""
