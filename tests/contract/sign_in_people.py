"""People who sign in at the server of a test, and what they do it with."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
from argon2 import PasswordHasher

from ci_common.accounts import User, new_user_id
from ci_common.clock import SystemClock
from ci_server.sign_in.links import new_password_link
from tests.contract.http_harness import RunningServer

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "velvet otter umbrella"
OTHER = "copper lantern tuesday mist"


class People:
    """Users of a server, as a test makes them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.parts = server.parts
        # What a hash costs is tested by itself; here it is to be done with.
        self.parts.sign_in.passwords._hasher = lambda: CHEAP

    def add(self, name: str, password: str | None = PASSWORD, **fields) -> User:
        kept = password and self.server.call(self.parts.sign_in.passwords.hash(password))
        now = SystemClock().now().wall
        user = User(id=new_user_id(), name=name, created_at=now, password=kept, **fields)
        self.server.call(self.parts.accounts.add_user(user))
        return user

    def link(self, user: User | None) -> str:
        store, clock = self.parts.sign_in.store, SystemClock()
        made = new_password_link(store, clock, None if user is None else user.id)
        path, _ = self.server.call(made)
        return parse_qs(urlsplit(path).query)["link"][0]

    def change(self, user: User, **fields) -> None:
        changed = self.parts.accounts.change_user(user.id, lambda it: replace(it, **fields))
        self.server.call(changed)


class Browser(httpx2.Client):
    """A program that keeps cookies, and sends what belongs to them."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(base_url=server.url + "/api/v1", timeout=60)

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx2.Response:
        answer = self.post("/sign-in", json={"name": name, "password": password})
        if answer.status_code == 200:
            self.headers["CI-CSRF-Token"] = answer.json()["csrf_token"]
        return answer
