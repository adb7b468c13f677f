"""Looking again whenever something may have changed."""

from __future__ import annotations

from ci_client.connection import ServerBusy, refuse_problems
from ci_client.events import wait_to_retry
from ci_client.exchange import BrokenExchange
from ci_common.errors import ServerUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_client.exchange import Response
    from ci_client.patience import Patience

POLL_INTERVAL = 2.0
"""Seconds between two looks at a server that does not tell what happens."""


class Changes:
    """Calls ``look`` at once, and again with each piece of news; ``connect`` begins the news.

    Where there are none (404), it looks every ``POLL_INTERVAL`` seconds. While
    the server is away it waits, as long as ``patience`` lasts.
    """

    def __init__(
        self,
        url: str,
        patience: Patience,
        connect: Callable[[], Response],
        look: Callable[[], None],
    ) -> None:
        self._url = url
        self._patience = patience
        self._connect = connect
        self._look = look

    def follow(self) -> None:
        """Look again and again; returns only when ``patience``'s sleep was cut short.

        Raises:
            CIError: the server refuses, or cannot be reached any more.

        """
        while True:
            failure: Exception = BrokenExchange("it was closed from there")
            try:
                with self._connect() as response:
                    if response.status != 404:
                        self._follow_news(response)
                    elif self._look_now_and_then():
                        return
            except ServerUnreachable as error:
                failure = error.__cause__ if isinstance(error.__cause__, Exception) else error
            except (BrokenExchange, ServerBusy) as error:
                failure = error
            wait_to_retry(self._patience, self._url, failure)

    def _follow_news(self, response: Response) -> None:
        refuse_problems(response)
        # From here on nothing is missed: what came before, this look shows.
        self._see()
        # What comes together is one piece, and worth one look.
        for _news in response.pieces():
            self._see()

    def _look_now_and_then(self) -> bool:
        self._see()
        while not self._patience.sleep(POLL_INTERVAL):
            self._see()
        return True

    def _see(self) -> None:
        self._look()
        self._patience.connected()
        self._patience.progress()
