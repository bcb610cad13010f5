"""What the rule profiles say, against the daemons that they model: each judges the same peers, presented by ours.

Our daemon has one connection for each case and authenticates with one key; what it presents in place of its
certificate is the case's. The daemons have their defaults: any peer, any CA that they hold, no word about revocation.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from ikesim.pki import RuleProfile
from ikesim.pki.authority import Authority
from tests.interop.authority import make_key
from tests.interop.charon import Charon, connection
from tests.interop.iked import Iked, lacks
from tests.interop.network import OURS, THEIRS, Network
from tests.interop.ours import Daemon, ikesim, running
from tests.interop.profile_cases import CASES, DOMAIN, ProfileCase, Stage
from tests.support import lacking

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("interop"), pytest.mark.usefixtures("machine_has_the_lab")]

PROPOSAL = "aes128gcm16-prfsha256-x25519"
THEIR_NAME = f"daemon.{DOMAIN}"


@dataclass
class Scene:
    """Everything that is made once."""

    folder: Path
    network: Network
    house: Authority
    """Of both daemons' own certificates, apart from the cases."""
    config: Path
    stage: Stage
    key: bytes
    """The daemon's under test, PEM, and its certificate."""
    certificate: bytes


def _table(name: str, values: dict[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + "\n"


def _configuration() -> str:
    own = {
        "name": "ours",
        "listen": [f"{OURS.address}:500"],
        "listen-nat-t": [f"{OURS.address}:4500"],
        "state": "state",
    }
    text = _table("endpoint", own) + _table("pki.ca-profile.house", {"ca-identity": "house.test"})
    text += _table("pki.ca-profile.house.revocation-check", {"method": "disable"})
    for case in CASES:
        peer = {
            "remote": f"{THEIRS.address}:500",
            "local-id": f"fqdn:{case.name}.{DOMAIN}",
            "remote-id": f"fqdn:{THEIR_NAME}",
            "local-certificate": "key",
            "trusted-ca": "house",
            "proposals": [PROPOSAL],
        }
        # iked's default has no AES-GCM for ESP, and of our other ones this.
        esp = ["aes128gcm16", "aes128-sha512"]
        child = {"local-ts": [OURS.subnet], "remote-ts": [THEIRS.subnet], "esp-proposals": esp}
        text += _table(f"connection.{case.name}", peer) + _table(f"connection.{case.name}.child.net", child)
    return text


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def scene(machine_has_the_lab: None, short_folder: Path) -> Iterator[Scene]:
    now = datetime.now(UTC)
    house = Authority.create("house", subject="O=house, CN=house", now=now)
    config, asked = short_folder / "ours.toml", short_folder / "key.csr"
    config.write_text(_configuration())
    at = ("--endpoint", config)
    ikesim("pki", "key", "generate", "key", "--type", "ecdsa", *at)
    ikesim("pki", "request", "key", "--subject", "CN=ours", "--fqdn", f"ours.{DOMAIN}", "--out", asked, *at)
    request = x509.load_pem_x509_csr(asked.read_bytes()).public_bytes(Encoding.DER)
    ours = house.issue(request, "CN=ours", [f"fqdn:{case.name}.{DOMAIN}" for case in CASES], now)
    for name, der, where in (("key", ours, "--as"), ("house", house.certificate, "--ca")):
        (short_folder / f"{name}.crt").write_bytes(_pem(der))
        ikesim("pki", "load", short_folder / f"{name}.crt", where, name, *at)
    stage = Stage.of(request)
    for case in CASES:
        place = short_folder / "presented" / f"{case.name}.{DOMAIN}"
        place.mkdir(parents=True)
        for number, der in enumerate(stage.chains[case.name]):
            (place / f"{number:02}.der").write_bytes(der)
    key = make_key(short_folder / "daemon.key", "p256").read_bytes()
    public = load_pem_private_key(key, None).public_key()
    assert isinstance(public, EllipticCurvePublicKey)
    certificate = _pem(house.issue(public, "CN=daemon", [f"fqdn:{THEIR_NAME}"], now))
    with Network() as network:
        yield Scene(short_folder, network, house, config, stage, key, certificate)


@pytest.fixture(scope="module")
def presenter(scene: Scene) -> Iterator[Daemon]:
    """Our daemon, which presents under each identity what that case presents."""
    with running(scene.network.ours, scene.config, lie="presents-another-chain") as daemon:
        yield daemon


def _agree(case: ProfileCase, daemon: str, established: bool, accepted: bool, said: str) -> None:
    """The daemon did what the model says, or as stated did not."""
    if daemon in case.differs:
        assert established is not accepted, f"{case.differs[daemon]!r} is no longer true; {said}"
    else:
        assert established is accepted, said


@pytest.fixture(scope="class")
def charon(scene: Scene) -> Iterator[Charon]:
    own = connection(
        certificate=scene.certificate, own_id=THEIR_NAME, peer_id="%any", authorities=[], proposal=PROPOSAL
    )
    own["remote-1"] = {"auth": "pubkey", "id": "%any"}
    daemon = Charon(scene.network.theirs, scene.folder / "charon")
    try:
        daemon.configure()
        daemon.load(key=scene.key, authorities=scene.stage.anchors, crls=scene.stage.crls, connection=own)
        yield daemon
    finally:
        daemon.stop()


class TestStrongSwan:
    """A class, so that charon gives its ports back before iked wants them."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.name}")
    def test_decides_as_its_profile_says(
        self, case: ProfileCase, scene: Scene, presenter: Daemon, charon: Charon
    ) -> None:
        modelled = scene.stage.decide(case, RuleProfile.STRONGSWAN)
        assert (modelled.reason and modelled.reason.value) == case.strongswan
        charon.mark()
        verdict = presenter.command("up", case.name, "--timeout", "15s", check=False)
        said = charon.log()
        charon.terminate_all()
        established = f"authentication of '{case.name}.{DOMAIN}' with ECDSA_WITH_SHA256_DER successful" in said
        assert verdict["result"] == ("established" if established else "refused"), said
        _agree(case, "charon", established, modelled.accepted, said)
        if not established:
            assert case.charon and re.search(case.charon, said), said


@pytest.fixture(scope="class", params=[False, True], ids=["no CRL", "CRLs"])
def iked(scene: Scene, request: pytest.FixtureRequest) -> Iterator[Iked]:
    """OpenIKED, once without any CRL and once with those of the cases that have some and of its own CA."""
    if (missing := lacks()) is not None:
        lacking(missing)
    crls = [scene.house.crl(datetime.now(UTC)), *scene.stage.crls] if request.param else []
    daemon = Iked(scene.network.theirs, scene.folder / f"iked-{request.param:d}", THEIR_NAME, strict=request.param)
    try:
        daemon.start(
            key=scene.key,
            certificate=scene.certificate,
            authorities=[_pem(der) for der in (scene.house.certificate, *scene.stage.anchors, *scene.stage.issuing)],
            crls=[x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in crls],
        )
        yield daemon
    finally:
        daemon.stop()


class TestOpenIked:
    """Twice: without a CRL, and with some."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.name}")
    def test_decides_as_its_profile_says(
        self, case: ProfileCase, scene: Scene, presenter: Daemon, iked: Iked
    ) -> None:
        modelled = scene.stage.decide(case, RuleProfile.OPENIKED, crls=iked.strict)
        iked.mark()
        verdict = presenter.command("up", case.name, "--timeout", "15s", check=False)
        said = iked.wait_for(rf"ca_validate_cert: /O={case.name}/CN=peer (.*)")[1]
        established = said == "ok"
        assert verdict["result"] == ("established" if established else "refused"), iked.log()
        if iked.strict == case.held_crls:
            assert (modelled.reason and modelled.reason.value) == case.openiked
            _agree(case, "iked", established, modelled.accepted, said)
            if not modelled.accepted and "iked" not in case.differs:
                assert case.iked and re.search(case.iked, said), said
        elif iked.strict:
            assert not established, "it holds CRLs, and none for this case"
