"""The first admin of a server that accounts are in force at from the beginning."""

import asyncio
import logging
from collections.abc import Callable

from ci_common.clock import format_utc
from ci_common.errors import CIError
from ci_server.settings import Settings
from ci_server.sign_in.links import PasswordLinks, base_url

_POLL = 0.5
"""Seconds between two looks at whether this process leads."""

_RETRY = 5.0
"""Seconds after which a database that could not be written is tried again."""

_logger = logging.getLogger(__name__)


async def invite_first_admin(
    settings: Settings, links: PasswordLinks, leads: Callable[[], bool]
) -> None:
    """Log a link that makes the first admin, once this process leads; nothing if there is a user.

    At each start it is another one, and those before are no good any more. One
    process of several says it.
    """
    while not leads():  # noqa: ASYNC110 -- nobody signals it
        await asyncio.sleep(_POLL)
    while True:
        try:
            if await links.accounts.any_users():
                return
            path, link = await links.new(None)
        except CIError as error:
            _logger.warning("there is no link for the first admin yet: %s", error.detail)
            await asyncio.sleep(_RETRY)
        else:
            # Whatever the level is: without this line nobody gets in.
            level = max(logging.WARNING, _logger.getEffectiveLevel())
            where, until = base_url(settings) + path, format_utc(link.expires_at)
            _logger.log(level, "nobody can sign in yet; make the first admin at %s (good until %s)",
                        where, until)  # fmt: skip
            return
