"""What ARCHITECTURE.md and README.md claim about the code, held against the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ikesim.ike.sa import TRANSITIONS, IkeState
from tests.support import REPOSITORY

STARTS = (IkeState.INIT_RESPONSE, IkeState.INTERMEDIATE_REQUEST, IkeState.AUTH_REQUEST)


def state_diagram() -> str:
    """The states of an IKE SA as a Mermaid diagram."""
    names = {state: state.name.lower() for state in IkeState}
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {names[state]}: {state.value}" for state in IkeState]
    lines += [f"    [*] --> {names[state]}" for state in STARTS]
    lines += [
        f"    {names[before]} --> {names[after]}"
        for before, followers in TRANSITIONS.items()
        for after in sorted(followers)
    ]
    lines += [f"    {names[state]} --> [*]" for state, followers in TRANSITIONS.items() if not followers]
    return "\n".join([*lines, "```"])


def test_the_state_diagram_is_the_table_of_transitions() -> None:
    document = (REPOSITORY / "ARCHITECTURE.md").read_text()
    drawn = re.search(r"<!-- states -->\n(.*?)\n?<!-- /states -->", document, re.DOTALL)
    assert drawn
    assert drawn[1] == state_diagram()


def test_every_module_that_the_architecture_names_exists() -> None:
    document = (REPOSITORY / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:[a-z]+/)+[a-z_]+\.(?:py|toml))\b", document))
    assert len(named) > 20
    missing = [
        name for name in named if not (REPOSITORY / "ikesim" / name).exists() and not (REPOSITORY / name).exists()
    ]
    assert not missing


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a language in a Markdown document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (REPOSITORY / document).read_text(), re.DOTALL | re.MULTILINE)


def test_the_test_that_the_readme_shows_passes(tmp_path: Path) -> None:
    [source] = blocks("README.md", "python")
    (tmp_path / "test_vpn.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_tunnel_that_the_readme_makes_by_hand_comes_up(tmp_path: Path) -> None:
    preparation, use = blocks("README.md", "sh")
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def shell(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shell(preparation)
    daemons = subprocess.Popen(
        ["ikesim", "run", "config/alice.toml", "config/bob.toml"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with daemons:
        assert daemons.stdout is not None
        try:
            assert all('"Ready"' in daemons.stdout.readline() for _ in range(2))
            said = shell(use)
        finally:
            daemons.terminate()
    assert "Accepted: fqdn:bob.example" in said
    assert "1 sent, 1 received, 0 lost" in said
    assert "net: installed, 10.1.0.0/24 === 10.2.0.0/24" in said
    assert daemons.returncode == 0
