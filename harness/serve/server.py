"""The server: a request in, a page or a file out. Nothing but GET and HEAD."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import IO, Final
from urllib.parse import parse_qs, unquote, urlsplit

from harness.report.artifacts import RunDir
from harness.serve import pages, paths

TYPES: Final = {".html": "text/html", ".svg": "image/svg+xml"}
"""Everything else is plain text."""
OWN: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
)
FILE: Final = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
"""The policy of a run's file, besides the one that a report has itself: no part of this site, and no way to
any other."""
TIMEOUT_S: Final = 30
PIECE_BYTES: Final = 1 << 16


class Server(ThreadingHTTPServer):
    """Raises `OSError` if it cannot listen there."""

    daemon_threads = True

    def __init__(self, root: Path, host: str, port: int) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), partial(_Handler, root, host))

    @property
    def url(self) -> str:
        host, port = self.server_address[0], self.server_address[1]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


class _Handler(BaseHTTPRequestHandler):
    server_version = "stormcellar"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S

    def __init__(self, root: Path, host: str, *args: object) -> None:
        self._root = root
        self._host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Requests are nobody's business."""

    def _answer(self) -> None:
        if not _named_honestly(self.headers.get("Host", ""), self._host):
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "ask by an address, or as localhost")
        try:
            url = urlsplit(self.path)
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST, "that is not an address")
        parts = [_named(part) for part in url.path.split("/")[1:]]
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if parts == [""]:
            return self._index(asked)
        if parts == ["compare"]:
            return self._compare(asked)
        if parts[0] == "runs":
            return self._run(parts[1:])
        return self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _index(self, asked: dict[str, str]) -> None:
        """`q`: words that are all in what is listed of a run; `from`: how many newer ones are left out."""
        found = [(name, RunDir(self._root.joinpath(*name))) for name in paths.runs(self._root)]
        after = asked.get("from", "")
        skipped = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0
        return self._page(pages.index(found, asked.get("q", ""), skipped))

    def _compare(self, asked: dict[str, str]) -> None:
        chosen = []
        for side in ("a", "b"):
            name = tuple(_named(asked.get(side, "")).split("/"))
            run = paths.run_dir(self._root, name)
            if run is None:
                return self._refuse(HTTPStatus.NOT_FOUND, f"{side.upper()} is not the name of a run")
            chosen.append((name, run))
        return self._page(pages.side_by_side(*chosen))

    def _run(self, parts: list[str]) -> None:
        """The run that the first of `parts` name, or the file of it that the others do."""
        for depth in paths.DEPTHS:
            name, rest = tuple(parts[:depth]), parts[depth:]
            run = paths.run_dir(self._root, name)
            if run is not None and rest in ([], [""]):
                return self._page(pages.one(name, run, paths.files(run)))
            if run is not None:
                return self._file(run, "/".join(rest))
        return self._refuse(HTTPStatus.NOT_FOUND, "there is no such run")

    def _file(self, run: RunDir, name: str) -> None:
        found = paths.opened(run, name)
        if found is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "the run has no such file")
        file, size_bytes = found
        with file:
            kind = TYPES.get(Path(name).suffix, "text/plain")
            self._begin(HTTPStatus.OK, f"{kind}; charset=utf-8", size_bytes, FILE)
            if self.command != "HEAD":
                self._send(file, size_bytes)
        return None

    def _send(self, file: IO[bytes], left_bytes: int) -> None:
        """So much of a file, which may be growing; one that has shrunk ends the connection."""
        while left_bytes and (data := file.read(min(left_bytes, PIECE_BYTES))):
            self.wfile.write(data)
            left_bytes -= len(data)
        self.close_connection = self.close_connection or left_bytes > 0

    def _page(self, text: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = text.encode()
        self._begin(status, "text/html; charset=utf-8", len(body), OWN)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._page(pages.refusal(sentence), status)

    def _begin(self, status: HTTPStatus, kind: str, size_bytes: int, policy: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size_bytes))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()


def _named(quoted: str) -> str:
    """A file's name, also one that is not UTF-8."""
    return unquote(quoted, errors="surrogateescape")


def _named_honestly(header: str, host: str) -> bool:
    """Whether who asks knows the server by an address, as `localhost`, or by the name it was given."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
        if name in ("localhost", host.lower()):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True
