"""A second opinion on paths: `openssl verify` over the same hierarchies, disagreements listed with their ground."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

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


RULES_APART = {
    ("RFC 4945 5.1.3.2", "CN=bob"): "the end certificate's key usage is a rule of IKE (RFC 4945), not of paths",
    ("RFC 4945 3.1.2", "CN=bob"): "identities are not asked of openssl here",
    ("RFC 5280 4.1.2.1", "CN=bob"): "RFC 5280 4.1.2.1 knows versions 1 to 3; OpenSSL takes any number",
    (
        "RFC 5280 6.1.4 (k)",
        "CN=root",
    ): "OpenSSL takes keyCertSign for basicConstraints in a root; libreswan and we do not",
    (
        "policy: minimum strength",
        "CN=bob",
    ): "our floor is 2048 and 256 bits, OpenSSL's level 2 is 112 bits of security",
}
"""Hierarchies that OpenSSL accepts and we refuse, with the ground."""


@pytest.mark.parametrize(("rule", "subject", "reason", "differing"), PAIRS)
def test_rules(rule: str, subject: str, reason: str, differing: dict[str, Any], openssl: str, tmp_path: Path) -> None:
    accepted, said = verify(openssl, build(differing), tmp_path)
    assert not accepted or (rule, subject) in RULES_APART, said


def test_a_sound_hierarchy(openssl: str, tmp_path: Path) -> None:
    accepted, said = verify(openssl, Hierarchy(), tmp_path)
    assert accepted, said


NAMES_APART = {
    "excluded wildcard": "a wildcard may stand for the excluded name; OpenSSL compares it as it is",
    "URI with user part": "RFC 3986 3.2.1: what stands before @ is no host; OpenSSL takes it for one",
    "a mask with a hole": "RFC 5280 4.2.1.10 wants a mask in the style of CIDR; OpenSSL applies any",
}
"""Names that OpenSSL accepts and we refuse, with the ground."""


@pytest.mark.parametrize(("what", "sub", "leaf", "accepted"), NAMES, ids=[row[0] for row in NAMES])
def test_name_constraints(
    what: str, sub: dict[str, Any], leaf: dict[str, Any], accepted: bool, openssl: str, tmp_path: Path
) -> None:
    theirs, said = verify(openssl, Hierarchy(sub_knobs=sub, leaf_knobs=leaf), tmp_path)
    assert theirs is accepted or what in NAMES_APART, said


@pytest.mark.parametrize(("what", "base", "name", "accepted"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
def test_address_constraints(what: str, base: bytes, name: str, accepted: bool, openssl: str, tmp_path: Path) -> None:
    knobs = {"extra": (subtree(base),)}
    hierarchy = Hierarchy(sub_knobs=knobs, leaf_knobs={"sans": ("fqdn:bob.example", name)})
    theirs, said = verify(openssl, hierarchy, tmp_path)
    assert theirs is accepted or what in NAMES_APART, said


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
