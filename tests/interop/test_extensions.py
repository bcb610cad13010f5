"""Postquantum preshared keys, childless IKE SAs and redirection with strongSwan, in both roles.

What strongSwan 5.9.8 does not speak (IKE_INTERMEDIATE, several key exchanges, announced AUTH methods) is held against
the formulas of the RFCs in tests/ike.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.authority import Authority, make_key
from tests.interop.cases import DEFAULT_PROPOSAL, OUR_NAME, THEIR_NAME
from tests.interop.charon import Charon, connection
from tests.interop.network import OURS, THEIRS, Network
from tests.interop.ours import Daemon, ikesim, running
from tests.interop.processes import run

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("interop"), pytest.mark.usefixtures("machine_has_the_lab")]

ROLES = ("initiator", "responder")
OUR_SECOND, THEIR_SECOND = "10.88.0.3", "10.88.0.4"
"""A second address of each side, for another gateway."""
SECRET = bytes(range(1, 33))
PPK_ID = "sites@lab"


@dataclass
class Lab:
    """A network, a strongSwan, one certificate for each side."""

    folder: Path
    network: Network
    charon: Charon
    north: Authority

    def load_charon(
        self, settings: Mapping[str, Any] | None = None, *, ppk: Mapping[str, bytes] | None = None, **more: str
    ) -> None:
        """Give strongSwan its connection, with further settings, and preshared keys by identity."""
        self.charon.configure(**more)
        self.charon.load(
            key=(self.folder / "theirs.key").read_bytes(),
            authorities=[self.north.certificate],
            crls=[self.north.crl().read_bytes()],
            connection={
                **connection(
                    certificate=(self.folder / "theirs.crt").read_bytes(),
                    own_id=THEIR_NAME,
                    peer_id=OUR_NAME,
                    authorities=[self.north.certificate],
                    proposal=DEFAULT_PROPOSAL,
                ),
                **(settings or {}),
            },
        )
        with self.charon.session() as session:
            for identity, value in (ppk or {}).items():
                session.load_shared({"type": "ppk", "data": value, "owners": [identity]})
        self.charon.mark()

    def our_config(
        self, settings: Mapping[str, Any] | None = None, *, second: Mapping[str, Any] | None = None
    ) -> Path:
        """Write our connection "lab", and (with `second`) another one on our second address."""
        addresses = [OURS.address] + ([OUR_SECOND] if second is not None else [])
        text = _table(
            "endpoint",
            {
                "name": "ours",
                "listen": [f"{host}:500" for host in addresses],
                "listen-nat-t": [f"{host}:4500" for host in addresses],
                "state": "state",
            },
        )
        text += _table("pki.ca-profile.north", {"ca-identity": "north.test"})
        for name, host, own in (("lab", OURS.address, settings), ("second", OUR_SECOND, second)):
            if host not in addresses:
                continue
            text += _table(
                f"connection.{name}",
                {
                    "local": f"{host}:500",
                    "remote": f"{THEIRS.address}:500",
                    "local-id": f"fqdn:{OUR_NAME}",
                    "remote-id": f"fqdn:{THEIR_NAME}",
                    "local-certificate": "ours",
                    "trusted-ca": "north",
                    "proposals": [DEFAULT_PROPOSAL],
                    **(own or {}),
                },
            )
            text += _table(f"connection.{name}.child.net", {"local-ts": [OURS.subnet], "remote-ts": [THEIRS.subnet]})
        path = self.folder / "ours.toml"
        path.write_text(text)
        return path

    def has_a_tunnel(self, daemon: Daemon, name: str = "lab") -> dict[str, Any]:
        """Pings cross it both ways; strongSwan's view of the IKE SA."""
        self.charon.wait(["ike-updown", "child-updown"], lambda: self._one_child())
        assert daemon.command("ping", name, THEIRS.inner, "--count", "2")["received"] == 2
        assert "0% packet loss" in self.network.ping()
        return self.charon.established()

    def _one_child(self) -> bool:
        sas = [sa for sa in self.charon.sas() if sa["state"] == "ESTABLISHED"]
        return len(sas) == 1 and any(child["state"] == "INSTALLED" for child in sas[0]["child-sas"].values())


def _table(name: str, values: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + "\n"


@pytest.fixture(scope="module")
def lab(machine_has_the_lab: None, short_folder: Path) -> Iterator[Lab]:
    north = Authority(short_folder, "north")
    key = make_key(short_folder / "theirs.key", "p256")
    north.issue(key, short_folder / "theirs.crt", kind="priv", names=(THEIR_NAME,))
    with Network() as network:
        run("ip", "-n", network.ours, "address", "add", f"{OUR_SECOND}/24", "dev", "outer")
        run("ip", "-n", network.theirs, "address", "add", f"{THEIR_SECOND}/24", "dev", "outer")
        charon = Charon(network.theirs, short_folder / "charon")
        lab = Lab(short_folder, network, charon, north)
        at = ("--endpoint", lab.our_config())
        request, certificate = short_folder / "ours.csr", short_folder / "ours.crt"
        ikesim("pki", "key", "generate", "ours", "--type", "ecdsa", *at)
        subject = f"O=Interop Lab, CN={OUR_NAME}"
        ikesim("pki", "request", "ours", "--subject", subject, "--fqdn", OUR_NAME, "--out", request, *at)
        north.issue(request, certificate, kind="pkcs10")
        ikesim("pki", "load", certificate, "--as", "ours", *at)
        ikesim("pki", "load", north.path, "--ca", "north", *at)
        ikesim("pki", "load", north.crl(), "--crl", "north", *at)
        for name, value in (("site", SECRET), ("false", SECRET[::-1])):
            keep(name, value, *at)
        try:
            yield lab
        finally:
            charon.stop()


def keep(name: str, value: bytes, *at: str | Path) -> None:
    """Add a secret to our store, by a descriptor."""
    reading, writing = os.pipe()
    try:
        os.write(writing, value.hex().encode())
        os.close(writing)
        ikesim("pki", "secret", "add", name, "--kind", "ike-psk", "--hex", "--fd", str(reading), *at)
    finally:
        os.close(reading)


@pytest.fixture(autouse=True)
def nothing_left_over(lab: Lab) -> Iterator[None]:
    yield
    lab.charon.terminate_all()


def begin(lab: Lab, daemon: Daemon, role: str) -> Any:
    """Establish from our side or from theirs; our verdict, or charon's words."""
    return daemon.command("up", "lab", check=False)["result"] if role == "initiator" else lab.charon.initiate()


# -- postquantum preshared keys (RFC 8784) --


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("required", [False, True])
def test_both_mix_in_the_same_ppk(lab: Lab, role: str, required: bool) -> None:
    theirs = {"ppk_id": PPK_ID, "ppk_required": "yes" if required else "no"}
    lab.load_charon(theirs, ppk={PPK_ID: SECRET})
    config = lab.our_config({"ppk-id": PPK_ID, "ppk-secret": "site", "ppk-required": required})
    with running(lab.network.ours, config) as daemon:
        assert begin(lab, daemon, role) in ("established", None)
        seen = lab.has_a_tunnel(daemon)
        assert seen["ppk"] == "yes"
        assert daemon.command("status")["ike_sas"][0]["ppk"] == PPK_ID
        # rekeying stands on the mixed SK_d
        daemon.command("rekey", "lab")
        lab.has_a_tunnel(daemon)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("has_it", ["ikesim", "strongSwan"])
def test_one_side_without_the_ppk_does_without(lab: Lab, role: str, has_it: str) -> None:
    ours = {"ppk-id": PPK_ID, "ppk-secret": "site"} if has_it == "ikesim" else {}
    theirs = {"ppk_id": PPK_ID, "ppk_required": "no"} if has_it == "strongSwan" else {}
    lab.load_charon(theirs, ppk={PPK_ID: SECRET} if theirs else {})
    with running(lab.network.ours, lab.our_config(ours)) as daemon:
        assert begin(lab, daemon, role) in ("established", None)
        assert "ppk" not in lab.has_a_tunnel(daemon)
        assert daemon.command("status")["ike_sas"][0]["ppk"] is None


def test_a_ppk_that_we_do_not_know_is_done_without(lab: Lab) -> None:
    lab.load_charon({"ppk_id": "other", "ppk_required": "no"}, ppk={"other": SECRET})
    with running(lab.network.ours, lab.our_config({"ppk-id": PPK_ID, "ppk-secret": "site"})) as daemon:
        assert begin(lab, daemon, "responder") is None
        assert "ppk" not in lab.has_a_tunnel(daemon)


def test_strongswan_does_not_do_without_where_it_names_another_ppk(lab: Lab) -> None:
    # RFC 8784 3 has a responder to which its PPK is optional take NO_PPK_AUTH; strongSwan 5.9.8 refuses
    lab.load_charon({"ppk_id": "other", "ppk_required": "no"}, ppk={"other": SECRET})
    with running(lab.network.ours, lab.our_config({"ppk-id": PPK_ID, "ppk-secret": "site"})) as daemon:
        assert begin(lab, daemon, "initiator") == "refused"
        daemon.wait("SaRefused", by="peer", reason="peer-refused", authenticated=True)
        assert f"received PPK_ID '{PPK_ID}', but require 'other'" in lab.charon.log()


@pytest.mark.parametrize("role", ROLES)
def test_a_ppk_of_another_value_is_refused(lab: Lab, role: str) -> None:
    lab.load_charon({"ppk_id": PPK_ID, "ppk_required": "yes"}, ppk={PPK_ID: SECRET})
    config = lab.our_config({"ppk-id": PPK_ID, "ppk-secret": "false", "ppk-required": True})
    with running(lab.network.ours, config) as daemon:
        assert begin(lab, daemon, role) not in ("established", None)
        reason = {"initiator": "peer-refused", "responder": "auth-bad-signature"}[role]
        daemon.wait("SaRefused", reason=reason)


@pytest.mark.parametrize("role", ROLES)
def test_who_requires_a_ppk_refuses_who_has_none(lab: Lab, role: str) -> None:
    lab.load_charon()
    config = lab.our_config({"ppk-id": PPK_ID, "ppk-secret": "site", "ppk-required": True})
    with running(lab.network.ours, config) as daemon:
        assert begin(lab, daemon, role) not in ("established", None)
        daemon.wait("SaRefused", by="us", reason="auth-method-not-allowed")


# -- childless IKE SAs (RFC 6023) --


@pytest.mark.parametrize(("ours", "theirs"), [("force", "allow"), ("prefer", "force"), ("prefer", "never")])
def test_we_begin_without_a_child(lab: Lab, ours: str, theirs: str) -> None:
    lab.load_charon({"childless": theirs})
    with running(lab.network.ours, lab.our_config({"childless": ours})) as daemon:
        assert begin(lab, daemon, "initiator") == "established"
        lab.has_a_tunnel(daemon)
        alone = re.search(r"parsed IKE_AUTH request 1 \[ (?!.* SA )", lab.charon.log()) is not None
        assert alone is (theirs != "never")
        assert ("CREATE_CHILD_SA request 2" in lab.charon.log()) is alone


@pytest.mark.parametrize(("ours", "theirs"), [("allow", "force"), ("force", "force"), ("never", "allow")])
def test_strongswan_begins_without_a_child(lab: Lab, ours: str, theirs: str) -> None:
    lab.load_charon({"childless": theirs})
    with running(lab.network.ours, lab.our_config({"childless": ours})) as daemon:
        assert begin(lab, daemon, "responder") is None
        lab.has_a_tunnel(daemon)
        asked = "generating CREATE_CHILD_SA request" in lab.charon.log()
        assert asked is (ours != "never")


def test_childless_cannot_be_forced_on_who_never_takes_it(lab: Lab) -> None:
    lab.load_charon({"childless": "never"})
    with running(lab.network.ours, lab.our_config({"childless": "force"})) as daemon:
        assert begin(lab, daemon, "initiator") == "refused"
        daemon.wait("SaRefused", by="us", reason="child-failed")
    lab.load_charon({"childless": "force"})
    with running(lab.network.ours, lab.our_config({"childless": "never"})) as daemon:
        assert begin(lab, daemon, "responder") is not None


# -- redirection (RFC 5685) --


def test_strongswan_goes_where_ike_sa_init_sends_it(lab: Lab) -> None:
    # In IKE_AUTH strongSwan 5.9.8 takes a redirect too, writes "redirected to 10.88.0.3", and dies of a fault of its
    # own: that is not run here.
    lab.load_charon()
    config = lab.our_config({"redirect-to": OUR_SECOND}, second={})
    with running(lab.network.ours, config) as daemon:
        assert lab.charon.initiate() is None
        seen = lab.has_a_tunnel(daemon, "second")
        assert seen["remote-host"] == OUR_SECOND
        assert f"redirected to {OUR_SECOND}" in lab.charon.log()


def test_strongswan_goes_elsewhere_when_it_is_up(lab: Lab) -> None:
    lab.load_charon()
    with running(lab.network.ours, lab.our_config({}, second={})) as daemon:
        assert lab.charon.initiate() is None
        lab.has_a_tunnel(daemon)
        sent = daemon.command("redirect", "lab", "--to", OUR_SECOND)
        assert sent["result"] == "redirected"
        assert lab.has_a_tunnel(daemon, "second")["remote-host"] == OUR_SECOND


def test_we_go_where_strongswan_sends_us(lab: Lab) -> None:
    lab.load_charon({"local_addrs": [THEIRS.address, THEIR_SECOND]})
    with running(lab.network.ours, lab.our_config({"follow-redirects": True, "mobike": False})) as daemon:
        assert begin(lab, daemon, "initiator") == "established"
        lab.has_a_tunnel(daemon)
        with lab.charon.session() as session:
            session.redirect({"ike": "lab", "gateway": THEIR_SECOND})
        moved = daemon.wait("Redirected", gateway=THEIR_SECOND)
        daemon.wait("SaClosed", sa=moved["old"], reason="redirected")
        assert lab.has_a_tunnel(daemon)["local-host"] == THEIR_SECOND
        assert [sa["id"] for sa in daemon.command("status")["ike_sas"]] == [moved["new"]]
