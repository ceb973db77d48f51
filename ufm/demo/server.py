"""The teaching page served: the page itself and one question to the real solver, on this machine alone."""

from __future__ import annotations

import json
import select
import socket
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ufm.demo.assembly import page
from ufm.demo.questions import Abandoned, Busy, Desk, Late, read_question
from ufm.numerics import arguments

HOST = "127.0.0.1"
LONGEST, PATIENCE = 4096, 5.0
"""Bytes of a question, and seconds until all of them must have come."""


def serve(port: int = 0, open_browser: bool = True) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C; port 0 takes a free one. Prints the address.

    Raises ValueError for a port that is not 0..65535, or in use.
    """
    with make_server(port) as server:
        try:
            print(f"ufm demo: {address(server)} (Ctrl-C ends)", flush=True)
            if open_browser:
                webbrowser.open(address(server))
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nufm demo: ended")


def make_server(port: int = 0) -> ThreadingHTTPServer:
    """The server, bound and not yet running."""
    port = arguments.integer("port", port, 0)
    if port > 65535:
        raise ValueError(f"port must be at most 65535; got port={port}.")
    try:
        return _Server((HOST, port), _Handler)
    except (OSError, OverflowError) as mistake:
        raise ValueError(
            f"port {port} of {HOST} cannot be served: {mistake}; name another with --port, or none and a free one is"
            " taken."
        ) from None


def address(server) -> str:
    return f"http://{HOST}:{server.server_address[1]}/"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *where):
        self.desk, self.patience = Desk(), PATIENCE
        super().__init__(*where)

    def server_close(self):
        self.desk.close()
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version, timeout = "ufm", "", 30

    def do_GET(self):
        if not self._is_local():
            return
        if self.path.split("?")[0] in ("/", "/index.html"):
            self._send(200, "text/html; charset=utf-8", page(server=True))
        else:
            self._refuse(404, f"nothing at {self.path}; the page is at /.")

    def do_POST(self):
        if not self._is_local():
            return
        if self.path != "/api/compare":
            return self._refuse(404, f"nothing at {self.path}; questions go to /api/compare.")
        try:
            question = self._read()
            read_question(question)
            self._send(
                200, "application/json", json.dumps(self.server.desk.ask(question, self._is_gone), allow_nan=False)
            )
        except (ValueError, OverflowError) as mistake:
            self._refuse(400, str(mistake))
        except TimeoutError as stalled:
            self._refuse(408, str(stalled))
        except Busy as full:
            self._refuse(503, str(full))
        except Late as limit:
            self._refuse(504, str(limit))
        except (Abandoned, ConnectionError):
            self.close_connection = True
        except Exception as failure:
            self._refuse(500, f"the solver failed: {failure!r}")

    def _read(self):
        if self.headers.get_content_type() != "application/json":
            raise ValueError("a question must be sent as application/json.")
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or not 0 < int(size) <= LONGEST:
            raise ValueError(
                f"a question must have between 1 and {LONGEST} bytes; got Content-Length {size or 'missing'}."
            )
        try:
            return json.loads(self._body(int(size)))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as mistake:
            raise ValueError(f"the question is not JSON: {mistake}") from None

    def _body(self, size: int) -> bytes:
        """The question's bytes; TimeoutError when they have not all come within the server's patience."""
        body, until = b"", time.monotonic() + self.server.patience
        while len(body) < size:
            left = until - time.monotonic()
            self.connection.settimeout(max(left, 1e-3))
            try:
                part = self.rfile.read1(size - len(body)) if left > 0 else None
            except TimeoutError:
                part = None
            if part is None:
                raise TimeoutError(
                    f"{len(body)} of {size} bytes came within {self.server.patience:g} s; send a question at once."
                )
            if not part:
                raise ValueError(f"the question ended after {len(body)} of {size} bytes.")
            body += part
        self.connection.settimeout(self.timeout)
        return body

    def _is_gone(self) -> bool:
        """Whether who asked has hung up: then there is something to read, and it is nothing."""
        try:
            return bool(select.select([self.connection], [], [], 0)[0]) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _is_local(self) -> bool:
        """Only pages of this server may ask: other names for this address are other sites in disguise."""
        port = self.server.server_port
        if self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}"):
            return True
        self._refuse(403, f"ask for {HOST}:{port}.")
        return False

    def _refuse(self, code: int, why: str) -> None:
        self.close_connection = True
        self._send(code, "application/json", json.dumps({"error": why}))

    def _send(self, code: int, kind: str, text: str) -> None:
        body = text.encode("utf-8")
        try:
            self.send_response(code)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the reader has left

    def log_message(self, *_):
        """Quiet: the terminal belongs to the lecture."""
