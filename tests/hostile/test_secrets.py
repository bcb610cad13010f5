"""No secret in any log, event, JSON, repr or capture. The search first finds a planted key in every channel."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ikesim.capture.recorder import Recorder
from ikesim.configuration import load
from ikesim.crypto.exchange import KeyPair
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import Anomaly, Event
from ikesim.ike.sa import InstalledChild, InstalledIke
from ikesim.ike.status import status
from ikesim.sim import EPOCH
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki
from ikesim.wire.address import Address
from ikesim.wire.address import Path as UdpPath
from tests.daemon.endpoints import Ca, write_config

PLANTED = bytes.fromhex("5ec4e7b0a1d2c3f4958677685940312a" * 2)


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret in every form in which it might be written down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret.hex(":").encode()
    yield secret.hex(" ").encode()
    yield base64.b64encode(secret)[:-4]
    yield base64.urlsafe_b64encode(secret)[:-4]
    yield repr(secret)[2:-1].encode()
    yield json.dumps(secret.decode("latin-1"))[1:-1].encode()
    yield str(int.from_bytes(secret)).encode()
    yield str(list(secret))[1:-1].encode()


def found(secrets: dict[str, bytes], text: bytes) -> list[str]:
    """The names of the secrets that stand in a text, whole or by any 16 octets of theirs."""
    hits = []
    for name, secret in secrets.items():
        windows = {secret, *(secret[start : start + 16] for start in range(0, max(1, len(secret) - 15), 8))}
        if any(form in text for window in windows if len(window) >= 8 for form in forms(window)):
            hits.append(name)
    return hits


class Secrets:
    """Every secret of an endpoint: what the entropy gave for keys, what was derived, what the vault holds."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def listening(self, host: str, real: Callable[[str, int], bytes]) -> Callable[[str, int], bytes]:
        """A source of entropy that notes what makes keys and cookies; nonces, SPIs and IVs are public."""

        def entropy(purpose: str, count: int) -> bytes:
            octets = real(purpose, count)
            if purpose in ("ke", "cookie"):
                self.known[f"{host} {purpose} {len(self.known)}"] = octets
            return octets

        return entropy

    def install(self, host: str) -> Callable[[Any, Any], None]:
        def installed(sa: object, item: InstalledIke | InstalledChild) -> None:
            for name in type(item.keys).__slots__:
                value = getattr(item.keys, name)
                if value:
                    self.known[f"{host} {item.kind} {name} {len(self.known)}"] = value

        return installed

    def vault(self, host: str, private: Any) -> None:
        numbers = private.private_numbers().private_value
        self.known[f"{host} private value"] = numbers.to_bytes(32)


def everything_a_host_shows(host: SimHost) -> dict[str, bytes]:
    """Each channel of a simulated host as octets."""
    endpoint = host.endpoint
    assert isinstance(endpoint, Endpoint)
    core = endpoint.core
    sas = list(core.sas.values())
    return {
        "events": json.dumps([event.to_json() for event in host.events]).encode(),
        "event repr": repr(host.events).encode(),
        "status": json.dumps(status(endpoint, host.world.now)).encode(),
        "IKE SA repr": repr(sas).encode(),
        "CHILD SA repr": repr([child for sa in sas for child in sa.children.values()]).encode(),
        "cookie jar repr": repr(core.cookies).encode(),
        "task repr": repr([(sa.window, sa.queue, sa.postponed) for sa in sas]).encode(),
        "endpoint repr": repr((endpoint, core.ports, core.config)).encode(),
        "report": host.world.report().encode(),
    }


@pytest.fixture
def story(ike_pki: SimPki) -> tuple[Pair, Secrets, list[bytes]]:
    """A pair in all states there are, its secrets, and what was shown along the way."""
    secrets, shown = Secrets(), list[bytes]()
    child = {"proposals": "aes256-sha256-x25519"}
    settings = {"proposals": "aes256-sha256-modp2048", "cookie_threshold": 0, "child": child}
    pair = Pair.of(ike_pki, seed="secrets", crls="http", alice=settings, bob=settings)
    for host in (pair.alice, pair.bob):
        host.hooks.on_install = secrets.install(host.name)
        random = host.ports.random
        draw = secrets.listening(host.name, random.draw)
        host.ports.random = _Recording(random, draw)  # type: ignore[assignment] # listens, and draws the same

    def look() -> None:
        for host in (pair.alice, pair.bob):
            shown.extend(everything_a_host_shows(host).values())

    pair.alice.initiate("bob")
    # in every state in between, with key pairs and keys in the tasks
    while pair.world.now < 0.3 and pair.world.step():
        look()
    pair.ping(2)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.bob.rekey(pair.bob.established[0])
    look()
    pair.world.run_until(60.0)
    look()
    return pair, secrets, shown


class _Recording:
    def __init__(self, real: Any, draw: Callable[[str, int], bytes]) -> None:
        self._real = real
        self.draw = draw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __repr__(self) -> str:
        return repr(self._real)


def test_the_search_finds_a_planted_key_in_every_form() -> None:
    for form in forms(PLANTED):
        assert found({"planted": PLANTED}, b"before " + form + b" after") == ["planted"], form
        assert found({"planted": PLANTED}, b"before after") == []
    # a part of it is enough
    assert found({"planted": PLANTED}, PLANTED[8:24].hex().encode()) == ["planted"]


def test_the_search_finds_a_planted_key_in_every_channel_of_the_core(
    story: tuple[Pair, Secrets, list[bytes]],
) -> None:
    pair, _, _ = story
    host = pair.alice
    assert isinstance(host.endpoint, Endpoint)
    core = host.endpoint.core
    (sa,) = [item for item in core.sas.values() if item.state.value == "established"]
    secrets = {"planted": PLANTED}
    assert not any(found(secrets, text) for text in everything_a_host_shows(host).values())
    # written where no secret belongs, it is seen in each of them
    host.events.append(
        Anomaly(sequence=1, time=EPOCH, endpoint="alice", what=PLANTED.hex(), rule=repr(PLANTED), sa=sa.id)
    )
    sa.nonce_i = PLANTED
    next(iter(sa.children.values())).name = PLANTED.hex()
    core.counters.values[PLANTED.hex()] = 1
    sa.postponed.append(PLANTED)  # type: ignore[arg-type] # planted
    channels = everything_a_host_shows(host)
    seen = {name for name, text in channels.items() if found(secrets, text)}
    assert seen >= {"events", "event repr", "status", "IKE SA repr", "CHILD SA repr", "task repr", "report"}


def test_no_secret_is_shown_in_any_state(story: tuple[Pair, Secrets, list[bytes]]) -> None:
    pair, secrets, shown = story
    # what is secret is known: ephemeral keys of both, cookie secrets, all keys of two IKE SAs and two CHILD SAs
    kinds = {" ".join(name.split()[1:3]) for name in secrets.known}
    assert {kind.split()[0] for kind in kinds} == {"ke", "cookie", "ike", "child"}
    assert len(secrets.known) > 40
    text = b"\n".join(shown)
    assert len(text) > 100_000
    assert found(secrets.known, text) == []
    # nor on the wire
    wire = b"\n".join(entry.octets for entry in pair.world.network.log)
    assert found(secrets.known, wire) == []
    assert found({"public": pair.world.network.log[0].octets[28:60]}, wire) == ["public"]


def test_a_key_pair_hides_its_private_half() -> None:
    pair = KeyPair(31, PLANTED, b"\1" * 32)
    for text in (repr(pair), str(pair), f"{[pair]}"):
        assert found({"planted": PLANTED}, text.encode()) == []
        assert text


async def test_no_secret_in_the_logs_events_and_captures_of_a_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ca, secrets = Ca.create(), Secrets()
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    documents: list[Any] = []
    capture = tmp_path / "traffic.pcapng"
    async with AsyncExitStack() as stack:
        recorder = stack.enter_context(Recorder(capture))
        hosts: dict[str, EndpointHost] = {}
        remote: tuple[str, int, int] | None = None
        for name, peer, address in (("bob", "alice", "127.0.0.2"), ("alice", "bob", "127.0.0.1")):
            store = ca.enrol(tmp_path / "state" / name, name)
            store.load(ca.crl(), crl="north")
            file = write_config(tmp_path, name, peer, address=address, remote=remote, endpoint="cookie-threshold = 0")
            host = hosts[name] = EndpointHost(load(file), store, recorder=recorder, strict=True)
            host.ports.hooks.on_install = secrets.install(name)
            listening = secrets.listening(name, host.ports.entropy)
            host.ports.entropy = listening  # type: ignore[assignment,method-assign] # listens only
            host.observers.append(events.append)
            await host.start()
            stack.push_async_callback(host.stop)
            remote = (address, host.config.listen[0].port, host.config.listen_nat_t[0].port)
            for file in (tmp_path / "state" / name).rglob("*.key"):
                octets = file.read_bytes()
                # PKCS#8 of a P-256 key, wherever in the file it starts
                secrets.vault(
                    name, load_der_private_key(octets[octets.index(bytes.fromhex("308187020100")) :][:138], None)
                )
        documents.append(await commands.up(hosts["alice"], "bob", 10))
        documents.append(await commands.ping(hosts["alice"], "bob", "10.2.0.9", 2, 5))
        for host in hosts.values():
            documents += [host.status(), list(host.decisions()), host.counters(), repr(host.ports), repr(host.store)]
            documents.append(repr(host.store.vault))
            host.endpoint.receive(b"\xde\xad", UdpPath(Address("127.0.0.1", 1), Address("127.0.0.1", 2)), host.now())
        sa = hosts["alice"].sa_ids()[0]
        hosts["alice"].act(lambda now: hosts["alice"].endpoint.rekey(sa, now))
        async with asyncio.timeout(10):
            while not [event for event in events if type(event).__name__ == "Rekeyed"]:
                await asyncio.sleep(0.01)
        documents.append(await commands.down(hosts["alice"], "bob", None))
    out, err = capfd.readouterr()
    channels = {
        "log": "\n".join(record.getMessage() + repr(record.args) for record in caplog.records).encode(),
        "standard streams": (out + err).encode(),
        "events": json.dumps([event.to_json() for event in events]).encode(),
        "event repr": repr(events).encode(),
        "documents": json.dumps(documents, default=repr).encode(),
        "capture": capture.read_bytes(),
        "control files": b"\n".join(
            file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file() and file.suffix != ".key"
        ),
    }
    assert {name.split()[1] for name in secrets.known} >= {"ke", "cookie", "ike", "child", "private"}
    assert len(channels["capture"]) > 4000
    assert len(channels["events"]) > 4000
    for name, text in channels.items():
        assert found(secrets.known, text) == [], name
        # the same search, were a key there
        assert found({"planted": PLANTED}, text + PLANTED.hex().encode()) == ["planted"], name
