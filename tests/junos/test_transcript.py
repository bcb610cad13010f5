"""docs/from-nothing.md is what its commands print."""

from pathlib import Path

from tests.junos.transcript import DOCUMENT, fresh, normalised


def test_the_transcript_is_what_its_commands_print(tmp_path: Path) -> None:
    """From nothing to a tunnel, by file and by mail."""
    document = DOCUMENT.read_text()
    again = fresh(document, tmp_path)
    assert normalised(again) == normalised(document)
    for line in (
        "alice.example",
        "Accepted: fqdn:bob.example",
        "2 sent, 2 received, 0 lost",
        "Role: Initiator, State: UP",
    ):
        assert line in again
