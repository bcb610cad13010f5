"""Parts of documents that are written by what they speak about, and therefore true.

A part stands between `<!-- NAME -->` and `<!-- /NAME -->`. The test that knows what it must say calls `holds`; with
IKESIM_WRITE_DOCUMENTS=1 in the environment that writes it.
"""

import os
import re

from tests.support import REPOSITORY

WRITING = bool(os.environ.get("IKESIM_WRITE_DOCUMENTS"))


def is_whole(document: str, text: str) -> None:
    """Assert that a whole document in docs/ is exactly this."""
    path = REPOSITORY / "docs" / document
    if WRITING:
        path.write_text(text)
    assert path.read_text() == text, f"docs/{document} is out of date: run this test with IKESIM_WRITE_DOCUMENTS=1"


def holds(document: str, name: str, text: str) -> None:
    """Assert that the part of the document in docs/ says exactly this."""
    path = REPOSITORY / "docs" / document
    whole = path.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    found = pattern.search(whole)
    assert found, f"docs/{document} has no part {name}"
    wanted = text.rstrip("\n") + "\n"
    if WRITING and found[2] != wanted:
        path.write_text(pattern.sub(lambda match: match[1] + wanted + match[3], whole, count=1))
        return
    assert found[2] == wanted, f"docs/{document} is out of date: run this test with IKESIM_WRITE_DOCUMENTS=1"


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table, its first row the heading."""
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
