"""Our end of the lab: the `ikesim` command, its PKI objects, and one running daemon at a time."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from ikesim.cli.main import cli
from ikesim.errors import NotFoundError
from tests.interop.processes import PATIENCE, LabError, run, start, stop

IKESIM = Path(sys.executable).with_name("ikesim")

Event = dict[str, Any]


def ikesim(*arguments: str | Path) -> int:
    """Run one command that needs no daemon, in this process (starting one costs most of it); returns its exit status.

    Raises LabError with what it said when that is neither 0 nor 3, "not found".
    """
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if done.exit_code not in (0, NotFoundError.exit_code):
        raise LabError(f"ikesim {' '.join(map(str, arguments))}: exit {done.exit_code}: {done.output}")
    return done.exit_code


class Daemon:
    """A running `ikesim run` and the events it has written, in order."""

    def __init__(self, process: subprocess.Popen[bytes], config: Path, log: Path) -> None:
        self.process, self.config, self._log = process, config, log
        self.events: list[Event] = []
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def wait(self, name: str, /, **fields: Any) -> Event:
        """The first event of that name with those fields since the daemon started, waiting for it where needed."""
        for event in self.events:
            if _fits(event, name, fields):
                return event
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise LabError(f"no {name} {fields} came; {self.story()}") from None
            if line is None:
                raise LabError(f"ikesim ended before {name} {fields} came; {self.story()}")
            event = json.loads(line)
            self.events.append(event)
            if _fits(event, name, fields):
                return event

    def story(self) -> str:
        """Its events and its log, for the report of a failure."""
        names = [f"{event['event']}({event.get('reason', '')})" for event in self.events]
        return f"events: {', '.join(names) or 'none'}; its log:\n{self._log.read_text(errors='replace')}"

    def command(self, *arguments: str, check: bool = True) -> Any:
        """A command for this daemon (`up lab`, `ping lab ADDRESS`); its JSON document."""
        done = run(IKESIM, *arguments, "--endpoint", self.config, "--json", check=False)
        if check and done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise LabError(f"ikesim {' '.join(arguments)}: exit {done.returncode}: {said}; {self.story()}")
        return json.loads(done.stdout)

    def stop(self) -> int:
        """End it as an operator would, with SIGTERM; returns its exit status."""
        return stop(self.process)


@contextlib.contextmanager
def running(namespace: str, config: Path, *, lie: str | None = None) -> Iterator[Daemon]:
    """A daemon in a namespace, ready; stopped afterwards. With a lie, one that `tests.interop.liar` has corrupted."""
    program: Sequence[str | Path] = [IKESIM]
    if lie is not None:
        program = [sys.executable, "-m", "tests.interop.liar", lie]
    ready_file, log = config.with_suffix(".ready"), config.with_suffix(".log")
    ready_file.unlink(missing_ok=True)
    command = ["ip", "netns", "exec", namespace, *program, "run", config, "--ready-file", ready_file]
    process = start(command, log=log, listen=True)
    daemon = Daemon(process, config, log)
    try:
        daemon.wait("Ready")
        yield daemon
    finally:
        daemon.stop()


def _fits(event: Event, name: str, fields: dict[str, Any]) -> bool:
    return event["event"] == name and all(event.get(key) == value for key, value in fields.items())
