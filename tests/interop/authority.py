"""A PKI made with strongSwan's `pki`: nothing that the cases rely on is of our own make, but for the requests.

Everything is made once, before the first case:

    north          the root of both sides
      near, far    intermediates, `near` for our certificate, `far` for strongSwan's
    south          a root that both sides hold, outside the group that the connection trusts
    west           a root whose certificates say where its CRL is; nobody holds that CRL
    stranger       a root that nobody holds
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.interop.processes import run

KEY_TYPES = {
    "p256": ("--type", "ecdsa", "--size", "256"),
    "p384": ("--type", "ecdsa", "--size", "384"),
    "rsa": ("--type", "rsa", "--size", "2048"),
    "ed25519": ("--type", "ed25519"),
}
DATE_FORMAT = "%Y%m%d%H%M%S"


class Authority:
    """One CA and what it issued; file names are `NAME.crt` and `NAME.key` in its folder."""

    def __init__(self, folder: Path, name: str, issuer: "Authority | None" = None, *, url: str = "") -> None:
        self.folder, self.name = folder, name
        self._points_to = ("--crl", url) if url else ()
        self._revoked: list[Path] = []
        make_key(self._key, "p256")
        subject = ("--dn", f"O=Interop Lab, CN={name}", "--ca", "--outform", "pem")
        if issuer is None:
            made = run("pki", "--self", "--in", self._key, "--type", "priv", "--lifetime", "3650", *subject)
        else:
            made = run(
                "pki", "--issue", *issuer.signer, "--in", self._key, "--type", "priv", "--lifetime", "1825", *subject
            )
        self.path.write_bytes(made.stdout)

    @property
    def path(self) -> Path:
        """The CA's certificate, PEM."""
        return self.folder / f"{self.name}.crt"

    @property
    def certificate(self) -> bytes:
        """The CA's certificate, PEM."""
        return self.path.read_bytes()

    @property
    def _key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def signer(self) -> tuple[str | Path, ...]:
        """The arguments that let `pki` sign as this CA."""
        return ("--cacert", self.path, "--cakey", self._key)

    def issue(
        self, source: Path, out: Path, *, kind: str, expired: bool = False, names: tuple[str, ...] = ()
    ) -> Path:
        """A certificate for a key (`kind` "priv", then `names` become its SANs) or a request ("pkcs10")."""
        lifetime = ["--lifetime", "365"]
        if expired:
            end = datetime.now(UTC) - timedelta(days=1)
            dates = ((end - timedelta(days=30)).strftime(DATE_FORMAT), end.strftime(DATE_FORMAT))
            lifetime = ["--dateform", DATE_FORMAT, "--not-before", dates[0], "--not-after", dates[1]]
        sans = [word for name in names for word in ("--san", name)]
        subject = ["--dn", f"O=Interop Lab, CN={names[0]}"] if names else []
        made = run(
            "pki",
            "--issue",
            *self.signer,
            "--in",
            source,
            "--type",
            kind,
            *lifetime,
            *subject,
            *sans,
            *self._points_to,
            "--outform",
            "pem",
        )
        out.write_bytes(made.stdout)
        return out

    def revoke(self, certificate: Path) -> None:
        """List a certificate on every CRL made from now on."""
        self._revoked.append(certificate)

    def crl(self) -> Path:
        """A fresh CRL, DER."""
        entries = [word for path in self._revoked for word in ("--reason", "key-compromise", "--cert", str(path))]
        out = self.folder / f"{self.name}.crl"
        out.write_bytes(run("pki", "--signcrl", *self.signer, "--lifetime", "7", *entries).stdout)
        return out


def make_key(path: Path, kind: str) -> Path:
    """A private key of one of KEY_TYPES, PEM."""
    path.touch(mode=0o600)
    path.write_bytes(run("pki", "--gen", *KEY_TYPES[kind], "--outform", "pem").stdout)
    return path
