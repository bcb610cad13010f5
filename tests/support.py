"""What tests in several folders need: the repository's place, and one way to say what a machine lacks."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")


def lacking(sentence: str) -> NoReturn:
    """Skip the test because of what this machine lacks; where CI=true, nothing may be lacking, so fail instead."""
    if IN_CI:
        pytest.fail(f"CI=true, and {sentence}", pytrace=False)
    pytest.skip(sentence)
