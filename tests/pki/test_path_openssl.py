"""A second opinion on paths: `openssl verify` over the same hierarchies, disagreements listed with their ground."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.documents import holds, table
from tests.pki import disagreements
from tests.pki.test_path_rules import ADDRESSES, NAMES, PAIRS, POLICIES, build, subtree
from tests.pki.trust_world import NOW, Hierarchy
from tests.support import lacking


@pytest.fixture(scope="module")
def openssl() -> str:
    found = shutil.which("openssl")
    return found if found is not None else lacking("the openssl program is needed and not installed")


def pem(octets: bytes) -> bytes:
    lines = base64.encodebytes(octets).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n".encode()


def verify(openssl: str, hierarchy: Hierarchy, folder: Path, *options: str) -> tuple[bool, str]:
    for label, octets in (
        ("root", hierarchy.root.certificate),
        ("sub", hierarchy.sub.certificate),
        ("leaf", hierarchy.leaf.certificate),
    ):
        (folder / f"{label}.pem").write_bytes(pem(octets))
    command = [openssl, "verify", "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-untrusted", "sub.pem"]
    command += ["-attime", str(int(NOW.timestamp())), "-auth_level", "2", *options, "leaf.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("rule", "subject", "reason", "differing"), PAIRS)
def test_rules(rule: str, subject: str, reason: str, differing: dict[str, Any], openssl: str, tmp_path: Path) -> None:
    accepted, said = verify(openssl, build(differing), tmp_path)
    assert not accepted or (rule, subject) in disagreements.RULES, said


def test_a_sound_hierarchy(openssl: str, tmp_path: Path) -> None:
    accepted, said = verify(openssl, Hierarchy(), tmp_path)
    assert accepted, said


@pytest.mark.parametrize(("what", "sub", "leaf", "accepted"), NAMES, ids=[row[0] for row in NAMES])
def test_name_constraints(
    what: str, sub: dict[str, Any], leaf: dict[str, Any], accepted: bool, openssl: str, tmp_path: Path
) -> None:
    theirs, said = verify(openssl, Hierarchy(sub_knobs=sub, leaf_knobs=leaf), tmp_path)
    assert theirs is accepted or what in disagreements.NAMES, said


@pytest.mark.parametrize(("what", "base", "name", "accepted"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
def test_address_constraints(what: str, base: bytes, name: str, accepted: bool, openssl: str, tmp_path: Path) -> None:
    knobs = {"extra": (subtree(base),)}
    hierarchy = Hierarchy(sub_knobs=knobs, leaf_knobs={"sans": ("fqdn:bob.example", name)})
    theirs, said = verify(openssl, hierarchy, tmp_path)
    assert theirs is accepted or what in disagreements.NAMES, said


@pytest.mark.parametrize(("what", "sub", "leaf", "inputs", "user"), POLICIES, ids=[row[0] for row in POLICIES])
def test_policies(
    what: str,
    sub: dict[str, Any],
    leaf: dict[str, Any],
    inputs: dict[str, Any],
    user: set[str] | None,
    openssl: str,
    tmp_path: Path,
) -> None:
    options = ["-policy_check"]
    options += [item for policy in inputs.get("policies", ("2.5.29.32.0",)) for item in ("-policy", policy)]
    flags = (
        ("explicit_policy", "-explicit_policy"),
        ("inhibit_any_policy", "-inhibit_any"),
        ("inhibit_policy_mapping", "-inhibit_map"),
    )
    options += [flag for key, flag in flags if inputs.get(key)]
    theirs, said = verify(openssl, Hierarchy(sub_knobs=sub, leaf_knobs=leaf), tmp_path, *options)
    assert theirs is (user is not None), said


@pytest.mark.parametrize("key", disagreements.RULES, ids=str)
def test_every_rule_that_is_listed_as_disputed_is(key: tuple[str, str], openssl: str, tmp_path: Path) -> None:
    rows = [row for row in PAIRS if row[:2] == key]
    assert {reason for _, _, reason, _ in rows} == {disagreements.RULES[key].ours}
    assert any(verify(openssl, build(differing), tmp_path)[0] for *_, differing in rows)


@pytest.mark.parametrize("what", disagreements.NAMES)
def test_every_name_that_is_listed_as_disputed_is(what: str, openssl: str, tmp_path: Path) -> None:
    hierarchies = [Hierarchy(sub_knobs=sub, leaf_knobs=leaf) for name, sub, leaf, _ in NAMES if name == what]
    hierarchies += [
        Hierarchy(sub_knobs={"extra": (subtree(base),)}, leaf_knobs={"sans": ("fqdn:bob.example", name)})
        for label, base, name, _ in ADDRESSES
        if label == what
    ]
    (disputed,) = hierarchies
    assert verify(openssl, disputed, tmp_path)[0]
    assert disputed.decide().reason == disagreements.NAMES[what].ours


def test_the_document_lists_every_disagreement() -> None:
    rows = [
        (
            item.what,
            item.ours,
            f"{' and '.join(item.others)}: {'accepted' if item.ours != 'accepted' else 'refused'}",
            item.text,
        )
        for item in disagreements.ALL
    ]
    holds("differential.md", "disagreements", table(("input", "ikesim", "they", "what decides"), *rows))
