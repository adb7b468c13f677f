import pytest

from ci_server.clients import ProxyTrust, client_address, client_group

PROXIES = ("10.0.0.0/8", "127.0.0.1", "fd00::/8")


def scope(peer: str | None, **headers: str) -> dict:
    return {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1234) if peer else None,
        "headers": [
            (name.replace("_", "-").encode(), line.encode())
            for name, value in headers.items()
            for line in value.split("\n")
        ],
    }


def seen(peer: str | None, proxies=PROXIES, **headers: str) -> str:
    found = scope(peer, **headers)
    ProxyTrust(proxies).apply(found)
    return client_address(found)


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # a stranger is not believed
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # invented by the client
        ("10.0.0.1", "6.6.6.6\n203.0.113.9", "203.0.113.9"),  # in a header of its own
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "6.6.6.6, , ", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "[2001:DB8:0::1]:443", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("fd00::1", "fe80::1%eth0", "fe80::1"),
        (None, "203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_proxy_of_ours(peer, told, client):
    assert seen(peer, x_forwarded_for=told) == client


def test_without_trusted_proxies_nobody_is_believed():
    assert seen("127.0.0.1", (), x_forwarded_for="203.0.113.9") == "127.0.0.1"
    assert seen(None, (), x_forwarded_for="203.0.113.9") == "-"
    assert client_address(scope("192.0.2.1", x_forwarded_for="203.0.113.9")) == "192.0.2.1"


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ('For="[2001:db8::17]:4711"', "2001:db8::17"),
        ("for=6.6.6.6, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
        ("by=10.0.0.1", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_well(told, client):
    assert seen("10.0.0.1", forwarded=told) == client


def test_what_a_client_says_beside_the_proxy_does_not_count():
    assert seen("10.0.0.1", forwarded="for=6.6.6.6", x_forwarded_for="203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "headers", "scheme"),
    [
        ("10.0.0.1", {"x_forwarded_proto": "https"}, "https"),
        ("10.0.0.1", {"x_forwarded_proto": "http, HTTPS"}, "https"),
        ("10.0.0.1", {"forwarded": "for=1.2.3.4;proto=https"}, "https"),
        ("10.0.0.1", {"x_forwarded_proto": "javascript"}, "http"),
        ("192.0.2.1", {"x_forwarded_proto": "https"}, "http"),
    ],
)
def test_the_scheme_is_the_one_the_client_used(peer, headers, scheme):
    found = scope(peer, **headers)
    ProxyTrust(PROXIES).apply(found)
    assert found["scheme"] == scheme


def test_an_ipv6_network_is_one_client():
    assert client_group("2001:db8:1:2::1") == client_group("2001:db8:1:2:ffff::9")
    assert client_group("2001:db8:1:2::1") != client_group("2001:db8:1:3::1")
    assert client_group("192.0.2.1") != client_group("192.0.2.2")
