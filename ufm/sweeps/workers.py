"""Worker processes: results as they are finished, and none of them outlives the run, however it ends."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator

DIED = "a worker process died, killed or out of memory; the same command does the rest, where memory is short with fewer --jobs"


class WorkerDied(RuntimeError):
    """A worker process ended before its work; the message is one sentence."""

    def __init__(self):
        super().__init__(f"{DIED}.")


def unordered(function: Callable, items: Iterable, jobs: int | None = None) -> Iterator:
    """function(item) of every item, each as it is finished, in `jobs` processes (default: the cores) of one BLAS thread each.

    Inside `joblib.parallel_config(...)` its backend is used. Closing the iterator, or an exception, ends the processes at once; they also
    end when this process does. Ctrl-C reaches this process alone. Raises WorkerDied where a process ends by itself.
    """
    import joblib

    with _backend(jobs) as options:
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="8*n_jobs", **options)
        with _ctrl_c_held():  # processes started here never see it
            results = parallel(joblib.delayed(function)(item) for item in items)
        try:
            yield from results
        except concurrent.futures.BrokenExecutor:
            raise WorkerDied from None
        finally:
            results.close()


@contextlib.contextmanager
def _backend(jobs: int | None):
    """The arguments of joblib.Parallel: processes of our own unless a backend was chosen from outside."""
    import joblib
    from joblib.parallel import get_active_backend

    backend, outside = get_active_backend()
    if type(backend).__name__ not in ("LokyBackend", "SequentialBackend", "ThreadingBackend") or (outside or 1) != 1:
        yield {"n_jobs": jobs}
        return
    own = {"n_jobs": jobs or cores(), "inner_max_num_threads": 1}
    try:
        chosen = joblib.parallel_config("loky", **own, initializer=_attend, initargs=(os.getpid(),))
    except TypeError:  # joblib before 1.5
        chosen = joblib.parallel_config("loky", **own)
    with chosen:
        yield {}


def cores() -> int:
    """Processors this process may use."""
    import joblib

    return joblib.cpu_count()


@contextlib.contextmanager
def _ctrl_c_held():
    """Within: Ctrl-C waits, and processes started here ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _attend(parent: int) -> None:
    """In a worker: end with the process that started it."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
