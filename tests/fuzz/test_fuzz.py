"""The fuzz targets run for a bounded number of inputs, each in a process of its own (libFuzzer ends it)."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import REPOSITORY, lacking

RUNS = 30_000


def fuzz(module: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, f"-runs={RUNS}", "-seed=7296", "-max_len=1500", *options]
    return subprocess.run(
        [*command, f"-artifact_prefix={folder}/", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(300)
def test_the_codec_survives_coverage_guided_input(tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        lacking("atheris is not installed (there are wheels for Linux on x86_64): run `pip install atheris`")
    done = fuzz("tests.fuzz.fuzz_wire", tmp_path, "-timeout=5", "-rss_limit_mb=1024")
    assert done.returncode == 0, done.stderr[-4000:]
    # it saw the codec: libFuzzer counts the branches that inputs reached
    reached = [int(count) for count in re.findall(r"\bcov: (\d+)", done.stderr)]
    assert reached, done.stderr[-4000:]
    assert max(reached) > 300
    assert re.search(rf"Done {RUNS} runs", done.stderr)
