"""The HTTP service of a lab's authorities: certificates, CRLs and OCSP, from the folder of `ikesim ca`.

CRLs are served as they were published; OCSP answers are made when asked, from the records as they stand then.

    GET  /NAME.crl          the CRL of an authority (DER)
    GET  /NAME.der, .pem    a certificate
    POST /ocsp/NAME         OCSP (RFC 6960 appendix A), also GET /ocsp/NAME/BASE64
"""

import base64
import binascii
import urllib.parse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from ikesim.errors import IkesimError, NotFoundError, UsageError
from ikesim.lab.services import CERTIFICATE_TYPE, CRL_TYPE
from ikesim.pki.authority import LabCa
from ikesim.pki.containers import recognise
from ikesim.pki.vault import ID_PATTERN

OCSP_TYPE = "application/ocsp-response"
"""RFC 6960 appendix A.1."""
MAX_REQUEST = 64 * 1024
"""Octets of an OCSP request; one about one certificate has about 100."""


class AuthorityService:
    """Serves one folder; an asynchronous context manager. `clock` dates OCSP answers."""

    def __init__(self, directory: Path, host: str, port: int, clock: Callable[[], datetime]) -> None:
        self.directory = directory
        self._host, self._port, self._clock = host, port, clock
        self._lab = LabCa.open(directory)
        self._stamp = self._lab.stamp()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Open the socket. Raises UsageError when that cannot be done."""
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_post("/ocsp/{name}", self._post_ocsp)
        app.router.add_get("/ocsp/{name}/{request:.+}", self._get_ocsp)
        app.router.add_get("/{file}", self._get_file)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            where = f"{self._host}:{self._port}"
            raise UsageError(f"no HTTP service can listen on {where}: {error.strerror or error}") from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket and the connections to it."""
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, path: str) -> str:
        """The URL of a document."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/{path}"

    def documents(self) -> list[str]:
        """What can be asked for, as paths."""
        files = sorted(path.name for path in self.directory.iterdir() if path.suffix in (".crl", ".pem"))
        return [*files, *(f"ocsp/{name}" for name in self._lab.authorities)]

    async def _get_file(self, request: web.Request) -> web.Response:
        stem, _, suffix = request.match_info["file"].rpartition(".")
        source = self.directory / f"{stem}.{'crl' if suffix == 'crl' else 'pem'}"
        if suffix not in ("crl", "pem", "der", "crt") or not ID_PATTERN.fullmatch(stem) or not source.is_file():
            raise web.HTTPNotFound(text=f"nothing is published under {request.path}\n")
        content = source.read_bytes()
        if suffix == "crl":
            return web.Response(body=content, content_type=CRL_TYPE)
        if suffix == "pem":
            return web.Response(body=content, content_type="application/x-pem-file")
        return web.Response(body=recognise(content, source.name).certificates[0], content_type=CERTIFICATE_TYPE)

    async def _post_ocsp(self, request: web.Request) -> web.Response:
        return self._answer(request.match_info["name"], await request.read())

    async def _get_ocsp(self, request: web.Request) -> web.Response:
        try:
            octets = base64.b64decode(urllib.parse.unquote(request.match_info["request"]))
        except binascii.Error:
            octets = b""
        return self._answer(request.match_info["name"], octets)

    def _answer(self, name: str, request: bytes) -> web.Response:
        try:
            if self._lab.stamp() != self._stamp:
                self._lab, self._stamp = LabCa.open(self.directory), self._lab.stamp()
            body = self._lab.respond(name, request, self._clock())
        except NotFoundError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        except IkesimError as error:
            raise web.HTTPInternalServerError(text=f"{error}\n") from None
        return web.Response(body=body, content_type=OCSP_TYPE)
