"""The teaching page served: the page itself and one question to the real solver, on this machine alone."""

from __future__ import annotations

import json
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ufm.demo.assembly import page
from ufm.numerics import arguments
from ufm.numerics.records import plain

HOST = "127.0.0.1"
LIMITS = {"K": (2, 20), "n": (1, 50), "L": (1, 10), "d": (1, 40)}
"""What the page's sliders can ask; the server refuses the rest, so that no question takes long."""

LONGEST = 4096
"""Bytes of a question."""


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
        server = ThreadingHTTPServer((HOST, port), _Handler)
    except (OSError, OverflowError) as mistake:
        raise ValueError(f"port {port} of {HOST} cannot be served: {mistake}; name another with --port, or none and a free one is taken.") from None
    server.daemon_threads, server.solver = True, threading.Lock()
    return server


def address(server) -> str:
    return f"http://{HOST}:{server.server_address[1]}/"


def answer(question) -> dict:
    """`ufm compare` of the problem {K, n, L, d, lam, loss} the page asks about, as its JSON.

    Raises ValueError naming what is missing, unknown or beyond the page's sliders.
    """
    from ufm.landscapes.compare import compare

    return plain(compare(read_question(question), starts=10, rng=0, progress=False).to_dict())


def read_question(question):
    """The Problem a question means, or a ValueError saying what is wrong with it."""
    from ufm.problem import Problem

    arguments.instance("question", question, dict)
    known = (*LIMITS, "lam", "loss")
    for key in question:
        arguments.choice("field", key, known)
    for key in known:
        if key not in question:
            raise ValueError(f"field {key} is missing; a question has {', '.join(known)}.")
    sizes = {key: _within(key, question[key], *bounds) for key, bounds in LIMITS.items()}
    lam = arguments.positive("lam", question["lam"])
    if not 1e-8 <= lam <= 1e3:
        raise ValueError(f"lam must lie between 1e-8 and 1e3; got lam={lam!r}.")
    return Problem(lam=lam, loss=arguments.choice("loss", question["loss"], ("ce", "mse")), **sizes)


def _within(name: str, value, least: int, most: int) -> int:
    value = arguments.integer(name, value, least)
    if value > most:
        raise ValueError(f"{name} must be at most {most} here; got {name}={value}.")
    return value


class _Handler(BaseHTTPRequestHandler):
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
            with self.server.solver:
                self._send(200, "application/json", json.dumps(answer(question), allow_nan=False))
        except (ValueError, OverflowError) as mistake:
            self._refuse(400, str(mistake))
        except Exception as failure:
            self._refuse(500, f"the solver failed: {failure!r}")

    def _read(self):
        if self.headers.get_content_type() != "application/json":
            raise ValueError("a question must be sent as application/json.")
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or not 0 < int(size) <= LONGEST:
            raise ValueError(f"a question must have between 1 and {LONGEST} bytes; got Content-Length {size or 'missing'}.")
        try:
            return json.loads(self.rfile.read(int(size)))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as mistake:
            raise ValueError(f"the question is not JSON: {mistake}") from None

    def _is_local(self) -> bool:
        """Only pages of this server may ask: other names for this address are other sites in disguise."""
        port = self.server.server_address[1]
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
