"""What the exchanges of one endpoint share: its tables of SAs, its timers, and the four queues that leave it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from ikesim.crypto.ciphers import CipherSuite
from ikesim.crypto.prf import Prf, prf
from ikesim.errors import NotFoundError
from ikesim.ike import events, intauth
from ikesim.ike.calling import Calls
from ikesim.ike.config import ConnectionConfig, EndpointConfig
from ikesim.ike.cookies import CookieJar
from ikesim.ike.ids import FetchId, SaId
from ikesim.ike.ocsp import OcspMemory
from ikesim.ike.pools import Pools
from ikesim.ike.ports import Datagram, Fetch, InnerPacket, Ports
from ikesim.ike.protection import seal_message
from ikesim.ike.sa import HALF_OPEN, ChildSa, ChildState, IkeSa, IkeState, InstalledIke
from ikesim.ike.self_tests import SelfTests
from ikesim.ike.tasks import Redirection, Task
from ikesim.ike.timers import Timers
from ikesim.ike.window import Counters, Origin, Outstanding
from ikesim.pki.certificates import parse as parse_certificate
from ikesim.pki.decision import TrustDecision
from ikesim.pki.fetching import FetchRequest
from ikesim.pki.identity import Identity
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.trust import Evidence, TrustPolicy, build_policy
from ikesim.reasons import Reason
from ikesim.wire.address import Path
from ikesim.wire.message import Flags, Header, encode_message, encode_payloads
from ikesim.wire.payloads import Payload
from ikesim.wire.registry import ExchangeType

NON_ESP_MARKER = bytes(4)
VERSION = 0x20
_INITIATOR, _RESPONSE = int(Flags.INITIATOR), int(Flags.RESPONSE)
"""Plain integers: or-ing members of an enum costs more than packing the header."""
REAUTHENTICATION_RETRY = 60.0
"""Seconds after which a reauthentication that failed is tried again; the SA goes on meanwhile."""
MAX_HELD_OCTETS = 16 * 1024 * 1024
"""Octets of incomplete messages from peers not yet authenticated, of all together: 160 of the largest messages."""
MAX_OPEN_FETCHES = 64
"""Fetches of one endpoint at a time: a decision needs a handful, and strangers cause none before AUTH verified."""


class Core:
    """The state of an endpoint below its exchanges. Everything in it is plain data, the ports aside."""

    def __init__(self, config: EndpointConfig, ports: Ports) -> None:
        self.config = config
        self.removed: dict[str, ConnectionConfig] = {}
        """Connections that are no longer configured, as they last were."""
        self.ports = ports
        self.sas: dict[SaId, IkeSa] = {}
        self.by_spi: dict[bytes, SaId] = {}
        """IKE SAs by the SPI that we chose."""
        self.peer_spis: dict[bytes, int] = {}
        """How many SAs have this initiator SPI: what tells bare IKE from ESP (`wire.demux`)."""
        self.peers: dict[tuple[str, Identity], dict[SaId, None]] = {}
        """Established IKE SAs by connection and the peer's identity, oldest first."""
        self.init_requests: dict[bytes, SaId] = {}
        self.children: dict[bytes, ChildSa] = {}
        """CHILD SAs by the SPI that we chose."""
        self.flows: dict[tuple[int, bytes, bytes, int | None, int | None], bytes] = {}
        """Which CHILD SA (by our SPI) carries a flow, as last searched; emptied whenever CHILD SAs change."""
        self.half_open = 0
        self.held_octets = 0
        """Octets of incomplete messages that half-open SAs hold: of peers whom nobody has authenticated."""
        self.lingering: dict[SaId, None] = {}
        """IKE SAs that have ended and only answer retransmissions, the oldest first."""
        self.redirects: dict[str, tuple[float, ...]] = {}
        """When a connection was sent elsewhere lately."""
        self.redirections: list[Redirection] = []
        """SAs to be made with gateways that others have sent us to."""
        self.timers = Timers()
        self.cookies = CookieJar()
        self.counters = Counters()
        self.self_tests = SelfTests()
        self.calls = Calls()
        self.pools = Pools()
        self.sequence = 0
        self.names = 0
        self.out_datagrams: list[Datagram] = []
        self.out_events: list[events.Event] = []
        self.out_fetches: list[Fetch] = []
        self.out_packets: list[InnerPacket] = []
        self.open_fetches: dict[FetchRequest, FetchId] = {}
        self.waiters: dict[FetchId, list[SaId]] = {}
        self.ocsp = OcspMemory()
        self._evidence: Evidence | None = None
        self._woken: list[IkeSa] = []
        self._policies: dict[str, TrustPolicy] = {}
        self._authorities: dict[str, tuple[bytes, ...]] = {}
        self._policy_store: TrustStore | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Core":
        """A copy that lives on by itself; what never changes is shared: configuration, policies, trust store."""
        twin = memo[id(self)] = Core.__new__(Core)
        memo[id(self.config)] = self.config
        memo[id(self._policy_store)] = self._policy_store
        for name, value in vars(self).items():
            shared = name in ("_policies", "_authorities", "removed")
            setattr(twin, name, dict(value) if shared else deepcopy(value, memo))
        return twin

    # names, entropy, configuration

    def next_sequence(self) -> int:
        """The next position among all that leaves the endpoint."""
        self.sequence += 1
        return self.sequence

    def new_id(self, kind: str) -> SaId:
        """A name for a new SA: "ike#1", "child#2"."""
        self.names += 1
        return SaId(f"{kind}#{self.names}")

    def entropy(self, purpose: str) -> Callable[[int], bytes]:
        """The stream of random octets for one purpose."""
        return partial(self.ports.entropy, purpose)

    def new_ike_spi(self) -> bytes:
        """A fresh IKE SPI: unused, and never looking like the non-ESP marker."""
        while True:
            spi = self.ports.entropy("spi", 8)
            if spi[:4] != NON_ESP_MARKER and spi not in self.by_spi:
                return spi

    def new_esp_spi(self) -> bytes:
        """A fresh ESP SPI: unused and above the reserved 0 to 255 (RFC 4303 2.1)."""
        while True:
            spi = self.ports.entropy("spi", 4)
            if spi[:3] != bytes(3) and spi not in self.children:
                return spi

    @property
    def pretends(self) -> bool:
        """Whether we pretend to be behind a NAT, so that ESP goes in UDP (RFC 7296 2.23)."""
        return self.config.encapsulation == "always"

    def connection(self, sa: IkeSa) -> ConnectionConfig:
        """The connection that an SA belongs to."""
        name = sa.connection
        assert name is not None
        return self.config.connections.get(name) or self.removed[name]

    def connection_named(self, name: str) -> ConnectionConfig:
        """A connection of the configuration, or one that an SA outlives for as long as its DELETE takes."""
        return self.config.connections.get(name) or self.removed[name]

    def policy(self, name: str) -> TrustPolicy:
        """The trust policy of a connection over the PKI objects as they stand now."""
        store = self._follow_store()
        policy = self._policies.get(name)
        if policy is None:
            connection = self.connection_named(name)
            policy = self._policies[name] = build_policy(
                connection.trusted_ca,
                connection.trusted_ca_group,
                self.config.ca_profiles,
                self.config.trusted_ca_groups,
                store,
                minimum_rsa=connection.minimum_rsa,
                minimum_ecdsa=connection.minimum_ecdsa,
                max_depth=connection.max_chain_depth,
                rule_profile=connection.rule_profile,
                policy_oids=connection.policy_oids,
            )
        return policy

    def evidence(self) -> Evidence:
        """What is held that may speak for or against a peer, as it stands now."""
        store = self._follow_store()
        if self._evidence is None:
            self._evidence = Evidence.from_store(store)
        return self._evidence

    def evidence_about(self, certificates: Sequence[bytes], now: float) -> Evidence:
        """The same, with the OCSP responses that earlier decisions learned about these certificates or held CAs."""
        held, responses = self.evidence(), self.ocsp.responses
        if not responses:
            return held
        return held.with_responses(responses.about((*certificates, *held.intermediates), self.ports.wall(now)))

    def ocsp_nonce(self, now: float) -> bytes:
        """The nonce for OCSP requests made now."""
        return self.ocsp.nonce_at(now, self.entropy("ocsp"), waiting=bool(self.open_fetches))

    def _follow_store(self) -> TrustStore:
        """The PKI objects as they stand now; what was made of others is forgotten."""
        store = self.ports.trust()
        if store is not self._policy_store:
            self.forget_policies()
            self._policy_store = store
        return store

    def forget_policies(self) -> None:
        """The configuration changed: make the trust policies anew when they are next needed."""
        self._policies.clear()
        self._authorities.clear()
        self._evidence = None

    def authorities(self, name: str) -> tuple[bytes, ...]:
        """What our CERTREQ asks for: SHA-1 of each trusted CA's SubjectPublicKeyInfo (RFC 7296 3.7)."""
        policy = self.policy(name)
        hashes = self._authorities.get(name)
        if hashes is None:
            hashes = self._authorities[name] = tuple(
                dict.fromkeys(parse_certificate(anchor.certificate).spki_sha1 for anchor in policy.anchor_list)
            )
        return hashes

    def connections_for(self, path: Path) -> list[ConnectionConfig]:
        """The connections that may answer on a path, in file order; exact addresses before "any"."""
        fitting = [
            connection
            for connection in self.config.connections.values()
            if path.local.host == connection.local.host
            and (connection.remote is None or connection.remote.host == path.remote.host)
        ]
        return sorted(fitting, key=lambda connection: connection.remote is None)

    # tables

    def add(self, sa: IkeSa) -> None:
        """Take a new IKE SA into the tables."""
        self.sas[sa.id] = sa
        sa.began = self.next_sequence()
        self.by_spi[sa.spi_local] = sa.id
        self.peer_spis[sa.spi_i] = self.peer_spis.get(sa.spi_i, 0) + 1
        if sa.state in HALF_OPEN and not sa.initiator:
            self.half_open += 1

    def index_peer(self, sa: IkeSa) -> None:
        """Note whom a newly established SA leads to."""
        assert sa.peer is not None and sa.connection is not None
        self.peers.setdefault((sa.connection, sa.peer.identity), {})[sa.id] = None

    def sas_with(self, connection: str, identity: Identity) -> list[IkeSa]:
        """The established IKE SAs of a connection with one peer, oldest first."""
        known = [self.sas[sa_id] for sa_id in self.peers.get((connection, identity), ())]
        return [sa for sa in known if sa.state is IkeState.ESTABLISHED and sa.replaced_by is None]

    def find(self, sa_id: SaId) -> IkeSa:
        """The IKE SA of that name. Raises NotFoundError."""
        sa = self.sas.get(sa_id)
        if sa is None:
            raise NotFoundError(f"there is no IKE SA {sa_id}")
        return sa

    def find_child(self, child_id: SaId) -> tuple[IkeSa, ChildSa]:
        """The CHILD SA of that name and its IKE SA. Raises NotFoundError."""
        for sa in self.sas.values():
            if child_id in sa.children:
                return sa, sa.children[child_id]
        raise NotFoundError(f"there is no CHILD SA {child_id}")

    def knows_spi(self, spi: bytes) -> bool:
        """Whether an initiator SPI (8 octets) or an ESP SPI of ours (4 octets) is known."""
        return spi in self.peer_spis or spi in self.children

    def wake(self, sa: IkeSa) -> None:
        """An SA other than the one at hand got something to do."""
        self._woken.append(sa)

    def take_woken(self) -> list[IkeSa]:
        """The SAs that have got something to do meanwhile."""
        woken, self._woken = self._woken, []
        return woken

    def leave_half_open(self, sa: IkeSa) -> None:
        """A responder's SA is no longer half-open; call once, when it stops being so."""
        if not sa.initiator:
            self.half_open -= 1
            self.held_octets -= sa.held_octets
        sa.timers.pop("half-open", None)

    def _forget(self, sa: IkeSa) -> None:
        self.sas.pop(sa.id, None)
        self.lingering.pop(sa.id, None)
        self.by_spi.pop(sa.spi_local, None)
        self._leave_peer_spi(sa.spi_i)
        if sa.peer is not None and sa.connection is not None:
            key = (sa.connection, sa.peer.identity)
            known = self.peers.get(key, {})
            known.pop(sa.id, None)
            if not known:
                self.peers.pop(key, None)
        if sa.init_digest:
            self.init_requests.pop(sa.init_digest, None)
        sa.timers.clear()
        sa.queue.clear()

    def renew_spi(self, sa: IkeSa) -> None:
        """An initiator begins anew, under another SPI."""
        del self.by_spi[sa.spi_i]
        self._leave_peer_spi(sa.spi_i)
        sa.spi_i = self.new_ike_spi()
        self.by_spi[sa.spi_i] = sa.id
        self.peer_spis[sa.spi_i] = self.peer_spis.get(sa.spi_i, 0) + 1

    def _leave_peer_spi(self, spi: bytes) -> None:
        left = self.peer_spis.get(spi, 0) - 1
        if left > 0:
            self.peer_spis[spi] = left
        else:
            self.peer_spis.pop(spi, None)

    # what leaves the endpoint

    def emit(self, kind: type[events.Event], now: float, **fields: Any) -> None:
        """Report an event."""
        self.out_events.append(
            kind(sequence=self.next_sequence(), time=self.ports.wall(now), endpoint=self.config.name, **fields)
        )

    def transmit(self, sa_id: SaId | None, octets: bytes, path: Path, marked: bool) -> None:
        """Send one IKE message, in its framing."""
        datagram = NON_ESP_MARKER + octets if marked else octets
        hook = self.ports.hooks.on_send
        if hook is not None:
            changed = hook(sa_id, datagram, path)
            if changed is not None:
                datagram = changed
        if datagram:
            self.out_datagrams.append(Datagram(self.next_sequence(), datagram, path))

    def request(self, sa: IkeSa, exchange: int, payloads: Sequence[Payload], task: Task, now: float) -> None:
        """Send a request and wait for its response; `task` will read it."""
        message_id = sa.window.next_send
        sa.window.next_send += 1
        datagrams = self._encode(sa, exchange, False, message_id, payloads)
        self.await_response(sa, Outstanding(message_id, exchange, datagrams, task), now)

    def await_response(self, sa: IkeSa, outstanding: Outstanding, now: float) -> None:
        """Send an encoded request for the first time and start its retransmission."""
        sa.window.outstanding = outstanding
        for octets in outstanding.datagrams:
            self.transmit(sa.id, octets, sa.path, sa.marked)
        self.timers.set(sa, "retransmit", now + self.config.retransmit.initial)

    def respond(self, sa: IkeSa, exchange: int, payloads: Sequence[Payload]) -> None:
        """Answer the request that was accepted last, to where it came from, and remember the answer."""
        sa.window.response = self._encode(sa, exchange, True, sa.window.next_receive - 1, payloads)
        self.repeat_response(sa)

    def repeat_response(self, sa: IkeSa) -> None:
        """Send the remembered answer (again)."""
        origin = sa.origin or Origin(sa.path, sa.marked)
        for octets in sa.window.response:
            self.transmit(sa.id, octets, origin.path, origin.marked)

    def answer_in_clear(self, header: Header, payloads: Sequence[Payload], origin: Origin) -> bytes:
        """Answer a message that has no SA: unprotected, nothing remembered. Returns the octets sent."""
        flags = Flags.RESPONSE | (0 if header.from_initiator else Flags.INITIATOR)
        octets = encode_message(
            Header(header.spi_i, header.spi_r, 0, VERSION, header.exchange, flags, header.message_id, 0), payloads
        )
        self.transmit(None, octets, origin.path, origin.marked)
        return octets

    def _encode(
        self, sa: IkeSa, exchange: int, response: bool, message_id: int, payloads: Sequence[Payload]
    ) -> tuple[bytes, ...]:
        flags = (_INITIATOR if sa.initiator else 0) | (_RESPONSE if response else 0)
        header = Header(sa.spi_i, sa.spi_r, 0, VERSION, exchange, flags, message_id, 0)
        hooks = self.ports.hooks
        if hooks.before_encode is not None:
            changed_payloads = hooks.before_encode(sa.id, list(payloads), header)
            payloads = payloads if changed_payloads is None else changed_payloads
        first_payload, plaintext = encode_payloads(payloads)
        if hooks.before_protect is not None:
            changed = hooks.before_protect(sa.id, plaintext, replace(header, next_payload=first_payload))
            plaintext = plaintext if changed is None else changed
        if exchange == ExchangeType.IKE_INTERMEDIATE and sa.intermediate is not None:
            intauth.cover(self.prf(sa), sa, header, first_payload, plaintext)
        if hooks.before_header is not None:
            header = hooks.before_header(sa.id, header) or header
        if sa.keys is None:
            return (header.before(first_payload, plaintext),)
        return seal_message(sa, header, first_payload, plaintext, self.config.fragment_size, self.entropy("iv"))

    def fetch(self, sa: IkeSa, wanted: FetchRequest, now: float) -> FetchId | None:
        """Ask for a URL on behalf of an SA; None when too many fetches are open. One fetch serves all who wait."""
        fetch_id = self.open_fetches.get(wanted)
        if fetch_id is None:
            if len(self.open_fetches) >= MAX_OPEN_FETCHES:
                self.counters.add("fetches-refused")
                return None
            fetch_id = FetchId(self.next_sequence())
            if self.ports.hooks.on_fetch is not None:
                self.ports.hooks.on_fetch(sa.id, wanted)
            self.open_fetches[wanted] = fetch_id
            self.waiters[fetch_id] = []
            self.out_fetches.append(Fetch(fetch_id, fetch_id, wanted))
            self.emit(events.FetchStarted, now, url=wanted.url)
        self.waiters[fetch_id].append(sa.id)
        return fetch_id

    # ends

    def refuse(
        self,
        sa: IkeSa,
        by: str,
        reason: Reason,
        now: float,
        *,
        decision: TrustDecision | None = None,
        detail: str = "",
        authenticated: bool = False,
        linger: bool = False,
    ) -> None:
        """An SA does not come up: report it, and forget it at once or (`linger`) after the half-open timeout."""
        self.report_refusal(sa.id, sa.connection, by, reason, now, decision, detail, authenticated)
        if sa.reauthenticates in self.sas:
            self.timers.set(self.sas[sa.reauthenticates], "reauthenticate", now + REAUTHENTICATION_RETRY)
        if sa.state in HALF_OPEN:
            self.leave_half_open(sa)
        sa.pending = None
        sa.queue.clear()
        if sa.initiator and sa.connection is not None and sa.reauthenticates not in self.sas:
            self.calls.lost(self.connection(sa), reason, now, self.ports.entropy)
        if linger:
            self._linger(sa, IkeState.REFUSED, now)
        else:
            sa.move(IkeState.CLOSED)
            self._forget(sa)

    def _linger(self, sa: IkeSa, state: IkeState, now: float) -> None:
        """Keep an SA that has ended for the half-open timeout: no more than may be half-open, anybody makes them."""
        sa.move(state)
        self.timers.set(sa, "half-open", now + self.config.half_open_timeout)
        self.lingering[sa.id] = None
        while len(self.lingering) > self.config.max_half_open:
            oldest = self.sas[next(iter(self.lingering))]
            oldest.move(IkeState.CLOSED)
            self._forget(oldest)
            self.counters.add("ended-forgotten-early")

    def report_refusal(
        self,
        sa_id: SaId | None,
        connection: str | None,
        by: str,
        reason: Reason,
        now: float,
        decision: TrustDecision | None = None,
        detail: str = "",
        authenticated: bool = False,
    ) -> None:
        """Report that an SA (or a request that never became one) was refused, and count it."""
        self.emit(
            events.SaRefused,
            now,
            sa=sa_id,
            connection=connection,
            by=by,
            reason=reason,
            decision=decision,
            detail=detail,
            authenticated=authenticated,
        )
        self.counters.add(f"refused-{reason}")

    def close(
        self, sa: IkeSa, reason: Reason, now: float, decision: TrustDecision | None = None, *, linger: bool = False
    ) -> None:
        """An SA ends here and now, with its CHILD SAs; reported if it was established.

        With `linger` it goes on answering retransmissions of the peer's last request, until the half-open timeout.
        """
        reported = sa.state in (IkeState.ESTABLISHED, IkeState.DELETE_RESPONSE)
        if sa.state in HALF_OPEN:
            self.leave_half_open(sa)
        for child in list(sa.children.values()):
            self.remove_child(sa, child, reason, now)
        if sa.leased and sa.connection is not None:
            self.pools.release(sa.connection, sa.leased)
            sa.leased = ()
        if linger:
            sa.window.outstanding = None
            sa.timers.clear()
            sa.queue.clear()
            self._linger(sa, IkeState.DELETED, now)
        else:
            sa.move(IkeState.CLOSED)
            self._forget(sa)
        if reported:
            connection = self.connection(sa)
            self.calls.lost(connection, reason, now, self.ports.entropy)
            if reason is Reason.REAUTHENTICATED and connection.reauth == "break-before-make":
                self.calls.want(connection.name, now)
            self.emit(
                events.SaClosed, now, sa=sa.id, connection=sa.connection or "", reason=reason, decision=decision
            )
            self.counters.add(f"closed-{reason}")

    def remove_child(self, sa: IkeSa, child: ChildSa, reason: Reason, now: float, *, quiet: bool = False) -> None:
        """Take a CHILD SA out of service."""
        self.flows.clear()
        sa.children.pop(child.id, None)
        self.children.pop(child.spi_in, None)
        for timer in ("rekey", "expire"):
            sa.timers.pop(f"{timer} {child.id}", None)
        for other in sa.children.values():
            if other.replaces == child.id:
                other.sending = True
        if not quiet:
            self.emit(events.ChildDown, now, sa=sa.id, child=child.id, name=child.name, reason=reason)

    def installed(self, sa: IkeSa) -> None:
        """Tell the on_install hook that an IKE SA has (other) keys."""
        hook = self.ports.hooks.on_install
        if hook is not None and sa.keys is not None and sa.suite is not None:
            hook(sa.id, InstalledIke(sa.spi_i, sa.spi_r, sa.suite, sa.keys, sa.path))

    def prf(self, sa: IkeSa) -> Prf:
        """The SA's pseudorandom function."""
        return prf(sa.prf)

    def suite(self, sa: IkeSa) -> CipherSuite:
        """The SA's cipher suite."""
        assert sa.suite is not None
        return sa.suite

    def usable_children(self, sa: IkeSa) -> list[ChildSa]:
        """The CHILD SAs of an IKE SA that carry traffic and are not being ended."""
        return [child for child in sa.children.values() if child.state is ChildState.INSTALLED]
