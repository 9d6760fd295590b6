"""Does the work that the host's process asks for, each in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.worker import sandbox
from mcp_plugin_stats.worker.limits import bound_memory
from mcp_plugin_stats.worker.messages import Answer, Request, Setup, receive, send
from mcp_plugin_stats.worker.session import reason

if TYPE_CHECKING:
    import duckdb


class Task:
    """One piece of work, which can be stopped from another thread."""

    def __init__(self) -> None:
        self.stopped = False
        self._interrupt: Callable[[], None] | None = None

    def on_stop(self, interrupt: Callable[[], None]) -> None:
        """Set what interrupts the work. It may be called at any time, many times."""
        self._interrupt = interrupt
        if self.stopped:
            interrupt()

    def stop(self) -> None:
        """Interrupt the work."""
        self.stopped = True
        if self._interrupt is not None:
            with contextlib.suppress(Exception):
                self._interrupt()

    def check(self) -> None:
        """Raise DataError if the work was stopped."""
        if self.stopped:
            raise DataError("The call was stopped.")


class Desk:
    """The state of the worker: the database for queries, and the running tasks."""

    def __init__(self, setup: Setup, connection: duckdb.DuckDBPyConnection) -> None:
        self.setup = setup
        self.connection = connection
        self._tasks: dict[int, Task] = {}
        self._sending = threading.Lock()

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Do the work of every request until the other side has ended."""
        with contextlib.suppress(EOFError):
            while True:
                request = receive(requests)
                if request.work is None:
                    task = self._tasks.get(request.number)
                    if task is not None:
                        task.stop()
                    continue
                self._tasks[request.number] = task = Task()
                threading.Thread(target=self._work, args=(request, task, answers), daemon=True).start()

    def _work(self, request: Request, task: Task, answers: BinaryIO) -> None:
        try:
            answer = self._answer(request, task)
            with self._sending:
                try:
                    send(answers, answer)
                except ValueError as error:
                    send(answers, Answer(request.number, "refused", f"The result is too large ({error}): reduce it."))
            self._tasks.pop(request.number, None)
        except BaseException:
            os._exit(1)  # Without an answer, the caller would wait for its timeout.

    def _answer(self, request: Request, task: Task) -> Answer:
        assert request.work is not None
        try:
            return Answer(request.number, "done", request.work(self, task))
        except DataError as error:
            return Answer(request.number, "refused", str(error))
        except FileNotFoundError as error:
            return Answer(request.number, "missing", str(error))
        except MemoryError:
            return Answer(request.number, "exhausted", sandbox.too_much_memory(self.setup.memory_limit))
        except Exception as error:
            import duckdb

            text = reason(error, self.setup.memory_limit)
            if text == sandbox.too_much_memory(self.setup.memory_limit):
                return Answer(request.number, "exhausted", text)
            if isinstance(error, duckdb.InternalException | duckdb.FatalException):
                return Answer(request.number, "fatal", text)
            if text is not None:
                return Answer(request.number, "refused", text)
            logging.getLogger("mcp_plugin_stats.worker").exception("the work failed")
            return Answer(request.number, "failed", f"{type(error).__name__}: {error}")


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Be the worker."""
    setup: Setup = receive(requests)
    connection = sandbox.open_sandbox(setup.folder, setup.memory)
    for name, copy in setup.copies:
        sandbox.attach(connection, name, copy)
    connection.execute("SELECT 1").fetchall()
    bound_memory(setup.memory)
    Desk(setup, connection).serve(requests, answers)
