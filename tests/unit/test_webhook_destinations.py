"""Where webhooks may lead to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_common.webhooks import DestinationRules
from ci_common.webhooks.destination import is_public, read_allowed

RULES = DestinationRules()

NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "5f00::1",
]  # fmt: skip

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    refusal = RULES.refusal("hook.example", ipaddress.ip_address(address))
    assert "CI_WEBHOOK_ALLOW" in refusal


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address):
    assert RULES.refusal("hook.example", ipaddress.ip_address(address)) is None


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_in_whatever_it_is_wrapped(address):
    number = int(address)
    wrapped = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]
    assert {is_public(each) for each in wrapped} == {is_public(address)}


@given(st.ip_addresses(v=6))
def test_only_global_unicast_and_what_stands_for_ipv4_is_public(address):
    known = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("64:ff9b::/96")
    if is_public(address) and address.ipv4_mapped is None:
        assert any(address in network for network in known)


class TestAllowing:
    def test_a_network(self):
        rules = DestinationRules(allow=("10.1.0.0/16", "fd00::/8"))
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
            assert rules.refusal("x", ipaddress.ip_address(address)) is None
        for address in ("10.2.0.1", "127.0.0.1", "fc00::1"):
            assert rules.refusal("x", ipaddress.ip_address(address)) is not None

    def test_a_host_wherever_it_leads_and_no_other(self):
        rules = DestinationRules(allow=("Hooks.internal",))
        address = ipaddress.ip_address("10.0.0.1")
        assert rules.refusal("hooks.internal", address) is None
        assert rules.refusal("x.hooks.internal", address) is not None

    @pytest.mark.parametrize(
        "entry", ["", "10.0.0.0/99", "http://x", "a b/c", "[::1]", "ü.example"]
    )
    def test_what_is_neither_is_refused(self, entry):
        with pytest.raises(ValueError, match="neither a network"):
            read_allowed(entry)


class TestReading:
    def test_the_parts(self):
        found = RULES.read("https://Hooks.Example.:8443/a/b?c=d")
        assert (found.scheme, found.host, found.port) == ("https", "hooks.example", 8443)
        assert found.target == "/a/b?c=d"
        assert RULES.read("https://hooks.example").port == 443

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("http://hooks.example/", "CI_WEBHOOK_HTTP"),
            ("https://hooks.example:22/", "CI_WEBHOOK_PORTS"),
            ("https://hooks.example:0/", "CI_WEBHOOK_PORTS"),
            ("https://hooks.example:99999/", "[Pp]ort"),
            ("ftp://hooks.example/", "write it like"),
            ("hooks.example", "write it like"),
            ("https:///path", "write it like"),
            ("https://./path", "write it like"),
            ("https://user@hooks.example/", "no user"),
            ("https://:pw@hooks.example/", "no user"),
            ("https://hooks.example/#x", "fragment"),
            ("https://hooks.example\\@127.0.0.1/", "no spaces"),
            ("https://hooks example/", "no spaces"),
            ("https://hooks.example/\r\nX: y", "no spaces"),
            ("https://hööks.example/", "punycode"),
            ("https://%31%32%37.0.0.1/", "percent"),
            ("https://127.0.0.1/", "CI_WEBHOOK_ALLOW"),
            ("https://[::1]/", "CI_WEBHOOK_ALLOW"),
            ("https://[::ffff:a9fe:a9fe]/", "CI_WEBHOOK_ALLOW"),
            ("https://hooks.example/" + "a" * 2000, "at most"),
        ],
    )
    def test_what_may_not_be_told(self, url, why):
        with pytest.raises(ValueError, match=why):
            RULES.read(url)

    def test_http_where_it_is_allowed(self):
        assert DestinationRules(http=True).read("http://hooks.example/").port == 80

    @given(st.text(max_size=60))
    def test_any_text_is_read_or_refused(self, text):
        for url in (text, f"https://{text}"):
            try:
                RULES.read(url)
            except ValueError:
                continue  # anything else would be a fault of ours
