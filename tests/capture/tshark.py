"""The installed tshark, asked to read a capture with a profile."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import lacking

FIELDS = (
    "frame.number",
    "isakmp.typepayload",
    "esp.icv_good",
    "icmp.type",
    "frame.protocols",
    "frame.interface_name",
)


def read(capture: Path, profile: Path | None, *fields: str, display: str = "") -> list[dict[str, str]]:
    """A dict of field values for each packet; a field that occurs several times is comma-separated."""
    if shutil.which("tshark") is None:
        lacking("tshark is not installed")
    names = fields or FIELDS
    arguments = [item for field in names for item in ("-e", field)]
    environment = {**os.environ, "HOME": str(capture.parent)}
    if profile is not None:
        environment["WIRESHARK_CONFIG_DIR"] = str(profile)
    done = subprocess.run(
        ["tshark", "-n", "-r", str(capture), "-T", "fields", *arguments, *(["-Y", display] if display else [])],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    problems = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    if done.returncode or problems:
        pytest.fail(f"tshark: {done.stderr}")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]
