"""Help, exit codes and sentences: what a user meets before anything runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ikesim.cli.main import COMMANDS, LazyGroup, cli
from tests.cli.command import ikesim, refused
from tests.configuration.test_configuration import FAULTS, FAULTY
from tests.support import REPOSITORY

ALICE = REPOSITORY / "config" / "alice.toml"


def test_help_lists_the_commands_in_the_order_of_use() -> None:
    done = ikesim("--help")
    assert done.returncode == 0
    order = [done.stdout.index(f"\n  {name} ") for name in ("run", "up", "down", "rekey", "status", "ping", "reload")]
    assert order == sorted(order)
    assert "6 nobody" in done.stdout


def test_every_command_of_the_table_shows_its_own_help() -> None:
    for name in cli.list_commands(None):  # type: ignore[arg-type] # the context is not looked at
        done = CliRunner().invoke(cli, [name, "--help"])
        assert done.exit_code == 0, name
        assert done.output.startswith(f"Usage: cli {name} ")


def test_a_command_whose_module_is_missing_breaks_nothing() -> None:
    group = LazyGroup("x", lazy={"config": COMMANDS["config"], "gone": ("ikesim.cli.gone:gone", "Is not there.")})
    done = CliRunner().invoke(group, ["--help"])
    assert done.exit_code == 0
    assert "config" in done.output
    assert "gone" not in done.output
    assert CliRunner().invoke(group, ["gone"]).exit_code == 2


def test_help_imports_nothing_heavy_and_takes_little_longer_than_python_itself() -> None:
    """A ratio, since machines differ: with pydantic or cryptography it would be far above."""

    def seconds(*arguments: str) -> float:
        best = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=REPOSITORY)
            best = min(best, time.perf_counter() - begin)
        return best

    assert seconds("-m", "ikesim", "--help") < 12 * seconds("-c", "pass")
    code = "import sys, ikesim.cli.main, ikesim.cli.control; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"pydantic", "cryptography", "aiohttp", "scapy", "asyncio", "rich"} == set()


def test_config_check_of_a_good_file() -> None:
    done = ikesim("config", "check", ALICE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{ALICE}: ok: endpoint alice, 1 connection, 2 CA profiles\n"


def test_config_check_reports_every_fault_at_once() -> None:
    done = ikesim("config", "check", FAULTY)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == len(FAULTS) >= 20
    assert "Traceback" not in done.stderr
    done = ikesim("config", "check", FAULTY, "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert [f"{item['table']}.{item['key']}".strip(".") for item in document["problems"]] == [
        key for key, _ in FAULTS
    ]


@pytest.mark.parametrize("command", [["config", "check"], ["run"]])
def test_a_file_that_is_no_configuration_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    assert refused(2, *command, tmp_path / "none.toml") == f"{tmp_path}/none.toml: there is no such file"
    assert refused(2, *command, "/proc/self/mem") == "/proc/self/mem: cannot be read: Input/output error"
    bad = tmp_path / "bad.toml"
    bad.write_text("[endpoint]\nname = \n")
    assert refused(2, *command, bad).startswith(f"{bad}: is not TOML: ")


def test_run_reports_the_faults_of_all_its_files(tmp_path: Path) -> None:
    done = ikesim("run", FAULTY, tmp_path / "none.toml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == len(FAULTS) + 1


@pytest.mark.parametrize(
    "command", [["up", "bob"], ["down", "bob"], ["rekey", "bob"], ["ping", "bob", "10.2.0.1"], ["status"], ["reload"]]
)
def test_without_a_daemon_the_next_command_is_named(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "alice.toml"
    file.write_text(ALICE.read_text().replace("../state", "state"))
    state = tmp_path.resolve() / "state" / "alice"
    expected = f"no daemon runs on {state}; start one with: ikesim run {file}"
    assert refused(3, *command, "--endpoint", file) == expected
    done = ikesim(*command, "--endpoint", file, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout) == {"result": "error", "error": expected, "exit_code": 3}


def test_usage_errors_are_exit_code_2(tmp_path: Path) -> None:
    assert ikesim("up", "bob").returncode == 2
    assert ikesim("nonsense").returncode == 2
    done = ikesim("up", "bob", "--endpoint", ALICE, "--timeout", "soon")
    assert done.returncode == 2
    assert "'soon' is not a duration" in done.stderr


def test_what_is_shown_of_a_file_cannot_command_the_terminal(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('"\\u001b[31mred" = 1\n')
    done = ikesim("config", "check", bad)
    assert "\x1b" not in done.stderr
    assert "\\x1b[31mred" in done.stderr
