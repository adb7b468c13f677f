"""Organisations by their names: people know them by these, everything else by their ids."""

from collections.abc import Iterable, Mapping

from ci_common.access import NOBODYS
from ci_common.accounts import AccountStore
from ci_common.errors import OrganisationNotFound

NO_NAME = ""
"""What is said where there is none: on a server without accounts."""


async def organisation_names(accounts: AccountStore, ids: Iterable[str]) -> Mapping[str, str]:
    """Return the names of the organisations with these ids; of one that is gone, ``""``."""
    wanted = set(ids) - {NOBODYS}
    if not wanted:
        return {NOBODYS: NO_NAME}
    if len(wanted) == 1:
        (only,) = wanted
        return {NOBODYS: NO_NAME, only: await organisation_name(accounts, only)}
    found = {each.id: each.name for each in await accounts.organisations()}
    return {each: found.get(each, NO_NAME) for each in (*wanted, NOBODYS)}


async def organisation_name(accounts: AccountStore, organisation_id: str) -> str:
    """Return the name of the organisation with this id; ``""`` if there is none."""
    if organisation_id == NOBODYS:
        return NO_NAME
    try:
        return (await accounts.organisation(organisation_id)).name
    except OrganisationNotFound:
        return NO_NAME
