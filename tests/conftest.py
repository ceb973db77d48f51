"""What several test files share: fixtures, and the marker that leaves most cases of a test to the slow suite."""

import threading

import pytest

from ufm.demo import server
from ufm.numerics import families


def pytest_collection_modifyitems(items):
    seen = {}
    for item in items:
        marker = item.get_closest_marker("quick")
        if marker is not None:
            seen[item.function] = seen.get(item.function, 0) + 1
            if seen[item.function] > marker.args[0]:
                item.add_marker(pytest.mark.slow)


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


@pytest.fixture
def stop_at(monkeypatch):
    """stop_at(owner, name, call): Ctrl-C comes at that call of a public function, in the midst of what calls it.

    call: a number, counted from 1, or a condition on its arguments.
    """

    def stop(owner, name, call):
        real, calls = getattr(owner, name), []

        def stopped(*args, **named):
            calls.append(args)
            if call(*args, **named) if callable(call) else len(calls) == call:
                raise KeyboardInterrupt
            return real(*args, **named)

        monkeypatch.setattr(owner, name, stopped)

    return stop


@pytest.fixture
def clean(monkeypatch):
    """No file of contributions is in use before a test nor after it."""
    monkeypatch.setenv(families.FROM, "")
    families.forget()
    yield
    families.forget()
