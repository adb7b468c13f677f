"""``httpx2`` for servers that speak plain HTTP, as those of tests do; one connection a request.

The library prepares each of its clients for TLS, with every authority of the machine: 20 ms of
a core, for which a server answers twenty requests. Here that is done once, with none.
"""

import ssl
from functools import partial

import httpx2

_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: a request that was redirected to TLS would fail."""

get = partial(httpx2.get, verify=_NOBODY)
head = partial(httpx2.head, verify=_NOBODY)
options = partial(httpx2.options, verify=_NOBODY)
post = partial(httpx2.post, verify=_NOBODY)
patch = partial(httpx2.patch, verify=_NOBODY)
delete = partial(httpx2.delete, verify=_NOBODY)
request = partial(httpx2.request, verify=_NOBODY)
stream = partial(httpx2.stream, verify=_NOBODY)
