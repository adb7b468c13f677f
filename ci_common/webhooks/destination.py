"""Where messages may be sent to: what keeps a webhook from reaching into our own network.

The address in a webhook is somebody's wish. The server stands where not
everybody stands, so it must not be sent to its own machine, its neighbours or
the cloud's metadata service. Names prove nothing: what counts is the address
that a name leads to at the moment of the connection, so each one is checked
then, and the connection goes to that very address.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure's own services, at an address that looks public
            "192.88.99.0/24",  # relays from IPv6 to anywhere
            "2001::/23",  # Teredo and other special uses
            "3fff::/20",  # for documents; Python learned of it later
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Destination:
    """A checked address in its parts. ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRules:
    """What may be reached.

    ``allow``: networks in CIDR, and names of hosts, that may be reached though
    they are not public. ``http``: also without TLS. ``ports``: any other is
    refused.
    """

    http: bool = False
    ports: Sequence[int] = (80, 443, 8443)
    allow: Sequence[str] = ()

    def __post_init__(self) -> None:
        for entry in self.allow:
            read_allowed(entry)

    def read(self, url: str) -> Destination:
        """Return the parts of an address. No name is looked up.

        Raises:
            ValueError: it is none that may be told; the text says what is wrong with it.

        """
        destination = _parts(url)
        if destination.scheme == "http" and not self.http:
            raise ValueError("only https:// may be told; the setting CI_WEBHOOK_HTTP allows http")
        if destination.port not in self.ports:
            listed = ", ".join(map(str, self.ports))
            raise ValueError(
                f"port {destination.port} is not allowed, only {listed};"
                " the setting CI_WEBHOOK_PORTS says which are"
            )
        address = _address(destination.host)
        if address is not None:
            refusal = self.refusal(destination.host, address)
            if refusal:
                raise ValueError(refusal)
        return destination

    def refusal(self, host: str, address: IPAddress) -> str | None:
        """Return why ``address``, which ``host`` leads to, may not be reached; None if it may."""
        if is_public(address) or self._allows(host, address):
            return None
        return (
            f"{address} is not a public address;"
            " the setting CI_WEBHOOK_ALLOW names those that may be told all the same"
        )

    def _allows(self, host: str, address: IPAddress) -> bool:
        meant = _meant(address)
        for entry in map(read_allowed, self.allow):
            if isinstance(entry, str):
                if entry == host:
                    return True
            elif any(each.version == entry.version and each in entry for each in (address, meant)):
                return True
        return False


def read_allowed(entry: str) -> IPNetwork | str:
    """Return the network, or the name of a host in lower case, that an entry is.

    Raises:
        ValueError: it is neither.

    """
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        name = entry.lower().rstrip(".")
        if "/" in name or ":" in name or not name or not name.isascii() or not name.isprintable():
            raise ValueError(f"{entry!r} is neither a network like 10.0.0.0/8 nor a host") from None
        return name


def is_public(address: IPAddress) -> bool:
    """Return whether an address is on the public internet, and nowhere nearer."""
    meant = _meant(address)
    if meant.is_multicast or meant.is_reserved or not meant.is_global:
        return False
    if isinstance(meant, ipaddress.IPv6Address) and meant not in _GLOBAL_UNICAST:
        return False
    return not any(meant in net for net in _REFUSED if net.version == meant.version)


def _meant(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _parts(url: str) -> Destination:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("an address has no spaces and only ASCII; write names in punycode")
    if len(url) > _LONGEST_URL:
        raise ValueError(f"an address has at most {_LONGEST_URL} characters")
    split = urlsplit(url)
    port = split.port  # raises ValueError for what is none
    if split.scheme not in _DEFAULT_PORTS or not split.hostname:
        raise ValueError("write it like https://example.org/path")
    if split.username is not None or split.password is not None or split.fragment:
        raise ValueError("an address has no user, no password and no fragment")
    if "%" in split.netloc:
        raise ValueError("the host has no percent sign")
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    host = split.hostname.lower().rstrip(".")
    if not host:
        raise ValueError("write it like https://example.org/path")
    return Destination(
        split.scheme, host, _DEFAULT_PORTS[split.scheme] if port is None else port, target
    )
