"""Endpoints of a lab as processes of their own, watched by their events and asked over their control API."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from ikesim.daemon.state import socket_path
from ikesim.errors import IkesimError

PATIENCE = 30.0
"""Seconds that a process has for what usually takes less than one."""
STOP_PATIENCE = 10.0
"""Seconds from SIGTERM to SIGKILL; a daemon gives its peers two to answer its DELETE."""
LINE_LIMIT = 4 * 1024 * 1024
"""Octets of one event: a decision about a long chain has some tens of thousands."""

PROGRAM = (sys.executable, "-m", "ikesim", "run")

Document = dict[str, Any]


class ProcessError(IkesimError):
    """An endpoint's process ended, or did not do what it was asked for."""


class EndpointProcess:
    """`ikesim run CONFIG` in a process of its own; an asynchronous context manager that ends it, gently first.

    `events` holds the events it has written, in order, in their JSON form.
    """

    def __init__(
        self, config: Path, state: Path, log: Path, arguments: Sequence[str] = (), program: Sequence[str] = PROGRAM
    ) -> None:
        """Describe it: its configuration, its state folder, the file for its log, more arguments for `ikesim run`."""
        self.config, self.log = config, log
        self.events: list[Document] = []
        self._state = state
        self._command = [*program, str(config), *arguments]
        self._news = asyncio.Condition()
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]
        self._ended = False

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start it and wait until it is ready. Raises ProcessError with the end of its log when that fails."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_LIMIT,
            )
        self._reader = asyncio.create_task(self._read())
        try:
            await self.wait("Ready")
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        await self.stop()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL if that does not help; returns its exit status (the same again the second time)."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(STOP_PATIENCE):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        status = await self._process.wait()
        await self._reader
        return status

    async def wait(self, name: str, /, *, since: int = 0, **fields: Any) -> Document:
        """The first event of that name with those fields, from number `since` on. Raises ProcessError without one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE), self._news:
                while True:
                    for event in self.events[since:]:
                        if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                            return event
                    if self._ended:
                        break
                    await self._news.wait()
        said = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        what = "ended" if self._ended else f"did not report {name}"
        raise ProcessError(f"the endpoint of {self.config} {what}; its log {self.log} ends with: {' / '.join(said)}")

    async def ask(self, method: str, resource: str, body: Document | None = None) -> Document:
        """Ask its control API. Raises ProcessError with its sentence when it refuses."""
        with socket_path(self._state) as path:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
                session.request(method, f"http://localhost{resource}", json=body) as response,
            ):
                document: Document = await response.json()
                if response.status != 200:
                    raise ProcessError(f"{self.config}: {resource}: {document.get('error', response.reason)}")
                return document

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            async with self._news:
                self.events.append(event)
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()
