"""docs/junos.md: a row for every requirement, whose command exists and whose test is there and bears its id."""

import re
import subprocess
import sys
from dataclasses import dataclass

import click
import pytest

from ikesim.cli.junos_words import VERBS, understand
from ikesim.cli.main import cli
from tests.junos.mutations import load, mutate
from tests.support import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "junos.md"
LATER = {"PC-05"}
"""Requirements that wait for enrolment over the network."""


def ids(prefix: str, *numbers: int) -> list[str]:
    return [f"{prefix}-{number:02}" for number in numbers]


MUST = [
    *ids("SC", 1, 2, 4, 6), *ids("MIN", 1, 2, 3, 4), *ids("OB", 1, 2), *ids("KP", 1, 2, 3, 4), *ids("LC", 1, 2),
    *ids("PC", *range(1, 7)), *ids("CA", 1, 2), *ids("CR", 1), *ids("ID", *range(1, 5)), *ids("ST", *range(1, 5)),
    *ids("CP", 1, 2, 3), *ids("PF", *range(1, 8)), *ids("VA", *range(1, 5)), *ids("TG", *range(2, 11)),
    *ids("SG", 1, 2, 3), *ids("KH", *range(1, 9)), *ids("TS", *range(1, 5)),
]  # fmt: skip
"""The requirements of level M, in the order of the model."""


@dataclass(frozen=True)
class Row:
    id: str
    command: str
    tests: tuple[str, ...]
    """path::name"""


def rows() -> list[Row]:
    found = []
    for line in DOCUMENT.read_text().splitlines():
        if re.match(r"\| [A-Z]{2,3}-\d\d \|", line):
            number, _, command, tests = (cell.strip() for cell in line.strip("|").split(" | "))
            named = re.findall(r"\[`(\w+)`\]\(\.\./([\w/.]+)\)", tests)
            found.append(Row(number, command, tuple(f"{path}::{name}" for name, path in named)))
    return found


def test_every_requirement_has_its_row_in_order() -> None:
    assert [row.id for row in rows()] == MUST


def test_every_row_names_a_test_that_bears_its_id() -> None:
    for row in rows():
        if row.id in LATER:
            assert row.tests == ()
            continue
        mark = row.id.lower().replace("-", "_")
        assert row.tests, row.id
        assert all(f"_{mark}_" in test for test in row.tests), row


def test_every_test_that_is_named_is_collected() -> None:
    named = {test for row in rows() for test in row.tests}
    files = sorted({test.partition("::")[0] for test in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert named - collected == set()


def commands() -> list[str]:
    return sorted({row.command for row in rows() if row.id not in LATER})


@pytest.mark.parametrize("span", commands())
def test_every_command_exists(span: str) -> None:
    match = re.fullmatch(r"`ikesim (.+)`", span)
    assert match
    words = match[1].split()
    if words[0] in VERBS:
        understand(words)
        return
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, span
        command = found
        words.pop(0)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_junos_words_of_the_document_are_understood() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    lines = block.splitlines()
    assert len(lines) > 8
    for line in lines:
        assert understand(line.split()).row.handler


def test_the_deliberate_differences_are_all_told() -> None:
    _, _, text = DOCUMENT.read_text().partition("## Deliberate differences")
    assert re.findall(r"^(\d+)\. ", text, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_every_row_has_one_mutation_that_still_fits_the_source() -> None:
    mutations = load()
    listed = [mutation.id for mutation in mutations]
    assert listed == [number for number in MUST if number not in LATER]
    named = {row.id: row.tests for row in rows()}
    for mutation in mutations:
        source = (REPOSITORY / mutation.file).read_text()
        assert mutate(source, mutation) != source
        assert {test.partition("[")[0] for test in mutation.tests} <= set(named[mutation.id]), mutation.id
