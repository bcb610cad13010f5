"""`ikesim sa ls|show`, and Junos' `show|clear security ike|ipsec security-associations`: what a daemon has up."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from ikesim.cli.common import ask, endpoint_option, json_option, print_json
from ikesim.cli.junos_forms import put, xml_option
from ikesim.daemon.safe import escaped
from ikesim.errors import NotFoundError

Document = dict[str, Any]

WATCH_INTERVAL = 1.0
_METHODS = {1: "RSA-signatures", 9: "ECDSA-256-signatures", 10: "ECDSA-384-signatures", 11: "ECDSA-521-signatures"}
_UNLIMITED = "unlim"

_INDEX = click.option("--index", type=click.IntRange(1), metavar="N", help="Only this one.")
_CONNECTION = click.option("--connection", metavar="C", help="Only those of this connection.")
_PEER = click.option("--peer", metavar="A", help="Only those with this remote address.")
_DETAIL = click.option("--detail", is_flag=True)


@click.group()
def sa() -> None:
    """The IKE SAs of a running endpoint, with the trust decision that each stands on."""


@sa.command()
@click.option("--watch", is_flag=True, help="Show them again every second, until interrupted.")
@endpoint_option
@json_option
def ls(watch: bool, endpoint: Path, as_json: bool) -> None:
    """List the IKE SAs."""
    while True:
        found = _ike_sas(endpoint, None, None, None)
        if watch and not as_json:
            click.clear()
        put(_ike_document(found), _ike_brief(found), as_json=as_json, as_xml=False)
        if not watch:
            return
        time.sleep(WATCH_INTERVAL)


@sa.command("show")
@click.argument("index", type=click.IntRange(1), metavar="N")
@endpoint_option
@json_option
def show_one(index: int, endpoint: Path, as_json: bool) -> None:
    """Show one IKE SA in full, by the index of sa ls."""
    found = _ike_sas(endpoint, index, None, None)
    put(_ike_document(found), _ike_detail(found), as_json=as_json, as_xml=False)


@click.command()
@_INDEX
@_CONNECTION
@_PEER
@_DETAIL
@xml_option
@endpoint_option
@json_option
def ike(
    index: int | None,
    connection: str | None,
    peer: str | None,
    detail: bool,
    endpoint: Path,
    as_json: bool,
    as_xml: bool,
) -> None:
    """The IKE SAs."""
    found = _ike_sas(endpoint, index, connection, peer)
    lines = _ike_detail(found) if detail else _ike_brief(found)
    put(_ike_document(found), lines, as_json=as_json, as_xml=as_xml)


@click.command()
@_DETAIL
@xml_option
@endpoint_option
@json_option
def active_peer(detail: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """The peers of established IKE SAs."""
    found = [one for one in _ike_sas(endpoint, None, None, None) if one["ike-sa-state"] == "UP"]
    leaves = ("ike-sa-remote-address", "ike-sa-remote-port", "ike-ike-id", "ike-gateway-name")
    peers = [{leaf: one[leaf] for leaf in leaves} for one in found]
    head = f"{'Remote Address':34}{'Port':8}{'Peer IKE-ID':42}Gateway"
    lines = [head] + [
        f"{one[leaves[0]]:34}{one[leaves[1]]:<8}{escaped(one[leaves[2]] or '-'):42}{one[leaves[3]]}" for one in peers
    ]
    put({"ike-active-peers-information": {"ike-active-peers": peers}}, lines, as_json=as_json, as_xml=as_xml)


@click.command()
@_INDEX
@_CONNECTION
@_DETAIL
@xml_option
@endpoint_option
@json_option
def ipsec(
    index: int | None, connection: str | None, detail: bool, endpoint: Path, as_json: bool, as_xml: bool
) -> None:
    """The CHILD SAs, a pair of lines each: < is inbound, > outbound."""
    found = _tunnels(endpoint, index, connection)
    document = {
        "ipsec-security-associations-information": {
            "total-active-tunnels": len(found),
            "ipsec-security-associations-block": found,
        }
    }
    put(document, _ipsec_detail(found) if detail else _ipsec_brief(found), as_json=as_json, as_xml=as_xml)


@click.command()
@xml_option
@endpoint_option
@json_option
def statistics(endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """What went through all tunnels that are up."""
    found = _tunnels(endpoint, None, None)
    sums = {
        leaf: sum(one[leaf] for tunnel in found for one in tunnel["ipsec-security-associations"] if leaf in one)
        for leaf in ("esp-encrypted-bytes", "esp-decrypted-bytes", "esp-encrypted-packets", "esp-decrypted-packets")
    }
    lines = ["ESP Statistics:"] + [
        f"  {leaf.removeprefix('esp-').replace('-', ' ').capitalize() + ':':20}{value:>21}"
        for leaf, value in sums.items()
    ]
    put({"ipsec-statistics": {"esp-statistics": sums}}, lines, as_json=as_json, as_xml=as_xml)


@click.command()
@_INDEX
@_CONNECTION
@_PEER
@click.option("--children", is_flag=True, help="The CHILD SAs instead of the IKE SAs.")
@endpoint_option
@json_option
def clear(
    index: int | None, connection: str | None, peer: str | None, children: bool, endpoint: Path, as_json: bool
) -> None:
    """Take the SAs down, as ikesim down does for one connection."""
    if children:
        tunnels = _tunnels(endpoint, index, connection)
        wanted = [(one["sa-ike-gateway-name"], one["sa-vpn-name"]) for one in tunnels]
    else:
        found = _ike_sas(endpoint, index, connection, peer)
        wanted = [(one["ike-gateway-name"], None) for one in found if one["ike-sa-state"] == "UP"]
    ended: list[str] = []
    for name, child in dict.fromkeys(wanted):
        document = ask(endpoint, "POST", f"/connections/{quote(name, safe='')}/down", {"child": child})
        ended += document["sas"]
    if as_json:
        print_json({"result": "closed", "sas": ended})
    else:
        click.echo(f"{', '.join(ended)}: closed" if ended else "there are no SAs to clear")


# IKE SAs


def _ike_sas(endpoint: Path, index: int | None, connection: str | None, peer: str | None) -> list[Document]:
    """The IKE SAs as Junos' leaves. Raises NotFoundError when an index is not there."""
    status = ask(endpoint, "GET", "/status")
    found = [
        one
        for number, sa in enumerate(status["ike_sas"], 1)
        if index in (None, (one := _ike_sa(number, sa))["ike-sa-index"])
        and connection in (None, one["ike-gateway-name"])
        and peer in (None, one["ike-sa-remote-address"])
    ]
    if index is not None and not found:
        raise NotFoundError(f"there is no IKE SA {index}: ikesim sa ls lists them")
    return found


def _ike_sa(position: int, sa: Mapping[str, Any]) -> Document:
    local, local_port = _split(sa["local"])
    remote, remote_port = _split(sa["remote"])
    auth = sa["auth"] or {"method": 0, "scheme": None}
    decision = sa["decision"]
    children = sa["child_sas"]
    return {
        "ike-sa-remote-address": remote,
        "ike-sa-index": _number(sa["id"], position),
        "ike-gateway-name": sa["connection"] or "unknown",
        "ike-sa-role": sa["role"].capitalize(),
        "ike-sa-state": "UP" if sa["state"] == "established" else "DOWN",
        "ike-sa-state-detail": sa["state"],
        "ike-sa-initiator-cookie": sa["spi_i"],
        "ike-sa-responder-cookie": sa["spi_r"],
        "ike-sa-exchange-type": "IKEv2",
        "ike-sa-authentication-method": _METHODS.get(auth["method"], f"Digital-signatures ({auth['scheme']})")
        if sa["auth"]
        else "none yet",
        "ike-sa-local-address": local,
        "ike-sa-local-port": local_port,
        "ike-sa-remote-port": remote_port,
        "ike-sa-lifetime": sa["rekey_in"],
        "ike-ike-id": sa["identity"],
        "ike-trusted-ca-profile-name": decision["ca_profile"] if decision else None,
        "ike-trusted-ca-group-name": _group(decision),
        "ike-trust-decision": decision["summary"] if decision else None,
        "ike-revocation-outcome": decision["revocation"]["outcome"] if decision and decision["revocation"] else None,
        "ike-peer-certificate": decision["certificate"] if decision else None,
        "ike-peer-key-fingerprint": sa["key_fingerprint"],
        "ike-established-at": sa["established_at"],
        "ike-sa-proposal": sa["proposal"],
        "ike-sa-traffic-statistics": {
            "ike-sa-input-bytes": sum(child["bytes_in"] for child in children),
            "ike-sa-output-bytes": sum(child["bytes_out"] for child in children),
            "ike-sa-input-packets": sum(child["packets_in"] for child in children),
            "ike-sa-output-packets": sum(child["packets_out"] for child in children),
        },
        "ike-sa-ipsec-sas": [child["name"] for child in children],
    }


def _group(decision: Mapping[str, Any] | None) -> str | None:
    """The trusted CA group; a decision shows the one trusted CA in its place, where there is no group."""
    if decision is None or decision["trusted_ca_group"] == decision["ca_profile"]:
        return None
    group: str | None = decision["trusted_ca_group"]
    return group


def _ike_document(found: list[Document]) -> Document:
    return {"ike-security-associations-information": {"ike-security-associations": found}}


def _ike_brief(found: list[Document]) -> Iterator[str]:
    yield "Index   State  Initiator cookie  Responder cookie  Mode           Remote Address"
    for one in found:
        yield (
            f"{one['ike-sa-index']:<8}{one['ike-sa-state']:7}{one['ike-sa-initiator-cookie']:18}"
            f"{one['ike-sa-responder-cookie']:18}{one['ike-sa-exchange-type']:15}{one['ike-sa-remote-address']}"
        )


def _ike_detail(found: list[Document]) -> Iterator[str]:
    for one in found:
        traffic = one["ike-sa-traffic-statistics"]
        yield (
            f"IKE peer {one['ike-sa-remote-address']}, Index {one['ike-sa-index']}, "
            f"Gateway Name: {one['ike-gateway-name']}"
        )
        yield f"  Role: {one['ike-sa-role']}, State: {one['ike-sa-state']} ({one['ike-sa-state-detail']})"
        yield (
            f"  Initiator cookie: {one['ike-sa-initiator-cookie']}, "
            f"Responder cookie: {one['ike-sa-responder-cookie']}"
        )
        yield (
            f"  Exchange type: {one['ike-sa-exchange-type']}, "
            f"Authentication method: {one['ike-sa-authentication-method']}"
        )
        yield (
            f"  Local: {one['ike-sa-local-address']}:{one['ike-sa-local-port']}, "
            f"Remote: {one['ike-sa-remote-address']}:{one['ike-sa-remote-port']}"
        )
        lifetime = one["ike-sa-lifetime"]
        yield f"  Lifetime: {'none' if lifetime is None else f'Rekeyed in {lifetime:.0f} seconds'}"
        yield f"  Peer ike-id: {escaped(one['ike-ike-id'] or 'not known')}"
        yield f"  Trusted CA profile: {one['ike-trusted-ca-profile-name'] or 'none'}"
        yield f"  Trusted CA group: {one['ike-trusted-ca-group-name'] or 'none'}"
        if one["ike-trust-decision"]:
            yield f"  Trust decision: {escaped(one['ike-trust-decision'])}"
            yield f"  Revocation: {one['ike-revocation-outcome'] or 'not checked'}"
            yield f"  Peer certificate: {escaped(one['ike-peer-certificate']['subject'])}, " + (
                f"serial {one['ike-peer-certificate']['serial']}"
            )
            yield f"  Peer key: {one['ike-peer-key-fingerprint']}"
            yield f"  Established: {one['ike-established-at']}"
        yield f"  Algorithms: {one['ike-sa-proposal'] or 'not agreed'}"
        yield "  Traffic statistics:"
        for direction in ("input", "output"):
            for what in ("bytes", "packets"):
                value = traffic[f"ike-sa-{direction}-{what}"]
                yield f"   {direction.capitalize():7}{what:8}: {value:>20}"
        yield f"  IPSec security associations: {', '.join(one['ike-sa-ipsec-sas']) or 'none'}"
        yield ""


# CHILD SAs


def _tunnels(endpoint: Path, index: int | None, connection: str | None) -> list[Document]:
    status = ask(endpoint, "GET", "/status")
    pairs = [(sa, child) for sa in status["ike_sas"] for child in sa["child_sas"]]
    found = [
        one
        for number, (sa, child) in enumerate(pairs, 1)
        if index in (None, (one := _tunnel(number, sa, child))["sa-tunnel-index"])
        and connection in (None, one["sa-ike-gateway-name"])
    ]
    if index is not None and not found:
        raise NotFoundError(
            f"there is no tunnel {index}: ikesim show security ipsec security-associations lists them"
        )
    return found


def _tunnel(position: int, sa: Mapping[str, Any], child: Mapping[str, Any]) -> Document:
    remote, port = _split(sa["remote"])
    local, _ = _split(sa["local"])
    number = _number(child["id"], position)
    common = {
        "sa-tunnel-index": number,
        "sa-remote-gateway": remote,
        "sa-port": port,
        "sa-vpn-monitoring-state": "-",
        "sa-protocol": "ESP",
        "sa-mode": "tunnel",
        "sa-algorithms": child["proposal"],
        "sa-remaining-lifetime": child["rekey_in"],
        "sa-lifesize-remaining": _UNLIMITED,
        "sa-virtual-system": "root",
    }
    return {
        "sa-block-state": "up" if child["state"] == "installed" else child["state"],
        "sa-tunnel-index": number,
        "sa-ike-gateway-name": sa["connection"] or "unknown",
        "sa-vpn-name": child["name"],
        "sa-local-gateway": local,
        "sa-remote-gateway": remote,
        "sa-local-identity": child["local_ts"],
        "sa-remote-identity": child["remote_ts"],
        "ike-version": "IKEv2",
        "ipsec-security-associations": [
            {
                "sa-direction": "inbound",
                "sa-spi": child["spi_in"],
                **common,
                "esp-decrypted-bytes": child["bytes_in"],
                "esp-decrypted-packets": child["packets_in"],
            },
            {
                "sa-direction": "outbound",
                "sa-spi": child["spi_out"],
                **common,
                "esp-encrypted-bytes": child["bytes_out"],
                "esp-encrypted-packets": child["packets_out"],
            },
        ],
    }


def _ipsec_brief(found: list[Document]) -> Iterator[str]:
    yield f"  Total active tunnels: {len(found)}"
    yield f"  {'ID':8}{'Algorithm':34}{'SPI':10}{'Life:sec/kb':15}{'Mon':5}{'lsys':6}{'Port':7}Gateway"
    for tunnel in found:
        for mark, one in zip("<>", tunnel["ipsec-security-associations"], strict=True):
            life = f"{_seconds(one['sa-remaining-lifetime'])}/{one['sa-lifesize-remaining']}"
            yield (
                f"  {mark + str(one['sa-tunnel-index']):8}{'ESP:' + one['sa-algorithms']:34}{one['sa-spi']:10}"
                f"{life:15}{one['sa-vpn-monitoring-state']:5}{one['sa-virtual-system']:6}{one['sa-port']:<7}"
                f"{one['sa-remote-gateway']}"
            )


def _ipsec_detail(found: list[Document]) -> Iterator[str]:
    for tunnel in found:
        yield f"ID: {tunnel['sa-tunnel-index']} Virtual-system: root, VPN Name: {tunnel['sa-vpn-name']}"
        yield f"  Local Gateway: {tunnel['sa-local-gateway']}, Remote Gateway: {tunnel['sa-remote-gateway']}"
        yield f"  Gateway Name: {tunnel['sa-ike-gateway-name']}, State: {tunnel['sa-block-state']}"
        yield f"  Local Identity: {', '.join(tunnel['sa-local-identity'])}"
        yield f"  Remote Identity: {', '.join(tunnel['sa-remote-identity'])}"
        yield f"  Version: {tunnel['ike-version']}"
        for one in tunnel["ipsec-security-associations"]:
            yield f"  Direction: {one['sa-direction']}, SPI: {one['sa-spi']}, Mode: {one['sa-mode']}"
            yield f"    Protocol: {one['sa-protocol']}, Algorithms: {one['sa-algorithms']}"
            yield f"    Soft lifetime: {_seconds(one['sa-remaining-lifetime'])} seconds"
        yield ""


def _seconds(value: float | None) -> str:
    return _UNLIMITED if value is None else f"{value:.0f}"


def _number(sa_id: str, position: int) -> int:
    """The number in an SA's name, which stays for its life; else its position."""
    digits = "".join(character for character in sa_id if character.isdigit())
    return int(digits) if digits else position


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
