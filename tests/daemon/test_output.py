"""What `ikesim run` writes, to readers that read and to those that do not."""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ikesim.daemon import output
from ikesim.daemon.output import LineWriter, Output
from ikesim.ike.events import FetchStarted

CONFIG = Path("a.toml")


def event(url: str) -> FetchStarted:
    return FetchStarted(sequence=1, time=datetime(2026, 1, 1, tzinfo=UTC), endpoint="alice", url=url)


def test_lines_arrive_in_order_and_whole(tmp_path: Path) -> None:
    machine, human = tmp_path / "out", tmp_path / "log"
    with machine.open("w") as out, human.open("w") as log:
        written = Output(out, log)
        for number in range(1000):
            written.event(event(f"http://x/{number}"), CONFIG)
        written.close()
    assert [json.loads(line)["url"] for line in machine.read_text().splitlines()] == [
        f"http://x/{number}" for number in range(1000)
    ]
    assert len(human.read_text().splitlines()) == 1000


def test_a_pipe_that_nobody_empties_does_not_stop_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it fill its memory: a pipe holds 64 KiB, the backlog its limit, and the rest is counted."""
    monkeypatch.setattr(output, "BACKLOG", 100_000)
    monkeypatch.setattr(output, "PATIENCE", 0.05)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream.fileno())
        for _ in range(100):
            writer.put("x" * 9_999)
        writer.close()
        without_reader = writer.lost
        assert 70 <= without_reader <= 90
        os.close(reading)
        monkeypatch.setattr(output, "PATIENCE", 10)
        writer.close()
        assert writer.lost > without_reader


def test_a_reader_that_went_away_is_told_of_in_the_log(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out, (tmp_path / "log").open("w") as log:
        written = Output(out, log)
        written.event(event("http://x/"), CONFIG)
        written.close()
    assert "1 events found no reader on stdout" in (tmp_path / "log").read_text()


def test_what_the_rooms_below_log_comes_as_lines_with_its_traceback(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "log").open("w") as log:
        written = Output(out, log)
        logger = logging.getLogger("ikesim.daemon")
        logger.addHandler(written)
        try:
            raise ZeroDivisionError("a bug\x1b[2J")
        except ZeroDivisionError:
            logger.exception("internal error")
        logger.removeHandler(written)
        written.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith(" internal error")
    assert lines[-1].endswith(" ZeroDivisionError: a bug\\x1b[2J")
