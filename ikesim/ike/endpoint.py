"""All IKE SAs of one endpoint: where a datagram comes in, and where everything goes out.

A datagram's way: `wire.demux` says what it is; its SPI finds the IKE SA; the window says whether it is new;
`protection` opens it; `grammar` says what it is; one of the exchange modules answers. Nothing that comes from the
network raises.
"""

from collections.abc import Collection
from functools import partial

from ikesim.crypto.selftest import Outcome
from ikesim.errors import IntegrityError, NotFoundError, ProtocolError, UsageError, WireError
from ikesim.ike import (
    agenda,
    auth,
    create_child,
    events,
    expiry,
    followup,
    informational,
    init,
    intermediate,
    mobike,
    redirect,
    rekey_ike,
    traffic,
)
from ikesim.ike.config import EndpointConfig
from ikesim.ike.core import MAX_HELD_OCTETS, VERSION, Core
from ikesim.ike.digest import state_digest
from ikesim.ike.grammar import Form, is_protected, recognise
from ikesim.ike.ids import FetchId, SaId
from ikesim.ike.ports import Datagram, Fetch, InnerPacket, Ports
from ikesim.ike.protection import open_message
from ikesim.ike.sa import AWAITED_EXCHANGE, HALF_OPEN, UNANSWERED, IkeSa, IkeState
from ikesim.ike.self_tests import SelfTestSettings
from ikesim.ike.tasks import (
    AuthTask,
    CreateChildTask,
    DeleteTask,
    InformTask,
    InitTask,
    IntermediateTask,
    Task,
)
from ikesim.ike.window import Arrival, Origin, digest
from ikesim.pki.fetching import FetchResult
from ikesim.reasons import Reason
from ikesim.wire.address import Address, Path
from ikesim.wire.demux import DatagramKind, classify
from ikesim.wire.message import Header, Message
from ikesim.wire.payloads import Notify
from ikesim.wire.registry import ExchangeType, NotifyType

CLEAR_ANSWERS_A_SECOND = 10
"""Unprotected error answers to messages of no SA: RFC 7296 2.21.4 asks for a limit, since anybody can cause them."""


class Endpoint:
    """One IKE endpoint as a sans-IO object: call its methods with time, then drain its four queues."""

    def __init__(self, config: EndpointConfig, ports: Ports) -> None:
        self.core = Core(config, ports)
        self._clear_second = -1
        self._clear_answers = 0

    @property
    def config(self) -> EndpointConfig:
        """The configuration in force."""
        return self.core.config

    def state_digest(self) -> bytes:
        """32 octets over the whole state: equal for a copy, different where anything kept differs."""
        return state_digest(self.core, self._clear_second, self._clear_answers)

    # what goes out

    def next_deadline(self) -> float | None:
        """When :meth:`advance` has something to do; None if nothing is pending."""
        core = self.core
        found = (core.timers.next_deadline(core.sas), core.self_tests.due, core.calls.next_deadline())
        return min((deadline for deadline in found if deadline is not None), default=None)

    def datagrams(self) -> list[Datagram]:
        """Take the datagrams to send, in order."""
        out, self.core.out_datagrams = self.core.out_datagrams, []
        return out

    def inner_packets(self) -> list[InnerPacket]:
        """Take the IP packets that came through CHILD SAs."""
        out, self.core.out_packets = self.core.out_packets, []
        return out

    def events(self) -> list[events.Event]:
        """Take the events."""
        out, self.core.out_events = self.core.out_events, []
        return out

    def fetches(self) -> list[Fetch]:
        """Take the requests to the network; each is answered with :meth:`fetched`."""
        out, self.core.out_fetches = self.core.out_fetches, []
        return out

    # what comes in

    def receive(self, datagram: bytes, path: Path, now: float) -> None:
        """Take a datagram as it was read from a socket. Never raises on what it contains."""
        core = self.core
        hook = core.ports.hooks.on_receive
        if hook is not None:
            changed = hook(None, datagram, path)
            datagram = datagram if changed is None else changed
        kind, octets = classify(datagram, core.knows_spi)
        if kind is DatagramKind.ESP:
            traffic.receive(core, octets, path, now)
            agenda.wake(self.core, now)
        elif kind in (DatagramKind.IKE, DatagramKind.MARKED_IKE):
            try:
                self._receive_ike(octets, Origin(path, kind is DatagramKind.MARKED_IKE), now)
            except ProtocolError as error:
                core.counters.add("ike-malformed")
                core.emit(
                    events.Anomaly,
                    now,
                    what=str(error),
                    rule=error.rule if isinstance(error, WireError) else "RFC 7296",
                    remote=path.remote,
                )
        else:
            core.counters.add(f"datagrams-{kind.value}")

    def send_inner(self, packet: bytes, now: float) -> None:
        """Protect an IP packet with the CHILD SA that covers it; without one it is counted and dropped."""
        traffic.send(self.core, packet, now)
        agenda.wake(self.core, now)

    def fetched(self, fetch: FetchId, result: FetchResult, now: float) -> None:
        """Take the answer to a fetch; without effect for a fetch that is not (or no longer) open."""
        core = self.core
        request = next((item for item, fetch_id in core.open_fetches.items() if fetch_id == fetch), None)
        if request is None:
            return
        del core.open_fetches[request]
        said = "ok" if result.body is not None else result.error
        core.emit(events.FetchFinished, now, url=request.url, result=said)
        for sa_id in core.waiters.pop(fetch):
            sa = core.sas.get(sa_id)
            if sa is not None:
                auth.fetched(core, sa, fetch, result, now)
                agenda.proceed(self.core, sa, now)

    # what the operator asks

    def initiate(self, connection: str, now: float) -> SaId:
        """Start an IKE SA. Raises NotFoundError for an unknown connection, UsageError for one that only answers."""
        self.core.calls.begin(connection)
        return init.initiate(self.core, connection, now)

    def create_child(self, sa: SaId, child: str, now: float) -> None:
        """Make another CHILD SA. Raises NotFoundError, UsageError where the IKE SA is not established."""
        found = self._established(sa)
        connection = self.core.connection(found)
        config = next((item for item in connection.children if item.name == child), None)
        if config is None:
            raise NotFoundError(f"connection {connection.name!r} has no child {child!r}")
        agenda.ask(self.core, found, CreateChildTask(config), now)

    def rekey(self, sa: SaId, now: float) -> None:
        """Replace an IKE SA or a CHILD SA by a fresh one. Raises NotFoundError, UsageError."""
        if sa in self.core.sas:
            agenda.rekey(self.core, self._established(sa), now)
            return
        found, child = self.core.find_child(sa)
        agenda.ask(self.core, found, CreateChildTask(child.config, child.id), now)

    def terminate(self, sa: SaId, now: float) -> None:
        """End an IKE SA or a CHILD SA, with DELETE where the peer knows it. Raises NotFoundError."""
        core = self.core
        if sa not in core.sas:
            owner, child = core.find_child(sa)
            agenda.ask(self.core, owner, DeleteTask(Reason.DELETED_BY_US, (child.id,)), now)
            return
        found = core.sas[sa]
        if found.connection is not None:
            core.calls.give_up(found.connection)
        if found.state is IkeState.ESTABLISHED:
            found.queue.clear()
            agenda.ask(self.core, found, DeleteTask(Reason.DELETED_BY_US), now)
        elif found.state in (IkeState.REFUSED, IkeState.DELETED, IkeState.DELETE_RESPONSE):
            core.close(found, found.closing or Reason.DELETED_BY_US, now)
        else:
            by = "nobody-answered" if found.initiator else "us"
            reason = Reason.NOBODY_ANSWERED if found.initiator else Reason.DELETED_BY_US
            core.refuse(found, by, reason, now, detail="given up before the peer had answered")

    def check_liveness(self, sa: SaId, now: float) -> None:
        """Ask the peer for a sign of life (RFC 7296 2.4). Raises NotFoundError, UsageError."""
        agenda.ask(self.core, self._established(sa), InformTask(), now)

    def reauthenticate(self, sa: SaId, now: float) -> None:
        """Authenticate anew on a new IKE SA; the old one ends when it is up. Raises NotFoundError, UsageError."""
        agenda.reauthenticate(self.core, self._established(sa), now)

    def redirect(self, sa: SaId, gateway: str, now: float) -> None:
        """Send the peer of an IKE SA that we answered to another gateway, an IP address (RFC 5685 5).

        Raises NotFoundError, UsageError where the SA is not established, ours, or of a peer that does not follow.
        """
        found = self._established(sa)
        agenda.ask(self.core, found, redirect.ask(self.core, found, gateway, now), now)

    def change_address(self, sa: SaId, local: Address, now: float, remote: Address | None = None) -> None:
        """Move an IKE SA and its CHILD SAs to another local address (or remote, too) with MOBIKE (RFC 4555).

        Raises NotFoundError, and UsageError where the SA is not established or the peer does not speak MOBIKE.
        """
        found = self._established(sa)
        mobike.change(self.core, found, Path(local, remote or found.path.remote), now)
        agenda.proceed(self.core, found, now)

    def reconfigure(self, config: EndpointConfig, now: float) -> list[str]:
        """Take a new configuration; the names of the connections that ended because they are gone."""
        core = self.core
        core.removed |= {
            name: connection for name, connection in core.config.connections.items() if name not in config.connections
        }
        core.config = config
        core.forget_policies()
        ended: list[str] = []
        for sa in list(core.sas.values()):
            names = sa.pending.candidates if sa.pending is not None else (sa.connection,)
            gone = [name for name in names if name is not None and name not in config.connections]
            if gone:
                ended += gone
                agenda.end(self.core, sa, Reason.CONNECTION_REMOVED, now)
        return list(dict.fromkeys(ended))

    def trust_changed(self, now: float) -> None:
        """Judge the peers of established SAs again: a certificate, CRL or profile changed."""
        for sa in list(self.core.sas.values()):
            judged = sa.state is IkeState.ESTABLISHED and sa.replaced_by is None
            judged = judged and sa.connection in self.core.config.connections
            if judged and self.core.connection(sa).on_revocation == "delete":
                agenda.end_if_revoked(self.core, sa, now)

    def self_test(
        self, now: float, only: Collection[str] | None = None, trigger: str = "on-demand"
    ) -> tuple[Outcome, ...]:
        """Test the cryptography: what `only` names, or what the settings say. A failure is the error state.

        Raises ForbiddenError where the tests are disabled, UsageError for one that does not exist.
        """
        core, hook = self.core, self.core.ports.hooks.on_self_test
        changed = partial(hook, None) if hook is not None else None
        outcomes = core.self_tests.run(trigger, core.ports.wall(now), only, changed)
        failed = tuple(outcome.name for outcome in outcomes if not outcome.passed)
        core.emit(events.SelfTested, now, trigger=trigger, passed=not failed, ran=len(outcomes), failed=failed)
        return outcomes

    def configure_self_tests(self, settings: SelfTestSettings, now: float) -> None:
        """Take what the administrators have set. Raises UsageError for a test that does not exist."""
        self.core.self_tests.configure(settings, now)

    def advance(self, now: float) -> None:
        """Fire the timers that are due."""
        core = self.core
        tests = core.self_tests
        if tests.due is not None and tests.due <= now:
            tests.due = now + tests.settings.interval
            self.self_test(now, trigger="periodic")
        while (due := core.timers.due(core.sas, now)) is not None:
            sa, timer = due
            hook = core.ports.hooks.on_timer
            if hook is None or hook(sa.id, timer, now) is not False:
                expiry.fire(self.core, sa, timer, now)
        for name in core.calls.take_due(now):
            if name in core.config.connections and not any(_leads_to(sa, name) for sa in core.sas.values()):
                init.initiate(core, name, now)

    # IKE messages

    def _receive_ike(self, octets: bytes, origin: Origin, now: float) -> None:
        core = self.core
        header = Header.parse(octets)
        major = header.major
        if major > VERSION >> 4:
            if not header.is_response and self._may_answer(now):
                core.answer_in_clear(header, [Notify(NotifyType.INVALID_MAJOR_VERSION)], origin)
            return
        if major < VERSION >> 4:
            core.counters.add("ike-old-version")
            return
        from_initiator = header.from_initiator
        sa_id = core.by_spi.get(header.spi_r if from_initiator else header.spi_i)
        if sa_id is None:
            self._receive_without_sa(octets, header, origin, now)
            return
        sa = core.sas[sa_id]
        protected, asked = is_protected(header.exchange), _asked(sa)
        if from_initiator == sa.initiator:
            core.counters.add("ike-wrong-direction")
        elif header.exchange == ExchangeType.IKE_SA_INIT and isinstance(asked, (AuthTask, IntermediateTask)):
            kept = init.keep_other_answer(sa, asked, octets)
            core.counters.add("init-answers-kept" if kept else "ike-wrong-exchange")
        elif protected and (header.spi_i != sa.spi_i or header.spi_r != sa.spi_r):
            core.counters.add("ike-wrong-spi")
        elif protected == isinstance(asked, InitTask):
            core.counters.add("ike-wrong-exchange")
        elif header.is_response:
            self._receive_response(sa, octets, header, now)
        else:
            self._receive_request(sa, octets, header, origin, now)
        agenda.proceed(self.core, sa, now)

    def _receive_without_sa(self, octets: bytes, header: Header, origin: Origin, now: float) -> None:
        core = self.core
        if init.is_first_request(header):
            try:
                init.handle_request(core, self._decoded(None, Message.parse(octets, header)), origin, now)
            except ProtocolError as error:
                if error.notify is not None and self._may_answer(now):
                    core.answer_in_clear(header, [Notify(error.notify, error.data)], origin)
                raise
            return
        core.counters.add("ike-unknown-spi")
        if not header.is_response and header.exchange != ExchangeType.IKE_SA_INIT and self._may_answer(now):
            core.answer_in_clear(header, [Notify(NotifyType.INVALID_IKE_SPI)], origin)

    def _may_answer(self, now: float) -> bool:
        """Whether one more unprotected error answer is within the limit."""
        if int(now) != self._clear_second:
            self._clear_second, self._clear_answers = int(now), 0
        self._clear_answers += 1
        return self._clear_answers <= CLEAR_ANSWERS_A_SECOND

    def _open(self, sa: IkeSa, octets: bytes, header: Header) -> tuple[bool, Message | None]:
        """Whether the peer sent the datagram, and its message with inner payloads (None: fragments are missing)."""
        try:
            sealed = Message.parse(octets, header)
            frame = sealed.protected()
        except WireError:
            # Nothing is verified yet: anybody may have sent this, so the SA does not answer for it.
            self.core.counters.add("ike-malformed")
            return False, None
        stranger = not sa.initiator and sa.state in AWAITED_EXCHANGE
        held = sa.held_octets if stranger else 0
        if stranger and frame is not None and frame.total and self.core.held_octets >= MAX_HELD_OCTETS:
            self.core.counters.add("fragments-refused")
            return False, None
        try:
            message = open_message(sa, sealed)
        except IntegrityError:
            self.core.counters.add("ike-integrity")
            return False, None
        finally:
            if stranger:
                self.core.held_octets += sa.held_octets - held
        return True, None if message is None else self._decoded(sa.id, message)

    def _decoded(self, sa: SaId | None, message: Message) -> Message:
        """A message whose payloads are in the clear, as the hook leaves it."""
        hook = self.core.ports.hooks.after_decode
        return message if hook is None else hook(sa, message) or message

    def _receive_request(self, sa: IkeSa, octets: bytes, header: Header, origin: Origin, now: float) -> None:
        core, window = self.core, sa.window
        mark = digest(octets)
        arrival = window.judge(header.message_id, mark)
        if arrival is Arrival.REPEATED:
            if window.response and sa.state is not IkeState.VERDICT:
                core.counters.add("requests-repeated")
                if header.exchange == ExchangeType.IKE_AUTH and origin.path != sa.path:
                    sa.path_doubtful = True
                sa.origin = origin
                core.repeat_response(sa)
            return
        if arrival is not Arrival.NEW:
            core.counters.add(f"requests-{arrival.value}")
            return
        if sa.state in AWAITED_EXCHANGE:
            if header.exchange != AWAITED_EXCHANGE[sa.state]:
                core.counters.add("requests-before-auth")
                return
        elif sa.state not in (IkeState.ESTABLISHED, IkeState.DELETE_RESPONSE):
            core.counters.add("requests-untimely")
            return
        try:
            verified, message = self._open(sa, octets, header)
            if verified and (window.first_digest == b"" or _is_first_fragment(octets)):
                window.first_digest = mark
            if message is None:
                return
        except ProtocolError as error:
            # The integrity check passed: the peer itself sent this.
            self._accept_request(sa, mark, origin, now)
            self._answer_error(sa, header.exchange, error, now)
            return
        self._accept_request(sa, window.first_digest, origin, now)
        try:
            self._handle_request(sa, message, now)
        except ProtocolError as error:
            self._answer_error(sa, header.exchange, error, now)

    def _accept_request(self, sa: IkeSa, mark: bytes, origin: Origin, now: float) -> None:
        sa.window.accept(mark)
        sa.origin = origin
        sa.last_heard = now
        traffic.confirm(self.core, sa)
        if sa.state is IkeState.ESTABLISHED and traffic.follows(sa, origin.path):
            sa.path, sa.marked = origin.path, origin.marked

    def _handle_request(self, sa: IkeSa, message: Message, now: float) -> None:
        core = self.core
        if sa.state is IkeState.INTERMEDIATE_REQUEST:
            intermediate.handle_request(core, sa, message, now)
            return
        if sa.state is IkeState.AUTH_REQUEST:
            auth.handle_request(core, sa, message, now)
            return
        form = recognise(message)
        if form is Form.INFORMATIONAL_REQUEST:
            informational.handle_request(core, sa, message, now)
        elif message.header.exchange not in (ExchangeType.CREATE_CHILD_SA, ExchangeType.IKE_FOLLOWUP_KE):
            raise ProtocolError(
                f"{form} on an established IKE SA",
                reason=Reason.PAYLOAD_MALFORMED,
                notify=NotifyType.INVALID_SYNTAX,
            )
        elif sa.state is IkeState.DELETE_RESPONSE or core.self_tests.failed:
            # RFC 7296 2.25: a closing SA makes nothing new; nor does cryptography that has failed its tests.
            core.respond(sa, message.header.exchange, [Notify(NotifyType.TEMPORARY_FAILURE)])
        elif form is Form.FOLLOWUP_REQUEST:
            followup.handle_request(core, sa, message, now)
        elif form is Form.IKE_REKEY_REQUEST and agenda.ends_at_rekey(self.core, sa, now):
            core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
        elif form is Form.IKE_REKEY_REQUEST:
            rekey_ike.handle_request(core, sa, message, now)
        else:
            create_child.handle_request(core, sa, message, form, now)

    def _answer_error(self, sa: IkeSa, exchange: int, error: ProtocolError, now: float) -> None:
        """Answer a malformed request of the authenticated peer; INVALID_SYNTAX ends the SA (RFC 7296 2.21.3)."""
        core = self.core
        rule = error.rule if isinstance(error, WireError) else "RFC 7296 2.21"
        core.emit(events.Anomaly, now, what=str(error), rule=rule, sa=sa.id)
        if error.notify is not None:
            core.respond(sa, exchange, [Notify(error.notify, error.data)])
        if sa.state in HALF_OPEN:
            core.refuse(sa, "us", error.reason, now, detail=str(error), linger=True)
        elif error.notify == NotifyType.INVALID_SYNTAX:
            core.close(sa, error.reason, now, linger=True)

    def _receive_response(self, sa: IkeSa, octets: bytes, header: Header, now: float) -> None:
        core = self.core
        outstanding = sa.window.outstanding
        if (
            outstanding is None
            or header.message_id != outstanding.message_id
            or header.exchange != outstanding.exchange
            or sa.state is IkeState.VERDICT
        ):
            core.counters.add("responses-unexpected")
            return
        if isinstance(outstanding.task, InitTask):
            init.handle_response(core, sa, self._decoded(sa.id, Message.parse(octets, header)), outstanding.task, now)
            return
        try:
            _, message = self._open(sa, octets, header)
        except ProtocolError as error:
            self._end_malformed(sa, error, now)
            return
        if message is None:
            return
        sa.window.outstanding = None
        sa.timers.pop("retransmit", None)
        sa.last_heard = now
        try:
            agenda.read_response(self.core, sa, message, outstanding.task, now)
        except ProtocolError as error:
            self._end_malformed(sa, error, now)

    def _end_malformed(self, sa: IkeSa, error: ProtocolError, now: float) -> None:
        """The peer answered what no peer may answer: there is no common ground left (RFC 7296 2.21.3)."""
        core = self.core
        rule = error.rule if isinstance(error, WireError) else "RFC 7296 2.21"
        core.emit(events.Anomaly, now, what=str(error), rule=rule, sa=sa.id)
        if sa.state in (IkeState.AUTH_RESPONSE, IkeState.VERDICT):
            auth.refuse_answer(core, sa, error, now)
        elif sa.state in UNANSWERED:
            core.refuse(sa, "us", error.reason, now, detail=str(error), authenticated=True)
        else:
            core.close(sa, error.reason, now)

    def _established(self, sa_id: SaId) -> IkeSa:
        sa = self.core.find(sa_id)
        if sa.state is not IkeState.ESTABLISHED:
            raise UsageError(f"IKE SA {sa_id} is not established: it {sa.state.value}")
        return sa


def _leads_to(sa: IkeSa, name: str) -> bool:
    """Whether an SA is one of a connection, up or on its way."""
    return sa.connection == name and sa.state not in (IkeState.DELETE_RESPONSE, IkeState.DELETED, IkeState.REFUSED)


def _asked(sa: IkeSa) -> Task | None:
    return sa.window.outstanding.task if sa.window.outstanding is not None else None


def _is_first_fragment(octets: bytes) -> bool:
    return len(octets) >= 34 and octets[16] == 53 and octets[32:34] == b"\x00\x01"
