"""Random hierarchies with random deviations, judged by `decide`, pyhanko-certvalidator and `openssl verify`."""

import asyncio
import base64
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError
from pyhanko_certvalidator.policy_decl import PKIXValidationParams

from ikesim.pki import TrustPolicy, TrustRequest, decide
from tests.pki import disagreements
from tests.pki.trust_world import DAY, NOW, key, leaf, root, under
from tests.support import lacking

P1, P2, ANY = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", "2.5.29.32.0"

CA_DEVIATIONS: list[dict[str, Any]] = [
    {"path_length": 0},
    {"path_length": 1},
    {"key_usage": ("cRLSign",)},
    {"key_usage": None},
    {"without": ("2.5.29.19",)},
    {"not_after": NOW - DAY},
    {"not_before": NOW + DAY},
    {"tamper": True},
    {"critical": "1.3.6.1.4.1.99999.9"},
    {"permitted": ("fqdn:example",)},
    {"permitted": ("fqdn:net",)},
    {"excluded": ("fqdn:bob.example",)},
    {"excluded": ("dn:CN=bob",)},
    {"permitted": ("dn:CN=bob",)},
    {"permitted": ("rfc822:mail.example",)},
    {"policies": (P1,)},
    {"policies": (P1, P2)},
    {"policies": (ANY,)},
    {"policies": (P1,), "policy_mappings": ((P1, P2),)},
    {"policies": (P1, P2), "policy_mappings": ((P1, P2), (P2, P1))},
    {"require_explicit": 0},
    {"require_explicit": 1},
    {"inhibit_any": 0},
    {"inhibit_any": 1},
    {"inhibit_mapping": 0},
    {"authority_key_id": None},
    {"subject_key_id": None},
]
LEAF_DEVIATIONS: list[dict[str, Any]] = [
    {"not_after": NOW - DAY},
    {"tamper": True},
    {"critical": "1.3.6.1.4.1.99999.9"},
    {"policies": (P1,)},
    {"policies": (P2,)},
    {"policies": (ANY,)},
    {"sans": ("fqdn:bob.example", "rfc822:b@mail.example")},
    {"sans": ("fqdn:bob.example", "rfc822:b@other.example")},
    {"sans": ("fqdn:bob.net",)},
    {"subject": "CN=alice"},
    {"authority_key_id": None},
]
INPUTS: list[dict[str, Any]] = [
    {},
    {"explicit_policy": True},
    {"policies": (P1,)},
    {"policies": (P1,), "explicit_policy": True},
    {"inhibit_any_policy": True},
    {"inhibit_policy_mapping": True, "explicit_policy": True},
]


def merged(deviations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for deviation in deviations for name, value in deviation.items()}


few_of_a_ca = st.lists(st.sampled_from(CA_DEVIATIONS), max_size=2).map(merged)
few_of_a_leaf = st.lists(st.sampled_from(LEAF_DEVIATIONS), max_size=2).map(merged)


def build(cas: Sequence[dict[str, Any]], end: dict[str, Any]) -> list[bytes]:
    """DER of root, CAs and end certificate, in this order."""
    issuer = root()
    chain = [issuer.certificate]
    for number, knobs in enumerate(cas):
        issuer = under(issuer, f"ca {number}", private_key=key(f"ca {number}"), **knobs)
        chain.append(issuer.certificate)
    return [*chain, leaf(issuer, **end).certificate]


def ours(chain: Sequence[bytes], inputs: dict[str, Any]) -> tuple[bool, frozenset[str], str]:
    policy = TrustPolicy(anchors=[chain[0]], revocation="off", **inputs)
    decision = decide(TrustRequest(certificates=[chain[-1], *chain[1:-1]], policy=policy, at=NOW))
    return decision.accepted, decision.policies, decision.summary


def pyhanko(chain: Sequence[bytes], inputs: dict[str, Any]) -> tuple[bool, frozenset[str], str]:
    """Its verdict, its user-constrained policy set, and what it said."""
    loaded = [asn1.Certificate.load(octets) for octets in chain]
    parameters = PKIXValidationParams(
        user_initial_policy_set=frozenset(inputs.get("policies", ("any_policy",))),
        initial_policy_mapping_inhibit=inputs.get("inhibit_policy_mapping", False),
        initial_explicit_policy=inputs.get("explicit_policy", False),
        initial_any_policy_inhibit=inputs.get("inhibit_any_policy", False),
    )
    context = ValidationContext(
        trust_roots=[loaded[0]], moment=NOW, allow_fetching=False, revocation_mode="soft-fail"
    )
    validator = CertificateValidator(loaded[-1], loaded[1:-1], context, pkix_params=parameters)
    try:
        path = asyncio.run(validator.async_validate_path())
    except (PathBuildingError, PathValidationError) as error:
        return False, frozenset(), str(error)
    found = path.qualified_policies() or ()
    names = (str(item.user_domain_policy_id) for item in found)
    return True, frozenset(ANY if name == "any_policy" else name for name in names), ""


@pytest.fixture(scope="module")
def openssl() -> str:
    found = shutil.which("openssl")
    return found if found is not None else lacking("the openssl program is needed and not installed")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def openssl_verify(program: str, folder: Path, chain: Sequence[bytes], inputs: dict[str, Any]) -> tuple[bool, str]:
    def pem(octets: bytes) -> str:
        return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(octets).decode()}-----END CERTIFICATE-----\n"

    (folder / "root.pem").write_text(pem(chain[0]))
    (folder / "others.pem").write_text("".join(map(pem, chain[1:-1])))
    (folder / "leaf.pem").write_text(pem(chain[-1]))
    command = [program, "verify", "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-policy_check"]
    command += ["-untrusted", "others.pem"] if len(chain) > 2 else []
    command += [item for policy in inputs.get("policies", (ANY,)) for item in ("-policy", policy)]
    for name, flag in (
        ("explicit_policy", "-explicit_policy"),
        ("inhibit_any_policy", "-inhibit_any"),
        ("inhibit_policy_mapping", "-inhibit_map"),
    ):
        command += [flag] if inputs.get(name) else []
    command += ["-attime", str(int(NOW.timestamp())), "leaf.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


drawn = given(st.lists(few_of_a_ca, max_size=3), few_of_a_leaf, st.sampled_from(INPUTS))
quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=quiet)
@drawn
def test_pyhanko_decides_the_same(cas: list[dict[str, Any]], end: dict[str, Any], inputs: dict[str, Any]) -> None:
    chain = build(cas, end)
    (mine, policies, summary), (theirs, their_policies, said) = ours(chain, inputs), pyhanko(chain, inputs)
    assert mine == theirs, f"{summary} / {said}"
    if mine:
        assert policies == their_policies


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=quiet)
@drawn
def test_openssl_decides_the_same(
    openssl: str, folder: Path, cas: list[dict[str, Any]], end: dict[str, Any], inputs: dict[str, Any]
) -> None:
    chain = build(cas, end)
    (mine, _, summary), (theirs, said) = ours(chain, inputs), openssl_verify(openssl, folder, chain, inputs)
    assert mine == theirs, f"{summary} / {said}"


def test_where_they_disagree_on_purpose(openssl: str, folder: Path) -> None:
    """Key identifiers that lie: see `disagreements.KEY_IDENTIFIERS`."""
    assert disagreements.KEY_IDENTIFIERS.others == (disagreements.OPENSSL, disagreements.PYHANKO)
    chain = build([], {"authority_key_id": b"lies"})
    assert ours(chain, {})[0]
    assert not pyhanko(chain, {})[0]
    assert not openssl_verify(openssl, folder, chain, {})[0]
