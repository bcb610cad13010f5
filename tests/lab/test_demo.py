"""`ikesim lab demo` as a user runs it, and with one thing done wrong at a time."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import lacking


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ikesim", "lab", "demo", "--dir", str(folder / "demo"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=folder)


def tshark(folder: Path, display_filter: str, *names: str) -> list[list[str]]:
    """Fields of every packet that fits, with the profile that the demo wrote."""
    fields = [word for name in names for word in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-r", folder / "demo" / "alice.pcapng", "-Y", display_filter, "-T", "fields", *fields],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(folder / "demo" / "wireshark")},
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_shows_tunnel_ping_and_refusal_and_a_capture_that_tshark_decrypts(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "3 sent, 3 answered" in shown
    revoked = re.search(r"revoked serial (0x[0-9a-f]+)\n.* at (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC", shown)
    assert revoked
    refusal = shown.partition("refused by alice: cert-revoked")[2]
    for expected in (revoked[1], f"{revoked[2]}T{revoked[3]}Z", "CRL 2 of CN=South Issuing CA", "refused-by-peer"):
        assert expected in refusal

    if shutil.which("tshark") is None:
        lacking("tshark is missing: apt-get install -y --no-install-recommends tshark")
    # AUTH (39) is inside SK, and an echo request (8) and its reply (0) inside ESP: visible to who has the keys.
    assert [row for row in tshark(tmp_path, "isakmp.exchangetype == 35", "isakmp.typepayload") if "39" in row[0]]
    types = [row[0] for row in tshark(tmp_path, "esp && icmp", "icmp.type")]
    assert (types.count("8"), types.count("0")) == (3, 3)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("crl-not-republished", "alice should have refused bob, whose certificate is revoked"),
        ("bob-outside-group", "cert-ca-not-allowed"),
        ("esp-key-bit", "3 pings should have been answered, but 0 were"),
    ],
)
def test_fails_when_one_thing_is_broken(broken: str, sentence: str, tmp_path: Path) -> None:
    done = demo(tmp_path, "--break", broken)
    assert done.returncode == 1, done.stdout + done.stderr
    assert sentence in done.stderr


def test_does_not_clear_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.tex").write_text("years of work")
    done = demo(tmp_path)
    assert done.returncode == 2
    assert "--dir" in done.stderr
    assert (tmp_path / "demo" / "thesis.tex").read_text() == "years of work"
