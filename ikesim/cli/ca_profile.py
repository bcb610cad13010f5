"""`ikesim ca-profile ls|show`, and Junos' `show configuration security pki`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ikesim.cli.common import endpoint_option, json_option
from ikesim.cli.junos_forms import brace_lines, put, set_lines, xml_option
from ikesim.errors import NotFoundError

if TYPE_CHECKING:
    from ikesim.ike.config import EndpointConfig
    from ikesim.pki.profiles import CaProfile


@click.group("ca-profile")
def ca_profile() -> None:
    """The CA profiles of an endpoint's configuration."""


@ca_profile.command()
@endpoint_option
@json_option
def ls(endpoint: Path, as_json: bool) -> None:
    """List the CA profiles: identity, how revocation is checked, and whether the CA certificate is held."""
    from ikesim.cli.stores import open_store

    loaded, store = open_store(endpoint)
    held, crls = store.ca_certificates(), store.crls()
    profiles = [
        {
            "name": profile.name,
            "ca-identity": profile.ca_identity,
            "revocation-check": str(profile.revocation.method),
            "ca-certificate": profile.name in held,
            "crls": len(crls.get(profile.name, ())),
            "trusted-ca-groups": [
                group.name
                for group in loaded.endpoint.trusted_ca_groups.values()
                if profile.name in group.ca_profiles
            ],
        }
        for profile in loaded.endpoint.ca_profiles.values()
    ]
    lines = [
        f"{one['name']:20} {one['ca-identity']:30} revocation {one['revocation-check']:14}"
        f" {'certificate held' if one['ca-certificate'] else 'no certificate'}, {one['crls']} CRLs"
        for one in profiles
    ]
    put({"ca-profiles": profiles}, lines, as_json=as_json, as_xml=False)


@ca_profile.command()
@click.argument("name", metavar="PROFILE", required=False)
@click.option("--set", "as_set", is_flag=True, help="As Junos' set lines.")
@xml_option
@endpoint_option
@json_option
def show(name: str | None, as_set: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """Show what is configured about the CAs, in Junos' statements."""
    from ikesim.configuration import load

    config = load(endpoint).endpoint
    if name is not None and name not in config.ca_profiles:
        having = ", ".join(config.ca_profiles) or "none"
        raise NotFoundError(
            f"the configuration has no CA profile {name} (it has {having}): add [pki.ca-profile.{name}]"
        )
    tree = _tree(config, name)
    document = {"configuration": {"security": {"pki": tree}}}
    lines = set_lines({"security": {"pki": tree}}) if as_set else brace_lines(tree)
    put(document, lines, as_json=as_json, as_xml=as_xml)


def _tree(config: "EndpointConfig", name: str | None) -> dict[str, Any]:
    """The statements below `security pki`; ikesim's own have its own names."""
    tree: dict[str, Any] = {
        f"ca-profile {profile.name}": _profile(profile)
        for profile in config.ca_profiles.values()
        if name in (None, profile.name)
    }
    if name is None:
        for group in config.trusted_ca_groups.values():
            tree[f"trusted-ca-group {group.name}"] = {"ca-profiles": list(group.ca_profiles)}
    return tree


def _profile(profile: "CaProfile") -> dict[str, Any]:
    revocation = profile.revocation
    check: dict[str, Any] = {}
    if revocation.method == "disable":
        check["disable"] = True
    else:
        check["use-ocsp" if revocation.method.startswith("ocsp") else "use-crl"] = True
        crl: dict[str, Any] = {}
        if revocation.on_download_failure == "accept":
            crl["disable"] = {"on-download-failure": True}
        if revocation.refresh_interval:
            crl["refresh-interval"] = int(revocation.refresh_interval // 3600)
        if revocation.url:
            crl["url"] = list(revocation.url)
        if crl:
            check["crl"] = crl
        ocsp: dict[str, Any] = {}
        if revocation.ocsp.url:
            ocsp["url"] = list(revocation.ocsp.url)
        if revocation.method == "ocsp-then-crl":
            ocsp["connection-failure"] = {"fallback-crl": True}
        if revocation.ocsp.accept_unknown:
            ocsp["accept-unknown-status"] = True
        if revocation.method.startswith("ocsp"):
            ocsp["nonce-payload"] = "enable" if revocation.ocsp.nonce else "disable"
            check["ocsp"] = ocsp
    statements: dict[str, Any] = {"ca-identity": profile.ca_identity}
    if profile.administrator_email is not None:
        statements["administrator"] = {"email-address": profile.administrator_email}
    statements["revocation-check"] = check
    return statements
