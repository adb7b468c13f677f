"""Who may do what, as a table: every action, role and scope."""

from itertools import product

import pytest

from ci_common.access import (
    ALL_SCOPES,
    ANONYMOUS,
    EVERYBODY,
    NOBODYS,
    Action,
    Actor,
    OfOrganisation,
    OfServer,
    OfUser,
    Role,
    Scope,
    can,
    could,
    scope_for,
    within,
)

HERE, ELSEWHERE = OfOrganisation("org_here"), OfOrganisation("org_elsewhere")
MYSELF, OTHER = OfUser("usr_me"), OfUser("usr_other")

TABLE = {
    # the scope of a key; in one's own organisation: viewer, member, admin; to oneself
    Action.BE_THERE: (None, "viewer member admin", "own"),
    Action.KNOW_ONESELF: (None, "", "own"),
    Action.MANAGE_OWN_KEYS: (Scope.ADMIN, "", "own"),
    Action.READ: (Scope.READ, "viewer member admin", ""),
    Action.SUBMIT: (Scope.SUBMIT, "member admin", ""),
    Action.CANCEL: (Scope.SUBMIT, "member admin", ""),
    Action.PRUNE_CACHE: (Scope.ADMIN, "admin", ""),
    Action.READ_WEBHOOKS: (Scope.READ, "admin", ""),
    Action.MANAGE_WEBHOOKS: (Scope.ADMIN, "admin", ""),
    Action.LIST_SECRETS: (Scope.READ, "member admin", ""),
    Action.MANAGE_SECRETS: (Scope.ADMIN, "admin", ""),
    Action.READ_MEMBERS: (Scope.READ, "viewer member admin", ""),
    Action.MANAGE_MEMBERS: (Scope.ADMIN, "admin", ""),
    Action.READ_AUDIT: (Scope.ADMIN, "admin", ""),
    Action.MANAGE_ACCOUNTS: (Scope.ADMIN, "", ""),
    Action.OPERATE: (Scope.READ, "", ""),
}


def member(role: Role | None, scopes: frozenset[Scope] = ALL_SCOPES) -> Actor:
    roles = {} if role is None else {HERE.organisation: role}
    return Actor(user_id="usr_me", name="me", roles=roles, scopes=scopes)


def test_the_table_has_every_action():
    assert set(TABLE) == set(Action)


@pytest.mark.parametrize("action", Action)
def test_which_scope_an_action_takes(action):
    assert scope_for(action) == TABLE[action][0]


@pytest.mark.parametrize(
    ("action", "role", "scope"), list(product(Action, [None, *Role], [None, *Scope]))
)
def test_every_action_role_and_scope(action, role, scope):
    """``scope`` is the only one of the credential, None: it has all."""
    needed, roles, own = TABLE[action]
    actor = member(role, ALL_SCOPES if scope is None else frozenset((scope,)))
    is_good = needed is None or scope is None or scope is needed
    everybody = action is Action.BE_THERE
    in_own = is_good and role is not None and role.value in roles.split()

    assert can(actor, action, HERE) is (everybody or in_own)
    assert can(actor, action, ELSEWHERE) is everybody
    assert can(actor, action, OfServer()) is everybody
    assert can(actor, action, MYSELF) is (everybody or (is_good and own == "own"))
    assert can(actor, action, OTHER) is everybody
    assert could(actor, action) is (everybody or in_own or (is_good and own == "own"))
    if not everybody:
        assert within(actor, action) == (frozenset({HERE.organisation}) if in_own else frozenset())


@pytest.mark.parametrize(("action", "scope"), list(product(Action, [None, *Scope])))
def test_a_server_admin_may_do_everything_that_the_credential_is_good_for(action, scope):
    needed = TABLE[action][0]
    scopes = ALL_SCOPES if scope is None else frozenset((scope,))
    admin = Actor(user_id="usr_me", name="me", server_admin=True, scopes=scopes)
    is_good = action is Action.BE_THERE or needed is None or needed in scopes
    for resource in (HERE, ELSEWHERE, OfOrganisation(NOBODYS), OfServer(), MYSELF, OTHER):
        assert can(admin, action, resource) is is_good
    assert within(admin, action) == (None if is_good else frozenset())
    assert could(admin, action) is is_good


@pytest.mark.parametrize("action", Action)
def test_who_is_not_known_may_do_nothing_and_everybody_all(action):
    for resource in (HERE, OfOrganisation(NOBODYS), OfServer(), OfUser(""), OTHER):
        assert can(ANONYMOUS, action, resource) is (action is Action.BE_THERE)
        assert can(EVERYBODY, action, resource)
    assert could(ANONYMOUS, action) is (action is Action.BE_THERE)
    assert within(EVERYBODY, action) is None


@pytest.mark.parametrize("role", Role)
def test_what_is_nobodys_is_no_members(role):
    assert not can(member(role), Action.READ, OfOrganisation(NOBODYS))
    assert NOBODYS not in (within(member(role), Action.READ) or ())
