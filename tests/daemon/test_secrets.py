"""No key of an SA and no private key comes out of a daemon, whatever it says, shows or records.

The search is tried first: it finds a key planted in each channel.
"""

import base64
import json
import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ikesim.capture.recorder import Recorder
from ikesim.daemon import commands
from ikesim.daemon.output import Output
from ikesim.daemon.text import log_line
from ikesim.ike.events import Anomaly
from ikesim.wire.address import Address
from ikesim.wire.address import Path as NetworkPath
from tests.daemon.test_host import Lab, lab_in


def forms(secret: bytes) -> list[bytes]:
    """The ways in which octets get into text."""
    escaped = repr(secret)[2:-1]
    decimal = ", ".join(str(octet) for octet in secret[:8])
    spaced = secret[:8].hex(" ")
    texts = [secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode()[:-4], escaped, decimal, spaced]
    return [secret, *(text.encode() for text in (*texts, spaced.replace(" ", ":"), str(int.from_bytes(secret))))]


def found(secrets: dict[str, bytes], octets: bytes) -> list[str]:
    """The names of the secrets that are in there in some form."""
    return [name for name, secret in secrets.items() if any(form in octets for form in forms(secret))]


class Watched:
    """A lab with both endpoints' every word kept, and the keys that nobody may see."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.capture = folder / "all.pcapng"
        self.recorder = Recorder(self.capture)
        self._out = (folder / "events").open("w")
        self._log = (folder / "log").open("w")
        self.output = Output(self._out, self._log)
        logging.getLogger().addHandler(self.output)
        self.output.setLevel(logging.DEBUG)
        self.secrets: dict[str, bytes] = {}
        for name, host in lab.hosts.items():
            host._recorder = self.recorder
            host.ports.hooks.on_install = self._note
            host.observers.append(lambda event, host=host: self.output.event(event, host.loaded.file))
            self.secrets[f"private key of {name}"] = private_key(folder / "state" / name, name)

    def _note(self, sa: Any, installed: Any) -> None:
        for field in fields(installed.keys):
            value = getattr(installed.keys, field.name)
            if value:
                self.secrets[f"{type(installed.keys).__name__} {len(self.secrets)} {field.name}"] = value

    def channels(self, plant: str = "") -> dict[str, bytes]:
        """Everything that leaves a daemon."""
        self.output.say(plant)
        logging.getLogger("ikesim.daemon").warning("planted %s", plant)
        self.output.close()
        for host in self.lab.hosts.values():
            host._recorder = None
        self.recorder.close()
        texts: dict[str, Any] = {"events": self.folder / "events", "log": self.folder / "log"}
        for name, host in self.lab.hosts.items():
            texts |= {
                f"{name} status": json.dumps(host.status()),
                f"{name} decisions": json.dumps(host.decisions()),
                f"{name} repr": [host, host.endpoint, host.ports, host.store, *host.endpoint.core.sas.values()],
                f"{name} children": list(host.endpoint.core.children.values()),
                f"{name} configuration": [host.config, host.loaded],
            }
        octets = {
            key: value.read_bytes() if isinstance(value, Path) else f"{value!r} {value}".encode()
            for key, value in texts.items()
        }
        return {**octets, "capture": self.capture.read_bytes()}

    def close(self) -> None:
        logging.getLogger().removeHandler(self.output)
        self._out.close()
        self._log.close()


def private_key(state: Path, name: str) -> bytes:
    """The private value of an endpoint's key, from the one place where it may be."""
    content = (state / "pki" / "keys" / f"{name}.key").read_bytes()
    key = load_der_private_key(content.split(b"\n", 2)[2], None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32)


async def run_everything(watched: Watched) -> None:
    """Up, traffic, both rekeys, a refusal's worth of decisions, and an error that is logged with its traceback."""
    alice = watched.lab.alice
    assert (await commands.up(alice, "bob", 10))["result"] == "established"
    await commands.ping(alice, "bob", "10.2.0.1", 2, 10)
    assert (await commands.rekey(alice, "bob", "net"))["result"] == "rekeyed"
    assert (await commands.rekey(alice, "bob", None))["result"] == "rekeyed"
    await commands.ping(alice, "bob", "10.2.0.1", 1, 10)
    alice.boundary.strict = False
    alice.boundary.contain("a test", alice.endpoint.initiate, "nobody", 0.0)


async def test_no_secret_leaves_a_daemon(tmp_path: Path) -> None:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        await lab.start_both()
        watched = Watched(lab, tmp_path)
        await run_everything(watched)
        # both ends, both generations: 5 IKE and 2 CHILD keys each, as AEAD has no integrity keys
        assert len(watched.secrets) == 2 + 2 * 2 * (5 + 2)
        for channel, octets in watched.channels().items():
            assert len(octets) > 100, channel
            assert found(watched.secrets, octets) == [], channel
        watched.close()


async def test_the_search_finds_a_key_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted in each channel, in a form in which it would get there."""
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        await lab.start_both()
        watched = Watched(lab, tmp_path)
        await run_everything(watched)
        key = watched.secrets["private key of alice"]
        for host in lab.hosts.values():
            at = host.ports.wall(host.now())
            host._publish(Anomaly(sequence=0, time=at, endpoint=host.name, what=key.hex(), rule="planted"))
            assert key.hex() in log_line(Anomaly(sequence=0, time=at, endpoint="x", what=key.hex(), rule="planted"))
            status = {**host.status(), "planted": base64.b64encode(key).decode()}
            monkeypatch.setattr(host, "status", lambda status=status: status)
            monkeypatch.setattr(host, "decisions", lambda: [{"planted": list(key)}])
            monkeypatch.setattr(host, "config", {"planted": key})
            monkeypatch.setattr(host, "store", {"planted": key})
            planted = {b"spi": key}
            monkeypatch.setattr(host.endpoint.core, "children", planted)
        local, remote = Address("127.0.0.1", 1), Address("127.0.0.1", 2)
        watched.recorder.record(b"x" + key, NetworkPath(local, remote), 0.0, outbound=True)
        for channel, octets in watched.channels(plant=key.hex()).items():
            assert "private key of alice" in found(watched.secrets, octets), channel
        monkeypatch.undo()
        watched.close()
