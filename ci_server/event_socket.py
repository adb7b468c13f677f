"""Live updates over a WebSocket: any number of subscriptions, each at its own pace.

Each subscription is one task, which reads the next thing only when the one
before is on its way to the client. So a slow client lags and costs no memory;
one that takes nothing at all for a while is dropped.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import count
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from ci_common.access import Action
from ci_common.errors import CIError, InvalidRequest
from ci_server.access import lasting, within_asked
from ci_server.event_commands import Command, Id, Message, decode_command, messages_of
from ci_server.parts import Parts
from ci_server.problems import described

MOST_SUBSCRIPTIONS = 32
"""Subscriptions of one connection."""

LARGEST_COMMAND = 64 * 1024
"""Bytes of one message from the client."""

UNREAD_TIMEOUT = 60.0
"""Seconds after which a client is dropped that has taken nothing of what waits for it."""

CLOSE_TIMEOUT = 2.0
"""Seconds in which there has to be room to say goodbye."""

DROP = "standby-ci.drop"
"""The server's extension by which a client is dropped that does not read: code and reason."""

NOT_TEXT, POLICY_VIOLATION, TOO_LARGE, GOING_DOWN = 1003, 1008, 1009, 1012
TOO_SLOW = POLICY_VIOLATION
"""Codes with which connections are closed (RFC 6455 and its registry)."""

_GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""What a server raises for a message to a client that is not there any more."""

_encoder = msgspec.json.Encoder()


class ClientGone(Exception):
    """Nothing more can be sent."""


class EventSocket:
    """One connection. Leaves no task and no open file behind, however it ends."""

    def __init__(self, socket: WebSocket[Any, Any, Any], parts: Parts) -> None:
        self._socket = socket
        self._parts = parts
        self._sending = asyncio.Lock()
        self._tasks: dict[Id, asyncio.Task[None]] = {}
        self._numbers = count(1)
        self._limit = asyncio.timeout(None)
        self._closing: tuple[int, str] | None = None

    async def serve(self) -> None:
        """Serve the connection until the client goes, or is sent away, or the server ends."""
        await self._socket.accept()
        with self._parts.shutdown.calling(self._go_down), suppress(TimeoutError, ClientGone):
            async with self._limit:
                if self._parts.shutdown.begun:
                    self._go_down()
                checking = asyncio.create_task(self._check(), name="socket-permission")
                try:
                    await self._take_commands()
                finally:
                    checking.cancel()
                    await self._end(*self._tasks)
        if self._closing is not None:
            await self._close(*self._closing)

    async def _check(self) -> None:
        """Send the client away once it may not listen any more, or not to the very same."""
        lasts = lasting(self._socket, Action.READ)
        while True:
            await asyncio.sleep(self._parts.settings.ping_interval)
            if not await lasts():
                self._leave(POLICY_VIOLATION, "you may not listen any more; sign in again")
                return

    async def _take_commands(self) -> None:
        while True:
            message: Mapping[str, Any] = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self._leave(NOT_TEXT, "commands are text")
            elif len(text) > LARGEST_COMMAND:
                self._leave(TOO_LARGE, f"a command has {LARGEST_COMMAND} bytes at most")
            else:
                await self._obey(text)

    async def _obey(self, text: str) -> None:
        key = None
        try:
            command = decode_command(text)
            key = command.id if command.unsubscribe is None else command.unsubscribe
            if command.subscribe is not None:
                await self._subscribe(command)
            elif command.unsubscribe is not None:
                await self._unsubscribe(command.unsubscribe)
            else:
                await self._send({"type": "pong", "ping": command.ping})
        except CIError as error:
            await self._refuse(key, error)

    async def _subscribe(self, command: Command) -> None:
        within = await within_asked(self._socket, Action.READ, command.organisation)
        key = self._free_id() if command.id is None else command.id
        if key in self._tasks:
            raise InvalidRequest(
                f"id: {key!r} is another subscription of this connection",
                hint="Choose another id, or unsubscribe first.",
            )
        if len(self._tasks) >= MOST_SUBSCRIPTIONS:
            raise InvalidRequest(
                f"subscribe: a connection has {MOST_SUBSCRIPTIONS} subscriptions at most",
                hint="Unsubscribe from one, or open another connection.",
            )
        messages = messages_of(command, self._parts, within)
        self._tasks[key] = asyncio.create_task(self._pass_on(key, messages), name="subscription")

    def _free_id(self) -> Id:
        return next(number for number in self._numbers if number not in self._tasks)

    async def _unsubscribe(self, key: Id) -> None:
        if key not in self._tasks:
            raise InvalidRequest(f"unsubscribe: there is no subscription {key!r}")
        await self._end(key)
        await self._send({"type": "unsubscribed", "id": key})

    async def _end(self, *keys: Id) -> None:
        tasks = [self._tasks.pop(key) for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, key: Id, messages: AsyncGenerator[Message, None]) -> None:
        with suppress(ClientGone):
            try:
                async with aclosing(messages):
                    async for message in messages:
                        await self._send({"id": key, **message})
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 -- the others of the connection go on
                await self._refuse(key, error)
        if self._tasks.get(key) is asyncio.current_task():
            del self._tasks[key]

    async def _refuse(self, key: Id | None, error: Exception) -> None:
        problem, _ = described(self._socket.scope, error)
        await self._send({"type": "error", "id": key, "problem": problem})

    async def _send(self, message: Message) -> None:
        """Send a message once there is room for it.

        Raises:
            ClientGone: there is nobody to send it to.

        """
        text = _encoder.encode(message).decode()
        async with self._sending:
            if self._closing is not None:
                raise ClientGone
            try:
                async with asyncio.timeout(UNREAD_TIMEOUT):
                    await self._socket.send({"type": "websocket.send", "text": text, "bytes": None})
            except TimeoutError:
                self._leave(TOO_SLOW, f"nothing was read for {UNREAD_TIMEOUT:g} s")
                raise ClientGone from None
            except _GONE:
                raise ClientGone from None

    def _go_down(self) -> None:
        self._leave(GOING_DOWN, "the server goes down; come back and resume")

    def _leave(self, code: int, reason: str) -> None:
        """Have the task that serves the connection close it. The first reason stays."""
        self._closing = self._closing or (code, reason)
        if not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._socket.close(code, reason)
        except TimeoutError:
            extensions: Mapping[str, Any] = self._socket.scope.get("extensions") or {}
            drop = extensions.get(DROP)
            if drop is not None:
                drop(code, reason)
        except _GONE:
            return
