"""A pool of threads without threads."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Inline(ThreadPoolExecutor):
    """Runs everything at once, so that the points come in the same order each time."""

    def submit(self, work: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **more))
        except BaseException as error:
            future.set_exception(error)
        return future
