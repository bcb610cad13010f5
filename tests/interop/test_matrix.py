"""The matrix: every case of `cases.py` with ikesim as initiator and as responder, strongSwan as its peer.

A tunnel counts when pings cross it both ways and strongSwan itself counts their bytes; a refusal counts when our
reason code is the cause and strongSwan's log names it in its own words.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.authority import Authority, make_key
from tests.interop.cases import CELLS, LEAVES, MEETINGS, OUR_NAME, REFUSALS, THEIR_NAME, Meeting, Refusal
from tests.interop.charon import Charon, connection
from tests.interop.network import OURS, THEIRS, Network
from tests.interop.ours import Daemon, ikesim, running
from tests.interop.processes import run, start, stop
from tests.interop.table import ROLES

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("machine_has_the_lab")]

Record = Callable[[str, str, str], None]
PING_OCTETS = 84
"""An IPv4 packet of ping: 20 + 8 + 56."""
CRL_SERVICE = "8080"
CRL_URL = f"http://{THEIRS.address}:{CRL_SERVICE}/west.crl"

_ran: set[tuple[str, str]] = set()


@dataclass
class Lab:
    """Everything that is made once: the network, strongSwan, both sides' certificates, our PKI store."""

    folder: Path
    network: Network
    charon: Charon
    authorities: dict[str, Authority]
    crls: dict[str, Path]

    def their_certificate(self, leaf: str) -> bytes:
        return (self.folder / "theirs" / f"{leaf}.crt").read_bytes()

    def their_key(self, leaf: str) -> bytes:
        return (self.folder / "theirs" / f"{leaf}.key").read_bytes()

    def load_charon(self, *, leaf: str, own_id: str, peer_id: str, meeting: Meeting) -> None:
        """Give strongSwan its side of a case."""
        trusted = self.authorities[meeting.authority].certificate
        (_, _), (port, _) = meeting.ports
        self.charon.configure(**meeting.charon)
        self.charon.load(
            certificates=[self.authorities["far"].certificate],
            key=self.their_key(leaf),
            authorities=[self.authorities[name].certificate for name in ("north", "south", "west")],
            crls=[path.read_bytes() for path in self.crls.values()],
            connection=connection(
                certificate=self.their_certificate(leaf),
                own_id=own_id,
                peer_id=peer_id,
                authorities=[trusted],
                proposal=meeting.proposal,
                esp=meeting.esp,
                auth=meeting.auth,
                port=port,
                peer_port=meeting.ports[0][0],
            ),
        )
        self.charon.mark()

    def our_config(self, *, leaf: str, own_id: str, peer_id: str, meeting: Meeting) -> Path:
        """Write our side of a case."""
        (port, nat_port), (their_port, their_nat_port) = meeting.ports
        endpoint = {
            "name": "ours",
            "listen": [f"{OURS.address}:{port}"],
            "listen-nat-t": [f"{OURS.address}:{nat_port}"],
            "state": "state",
            **meeting.endpoint,
        }
        peer = {
            "remote": f"{THEIRS.address}:{their_port}",
            "remote-nat-t": f"{THEIRS.address}:{their_nat_port}",
            "local-id": f"fqdn:{own_id}",
            "remote-id": "*" if "*" in peer_id else f"fqdn:{peer_id}",
            "local-certificate": leaf,
            "trusted-ca-group": "lab",
            "proposals": [meeting.proposal],
        }
        if meeting.schemes:
            peer["signature-schemes"] = list(meeting.schemes)
        child = {"local-ts": [OURS.subnet], "remote-ts": [THEIRS.subnet], "esp-proposals": [meeting.esp]}
        path = self.folder / "ours.toml"
        path.write_text(
            _table("endpoint", endpoint)
            + "".join(_table(f"pki.ca-profile.{name}", {"ca-identity": f"{name}.test"}) for name in ROOTS_WE_HOLD)
            + _table("pki.trusted-ca-group.lab", {"ca-profiles": [meeting.authority]})
            + _table("connection.lab", peer)
            + _table("connection.lab.child.net", child)
        )
        return path

    @contextlib.contextmanager
    def explaining(self, daemon: Daemon) -> Iterator[None]:
        """Add both sides' stories to whatever fails inside."""
        try:
            yield
        except Exception as error:
            error.add_note(f"--- strongSwan's log\n{self.charon.log()}")
            error.add_note(f"--- ikesim's {daemon.story()}")
            raise


ROOTS_WE_HOLD = ("north", "south", "west")


def _table(name: str, values: dict[str, Any]) -> str:
    """One TOML table; JSON's strings, numbers, booleans and lists of strings are TOML's."""
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + "\n"


@pytest.fixture(scope="module")
def lab(machine_has_the_lab: None, short_folder: Path) -> Iterator[Lab]:
    pki, theirs, published = (short_folder / name for name in ("pki", "theirs", "published"))
    for path in (pki, theirs, published):
        path.mkdir()
    north = Authority(pki, "north")
    authorities = {
        "north": north,
        "south": Authority(pki, "south"),
        "west": Authority(pki, "west", url=CRL_URL),
        "stranger": Authority(pki, "stranger"),
        "near": Authority(pki, "near", issuer=north),
        "far": Authority(pki, "far", issuer=north),
    }
    with Network() as network:
        charon = Charon(network.theirs, short_folder / "charon")
        lab = Lab(short_folder, network, charon, authorities, {})
        for leaf in LEAVES.values():
            issuer = authorities["far" if leaf.issuer == "intermediate" else leaf.issuer]
            key = make_key(theirs / f"{leaf.name}.key", leaf.key)
            names = (THEIR_NAME,)
            made = issuer.issue(key, theirs / f"{leaf.name}.crt", kind="priv", expired=leaf.expired, names=names)
            if leaf.revoked:
                issuer.revoke(made)
        _fill_our_store(lab)
        (published / "west.crl").write_bytes(authorities["west"].crl().read_bytes())
        service = start(
            ["ip", "netns", "exec", network.theirs, "python3", "-u", "-m", "http.server", CRL_SERVICE,
             "--bind", THEIRS.address, "--directory", published],
            log=short_folder / "service.log", listen=True,
        )  # fmt: skip
        try:
            assert service.stdout is not None
            assert b"Serving HTTP" in service.stdout.readline()
            yield lab
        finally:
            charon.stop()
            stop(service)
            service.stdout.close()


def _fill_our_store(lab: Lab) -> None:
    """Keys from our vault, certificates from strongSwan's `pki` for our requests, CAs and CRLs."""
    config = lab.our_config(leaf="p256", own_id=OUR_NAME, peer_id=THEIR_NAME, meeting=MEETINGS[0])
    at = ("--endpoint", config)
    for leaf in LEAVES.values():
        if leaf.name == "double":
            continue  # only strongSwan has two
        kind, size = {"p256": ("ecdsa", "256"), "p384": ("ecdsa", "384"), "rsa": ("rsa", "2048")}.get(
            leaf.key, (leaf.key, "")
        )
        request, certificate = lab.folder / f"{leaf.name}.csr", lab.folder / f"{leaf.name}.crt"
        ikesim("pki", "key", "generate", leaf.name, "--type", kind, *(("--size", size) if size else ()), *at)
        subject = f"O=Interop Lab, CN={OUR_NAME}"
        ikesim("pki", "request", leaf.name, "--subject", subject, "--fqdn", OUR_NAME, "--out", request, *at)
        issuer = lab.authorities["near" if leaf.issuer == "intermediate" else leaf.issuer]
        issuer.issue(request, certificate, kind="pkcs10", expired=leaf.expired)
        if leaf.revoked:
            issuer.revoke(certificate)
        if leaf.issuer == "intermediate":
            certificate.write_bytes(certificate.read_bytes() + issuer.certificate)
        ikesim("pki", "load", certificate, "--as", leaf.name, *at)
    lab.crls = {name: lab.authorities[name].crl() for name in ("north", "south", "near", "far")}
    for name in ROOTS_WE_HOLD:
        ikesim("pki", "load", lab.authorities[name].path, "--ca", name, *at)
    for name, profile in (("north", "north"), ("south", "south"), ("far", "north")):
        ikesim("pki", "load", lab.crls[name], "--crl", profile, *at)


@pytest.fixture(autouse=True)
def nothing_left_over(lab: Lab) -> Iterator[None]:
    """A case begins without IKE SAs, also after one that failed."""
    yield
    lab.charon.terminate_all()


# -- tunnels --


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", MEETINGS, ids=lambda case: case.name)
def test_meets_strongswan(case: Meeting, role: str, lab: Lab, record_cell: Record) -> None:
    _ran.add((case.name, role))
    record_cell(case.name, role, "rekeyed, no ping lost" if case.rekey else "tunnel, pings both ways")
    lab.load_charon(leaf=case.leaf, own_id=THEIR_NAME, peer_id=OUR_NAME, meeting=case)
    config = lab.our_config(leaf=case.leaf, own_id=OUR_NAME, peer_id=THEIR_NAME, meeting=case)
    if case.fetches:
        _forget_crls(config, case.authority)
    with running(lab.network.ours, config) as daemon, lab.explaining(daemon):
        if role == "initiator":
            if "cookie_threshold" in case.charon:
                _leave_half_open(lab)
            assert daemon.command("up", "lab")["result"] == "established"
        else:
            assert lab.charon.initiate() is None
        established = daemon.wait("SaEstablished", connection="lab")
        assert established["decision"]["accepted"] is True
        assert established["decision"]["identity"] == f"fqdn:{THEIR_NAME}"
        daemon.wait("ChildUp", name="net")
        if case.fetches:
            daemon.wait("FetchFinished", url=CRL_URL, result="ok")

        assert "3 packets transmitted, 3 received" in lab.network.ping(3)
        daemon.command("ping", "lab", THEIRS.inner, "--count", "2")
        child = _check_their_view(lab.charon, case, role)
        # Three requests in and their replies out; two of ours, and their replies.
        assert int(child["bytes-in"]) == int(child["bytes-out"]) == 5 * PING_OCTETS
        log = lab.charon.log()
        assert f"authentication of '{OUR_NAME}' with {case.signed} successful" in log
        assert f"authentication of '{THEIR_NAME}' (myself) with {case.signed} successful" in log
        for words in (*case.words, *case.words_as.get(role, ())):
            assert re.search(words, log), words
        if case.rekey:
            _rekey(lab, daemon, *case.rekey, pfs="x25519" in case.esp)
        sas = len(lab.charon.sas())
        assert daemon.stop() == 0
        lab.charon.wait(["ike-updown"], lambda: len(lab.charon.sas()) < sas or not lab.charon.sas())


def _check_their_view(charon: Charon, case: Meeting, role: str) -> dict[str, Any]:
    """Algorithms, identities and role as strongSwan lists them; returns its CHILD SA."""
    sa = charon.established()
    assert {key: sa.get(key) for key in case.ike} == case.ike
    assert (sa["local-id"], sa["remote-id"]) == (THEIR_NAME, OUR_NAME)
    assert sa.get("initiator", "no") == ("no" if role == "initiator" else "yes")
    [child] = sa["child-sas"].values()
    assert child["state"] == "INSTALLED"
    assert {key: child.get(key) for key in case.child} == case.child
    assert (child["local-ts"], child["remote-ts"]) == ([THEIRS.subnet], [OURS.subnet])
    return child


def _leave_half_open(lab: Lab) -> None:
    """An IKE_SA_INIT from elsewhere that nobody goes on with: charon then asks the next one for a cookie."""
    command = ["ip", "netns", "exec", lab.network.ours, "python3", "-m", "tests.interop.half_open", THEIRS.address]
    run(*command)


def _forget_crls(config: Path, profile: str) -> None:
    """Remove what the other role's run has fetched and kept."""
    ikesim("pki", "rm", "--crl", profile, "--endpoint", config)


def _rekey(lab: Lab, daemon: Daemon, what: str, who: str, *, pfs: bool) -> None:
    before = lab.charon.established()
    old_child = _installed_child(before)
    with lab.network.pinging(lab.folder / "ping.log") as pinging:
        pinging.wait_for_replies(3)
        if who == "strongSwan":
            lab.charon.rekey(what)
        else:
            daemon.command("rekey", "lab", *(("--child", "net") if what == "child" else ()))
        daemon.wait("Rekeyed")
        lab.charon.wait(
            ["ike-updown", "ike-rekey", "child-rekey", "child-updown"], lambda: _replaced(lab.charon, before, what)
        )
        pinging.wait_for_replies(5)
        summary = pinging.end()
    sent, received = map(int, re.findall(r"(\d+) (?:packets transmitted|received)", summary))
    # The last request may still be under way when ping ends.
    assert sent - received <= 1, summary
    after = lab.charon.established()
    if what == "ike":
        assert after["initiator-spi"] != before["initiator-spi"]
        assert _installed_child(after)["spi-in"] == old_child["spi-in"]
    else:
        assert after["initiator-spi"] == before["initiator-spi"]
        child = _installed_child(after)
        assert int(child["bytes-in"]) >= 5 * PING_OCTETS
        assert child.get("dh-group") == ("CURVE_25519" if pfs else None)


def _installed_child(sa: dict[str, Any]) -> dict[str, Any]:
    [child] = [child for child in sa["child-sas"].values() if child["state"] == "INSTALLED"]
    return child


def _replaced(charon: Charon, before: dict[str, Any], what: str) -> bool:
    """Whether one new SA stands where the old one stood."""
    sas = [sa for sa in charon.sas() if sa["state"] == "ESTABLISHED"]
    if len(sas) != 1:
        return False
    if what == "ike":
        return sas[0]["initiator-spi"] != before["initiator-spi"]
    old = _installed_child(before)["spi-in"]
    installed = [child["spi-in"] for child in sas[0]["child-sas"].values() if child["state"] == "INSTALLED"]
    return len(installed) == 1 and installed != [old]


# -- refusals --


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.row)
def test_refuses_or_is_refused(case: Refusal, role: str, lab: Lab, record_cell: Record) -> None:
    reason = "refused-by-peer" if (case.by, role) == ("them", "responder") else case.reason
    _ran.add((case.row, role))
    record_cell(case.row, role, f"{'we refuse' if case.by == 'us' else 'strongSwan refuses'}: {reason}")
    ours, theirs = ("p256", case.leaf) if case.by == "us" else (case.leaf, "p256")
    lab.load_charon(leaf=theirs, own_id=case.their_id, peer_id=case.our_id, meeting=MEETINGS[0])
    config = lab.our_config(leaf=ours, own_id=OUR_NAME, peer_id=case.their_id, meeting=MEETINGS[0])
    with running(lab.network.ours, config, lie=case.lie) as daemon, lab.explaining(daemon):
        if role == "initiator":
            verdict = daemon.command("up", "lab", check=False)
            assert verdict["result"] != "established"
            assert verdict["reason"] == reason
        else:
            assert lab.charon.initiate() is not None
        if case.by == "us":
            refused = daemon.wait("SaRefused", by="us", reason=reason)
            assert refused["decision"]["accepted"] is False
            assert refused["decision"]["reason"] == reason
            words = {
                "initiator": r"parsed INFORMATIONAL request 2 \[ N\(AUTH_FAILED\)",
                "responder": "received AUTHENTICATION_FAILED notify error",
            }[role]
        else:
            event = {"initiator": "SaRefused", "responder": "SaClosed"}[role]
            daemon.wait(event, reason=reason)
            words = case.words
        lab.charon.wait(["ike-updown"], lambda: not [sa for sa in lab.charon.sas() if sa["state"] == "ESTABLISHED"])
        assert re.search(words, lab.charon.log()), words
        assert not daemon.command("status")["ike_sas"]


def test_every_cell_of_the_table_ran(request: pytest.FixtureRequest) -> None:
    selected = {
        item.nodeid for item in request.session.items if item.originalname.startswith(("test_meets", "test_refuses"))
    }
    assert len(MEETINGS + REFUSALS) * len(ROLES) == CELLS
    if len(selected) < CELLS:
        pytest.skip("only a part of the matrix was selected")
    assert len(_ran) == CELLS
