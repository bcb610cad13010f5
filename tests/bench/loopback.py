"""Two daemons' shells, each in a process of its own, that make handshakes with each other over the loopback.

A side is what `ikesim run` runs: `EndpointHost` with real sockets, a store and a vault on disk, the system's clock
and entropy; the event log and the control API are not there. Its CPU is that of its whole process.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ikesim.configuration import load
from ikesim.daemon.host import EndpointHost
from ikesim.ike.events import Event, SaClosed, SaEstablished, SaRefused
from ikesim.pki.authority import Authority
from ikesim.pki.store import PkiStore

PATIENCE = 30.0
"""Seconds for one command; a handshake takes milliseconds."""


def measure(rounds: int, handshakes: int) -> dict[str, float]:
    """CPU per completed handshake of each side in microseconds: the median of `rounds` of some handshakes each."""
    with TemporaryDirectory(prefix="ikesim-bench-") as folder, _sides(Path(folder)) as (alice, bob):
        spent: dict[str, list[float]] = {"initiator_daemon": [], "responder_daemon": []}
        _ask(alice, ("go", 5))
        for _ in range(rounds):
            _ask(alice, ("clear", 0))
            before = [_ask(side, ("cpu", 0)) for side in (alice, bob)]
            _ask(alice, ("go", handshakes))
            after = [_ask(side, ("cpu", 0)) for side in (alice, bob)]
            for name, start, end in zip(spent, before, after, strict=True):
                spent[name].append((end - start) / handshakes * 1e6)
        return {name: median(values) for name, values in spent.items()}


@contextmanager
def _sides(folder: Path) -> Iterator[tuple[Connection, Connection]]:
    now = datetime.now(UTC) - timedelta(hours=1)
    root = Authority.create("north", now=now)
    issuing = Authority.create("north-issuing", issuer=root, now=now)
    crls = [authority.crl(now) for authority in (root, issuing)]
    context = get_context("spawn")
    processes, pipes = [], []
    remote: tuple[int, int] | None = None
    try:
        for name, peer in (("bob", "alice"), ("alice", "bob")):
            _enrol(folder / name, name, issuing, root, crls, now)
            file = _configure(folder, name, peer, remote)
            ours, theirs = context.Pipe()
            process = context.Process(target=_run, args=(file, peer, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
            remote = _ask(ours, None)
        yield pipes[1], pipes[0]
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(PATIENCE)
            process.kill()


def _enrol(state: Path, name: str, issuing: Authority, root: Authority, crls: list[bytes], now: datetime) -> None:
    """A store with a P-256 key, its certificate and chain, the root and both CRLs."""
    store = PkiStore.open(state)
    store.generate(name, "ecdsa", 256)
    request = store.request(name, f"CN={name}", fqdn=[f"{name}.example"])
    chain = (issuing.issue(request, None, None, now, name=name), issuing.certificate)
    store.load("".join(map(DER_cert_to_PEM_cert, chain)).encode(), as_id=name)
    store.load(root.certificate, ca="north")
    for crl in crls:
        store.load(crl, crl="north")


def _configure(folder: Path, name: str, peer: str, remote: tuple[int, int] | None) -> Path:
    index, other = (1, 2) if name == "alice" else (2, 1)
    to = ""
    if remote is not None:
        to = f'remote = "127.0.0.1:{remote[0]}"\nremote-nat-t = "127.0.0.1:{remote[1]}"'
    file = folder / f"{name}.toml"
    file.write_text(f"""
[endpoint]
name = "{name}"
listen = ["127.0.0.1:0"]
listen-nat-t = ["127.0.0.1:0"]
state = "{name}"
[pki.ca-profile.north]
ca-identity = "north.example"
[connection.{peer}]
{to}
local-id = "fqdn:{name}.example"
remote-id = "fqdn:{peer}.example"
local-certificate = "{name}"
trusted-ca = "north"
unique = "never"
[connection.{peer}.child.net]
local-ts = ["10.{index}.0.0/24"]
remote-ts = ["10.{other}.0.0/24"]
""")
    return file


def _ask(side: Connection, command: object) -> Any:
    if command is not None:
        side.send(command)
    if not side.poll(PATIENCE):
        raise TimeoutError(f"a daemon did not answer {command!r}")
    return side.recv()


def _run(file: Path, peer: str, commands: Connection) -> None:
    """One side's process: answers commands until the pipe is closed."""
    asyncio.run(_serve(file, peer, commands))


async def _serve(file: Path, peer: str, commands: Connection) -> None:
    loaded = load(file)
    store = PkiStore.open(loaded.state)
    store.hold()
    host = EndpointHost(loaded, store, strict=True)
    ready = await host.start()
    arrived: asyncio.Queue[Event] = asyncio.Queue()
    host.observers.append(arrived.put_nowait)
    commands.send((ready.listen[0].port, ready.listen_nat_t[0].port))
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(commands.fileno(), readable.set)
    while True:
        await readable.wait()
        readable.clear()
        if not commands.poll():
            continue
        try:
            command, count = commands.recv()
        except EOFError:
            break
        if command == "go":
            await _initiate(host, peer, count, arrived)
        elif command == "clear":
            await _clear(host, arrived)
        commands.send(time.process_time())
    loop.remove_reader(commands.fileno())
    await host.stop()


async def _initiate(host: EndpointHost, peer: str, count: int, arrived: "asyncio.Queue[Event]") -> None:
    """Handshakes, one after the other."""
    for _ in range(count):
        host.initiate(peer)
        while not isinstance(event := await arrived.get(), SaEstablished):
            if isinstance(event, SaRefused):
                raise AssertionError(event)


async def _clear(host: EndpointHost, arrived: "asyncio.Queue[Event]") -> None:
    """End all SAs, and wait for the peer to agree."""
    ending = host.sa_ids()
    for sa in ending:
        host.act(partial(host.endpoint.terminate, sa))
    closed = 0
    while closed < len(ending):
        closed += isinstance(await arrived.get(), SaClosed)
