"""The role x case table that a run of the matrix ends with (a pytest plugin, loaded by tests/conftest.py).

Each cell is a test that records what happened as the property "interop". With `--write-interop-table` the table also
goes to docs/interop.md.
"""

from collections.abc import Callable

import pytest

from tests.interop.cases import CELLS, ROWS
from tests.support import REPOSITORY

PROPERTY = "interop"
ROLES = ("initiator", "responder")
DOCUMENT = REPOSITORY / "docs" / "interop.md"

HEAD = """\
# ikesim and strongSwan

Every cell is a run of `tests/interop` against Debian's strongSwan 5.9.8, each daemon in a network namespace of its
own. A cell with a tunnel saw pings go through it both ways and strongSwan count their bytes; a cell with a refusal
shows our reason code, and strongSwan's log said the same in its own words. Written by
`scripts/test tests/interop --write-interop-table`.

strongSwan cannot be made to sign with a key that is not its certificate's: in the row of its AUTH, ikesim is given
another certificate of the same CA and name in place of the one that came.

"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-interop-table", action="store_true", help="write the table of the interop matrix to docs/interop.md"
    )


@pytest.fixture
def record_cell(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """A function (case, our role, what happened) that fills a cell of the table."""

    def record(case: str, role: str, outcome: str) -> None:
        request.node.user_properties.append((PROPERTY, (case, role, outcome)))

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    cells: dict[tuple[str, str], str] = {}
    for status in ("passed", "failed"):
        for report in terminalreporter.getreports(status):
            for name, value in report.user_properties:
                if name == PROPERTY:
                    case, role, outcome = value
                    cells[case, role] = outcome if status == "passed" else "FAILED"
    if not cells:
        return
    cases = [case for case in ROWS if any((case, role) in cells for role in ROLES)]
    rows = [("case", *(f"ikesim is the {role}" for role in ROLES))]
    rows += [(case, *(cells.get((case, role), "not run") for role in ROLES)) for case in cases]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    terminalreporter.section("ikesim and strongSwan")
    for line in lines:
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"{len(cells)} cells of {CELLS}")
    if config.getoption("--write-interop-table"):
        if len(cells) == CELLS and "FAILED" not in cells.values():
            table = ["| " + " | ".join(row) + " |" for row in rows]
            DOCUMENT.write_text(HEAD + "\n".join([table[0], "|---|---|---|", *table[1:]]) + "\n")
            terminalreporter.write_line(f"written to {DOCUMENT.relative_to(REPOSITORY)}")
        else:
            terminalreporter.write_line("not written: the table is not whole")
