"""`ikesim pki`: the PKI objects of one endpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ikesim.cli.common import endpoint_option, json_option, print_json
from ikesim.cli.pki_more import clear, crl, export, verify
from ikesim.cli.pki_secrets import secret
from ikesim.cli.progress import progress
from ikesim.cli.stores import open_store, tell_daemon
from ikesim.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ikesim.configuration import LoadedConfig

KINDS = ("key-pair", "certificate-request", "local-certificate")


@click.group()
def pki() -> None:
    """The PKI objects of one endpoint: key pairs, certificates, CRLs."""


for command in (secret, verify, export, clear, crl):
    pki.add_command(command)


@pki.group()
def key() -> None:
    """Key pairs: made here, never imported, never shown."""


@key.command()
@click.argument("certificate_id", metavar="ID")
@click.option(
    "--type", "kind", type=click.Choice(("ecdsa", "rsa", "ed25519", "ed448")), default="ecdsa", show_default=True
)
@click.option("--size", type=int, help="Bits: ecdsa 256 (default), 384, 521; rsa 2048 (default) to 8192.")
@endpoint_option
@json_option
def generate(certificate_id: str, kind: str, size: int | None, endpoint: Path, as_json: bool) -> None:
    """Make the key pair ID in the endpoint's vault."""
    _, store = open_store(endpoint)
    with progress(f"Generating the key pair {certificate_id}"):
        pair = store.generate(certificate_id, kind, size)
    if as_json:
        print_json({"id": pair.id, "type": pair.kind, "size": pair.size, "fingerprint": f"sha256:{pair.fingerprint}"})
        return
    click.echo(f"Generated key pair {pair.id}, key size {pair.size} bits")
    click.echo(f"Public key ({pair.kind}) sha256:{pair.fingerprint}")


@pki.command()
@click.argument("certificate_id", metavar="ID")
@click.option(
    "--subject", metavar="DN", help='Such as "CN=alice, O=Org A". Without it the request that waits is given again.'
)
@click.option("--fqdn", multiple=True, metavar="NAME", help="A host name for subjectAltName; may be repeated.")
@click.option(
    "--email", multiple=True, metavar="ADDRESS", help="An e-mail address for subjectAltName; may be repeated."
)
@click.option(
    "--ip", multiple=True, metavar="ADDRESS", help="An IPv4 or IPv6 address for subjectAltName; may be repeated."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the request is written; default: stdout."
)
@click.option("--format", "form", type=click.Choice(("pem", "der")), default="pem", show_default=True)
@click.option(
    "--mail", metavar="PROFILE", help="Print a mail message to the administrator of this CA profile instead."
)
@endpoint_option
@json_option
def request(
    certificate_id: str,
    subject: str | None,
    fqdn: tuple[str, ...],
    email: tuple[str, ...],
    ip: tuple[str, ...],
    out: Path | None,
    form: str,
    mail: str | None,
    endpoint: Path,
    as_json: bool,
) -> None:
    """Make a certificate request (PKCS#10) of the key pair ID, to be signed by a CA."""
    from ikesim.cli.pki_objects import pem, request_document, request_mail

    if form == "der" and out is None:
        raise UsageError("a DER request is written to a file: add --out FILE")
    loaded, store = open_store(endpoint)
    profile = _profile(loaded, mail) if mail is not None else None
    if subject is None:
        if fqdn or email or ip:
            raise UsageError("a request needs a subject: add --subject DN, such as --subject CN=alice")
        own = store.own_certificates().get(certificate_id)
        if own is None or own.waiting is None:
            raise NotFoundError(f"no request of {certificate_id} waits: make one with --subject DN")
        octets = own.waiting.request
    else:
        octets = store.request(certificate_id, subject, fqdn=fqdn, email=email, ip=ip)
    text = pem("CERTIFICATE REQUEST", octets)
    if out is not None:
        _write(out, octets if form == "der" else text.encode())
    if profile is not None and not as_json:
        click.echo(request_mail(certificate_id, text, profile), nl=False)
    elif as_json:
        print_json(request_document(certificate_id, octets, text, out))
    elif out is None:
        click.echo(text, nl=False)
    else:
        click.echo(
            f"{out}: the request of {certificate_id}; load what the CA returns with "
            f"ikesim pki load FILE --as {certificate_id} --endpoint {endpoint}"
        )


@pki.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--as", "as_id", metavar="ID", help="It is the certificate of this key pair.")
@click.option("--ca", metavar="PROFILE", help="It is the CA certificate of this profile.")
@click.option("--crl", metavar="PROFILE", help="It is a CRL of this profile.")
@endpoint_option
@json_option
def load(file: Path, as_id: str | None, ca: str | None, crl: str | None, endpoint: Path, as_json: bool) -> None:
    """Load a certificate or CRL (PEM, DER, PKCS#7). What it is, is found out, unless said."""
    loaded, store = open_store(endpoint)
    result = store.load(file, as_id=as_id, ca=ca, crl=crl, profiles=tuple(loaded.endpoint.ca_profiles))
    untold = tell_daemon(endpoint) if result.changed else None
    warnings = [*result.warnings, *([untold] if untold else [])]
    if as_json:
        print_json(
            {
                "kind": result.kind.value,
                "name": result.name,
                "changed": result.changed,
                "message": result.sentence,
                "warnings": warnings,
            }
        )
        return
    click.echo(result.sentence)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


@pki.command()
@endpoint_option
@json_option
def ls(endpoint: Path, as_json: bool) -> None:
    """List every PKI object."""
    from ikesim.cli.pki_objects import list_document, list_lines

    loaded, store = open_store(endpoint)
    document = list_document(loaded.endpoint.name, store)
    if as_json:
        print_json(document)
        return
    for line in list_lines(document):
        click.echo(line)


@pki.command()
@click.argument("certificate_id", metavar="ID", required=False)
@click.option("--ca", metavar="PROFILE", help="The CA certificate of this profile.")
@click.option("--crl", metavar="PROFILE", help="The CRLs of this profile.")
@endpoint_option
@json_option
def show(certificate_id: str | None, ca: str | None, crl: str | None, endpoint: Path, as_json: bool) -> None:
    """Show one PKI object in full: what stands under an ID, a CA certificate, or CRLs."""
    from ikesim.cli.pki_objects import show_lines, show_object

    _one_of(certificate_id, ca, crl)
    _, store = open_store(endpoint)
    document = show_object(store, certificate_id, ca, crl)
    if as_json:
        print_json(document)
        return
    for line in show_lines(document):
        click.echo(line)


@pki.command()
@click.argument("certificate_id", metavar="ID", required=False)
@click.option("--kind", type=click.Choice(KINDS), help="Only this of what stands under ID.")
@click.option("--ca", metavar="PROFILE", help="The CA certificate of this profile.")
@click.option("--crl", metavar="PROFILE", help="The CRLs of this profile.")
@endpoint_option
@json_option
def rm(
    certificate_id: str | None, kind: str | None, ca: str | None, crl: str | None, endpoint: Path, as_json: bool
) -> None:
    """Remove PKI objects; without --kind everything under ID, which is free again then."""
    from ikesim.pki.objects import ObjectKind

    _one_of(certificate_id, ca, crl)
    _, store = open_store(endpoint)
    if ca is not None:
        store.remove_ca(ca)
        name, removed = ca, [ObjectKind.CA_CERTIFICATE.value]
    elif crl is not None:
        count = store.remove_crls(crl)
        name, removed = crl, [ObjectKind.CRL.value] * count
    else:
        assert certificate_id is not None
        name = certificate_id
        removed = [one.value for one in store.remove(name, None if kind is None else ObjectKind(kind))]
    untold = tell_daemon(endpoint)
    if as_json:
        print_json({"name": name, "removed": removed})
    else:
        click.echo(f"Removed {', '.join(removed)} of {name}")
    if untold:
        click.echo(f"warning: {untold}", err=True)


@pki.command()
@endpoint_option
@json_option
def check(endpoint: Path, as_json: bool) -> None:
    """Is everything there that certificate authentication needs (MIN-01 to MIN-03)? Exit 1 when not."""
    from ikesim.cli.pki_objects import readiness

    loaded, store = open_store(endpoint)
    items = readiness(loaded, store.snapshot(), store.vault.ids())
    ready = all(item["status"] != "missing" for item in items)
    wanted = [item["command"] for item in items if item["status"] == "missing" and item["command"]]
    if as_json:
        print_json(
            {"endpoint": loaded.endpoint.name, "ready": ready, "next": wanted[0] if wanted else None, "items": items}
        )
    else:
        for item in items:
            click.echo(f"{item['id']}  {item['status']:8} {item['message']}")
        if wanted:
            click.echo(f"next: {wanted[0]}")
    if not ready:
        raise click.exceptions.Exit(1)


def _one_of(certificate_id: str | None, ca: str | None, crl: str | None) -> None:
    if sum(one is not None for one in (certificate_id, ca, crl)) != 1:
        raise UsageError("name one thing: an ID, --ca PROFILE or --crl PROFILE; ikesim pki ls lists what there is")


def _profile(loaded: "LoadedConfig", name: str) -> Any:
    profile = loaded.endpoint.ca_profiles.get(name)
    if profile is None:
        raise NotFoundError(f"the configuration has no CA profile {name}: add [pki.ca-profile.{name}]")
    if profile.administrator_email is None:
        raise UsageError(f"CA profile {name} has nobody to write to: set pki.ca-profile.{name}.administrator-email")
    return profile


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
