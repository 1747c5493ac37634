"""URIs taken apart, and which of them an operator's list admits.

Not aware of how anything is fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote_to_bytes

import httpx

from standpipe_server.media.network import Address, is_public

INSTEAD = "send the bytes in content instead"

_PORTS = {"http": 80, "https": 443}
_MOST_CHARACTERS = 8192
_MOST_HOST_CHARACTERS = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DOTS = {b".", b".."}
_DECODINGS = 3


class RefusedError(ValueError):
    """A URI is wrong, isn't admitted, or names nothing that can be had."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URI that was taken apart: what is checked is what is asked for.

    Attributes:
        uri: All of it, normalized.
        scheme: ``http`` or ``https``.
        host: An address, or a name in ASCII and lower case, without a dot at its end.
        port: The scheme's where the URI names none.
        target: Path and query, as they are sent.
        segments: Of the path, without percent signs.
    """

    uri: str
    scheme: str
    host: str
    port: int
    target: bytes
    segments: tuple[bytes, ...]

    @property
    def authority(self) -> str:
        """Host and port, as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The URI without its path and query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry of the allow-list.

    Attributes:
        place: Where what is admitted begins.
        subdomains: All hosts under the place's are meant, and not the place's itself.
    """

    place: Place
    subdomains: bool

    def admits(self, place: Place) -> bool:
        """Whether a place is under this one."""
        mine = self.place
        host = place.host.endswith(f".{mine.host}") if self.subdomains else place.host == mine.host
        service = (place.scheme, place.port) == (mine.scheme, mine.port)
        return host and service and place.segments[: len(mine.segments)] == mine.segments


def parse_allowed(text: str) -> Allowed:
    """Read an entry of the allow-list.

    Args:
        text: Such as ``https://images.example.org/photos/``: scheme, host (``*.example.org`` for all its
            subdomains), a port where it isn't the scheme's, and the first segments of the path.

    Raises:
        ValueError: It isn't one; the message has the entry and says why.
    """
    plain = text.replace("://*.", "://", 1)
    subdomains = plain != text
    try:
        place = parse_uri(plain)
        _check_entry(plain, place, subdomains=subdomains)
    except RefusedError as error:
        raise ValueError(f"{text!r} can't be allowed: {error}") from None
    if place.segments[-1] == b"":  # what /photos/ ends in: the folder is meant, with what is in it
        place = replace(place, segments=place.segments[:-1])
    return Allowed(place, subdomains)


def parse_uri(uri: str) -> Place:
    """Take a URI apart.

    Raises:
        RefusedError: It isn't one, or one that nothing honest needs.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme not in _PORTS:
        raise RefusedError(f"a URI begins with http:// or https://, not with {uri[:16]!r}: {INSTEAD}")
    if len(uri) > _MOST_CHARACTERS:
        raise RefusedError(f"a URI has {_MOST_CHARACTERS} characters at most, not {len(uri)}")
    try:
        url = httpx.URL(uri)
    except (httpx.InvalidURL, ValueError) as error:
        raise RefusedError(f"not a URI: {error}") from None
    if url.userinfo:
        raise RefusedError("a URI may hold no user name or password")
    port = _PORTS[scheme] if url.port is None else url.port
    if not 0 < port < 65536:
        raise RefusedError(f"{port} isn't a port")
    host = _host(url.raw_host.decode("ascii"))
    path = url.raw_path.partition(b"?")[0]
    return Place(str(url), scheme, host, port, url.raw_path, _segments(path))


def _check_entry(text: str, place: Place, *, subdomains: bool) -> None:
    """Refuse an entry that could never admit anything, or would admit the better part of the world."""
    if "?" in text or "#" in text:
        raise RefusedError("what is allowed begins with a path, and has neither query nor fragment")
    address = _address(place.host)
    if subdomains and (address or "." not in place.host):
        raise RefusedError("*. stands before a domain of two names or more, such as *.example.org")
    if address and not is_public(address):
        raise RefusedError(f"{address} isn't a public address, and others are never connected to")


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host(text: str) -> str:
    """A host as it is compared and looked up: of each there is one spelling only."""
    host = text.removesuffix(".")
    if ":" in host:
        address = IPv6Address(host)
        if address.scope_id is not None:
            raise RefusedError("an address may have no zone")
        return str(address)
    labels = host.split(".")
    if len(host) > _MOST_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise RefusedError("a URI names a host: letters, digits and hyphens between dots, or an address")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers also take 2130706433, 0x7f.1 and 127.1 for addresses.
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise RefusedError(f"{host} isn't an address: write four decimal numbers") from None
    return host


def _segments(path: bytes) -> tuple[bytes, ...]:
    """A path's segments, none of which leads out of another however often a server decodes them."""
    plain = path
    for _ in range(_DECODINGS):
        plain = unquote_to_bytes(plain)
    if unquote_to_bytes(plain) != plain:
        raise RefusedError(f"the URI's path is percent-encoded more than {_DECODINGS} times over")
    # Some servers take a backslash for a slash, and what follows a semicolon for a segment's parameters.
    if any(part.partition(b";")[0] in _DOTS for part in re.split(rb"[/\\]", plain)):
        raise RefusedError("the URI's path has segments of dots")
    if any(byte < 32 for byte in plain):
        raise RefusedError("the URI's path has control characters")
    return tuple(map(unquote_to_bytes, path.split(b"/")[1:]))
