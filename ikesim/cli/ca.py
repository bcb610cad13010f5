"""`ikesim ca`: the lab's certification authority."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ikesim.cli.common import json_option, print_json
from ikesim.cli.progress import progress
from ikesim.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ikesim.pki.authority import LabCa

_DIR = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder of ikesim ca init.",
)
_ISSUER = click.option("--issuer", metavar="CA", help="The authority that signs; default: the only one.")
_DAYS = click.option("--days", type=click.FloatRange(min=0, min_open=True), default=365.0, show_default=True)
_KEY = click.option(
    "--key", "key_type", default="ecdsa-p256", show_default=True, metavar="TYPE", help="Such as rsa-3072 or ed25519."
)


@click.group()
def ca() -> None:
    """The lab's certification authority. It keeps its own keys; endpoints make theirs with ikesim pki."""


@ca.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--declare", type=click.Path(path_type=Path), metavar="FILE", help="A hierarchy in TOML.")
@click.option("--name", default="root", show_default=True, help="Of the one root, without --declare.")
@click.option("--subject", metavar="DN", help="Of the one root; default CN=NAME.")
@_KEY
@click.option("--url", metavar="URL", help="Where ikesim ca serve will be reached: CDP and AIA of what is issued.")
@json_option
def init(
    directory: Path,
    declare: Path | None,
    name: str,
    subject: str | None,
    key_type: str,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a lab's authorities in DIR: what FILE declares, or one root."""
    from ikesim.pki.authority import Authority, LabCa
    from ikesim.pki.authority.declaration import declare as declare_hierarchy

    now = _now()
    with LabCa.create(directory) as lab:
        if declare is not None:
            declare_hierarchy(lab, declare, now)
        else:
            base = "" if url is None else url.rstrip("/")
            lab.check_free(name)
            with progress(f"Generating the key of {name}"):
                authority = Authority.create(
                    name,
                    now=now,
                    subject=subject,
                    key_type=key_type,
                    crl_at=(f"{base}/{name}.crl",) if base else (),
                    ocsp_at=(f"{base}/ocsp/{name}",) if base else (),
                )
            lab.add(authority)
            lab.publish(name, now)
    files = sorted(str(path) for path in directory.iterdir() if path.suffix in (".pem", ".crl"))
    if as_json:
        print_json({"dir": str(directory), "authorities": list(lab.authorities), "files": files})
        return
    click.echo(f"{directory}: authorities {', '.join(lab.authorities)}")
    for file in files:
        click.echo(f"  {file}")


@ca.command()
@click.argument("name", metavar="NAME")
@_DIR
@_ISSUER
@click.option("--subject", metavar="DN", help="Default: CN=NAME.")
@click.option(
    "--san", multiple=True, metavar="TYPE:VALUE", help="fqdn: rfc822: ipv4: ipv6: dn: uri:, may be repeated."
)
@_DAYS
@_KEY
@click.option("--key-out", type=click.Path(path_type=Path), metavar="FILE", help="Default: DIR/NAME.key.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: DIR/NAME.pem.")
@json_option
def issue(
    name: str,
    directory: Path,
    issuer: str | None,
    subject: str | None,
    san: tuple[str, ...],
    days: float,
    key_type: str,
    key_out: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make a key and a certificate for a foreign device (strongSwan and so on), with the chain to the root."""
    from ikesim.pki.authority import LabCa
    from ikesim.pki.authority.directory import private_pem
    from ikesim.pki.disk import write_private

    with LabCa.edit(directory) as lab:
        lab.check_free(name)
        authority = lab.authority(issuer)
        names = list(san) or ([f"fqdn:{name}"] if "." in name else [])
        with progress(f"Generating the key of {name}"):
            leaf = authority.leaf(
                f"CN={name}" if subject is None else subject, names, _now(), days, key_type=key_type, name=name
            )
        key_file = key_out or directory / f"{name}.key"
        write_private(key_file, private_pem(leaf.key))
        file = _write_chain(lab, name, out, leaf.certificate, *authority.chain)
    _report(as_json, leaf.certificate, authority.name, file, key_file)


@ca.command()
@click.argument("csr", type=click.Path(path_type=Path), metavar="CSR")
@_DIR
@_ISSUER
@click.option("--subject", metavar="DN", help="Default: what the request asks for.")
@click.option("--san", multiple=True, metavar="TYPE:VALUE", help="Default: what the request asks for.")
@_DAYS
@click.option(
    "--name", metavar="NAME", help="What ikesim ca revoke calls it; default: the name of CSR without suffix."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@json_option
def sign(
    csr: Path,
    directory: Path,
    issuer: str | None,
    subject: str | None,
    san: tuple[str, ...],
    days: float,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Sign a certificate request (PKCS#10, PEM or DER); FILE gets the certificate and the chain to the root."""
    from ikesim.pki.authority import LabCa

    request = _read_request(csr)
    with LabCa.edit(directory) as lab:
        authority = lab.authority(issuer)
        certificate = authority.issue(request, subject, list(san) or None, _now(), days, name=name or csr.stem)
        file = _write_chain(lab, name or csr.stem, out, certificate, *authority.chain)
    _report(as_json, certificate, authority.name, file, None)


@ca.command()
@click.argument("name_or_serial", metavar="NAME|SERIAL")
@_DIR
@click.option(
    "--reason", metavar="R", help="Of RFC 5280, such as key-compromise; certificate-hold can be taken back."
)
@click.option("--undo", is_flag=True, help="Take it off the list again.")
@json_option
def revoke(name_or_serial: str, directory: Path, reason: str | None, undo: bool, as_json: bool) -> None:
    """Revoke a certificate by its name or hexadecimal serial; ikesim ca crl publishes that."""
    from ikesim.pki.authority import LabCa

    with LabCa.edit(directory) as lab:
        authority, issued = lab.find(name_or_serial)
        if issued.certificate == authority.certificate:
            raise UsageError(
                f"{name_or_serial} is a root: nobody can revoke it; remove it from the CA profiles instead"
            )
        if undo:
            authority.unrevoke(issued.serial)
        else:
            authority.revoke(issued.serial, reason, at=_now())
    state = "not revoked" if undo else "on hold" if reason == "certificate-hold" else "revoked"
    if as_json:
        document = {"name": issued.name, "serial": f"{issued.serial:#x}", "issuer": authority.name, "state": state}
        print_json({**document, "reason": reason})
        return
    click.echo(
        f"{issued.name or name_or_serial}, serial {issued.serial:#x}, is {state} by {authority.name}; "
        f"publish it with: ikesim ca crl --dir {directory}"
    )


@ca.command()
@_DIR
@click.option("--ca", "names", multiple=True, metavar="CA", help="Only this authority's; may be repeated.")
@click.option("--days", type=float, help="How long it lasts; default 7, or what was declared.")
@json_option
def crl(directory: Path, names: tuple[str, ...], days: float | None, as_json: bool) -> None:
    """Make and publish the next CRL of every authority: DIR/CA.crl (DER)."""
    from ikesim.pki.authority import LabCa

    made: list[dict[str, Any]] = []
    with LabCa.edit(directory) as lab:
        for name in names or tuple(lab.authorities):
            path = lab.publish(name, _now(), days)
            authority = lab.authority(name)
            made.append(
                {"ca": name, "file": str(path), "number": authority.crl_number, "entries": len(authority.revoked)}
            )
    if as_json:
        print_json({"crls": made})
        return
    for one in made:
        click.echo(f"{one['file']}: CRL number {one['number']} of {one['ca']}, {_count(one['entries'])}")


@ca.command()
@_DIR
@json_option
def ls(directory: Path, as_json: bool) -> None:
    """List the authorities and what they issued."""
    from ikesim.pki.authority import LabCa
    from ikesim.pki.certificates import parse

    lab = LabCa.open(directory)
    document: list[dict[str, Any]] = [
        {
            "ca": name,
            "issuer": None if authority.issuer is None else authority.issuer.name,
            "crl_number": authority.crl_number,
            "issued": [
                {
                    "name": one.name,
                    "serial": f"{one.serial:#x}",
                    "subject": parse(one.certificate).names,
                    "not_after": parse(one.certificate).not_after.isoformat(),
                    "revoked": one.serial in authority.revoked,
                }
                for one in authority.issued.values()
            ],
        }
        for name, authority in lab.authorities.items()
    ]
    if as_json:
        print_json({"dir": str(directory), "authorities": document})
        return
    for entry in document:
        above = f"under {entry['issuer']}" if entry["issuer"] else "root"
        click.echo(f"{entry['ca']} ({above}, CRL number {entry['crl_number']})")
        for one in entry["issued"]:
            mark = "  revoked" if one["revoked"] else ""
            click.echo(
                f"  {one['name'] or '-'}  {one['subject']}  {one['serial']}  until {one['not_after'][:10]}{mark}"
            )


@ca.command()
@_DIR
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="A", help="ADDRESS:PORT; port 0: any.")
@json_option
def serve(directory: Path, listen: str, as_json: bool) -> None:
    """Publish certificates, CRLs and OCSP over HTTP until interrupted."""
    from ikesim.wire.address import Address

    try:
        address = Address.parse(listen)
    except ValueError:
        raise UsageError(f"{listen!r} is not ADDRESS:PORT, such as 127.0.0.1:8080") from None
    asyncio.run(_serve(directory, address.host, address.port, as_json))


async def _serve(directory: Path, host: str, port: int, as_json: bool) -> None:
    from ikesim.lab.authorities import AuthorityService

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AuthorityService(directory, host, port, _now) as service:
        if as_json:
            print_json({"url": service.url(""), "documents": service.documents()})
        else:
            click.echo(f"serving {directory} at {service.url('')} until interrupted")
            for document in service.documents():
                click.echo(f"  {service.url(document)}")
        await stop.wait()


def _count(entries: int) -> str:
    return f"{entries} entr{'y' if entries == 1 else 'ies'}"


def _now() -> datetime:
    return datetime.now(UTC)


def _read_request(file: Path) -> bytes:
    """The DER of a PKCS#10 request in a file. Raises NotFoundError or UsageError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        octets = file.read_bytes()
        load = x509.load_pem_x509_csr if b"-----BEGIN" in octets else x509.load_der_x509_csr
        return load(octets).public_bytes(Encoding.DER)
    except FileNotFoundError:
        raise NotFoundError(f"{file} does not exist") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise UsageError(f"{file} is not a certificate request (PKCS#10 in PEM or DER)") from None


def _write_chain(lab: "LabCa", name: str, out: Path | None, *certificates: bytes) -> Path:
    from ikesim.pki.authority.directory import pem, write_public

    if out is None:
        return lab.write_pem(name, *certificates)
    write_public(out, b"".join(pem(one) for one in certificates))
    return out


def _report(as_json: bool, certificate: bytes, issuer: str, file: Path, key_file: Path | None) -> None:
    from ikesim.pki.certificates import parse

    parsed = parse(certificate)
    if as_json:
        document = {**parsed.summary.to_json(), "ca": issuer, "file": str(file)}
        print_json(document if key_file is None else {**document, "key_file": str(key_file)})
        return
    click.echo(
        f"{file}: {parsed.names}, serial {parsed.serial:#x}, signed by {issuer}, until {parsed.not_after:%Y-%m-%d}"
    )
    if key_file is not None:
        click.echo(f"{key_file}: its private key")
