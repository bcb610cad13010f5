"""strongSwan's IKE daemon in a namespace, configured and watched over VICI."""

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any

import vici
from vici.exception import CommandException

from tests.interop.network import OURS, THEIRS
from tests.interop.processes import PATIENCE, LabError, run, start, stop

CHARON = Path("/usr/lib/ipsec/charon")

# kernel-libipsec does ESP in user space, over a TUN device: the kernel may have no ESP transform.
PLUGINS = (
    "random nonce aesni openssl aes sha1 sha2 hmac kdf drbg x509 revocation constraints pubkey pem pkcs1 pkcs8 "
    "curve25519 chapoly gcm curl kernel-libipsec kernel-netlink socket-default vici updown"
)

SETTINGS = """\
charon {{
  load = {plugins}
  port = {port}
  port_nat_t = {port_nat_t}
  install_virtual_ip = no
  retransmit_timeout = 2.0
{extra}
  plugins {{
    vici {{
      socket = unix://{folder}/vici
    }}
  }}
  filelog {{
    main {{
      path = {folder}/log
      default = 1
      flush_line = yes
    }}
  }}
}}
"""

CONNECTION = "lab"
CHILD = "net"


class Charon:
    """One charon. Its connection is "lab", with one CHILD_SA "net"."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self.settings: dict[str, str | int] = {}
        self._process: Popen[bytes] | None = None
        self._log_from = 0
        folder.mkdir()

    # -- its life --

    def configure(self, **settings: str | int) -> None:
        """Run with exactly these settings; a running daemon is restarted only where they differ."""
        if self._process and settings == self.settings:
            return
        self.stop()
        self.settings = settings
        ports = {"port": 500, "port_nat_t": 4500}
        extra = "".join(f"  {key} = {value}\n" for key, value in settings.items() if key not in ports)
        ports = {key: int(settings.get(key, default)) for key, default in ports.items()}
        (self.folder / "strongswan.conf").write_text(
            SETTINGS.format(plugins=PLUGINS, extra=extra, folder=self.folder, **ports)
        )
        # A /var/run of its own, for charon's pid file has a fixed path.
        command = ["ip", "netns", "exec", self.namespace, "unshare", "-m", "sh", "-c",
                   f"mount -t tmpfs tmpfs /var/run && exec {CHARON}"]  # fmt: skip
        environment = {"STRONGSWAN_CONF": str(self.folder / "strongswan.conf")}
        self._process = start(command, log=self.folder / "output", environment=environment)
        self._wait_until_it_answers(self._process)

    def _wait_until_it_answers(self, process: Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._call("version")
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "output").read_text(errors="replace")
                    raise LabError(f"charon did not start: {said}") from None
                select.select([], [], [], 0.02)  # the socket appears without an event that one could wait for
            else:
                return

    def stop(self) -> None:
        """End the daemon and wait until it is gone: only then are its ports free."""
        if self._process:
            process, self._process = self._process, None
            stop(process)

    # -- VICI --

    @contextlib.contextmanager
    def session(self, timeout: float = PATIENCE) -> Iterator[vici.Session]:
        """A VICI session of its own, closed afterwards."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(self.folder / "vici"))
            yield vici.Session(connection)

    def _call(self, command: str, message: Mapping[str, Any] | None = None) -> Any:
        with self.session() as session:
            return session.request(command, message)

    def load(
        self,
        *,
        certificates: Sequence[bytes] = (),
        key: bytes,
        authorities: Sequence[bytes],
        crls: Sequence[bytes] = (),
        connection: Mapping[str, Any],
    ) -> None:
        """Replace all credentials and the connection; SAs of earlier ones are ended."""
        with self.session() as session:
            for name in session.request("get-conns")["conns"]:
                session.unload_conn({"name": name})
            session.clear_creds()
            session.flush_certs({})
            for authority in authorities:
                session.load_cert({"type": "X509", "flag": "CA", "data": authority})
            for certificate in certificates:
                session.load_cert({"type": "X509", "flag": "NONE", "data": certificate})
            for crl in crls:
                session.load_cert({"type": "X509_CRL", "data": crl})
            session.load_key({"type": "any", "data": key})
            session.load_conn({CONNECTION: connection})

    def initiate(self) -> str | None:
        """Establish the IKE SA and its CHILD SA. Returns None, or charon's own words for why not."""
        with self.session(PATIENCE + 5) as session:
            request = {"ike": CONNECTION, "child": CHILD, "timeout": int(PATIENCE * 1000)}
            try:
                for _ in session.initiate(request):
                    pass
            except CommandException as refused:
                return str(refused)
        return None

    def rekey(self, what: str) -> None:
        """Begin to rekey the IKE SA ("ike") or the CHILD SA ("child")."""
        self._call("rekey", {"ike": CONNECTION} if what == "ike" else {"child": CHILD})

    def terminate_all(self) -> None:
        """End every IKE SA at once, without waiting for the peer."""
        with self.session() as session:
            for number in [sa["uniqueid"] for entry in session.list_sas() for sa in entry.values()]:
                with contextlib.suppress(CommandException):  # it may have ended by itself meanwhile
                    for _ in session.terminate({"ike-id": number, "force": "yes", "timeout": 1000}):
                        pass

    def sas(self) -> list[dict[str, Any]]:
        """Its IKE SAs, as text: the peer's own view."""
        with self.session() as session:
            return [_text(sa) for entry in session.list_sas() for sa in entry.values()]

    def established(self) -> dict[str, Any]:
        """Its one established IKE SA. Raises AssertionError when there is another number of them."""
        sas = [sa for sa in self.sas() if sa["state"] == "ESTABLISHED"]
        assert len(sas) == 1, f"charon has {len(sas)} established IKE SAs"
        return sas[0]

    def wait(self, events: Sequence[str], until: Callable[[], bool]) -> None:
        """Wait for charon's events until a condition holds. Raises LabError when it does not come to hold."""
        deadline = time.monotonic() + PATIENCE
        with self.session() as session:
            listener = session.listen(list(events), timeout=0.5)
            with contextlib.closing(listener):
                next(listener)  # registered: from here on nothing is missed
                while not until():
                    if time.monotonic() > deadline:
                        raise LabError(
                            f"charon's {' or '.join(events)} did not bring it about; its log:\n{self.log()}"
                        )
                    next(listener)

    # -- its log --

    def mark(self) -> None:
        """`log` begins here."""
        path = self.folder / "log"
        self._log_from = path.stat().st_size if path.exists() else 0

    def log(self) -> str:
        """What charon wrote since the mark, each line without its thread and subsystem."""
        with (self.folder / "log").open("rb") as log:
            log.seek(self._log_from)
            text = log.read().decode(errors="replace")
        return re.sub(r"(?m)^.*?\d\d\[\w+\] (<[^>]*> )?", "", text)


def connection(
    *,
    certificate: bytes | None,
    own_id: str,
    peer_id: str,
    authorities: Sequence[bytes],
    proposal: str,
    esp: str = "aes128gcm16",
    auth: str = "pubkey",
    port: int = 500,
    peer_port: int = 500,
    mirrored: bool = False,
) -> dict[str, Any]:
    """A connection for `Charon.load`, as swanctl.conf would have it; revocation is checked strictly.

    `mirrored` is for a strongSwan in our place.
    """
    own, peer = (OURS, THEIRS) if mirrored else (THEIRS, OURS)
    ports = {}
    if port != 500:
        ports["local_port"] = str(port)
    if peer_port != 500:
        ports["remote_port"] = str(peer_port)
    return {
        "version": "2",
        "local_addrs": [own.address],
        "remote_addrs": [peer.address],
        **ports,
        "encap": "yes",
        "proposals": [proposal],
        "local-1": {"auth": auth, "id": own_id, "certs": [certificate] if certificate else []},
        "remote-1": {"auth": "pubkey", "id": peer_id, "cacerts": list(authorities), "revocation": "strict"},
        "children": {
            CHILD: {
                "local_ts": [own.subnet],
                "remote_ts": [peer.subnet],
                "esp_proposals": [esp],
            }
        },
    }


def _text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def strongswan_version() -> str:
    """What `swanctl --version` says of itself, in one line."""
    return run("swanctl", "--version").stdout.decode().strip().splitlines()[0]
