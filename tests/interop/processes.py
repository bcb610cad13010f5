"""Running the tools of the lab: one-shot commands, and processes that never outlive the test."""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import REPOSITORY

PATIENCE = 20.0
"""Seconds after which something that should have happened long ago counts as not happening."""

DIE_WITH_THE_TEST = ("setpriv", "--pdeathsig", "KILL")
"""The kernel ends the process when the test's process ends, however that happens."""


class LabError(Exception):
    """The lab itself did not do what it should; never the verdict of a case."""


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run a tool to its end. Raises LabError with what it said when it fails and `check` is set."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False, cwd=REPOSITORY)
    if check and done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done


def start(
    command: Sequence[str | Path], *, log: Path, listen: bool = False, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that lasts. What it writes goes to the file `log`, but with `listen` its stdout is a pipe."""
    with log.open("wb") as sink:
        return subprocess.Popen(
            [*DIE_WITH_THE_TEST, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else sink,
            stderr=sink,
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a process that we started, gently first, and return its exit status."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
        raise LabError(f"{process.args!r} did not end when asked to") from None
