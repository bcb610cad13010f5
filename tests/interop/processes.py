"""Running the tools of the lab: one-shot commands, and daemons that never outlive the test."""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 20.0
"""Seconds after which something that should have happened long ago counts as not happening."""

DIE_WITH_THE_TEST = ("setpriv", "--pdeathsig", "KILL")
"""The kernel ends the process when the test's process ends, however that happens."""


class LabError(Exception):
    """The lab itself did not do what it should; never the verdict of a case."""


def run(
    *command: str | Path, check: bool = True, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool to its end. Raises LabError with what it said when it fails and `check` is set."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if check and done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise LabError(f"{' '.join(map(str, command))}: exit {done.returncode}: {said}")
    return done


def start(
    command: Sequence[str | Path], *, output: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a daemon; what it writes goes to the file `output`."""
    with output.open("wb") as sink:
        return subprocess.Popen(
            [*DIE_WITH_THE_TEST, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **(environment or {})},
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a daemon that we started, gently first, and return its exit status."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
        raise LabError(f"{process.args} did not end when asked to") from None
