"""CPU of a completed IKE_SA_INIT + IKE_AUTH, beside its floor.

The floor of a side is what it cannot do without: the calls into `cryptography`, `hashlib` and the system's entropy
that this side made in one handshake, recorded with their arguments and made again bare. What a cache saved in the
recorded handshake (a parsed certificate, a verified signature of the chain, a decision) is not in the floor either.
Core and floor are timed in turn, so that a drifting machine drifts for both; every handshake has fresh keys, nonces
and SPIs, a wall clock that moves on, and is the only one that its endpoints hold. Where the rest goes is sampled: the
part of each package in what the cores need beyond their floors.
"""

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from time import thread_time_ns
from types import FrameType
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

from ikesim.crypto import ciphers, exchange, prf, signatures
from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.config import EndpointConfig
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import SaEstablished
from ikesim.ike.ports import Hooks
from ikesim.pki.snapshot import TrustStore
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki
from ikesim.wire.address import Path
from tests.bench import loopback

Call = Callable[[], object]


class BenchPorts:
    """The daemon's ports, less its clock: real entropy, a signer that holds the loaded key."""

    def __init__(
        self, store: TrustStore, signer: Callable[[str, SignatureScheme, bytes], bytes], at: datetime
    ) -> None:
        self.hooks = Hooks()
        self.store = store
        self.signer = signer
        self.at = at

    def entropy(self, purpose: str, count: int) -> bytes:
        """From the operating system."""
        return system_entropy(count)

    def sign(self, certificate_id: str, scheme: SignatureScheme, octets: bytes) -> bytes:
        """By the vault."""
        return self.signer(certificate_id, scheme, octets)

    def encapsulate(self, method: int, public: bytes) -> tuple[bytes, bytes]:
        """Not used by these algorithms."""
        raise NotImplementedError

    def use_secret(self, name: str, action: Callable[[memoryview], Any]) -> Any:
        """Not used by these connections."""
        raise NotImplementedError

    def trust(self) -> TrustStore:
        """Never changes."""
        return self.store

    def wall(self, now: float) -> datetime:
        """Moves on with the clock of the handshakes."""
        return self.at + timedelta(seconds=now)


def system_entropy(count: int) -> bytes:
    """The system's entropy; replaced while calls are recorded."""
    return os.urandom(count)


def one_hmac(key: bytes, data: bytes, algorithm: HashAlgorithm) -> bytes:
    """The library's HMAC, bare."""
    keyed = HMAC(key, algorithm)
    keyed.update(data)
    return keyed.finalize()


class Floor:
    """Records the library calls of one side."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is called inside."""
        real: dict[str, Any] = {
            "generate": exchange.generate,
            "agree": exchange.agree,
            "sign": signatures.sign,
            "verify": signatures._verify,
            "context": ciphers._aead_context,
            "prf": prf.Prf.prf,
            "plus": prf.Prf.plus,
            "seal": ciphers.CipherSuite.seal,
            "open": ciphers.CipherSuite.open,
        }
        calls = self.calls

        def generate(method: int, entropy: Any) -> Any:
            pair = real["generate"](method, entropy)
            calls.append(lambda: X25519PrivateKey.from_private_bytes(pair.private).public_key().public_bytes_raw())
            return pair

        def agree(pair: Any, public: bytes) -> Any:
            loaded = X25519PrivateKey.from_private_bytes(pair.private)
            calls.append(lambda: loaded.exchange(X25519PublicKey.from_public_bytes(public)))
            return real["agree"](pair, public)

        def sign(key: Any, scheme: SignatureScheme, octets: bytes) -> Any:
            calls.append(partial(key.sign, octets, signatures._ECDSA[scheme]))
            return real["sign"](key, scheme, octets)

        def verify(key: Any, scheme: SignatureScheme, salt: Any, signature: bytes, octets: bytes) -> None:
            calls.append(partial(key.verify, signature, octets, signatures._ECDSA[scheme]))
            real["verify"](key, scheme, salt, signature, octets)

        known: set[bytes] = set()

        def context(key: bytes) -> AESGCM:
            if key not in known:
                known.add(key)
                calls.append(partial(AESGCM, key))
            return AESGCM(key)

        def seal(suite: Any, key: bytes, integrity_key: bytes, **rest: Any) -> Any:
            calls.append(partial(context(key[:-4]).encrypt, key[-4:] + rest["iv"], rest["plaintext"], rest["aad"]))
            return real["seal"](suite, key, integrity_key, **rest)

        def opened(suite: Any, key: bytes, integrity_key: bytes, **rest: Any) -> Any:
            sealed = bytes(rest["sealed"])
            calls.append(partial(context(key[:-4]).decrypt, key[-4:] + sealed[:8], sealed[8:], bytes(rest["aad"])))
            return real["open"](suite, key, integrity_key, **rest)

        def single(self: prf.Prf, key: bytes, data: bytes) -> Any:
            calls.append(partial(one_hmac, key, data, self.hash))
            return real["prf"](self, key, data)

        def plus(self: prf.Prf, key: bytes, seed: bytes, length: int) -> Any:
            calls.append(partial(real["plus"], self, key, seed, length))
            return real["plus"](self, key, seed, length)

        def hashed(name: str) -> Callable[..., Any]:
            function = getattr(hashlib, name)

            def recorded(data: bytes = b"", **options: Any) -> Any:
                calls.append(lambda: function(data, **options).digest())
                return function(data, **options)

            return recorded

        import ikesim.ike.nat as nat
        import ikesim.ike.window as window

        def drawn(count: int) -> bytes:
            calls.append(partial(os.urandom, count))
            return os.urandom(count)

        with (
            patch("tests.bench.handshake.system_entropy", drawn),
            patch.object(exchange, "generate", generate),
            patch.object(exchange, "agree", agree),
            patch.object(signatures, "sign", sign),
            patch("ikesim.pki.vault.sign", sign),
            patch.object(signatures, "_verify", verify),
            patch.object(ciphers.CipherSuite, "seal", seal),
            patch.object(ciphers.CipherSuite, "open", opened),
            patch.object(prf.Prf, "prf", single),
            patch.object(prf.Prf, "plus", plus),
            patch.object(nat, "sha1", hashed("sha1")),
            patch.object(window, "blake2b", hashed("blake2b")),
        ):
            yield

    def run(self) -> int:
        """Make the recorded calls; nanoseconds of CPU."""
        calls = self.calls
        start = thread_time_ns()
        for call in calls:
            call()
        return thread_time_ns() - start


class Side:
    """One endpoint whose CPU is counted."""

    def __init__(self, config: EndpointConfig, ports: BenchPorts) -> None:
        self.endpoint = Endpoint(config, ports)
        self.spent = 0

    def do(self, action: Callable[[], object]) -> list[tuple[bytes, Path]]:
        """Let the endpoint do something and drain it, counted; what it sends."""
        start = thread_time_ns()
        action()
        out = self.endpoint.datagrams()
        self.spent += thread_time_ns() - start
        return [(item.octets, Path(item.path.remote, item.path.local)) for item in out]


def handshake(
    alice: Side, bob: Side, now: float, recorders: dict[str, Callable[[], Any]] | None = None
) -> tuple[int, int]:
    """One handshake from alice to bob; nanoseconds of CPU of each. Raises AssertionError if it fails."""
    alice.spent = bob.spent = 0
    sides = {"alice": alice, "bob": bob}

    def act(name: str, action: Callable[[], object]) -> list[tuple[bytes, Path]]:
        if recorders is None:
            return sides[name].do(action)
        with recorders[name]():
            return sides[name].do(action)

    traffic = [("bob", item) for item in act("alice", lambda: alice.endpoint.initiate("bob", now))]
    while traffic:
        name, (octets, path) = traffic.pop(0)
        other = "alice" if name == "bob" else "bob"
        receive = partial(sides[name].endpoint.receive, octets, path, now)
        traffic += [(other, item) for item in act(name, receive)]
    for side in (alice, bob):
        assert any(isinstance(event, SaEstablished) for event in side.endpoint.events())
    return alice.spent, bob.spent


def make_sides() -> tuple[Side, Side]:
    """alice and bob, each with a P-256 certificate below an intermediate CA, and all CRLs held."""
    pki = SimPki("bench")
    pair = Pair.of(pki, seed=0)
    sides = []
    for host in (pair.alice, pair.bob):
        ports = BenchPorts(pki.store(host.name), pki.vault(host.name).sign, pki.now.astimezone(UTC))
        sides.append(Side(host.config, ports))
    return sides[0], sides[1]


def end(alice: Side, bob: Side, now: float) -> None:
    """Delete the SA of a handshake, uncounted, and let time pass: a peer has one SA, not hundreds."""
    for sa in list(alice.endpoint.core.sas):
        alice.endpoint.terminate(sa, now)
    sides = [(bob, alice), (alice, bob)]
    while traffic := sides[0][1].do(lambda: None):
        for octets, path in traffic:
            sides[0][0].endpoint.receive(octets, path, now)
        sides.reverse()
    for side in (alice, bob):
        side.endpoint.advance(now + SETTLED)
        side.endpoint.events()


SETTLED = 40.0
"""Seconds between two handshakes: what is kept of the last one for retransmissions is gone after 30."""


def handshakes(count: int, alice: Side, bob: Side) -> Iterator[tuple[int, int]]:
    """CPU in nanoseconds of `count` handshakes, one after the other."""
    for number in range(count):
        now = 1000.0 + SETTLED * number
        yield handshake(alice, bob, now)
        end(alice, bob, now)


def run(rounds: int = 200, *, full: bool = False, daemons: int = 10) -> dict[str, Any]:
    """Figures in microseconds of CPU, and the ratios to the floor. `daemons`: rounds of 20 handshakes of daemons."""
    rounds = 5 * rounds if full else rounds
    alice, bob = make_sides()
    floors = {"alice": Floor(), "bob": Floor()}
    for _ in handshakes(20, alice, bob):
        pass
    handshake(alice, bob, 900.0, {name: floor.recording for name, floor in floors.items()})
    end(alice, bob, 900.0)
    spent: dict[str, list[int]] = {"initiator": [], "responder": [], "initiator_floor": [], "responder_floor": []}
    sides = [("initiator_floor", floors["alice"]), ("responder_floor", floors["bob"])]
    for initiator, responder in handshakes(rounds, alice, bob):
        spent["initiator"].append(initiator)
        spent["responder"].append(responder)
        for name, floor in sides:
            spent[name].append(floor.run())
        # each floor follows the handshake as often as the other one
        sides.reverse()
    medians = {name: median(values) / 1000 for name, values in spent.items()}
    ratios = {
        f"{side}_core": median(core / floor for core, floor in zip(spent[side], spent[f"{side}_floor"], strict=True))
        for side in ("initiator", "responder")
    }
    if daemons:
        for name, value in loopback.measure(daemons, 20).items():
            medians[name] = value
            ratios[name] = value / medians[name.replace("daemon", "floor")]
    figures: dict[str, Any] = {f"{name}_us": round(value, 1) for name, value in medians.items()}
    figures |= {f"{name}_calls": len(floor.calls) for name, floor in floors.items()}
    figures |= {f"beyond_{name}": value for name, value in shares(10 * rounds, alice, bob, medians).items()}
    return {"figures": figures, "ratios": {name: round(value, 3) for name, value in ratios.items()}}


def shares(count: int, alice: Side, bob: Side, medians: dict[str, float]) -> dict[str, str]:
    """Which part of what both cores need beyond their floors is spent in which package, in percent.

    The package of a sample is that of the innermost function of ours; what `crypto` needs beyond the library's calls
    is its glue.
    """
    samples: Counter[str] = Counter({"wire": 0, "crypto": 0, "pki": 0, "ike": 0})
    running = False

    def sample(signum: int, frame: FrameType | None) -> None:
        while running and frame is not None:
            _, ours, place = frame.f_code.co_filename.rpartition("/ikesim/")
            if ours:
                samples[place.partition("/")[0]] += 1
                return
            frame = frame.f_back

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        for number in range(count):
            now = 1000.0 + SETTLED * number
            running = True
            handshake(alice, bob, now)
            running = False
            end(alice, bob, now)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    core = medians["initiator"] + medians["responder"]
    floor = medians["initiator_floor"] + medians["responder_floor"]
    all_samples = sum(samples.values()) or 1
    beyond = {name: number / all_samples * core for name, number in samples.most_common()}
    beyond["crypto"] = max(0.0, beyond.get("crypto", 0.0) - floor)
    whole = sum(beyond.values()) or 1.0
    return {name: f"{value / whole:.0%}" for name, value in sorted(beyond.items())}
