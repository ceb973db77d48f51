"""A worker process: reads a function and items from its standard input, writes what the function makes of them to its
standard output."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time

SIZE = struct.Struct(">Q")


def send(stream, value) -> None:
    """Write a value, functions of the main program included, so that `receive` reads it."""
    content = pickler().dumps(value)
    stream.write(SIZE.pack(len(content)) + content)
    stream.flush()


def receive(stream):
    """The next value; EOFError where the other side is gone."""
    import pickle

    return pickle.loads(_exactly(stream, SIZE.unpack(_exactly(stream, SIZE.size))[0]))


def _exactly(stream, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def main(parent: int) -> None:
    """Work until the input ends or the process that started this one is gone. What is printed goes to standard
    error."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    stream_in, stream_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        function = receive(stream_in)
        while True:
            send(stream_out, _answer(function, receive(stream_in)))
    except (EOFError, BrokenPipeError):
        os._exit(0)


def _answer(function, item) -> tuple[str, object]:
    """("result", function(item)), or ("error", what it raised), in a form that can be sent."""
    language = pickler()
    try:
        answer = "result", function(item)
        language.dumps(answer)
        return answer
    except Exception as mistake:
        answer = "error", mistake
    try:
        language.loads(language.dumps(answer))
    except Exception:  # an exception that cannot travel
        answer = "error", RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")
    return answer


def pickler():
    """cloudpickle, which joblib brings: required since 1.6, its own copy before."""
    try:
        import cloudpickle
    except ImportError:
        from joblib.externals import cloudpickle  # pyright: ignore[reportAttributeAccessIssue] before 1.6
    return cloudpickle


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
