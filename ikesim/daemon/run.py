"""`ikesim run`: endpoints in one process until a signal comes."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ikesim.configuration import LoadedConfig, load
from ikesim.daemon.control import ControlServer
from ikesim.daemon.host import EndpointHost, Recording
from ikesim.daemon.output import Output
from ikesim.daemon.readiness import missing_ppks, unready
from ikesim.daemon.state import StateLock
from ikesim.errors import ConfigurationError, Problem, UsageError
from ikesim.ike.events import Ready
from ikesim.pki.disk import open_directory
from ikesim.pki.store import PkiStore

if TYPE_CHECKING:
    from ikesim.capture.keys import KeyLog

log = logging.getLogger("ikesim.daemon")


def load_all(paths: Sequence[Path]) -> list[LoadedConfig]:
    """Every configuration, or ConfigurationError with the faults of all of them."""
    loaded: list[LoadedConfig] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            loaded.append(load(path))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return loaded


async def run(
    loaded: Sequence[LoadedConfig],
    output: Output,
    *,
    ready_file: Path | None = None,
    capture: Path | None = None,
    keys: Path | None = None,
) -> None:
    """Run endpoints until SIGINT or SIGTERM; then delete their SAs and end.

    Raises UsageError for whatever keeps one of them from starting; then none runs.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        recorder = _recorder(capture, stack)
        key_log = _key_log(keys, output, stack)
        hosts = [await _start(config, output, recorder, key_log, stack) for config in loaded]
        lines = "".join(f"{json.dumps(ready.to_json())}\n" for _, ready in hosts)
        if ready_file is not None:
            _write_at_once(ready_file, lines)
        for host, _ in hosts:
            host.begin()
        await stopping.wait()
        output.say("stopping: SAs are deleted")
        await asyncio.gather(*(host.stop() for host, _ in hosts))


async def _start(
    config: LoadedConfig,
    output: Output,
    recorder: Recording | None,
    key_log: "KeyLog | None",
    stack: contextlib.AsyncExitStack,
) -> tuple[EndpointHost, Ready]:
    """One endpoint with its lock, store, sockets and control API, which `stack` takes down again."""
    open_directory(config.state)
    lock = StateLock(config.state)
    stack.callback(lock.release)
    store = PkiStore.open(
        config.state, key_protection=config.endpoint.key_protection, wrapping_key=config.wrapping_key
    )
    store.hold()
    host = EndpointHost(config, store, recorder=recorder)
    if key_log is not None:
        host.ports.hooks.on_install = key_log.install
    host.observers.append(lambda event: output.event(event, config.file))
    lacking = [*unready(config, store.snapshot(), store.vault.ids()), *missing_ppks(config, store.secrets.ls())]
    for note in (*config.notes, *(item.message for item in lacking)):
        output.say(f"{config.endpoint.name}: {note}")
    stack.push_async_callback(host.stop)
    await host.open()
    if key_log is not None:
        key_log.decode_ports_of(host.config)
    control = ControlServer(host)
    stack.push_async_callback(control.stop)
    await control.start()
    # only now: whoever reads Ready may use the control API at once
    return host, host.report_ready()


def _recorder(path: Path | None, stack: contextlib.AsyncExitStack) -> Recording | None:
    if path is None:
        return None
    from ikesim.capture.recorder import Recorder

    recorder = Recorder(path)
    stack.callback(recorder.close)
    return recorder


def _key_log(folder: Path | None, output: Output, stack: contextlib.AsyncExitStack) -> "KeyLog | None":
    if folder is None:
        return None
    from ikesim.capture.keys import KeyLog

    return stack.enter_context(KeyLog(folder, output.say))


def _write_at_once(path: Path, text: str) -> None:
    """Write a file so that nobody sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"the ready file {path} cannot be written: {error.strerror or error}") from None


def main(
    paths: Sequence[Path], *, ready_file: Path | None = None, capture: Path | None = None, keys: Path | None = None
) -> None:
    """Load and run, with the log of the rooms below on stderr too."""
    loaded = load_all(paths)
    output = Output(sys.stdout, sys.stderr)
    logging.getLogger().addHandler(output)
    try:
        asyncio.run(run(loaded, output, ready_file=ready_file, capture=capture, keys=keys))
    finally:
        logging.getLogger().removeHandler(output)
        output.close()
