"""docs/trust.md and docs/explain.md: their code is run, and what they show it to print is what it prints."""

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ikesim.cli.main import cli
from ikesim.pki.authority import Authority
from ikesim.pki.keys import Entropy
from ikesim.sim.entropy import SeededEntropy
from tests.documents import holds
from tests.support import REPOSITORY

MADE = datetime(2026, 3, 1, tzinfo=UTC)
FOLDER_OF = {"trust.md": "python", "explain.md": "sh"}


def _stream(name: str) -> Entropy:
    return SeededEntropy("documents", name).stream("key")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates and CRLs that the documents speak of, the same whenever they are made."""
    folder = tmp_path_factory.mktemp("documents")
    roots: dict[str, Authority] = {}
    for name in ("north", "south"):
        roots[name] = Authority.create(
            name, subject=f"O={name.title()}, CN={name}", now=MADE, entropy=_stream(name), serial=0xA0 + len(roots)
        )
    north = roots["north"]
    issuing = Authority.create(
        "issuing", subject="O=North, CN=issuing", now=MADE, issuer=north, entropy=_stream("issuing"), serial=0xB0
    )
    leaves = {
        "bob": {"serial": 0x1001},
        "carol": {"serial": 0x1002, "extended_key_usage": ("codeSigning",)},
        "dave": {"serial": 0x1003, "not_after": MADE + timedelta(days=20)},
    }
    certificates: dict[str, bytes] = {"issuing": issuing.certificate}
    certificates |= {name: root.certificate for name, root in roots.items()}
    for name, knobs in leaves.items():
        made = issuing.leaf(f"O=North, CN={name}", [f"fqdn:{name}.example"], MADE, **knobs)  # type: ignore[arg-type]
        certificates[name] = made.certificate
    crls = {"north": north.crl(MADE, days=90), "issuing": issuing.crl(MADE, days=90)}
    issuing.revoke(0x1001, "key-compromise", at=MADE + timedelta(days=3))
    crls["issuing-new"] = issuing.crl(MADE + timedelta(days=4), days=90)
    for name, der in certificates.items():
        (folder / f"{name}.der").write_bytes(der)
    for name, der in crls.items():
        (folder / f"{name}.crl").write_bytes(der)
    return folder


def _blocks(document: str, language: str) -> list[tuple[str, str]]:
    """(name of the part that shows its output, code) of every code block that has such a part."""
    text = (REPOSITORY / "docs" / document).read_text()
    pattern = rf"```{language}\n(.*?)```\n+<!-- ([a-z-]+) -->"
    return [(name, code) for code, name in re.findall(pattern, text, re.DOTALL)]


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _shown(output: str) -> str:
    return f"```text\n{output.rstrip()}\n```"


def test_the_code_of_trust_md_prints_what_stands_below_it(files: Path) -> None:
    blocks = _blocks("trust.md", "python")
    assert len(blocks) >= 5
    names: dict[str, Any] = {}
    with _inside(files):
        for name, code in blocks:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, names)  # the document's own code, in one session as a reader would type it
            holds("trust.md", name, _shown(printed.getvalue()))


def test_the_commands_of_explain_md_print_what_stands_below_them(files: Path) -> None:
    blocks = _blocks("explain.md", "sh")
    assert len(blocks) >= 6
    with _inside(files):
        for name, code in blocks:
            program, *arguments = shlex.split(code.replace("\\\n", " "))
            assert program == "ikesim"
            done = CliRunner().invoke(cli, arguments)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.output
            holds("explain.md", name, _shown(f"{done.output.rstrip()}\n\nexit code {done.exit_code}"))


def test_every_field_of_a_policy_is_in_trust_md() -> None:
    from dataclasses import fields

    from ikesim.pki import Anchor, Evidence, TrustPolicy, TrustRequest

    text = (REPOSITORY / "docs" / "trust.md").read_text()
    for kind in (TrustPolicy, TrustRequest, Evidence, Anchor):
        missing = [field.name for field in fields(kind) if f"`{field.name}`" not in text]
        assert not missing, f"{kind.__name__}: {missing}"


def test_every_option_of_explain_is_in_explain_md() -> None:
    from ikesim.cli.explain import explain

    text = (REPOSITORY / "docs" / "explain.md").read_text()
    for option in explain.params:
        for name in option.opts:
            if name.startswith("--"):
                assert f"`{name}" in text, name
