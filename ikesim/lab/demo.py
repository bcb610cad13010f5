"""The demonstration: a tunnel between two endpoints of different CAs, and the same tunnel after a revocation.

    North Root                        issues alice.example
    South Root -> South Issuing CA    issues bob.example

Both endpoints trust the group "partners", which joins the two roots. Each endpoint is a process of its own; this one
keeps the CAs and publishes their CRLs over HTTP. What is shown goes through a `Stage`; what is expected and does not
happen raises DemoError.
"""

import asyncio
import contextlib
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ikesim.errors import IkesimError, UsageError
from ikesim.lab.endpoints import Site, configuration, enrol, toml
from ikesim.lab.processes import PROGRAM, Document, EndpointProcess
from ikesim.lab.services import Publisher
from ikesim.pki.authority import Authority

CRL_PORT = 8080
CLAIM_PORT = 5499
REFRESH_SECONDS = 1.0
"""After so long an endpoint asks for a CRL again, though the one it holds is still valid."""
PINGS = 3
ESP_KEY_BIT = "esp-key-bit"
MARKER = ".ikesim-demo"
"""Says that a folder is ours to clear."""


class DemoError(IkesimError):
    """Something did not go as it should: the demonstration has failed."""

    exit_code = 1


class Break(StrEnum):
    """One thing to do wrong, so that a test sees the demonstration fail."""

    CRL_NOT_REPUBLISHED = "crl-not-republished"
    BOB_OUTSIDE_GROUP = "bob-outside-group"
    ESP_KEY_BIT = ESP_KEY_BIT


class Stage(Protocol):
    """Where the demonstration is shown."""

    def heading(self, text: str) -> None:
        """A new step begins."""
        ...

    def say(self, text: str) -> None:
        """A line."""
        ...

    def decision(self, title: str, decision: Mapping[str, Any]) -> None:
        """A trust decision, as a tree."""
        ...


async def demonstrate(folder: Path, stage: Stage, broken: Break | None = None) -> None:
    """Play it all, with its files in `folder`. Raises DemoError at the first thing that goes wrong."""
    _clear(folder)
    with _free_addresses() as (first, second):
        alice = Site("alice", first, "10.1.0.1", "10.1.0.0/24")
        bob = Site("bob", second, "10.2.0.1", "10.2.0.0/24")
        async with contextlib.AsyncExitStack() as stack:
            publisher = await _open_publisher(first, stack)
            demo = _Demo(folder, stage, alice, bob, publisher, broken)
            demo.make_pki()
            await demo.start(stack)
            await demo.tunnel()
            await demo.revoke()
            await demo.try_again()
            await demo.name_the_files()


class _Demo:
    """The steps, in order, and what later ones need of earlier ones."""

    def __init__(
        self, folder: Path, stage: Stage, alice: Site, bob: Site, publisher: Publisher, broken: Break | None
    ) -> None:
        self.folder, self.stage, self.broken = folder, stage, broken
        self.alice, self.bob = alice, bob
        self.publisher = publisher
        self.capture = folder / "alice.pcapng"
        self.profile = folder / "wireshark"
        self.initiator: EndpointProcess
        self.responder: EndpointProcess
        self.serial = 0
        self.south: Authority
        self.fetched_at = 0.0
        self.revoked_at: datetime

    def make_pki(self) -> None:
        """Three CAs, two certificates for requests of the endpoints' own vaults, three CRLs."""
        now = datetime.now(UTC)
        at = {name: self.publisher.url(f"{name}.crl") for name in ("north", "south", "issuing")}
        north = Authority.create("North Root", now=now, crl_at=[at["north"]])
        south_root = Authority.create("South Root", now=now, crl_at=[at["south"]])
        self.south = Authority.create("South Issuing CA", now=now, issuer=south_root, crl_at=[at["issuing"]])
        roots = {"north": north, "south": south_root}
        for site, issuer, peer in ((self.alice, north, self.bob), (self.bob, self.south, self.alice)):
            group = ["north"] if self.broken is Break.BOB_OUTSIDE_GROUP else list(roots)
            tables = configuration(
                site,
                peer,
                profiles=list(roots),
                group=group,
                # the CRL service of this lab is on a loopback address, where certificates usually may not lead
                endpoint={"fetch-private-addresses": True},
                revocation_check={"method": "crl", "refresh-interval": f"{REFRESH_SECONDS:g}s"},
            )
            (self.folder / f"{site.name}.toml").write_text(toml(tables))
            certificate = enrol(self.folder / "state" / site.name, site, issuer, roots, now)
            (self.folder / f"{site.name}.cer").write_bytes(certificate)
        self.serial = self.south.find("bob").serial
        for name, authority in (("north", north), ("south", south_root), ("issuing", self.south)):
            self.publisher.publish(f"{name}.crl", authority.crl(now))
        self.stage.heading("The PKI")
        self.stage.say("North Root                       issued alice.example")
        self.stage.say("South Root -> South Issuing CA   issued bob.example")
        self.stage.say('Both endpoints trust the CA group "partners" = north + south, and ask for CRLs at')
        self.stage.say(f"{', '.join(at.values())}.")

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Two processes."""
        self.stage.heading("Two daemons")
        traced = ("--capture", str(self.capture), "--keys", str(self.profile))
        program = (*PROGRAM[:-1], "lab", "flawed", ESP_KEY_BIT) if self.broken is Break.ESP_KEY_BIT else PROGRAM
        self.responder = await stack.enter_async_context(self._process(self.bob, ()))
        self.initiator = await stack.enter_async_context(self._process(self.alice, traced, program))
        for site, process in ((self.alice, self.initiator), (self.bob, self.responder)):
            ready = process.events[0]
            where = ", ".join((*ready["listen"], *ready["listen_nat_t"]))
            self.stage.say(f"{site.name:<6} process {process.pid}, listens on {where}")

    def _process(self, site: Site, arguments: tuple[str, ...], program: tuple[str, ...] = PROGRAM) -> EndpointProcess:
        return EndpointProcess(
            self.folder / f"{site.name}.toml",
            self.folder / "state" / site.name,
            self.folder / f"{site.name}.log",
            arguments,
            program,
        )

    async def tunnel(self) -> None:
        """Up, ping, and why each accepted the other."""
        self.stage.heading("The tunnel")
        began = time.monotonic()
        verdict = await self._up()
        took = (time.monotonic() - began) * 1000
        if verdict["result"] != "established":
            raise DemoError(f"the tunnel should have come up, but: {verdict['message']}")
        mine = verdict["decision"]
        theirs = (await self.responder.wait("SaEstablished", connection="alice"))["decision"]
        self.fetched_at = time.monotonic()
        status = await self.initiator.ask("GET", "/status")
        [sa] = [sa for sa in status["ike_sas"] if sa["connection"] == "bob"]
        [child] = sa["child_sas"]
        self.stage.say(f"up after {took:.0f} ms: {sa['proposal']}, both sides checked the other's CRLs")
        self.stage.say(f"{' '.join(child['local_ts'])} === {' '.join(child['remote_ts'])}, ESP in UDP")
        answer = await self.initiator.ask(
            "POST", "/connections/bob/ping", {"address": self.bob.inner, "count": PINGS, "timeout": 3}
        )
        times = ", ".join(f"{milliseconds:.1f}" for milliseconds in answer["times_ms"])
        self.stage.say(
            f"ping {answer['source']} -> {answer['address']}: {answer['sent']} sent, {answer['received']} answered"
            + (f" after {times} ms" if times else "")
        )
        if answer["received"] != PINGS:
            raise DemoError(f"{PINGS} pings should have been answered, but {answer['received']} were")
        for title, decision in (("Why alice accepts bob", mine), ("Why bob accepts alice", theirs)):
            if not decision["accepted"]:
                raise DemoError(f"{title}: {decision['summary']}")
            self.stage.heading(title)
            self.stage.decision(title, decision)

    async def revoke(self) -> None:
        """Bob's CA changes its mind, and the tunnel ends."""
        self.stage.heading("Bob's certificate is revoked")
        self.revoked_at = datetime.now(UTC)
        self.south.revoke(self.serial, "key-compromise", at=self.revoked_at)
        crl = self.south.crl(self.revoked_at)
        if self.broken is not Break.CRL_NOT_REPUBLISHED:
            self.publisher.publish("issuing.crl", crl)
        self.stage.say(f"South Issuing CA revoked serial {self.serial:#x}")
        self.stage.say(f"because of a key compromise at {self.revoked_at:%Y-%m-%d %H:%M:%S} UTC,")
        self.stage.say(f"and published CRL {self.south.crl_number}. The tunnel is taken down.")
        await self.initiator.ask("POST", "/connections/bob/down", {})

    async def try_again(self) -> None:
        """The same again must now end in a refusal that says why, on both sides."""
        self.stage.heading("The tunnel is tried again")
        # the CRL that alice holds is valid for days: only past the refresh interval is there a reason to ask again
        await asyncio.sleep(max(0.0, self.fetched_at + REFRESH_SECONDS - time.monotonic()))
        seen = len(self.responder.events)
        verdict = await self._up()
        if verdict["result"] != "refused":
            raise DemoError(f"alice should have refused bob, whose certificate is revoked, but: {verdict['message']}")
        decision = verdict["decision"]
        if verdict["reason"] != "cert-revoked" or decision["accepted"]:
            raise DemoError(f"the reason should have been cert-revoked, but it is {verdict['reason']}")
        self.stage.say(f"refused by alice: {verdict['reason']}")
        serial, shown = decision["certificate"]["serial"], decision["summary"]
        crl, date = (
            f"CRL {self.south.crl_number} of CN={self.south.name}",
            self.revoked_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        if serial != f"{self.serial:#x}" or crl not in shown or date not in shown:
            raise DemoError(f"serial {self.serial:#x}, {crl} or {date} is missing in: serial {serial}, {shown}")
        closed = await self.responder.wait("SaClosed", since=seen, reason="refused-by-peer")
        self.stage.say(f"bob was told so, and ended its side: {closed['reason']}")
        self.stage.heading("Why alice refuses bob")
        self.stage.decision("Why alice refuses bob", decision)

    async def name_the_files(self) -> None:
        """End the daemons, so that the capture is whole, and say where it is."""
        for process in (self.initiator, self.responder):
            if status := await process.stop():
                raise DemoError(f"the endpoint of {process.config} ended with exit status {status}")
        self.stage.heading("Look at it")
        rows = {name: self.profile / name for name in ("ikev2_decryption_table", "esp_sa")}
        for path in (self.capture, *rows.values()):
            if not path.exists() or not path.stat().st_size:
                raise DemoError(f"{path} should have been written")
        self.stage.say(f"every datagram          {self.capture}")
        self.stage.say(f"its keys, for Wireshark {self.profile}")
        self.stage.say(f"to open it decrypted    WIRESHARK_CONFIG_DIR={self.profile} wireshark {self.capture}")

    async def _up(self) -> Document:
        return await self.initiator.ask("POST", "/connections/bob/up", {"timeout": 20})


def _clear(folder: Path) -> None:
    """Make the folder empty and ours. Raises UsageError when something else is in it."""
    marker = folder / MARKER
    if folder.exists():
        if any(folder.iterdir()) and not marker.exists():
            raise UsageError(f"{folder} is not empty, and not of an earlier demo: name another folder with --dir")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True)
    marker.touch()


@contextlib.contextmanager
def _free_addresses() -> Iterator[tuple[str, str]]:
    """Two loopback addresses that no other demo on this host uses while this one runs."""
    for network in range(256):
        first, second = f"127.0.{network}.1", f"127.0.{network}.2"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((first, CLAIM_PORT))
            except OSError:
                continue
            yield first, second
            return
    raise UsageError(f"port {CLAIM_PORT} is taken on all of 127.0.0.1 to 127.0.255.1")


async def _open_publisher(host: str, stack: contextlib.AsyncExitStack) -> Publisher:
    """The CRL service, on the usual port when that is free."""
    try:
        return await stack.enter_async_context(Publisher(host, CRL_PORT))
    except UsageError:
        return await stack.enter_async_context(Publisher(host))
