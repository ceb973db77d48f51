"""Fixtures that several test files share."""

import threading

import pytest

from ufm.demo import server


@pytest.fixture(scope="module")
def served():
    """The address of a running demo server."""
    running = server.make_server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield server.address(running)
    running.shutdown()
    running.server_close()
    thread.join()
