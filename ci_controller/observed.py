"""An executor whose calls are told of: which, how they ended, how long they took."""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from ci_common.errors import CIError
from ci_common.executor import Executor
from ci_common.observer import Observer

CALLS = (
    "ping",
    "observe",
    "launch",
    "take_standby",
    "feed",
    "has_output",
    "exit_of",
    "stop",
    "remove",
)
"""Those that take as long as the engine does; the rest waits for a job."""


def observe_calls(executor: Executor, observer: Observer) -> None:
    """Have ``observer`` told of every call of ``executor`` from now on.

    The object stays what it is: whoever asks what it can do must get the same answer.
    """
    for name in CALLS:
        method = getattr(executor, name, None)
        if method is not None:
            setattr(executor, name, _observed(name, method, observer))


def _observed(
    name: str, method: Callable[..., Awaitable[Any]], observer: Observer
) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as it comes
        begin = time.perf_counter()
        outcome = "cancelled"
        try:
            result = await method(*arguments, **options)
            outcome = "ok"
            return result
        except CIError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = CIError.code
            raise
        finally:
            observer.engine_called(name, outcome, time.perf_counter() - begin)

    return call
