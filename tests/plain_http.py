"""``httpx2`` for servers that speak plain HTTP, as those of tests do; one connection a request.

The library prepares each of its clients for TLS, with every authority of the machine: 20 ms of
a core, for which a server answers twenty requests. Here that is done once, with none. Who gives
no ``timeout`` waits as long as a loaded machine may take.
"""

import ssl
from functools import partial

import httpx2

from tests.waiting import LONGEST

_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: a request that was redirected to TLS would fail."""

request = partial(httpx2.request, verify=_NOBODY, timeout=LONGEST)
stream = partial(httpx2.stream, verify=_NOBODY, timeout=LONGEST)
get = partial(request, "GET")
head = partial(request, "HEAD")
options = partial(request, "OPTIONS")
post = partial(request, "POST")
patch = partial(request, "PATCH")
delete = partial(request, "DELETE")
