"""Runs the commands of docs/from-nothing.md in an empty folder; `python -m tests.junos.transcript` rewrites it.

A block `toml` becomes the file that its first line names. In a block `console` every line after "$ " is a command,
and what follows is what it printed, errors included. A command that ends with "&" runs on until the end; its output
is what it prints until its endpoints are ready.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "from-nothing.md"
PATIENCE = 60.0
_BLOCK = re.compile(r"^```(toml|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VOLATILE = (
    (r"-----BEGIN (.*?)-----.*?-----END \1-----", "<PEM>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| UTC)?", "<TIME>"),
    (r"\d{4}-\d\d-\d\d", "<DATE>"),
    (r"\d\d-\d\d-\d{4} \d\d:\d\d UTC", "<TIME>"),
    (r"\b(0x|sha256:)?[0-9a-f]{8,}\b", "<HEX>"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){7,}", "<HEX>"),
    (r"\d+(\.\d+)? ms\b", "<MS>"),
    (r"\b\d{4,5} seconds", "<SECONDS>"),
    (r"\s+", " "),
)


def normalised(text: str) -> str:
    """What is the same in every run."""
    for pattern, shown in _VOLATILE:
        text = re.sub(pattern, shown, text, flags=re.DOTALL)
    return text.strip()


class Session:
    """The folder in which the commands run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": "100",
        }
        self.environment.pop("IKESIM_ENDPOINT", None)
        self._running: list[subprocess.Popen[str]] = []

    def write(self, block: str) -> str:
        """Make the file that a block is."""
        name = block.split()[1]
        (self.folder / name).write_text(block)
        return block

    def type(self, block: str) -> str:
        """Run the commands of a block; the block with what they printed."""
        return "".join(
            f"$ {command}\n{self._run(command)}" for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE)
        )

    def _run(self, command: str) -> str:
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            return ""
        if command.endswith("&"):
            return self._start(command.removesuffix("&").strip())
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode in (0, 1), f"{command}: {done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def _start(self, command: str) -> str:
        process = subprocess.Popen(
            command.split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        printed: list[str] = []
        while sum('"Ready"' in line for line in printed) < len(re.findall(r"\S+\.toml", command)):
            line = process.stdout.readline()
            assert line, f"{command} ended early"
            printed.append(line)
        return "".join(line for line in printed if '"Ready"' in line)

    def end(self) -> None:
        """Stop what still runs."""
        for process in self._running:
            process.terminate()
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0


def fresh(document: str, folder: Path) -> str:
    """The document with what its commands print now."""
    session = Session(folder)
    steps: dict[str, Callable[[str], str]] = {"toml": session.write, "console": session.type}
    try:
        return _BLOCK.sub(lambda match: f"```{match[1]}\n{steps[match[1]](match[2])}```", document)
    finally:
        session.end()


def main() -> None:
    """Write the document anew."""
    with tempfile.TemporaryDirectory() as folder:
        DOCUMENT.write_text(fresh(DOCUMENT.read_text(), Path(folder)))


if __name__ == "__main__":
    main()
