"""The process that holds the workers: how it ends them."""

import socket
import time

import uvicorn
from uvicorn.supervisors import Multiprocess

FAREWELL = 15.0
"""Seconds a worker has beyond its grace to let go of engine and database."""

_LOOK_EVERY = 0.1
"""Seconds between two looks for a second signal."""


class Supervisor(Multiprocess):
    """Starts workers anew that die. Ends them in peace, or at once when asked twice.

    ``patience``: seconds that open requests may take when the server ends.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], *, patience: float
    ) -> None:
        super().__init__(config, sockets)
        self._patience = patience
        self._forced = False

    def handle_int(self) -> None:
        """End in peace, or at once."""
        self._asked()

    def handle_term(self) -> None:
        """End in peace, or at once."""
        self._asked()

    def join_all(self) -> None:
        """Wait for the workers; kill those that are over their time, all at a second signal."""
        deadline = time.monotonic() + self._patience + FAREWELL
        while waiting := [each.process for each in self.processes if each.process.is_alive()]:
            waiting[0].join(_LOOK_EVERY)
            self.handle_signals()
            if self._forced or time.monotonic() > deadline:
                for process in waiting:
                    process.kill()
        super().join_all()

    def _asked(self) -> None:
        self._forced = self.should_exit.is_set()
        self.should_exit.set()
