"""The command line as a process, and a running daemon."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY

PATIENCE = 60.0


def ikesim(
    *arguments: str | Path, cwd: Path | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """One command, to its end; `given` is its standard input."""
    command = [sys.executable, "-m", "ikesim", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=cwd, env=environment, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def refused(code: int, *arguments: str | Path) -> str:
    """The one sentence that a command ends with, together with this exit code; never a traceback."""
    done = ikesim(*arguments)
    assert done.returncode == code, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ikesim: ")
    return line.removeprefix("ikesim: ")


class Daemon:
    """`ikesim run`, with its events; `stop` ends it and returns its exit code."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.log = ""

    def wait_for(self, name: str) -> dict[str, Any]:
        """Read events until one of that name."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == name:
                return dict(event)
        raise AssertionError(f"no {name} before the end; log: {self.process.communicate()[1]}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, self.log = self.process.communicate(timeout=PATIENCE)
        self.events += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode


@contextmanager
def running(*arguments: str | Path) -> Iterator[Daemon]:
    """A daemon that is ended with the test; the caller waits for Ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ikesim", "run", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    daemon = Daemon(process)
    try:
        yield daemon
    finally:
        daemon.stop()
