"""Events as JSON lines on one stream, as sentences on the other, without ever waiting for a reader."""

import json
import logging
import os
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from ikesim.daemon.hints import hint
from ikesim.daemon.safe import escaped
from ikesim.daemon.text import log_line
from ikesim.ike.events import Event, SaRefused

BACKLOG = 16 * 1024 * 1024
"""Octets kept for a reader that does not read; later lines are lost. A decision has some ten thousand."""
PATIENCE = 2.0
"""Seconds that a reader has to take the rest when the daemon ends."""


class LineWriter:
    """Writes lines to a descriptor from a thread of its own: a pipe that nobody empties must not stop the daemon.

    Nothing goes through a Python stream: a thread that waits for a reader would hold its lock, and the interpreter
    would wait for that lock when it ends.
    """

    def __init__(self, descriptor: int) -> None:
        self.lost = 0
        """Lines that found the backlog full, or the reader gone."""
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._ending = False
        self._gone = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"write to {descriptor}", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Write a line soon."""
        octets = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._changed:
            if self._gone or self._size + len(octets) > BACKLOG:
                self.lost += 1
                return
            self._lines.append(octets)
            self._size += len(octets)
            self._changed.notify()

    def close(self) -> None:
        """Wait, a little, until everything is written."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._ending:
                    self._changed.wait()
                if not self._lines:
                    return
                octets = self._lines.popleft()
                self._size -= len(octets)
            try:
                while octets:
                    octets = octets[os.write(self._descriptor, octets) :]
            except OSError:
                with self._changed:
                    self._gone = True
                    self.lost += 1 + len(self._lines)
                    self._lines.clear()
                return


class Output(logging.Handler):
    """What `ikesim run` writes; as a logging handler, also what the rooms below log."""

    def __init__(self, machine: TextIO, human: TextIO) -> None:
        super().__init__(logging.WARNING)
        self._machine = LineWriter(machine.fileno())
        self._human = LineWriter(human.fileno())

    def event(self, event: Event, config: Path) -> None:
        """Write one event, and what would help where a refusal lacked something."""
        self._human.put(log_line(event))
        self._machine.put(json.dumps(event.to_json()))
        if isinstance(event, SaRefused):
            help_line = hint(event.to_json(), config)
            if help_line:
                self.say(f"{event.endpoint}: {help_line}")

    def say(self, text: str) -> None:
        """A line for people that is no event."""
        clock = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
        self._human.put(f"{clock} {escaped(text)}")

    def emit(self, record: logging.LogRecord) -> None:
        """A log record, its traceback included, a line each."""
        for line in self.format(record).splitlines():
            self.say(line)

    def close(self) -> None:
        """Let the readers have the rest."""
        super().close()
        self._machine.close()
        if self._machine.lost:
            self.say(f"{self._machine.lost} events found no reader on stdout")
        self._human.close()
