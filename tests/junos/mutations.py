"""`scripts/test --mutations`: does the test of each requirement fail when the behaviour is patched out?

Each row of mutations.toml is applied to a copy of the tree, never to the tree itself, and its tests are run there.
They pass in the untouched copy first, so that a failure has no other cause than the mutation.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutations.toml")
WORKERS = 2
PATIENCE = 120.0
"""Seconds for the tests of one mutation; what hangs has noticed as well."""
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", "demo", "state", "build")


@dataclass(frozen=True)
class Mutation:
    """One row of the list."""

    id: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of one mutation: "caught" is what should."""

    mutation: Mutation
    result: str
    seconds: float
    output: str = ""


def say(text: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def load() -> list[Mutation]:
    """The rows of the list."""
    with LIST.open("rb") as file:
        rows = tomllib.load(file)["mutation"]
    return [Mutation(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def mutate(source: str, mutation: Mutation) -> str:
    """The mutated source. Raises ValueError when the text is not there exactly once."""
    text = mutation.text.removeprefix("\n")
    if source.count(text) != 1:
        raise ValueError(f"{mutation.id}: the text occurs {source.count(text)} times in {mutation.file}")
    return source.replace(text, mutation.replacement.removeprefix("\n"))


class Copy:
    """A copy of the tree, with the shared vectors beside it as beside the original."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        shutil.copytree(REPOSITORY, self.tree, ignore=_LEFT_OUT)
        shared = REPOSITORY.parent / "shared"
        if shared.is_dir():
            (folder / "shared").symlink_to(shared)
        environment = {**os.environ, "PYTHONPATH": str(self.tree), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("IKESIM_ENDPOINT", None)
        self.environment = environment
        # By hash, not by time: a file may change twice within one tick of the clock.
        compiling = ["compileall", "-q", "--invalidation-mode", "checked-hash", "ikesim", "tests"]
        subprocess.run([sys.executable, "-m", *compiling], cwd=self.tree, check=True, env=environment)
        done = self._python("-c", "import ikesim; print(ikesim.__file__)")
        assert done.stdout.startswith(str(self.tree)), "the copy must be what is tested"

    def test(self, *nodes: str) -> subprocess.CompletedProcess[str]:
        """Run tests in the copy, to the first failure."""
        options = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")
        return self._python("-m", "pytest", *options, *nodes)

    def try_out(self, mutation: Mutation) -> Verdict:
        """Apply a mutation, run its tests, and take it back."""
        begin = time.monotonic()
        path = self.tree / mutation.file
        source = path.read_text()
        try:
            path.write_text(mutate(source, mutation))
            done = self.test(*mutation.tests)
            result = {0: "SURVIVED", 1: "caught"}.get(
                done.returncode, f"BROKEN (pytest ended with {done.returncode})"
            )
            output = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            result, output = "caught", ""
        except ValueError as error:
            result, output = f"STALE ({error})", ""
        finally:
            path.write_text(source)
        return Verdict(mutation, result, time.monotonic() - begin, output)

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def run(mutations: list[Mutation]) -> list[Verdict]:
    """Every verdict, in the order of the list."""
    waiting: queue.SimpleQueue[Mutation] = queue.SimpleQueue()
    for mutation in mutations:
        waiting.put(mutation)
    verdicts: dict[str, Verdict] = {}

    def work(folder: Path) -> None:
        copy = Copy(folder)
        while True:
            try:
                mutation = waiting.get_nowait()
            except queue.Empty:
                return
            verdict = verdicts[mutation.id] = copy.try_out(mutation)
            say(f"{mutation.id:8}{verdict.result:10} {verdict.seconds:5.1f} s  {mutation.file}")

    with tempfile.TemporaryDirectory(prefix="ikesim-mutations-") as name:
        folders = [Path(name) / str(number) for number in range(WORKERS)]
        for folder in folders:
            folder.mkdir()
        threads = [threading.Thread(target=work, args=(folder,)) for folder in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [verdicts[mutation.id] for mutation in mutations]


def unmutated(mutations: list[Mutation]) -> str:
    """What pytest says about all tests of the list in an untouched copy; "" when they pass."""
    nodes = dict.fromkeys(node for mutation in mutations for node in mutation.tests)
    with tempfile.TemporaryDirectory(prefix="ikesim-mutations-") as name:
        copy = Copy(Path(name))
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "-n", str(WORKERS), *nodes],
            cwd=copy.tree,
            env=copy.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main(arguments: list[str]) -> int:
    """Try the mutations whose ids begin with one of the arguments, or all."""
    begin = time.monotonic()
    mutations = [one for one in load() if not arguments or one.id.startswith(tuple(arguments))]
    if problem := unmutated(mutations):
        say(problem)
        say("the tests do not pass without a mutation")
        return 1
    say(f"{len(mutations)} mutations; their tests pass without them")
    verdicts = run(mutations)
    wrong = [verdict for verdict in verdicts if verdict.result != "caught"]
    for verdict in wrong:
        say(f"\n{verdict.mutation.id}: {verdict.result}\n{verdict.output}")
    caught = len(verdicts) - len(wrong)
    say(f"{caught} of {len(verdicts)} mutations caught, {time.monotonic() - begin:.0f} s")
    for verdict in wrong:
        say(f"  {verdict.mutation.id:8}{verdict.result}  {', '.join(verdict.mutation.tests)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
