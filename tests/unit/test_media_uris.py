from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe_server.media.network import is_public
from standpipe_server.media.uris import RefusedError, parse_allowed, parse_uri

PHOTOS = "https://images.example.org/photos/"


@pytest.mark.parametrize(
    ("entry", "uri"),
    [
        (PHOTOS, "https://images.example.org/photos/cat.jpg"),
        (PHOTOS, "https://images.example.org/photos/2024/cat.jpg?size=1&path=/../x#top"),
        (PHOTOS, "https://images.example.org/photos"),
        (PHOTOS, "HTTPS://IMAGES.Example.ORG/photos/cat.jpg"),
        (PHOTOS, "https://images.example.org./photos/cat.jpg"),
        (PHOTOS, "https://images.example.org:443/photos/cat.jpg"),
        (PHOTOS, "https://images.example.org/x/../photos/cat.jpg"),
        (PHOTOS, "https://images.example.org/%70hotos/cat.jpg"),
        (PHOTOS, "https://images.example.org/photos/a%2Fb.jpg"),
        (PHOTOS, "https://images.example.org/photos/..cat..jpg"),
        ("https://images.example.org/photos", "https://images.example.org/photos/cat.jpg"),
        ("https://images.example.org/cat.jpg", "https://images.example.org/cat.jpg"),
        ("https://images.example.org", "https://images.example.org"),
        ("https://images.example.org/", "https://images.example.org/any/thing?at=all"),
        ("https://images.example.org./", "https://images.example.org/cat.jpg"),
        ("http://images.example.org:8080/", "http://images.example.org:8080/cat.jpg"),
        ("https://*.example.org/", "https://images.example.org/cat.jpg"),
        ("https://*.example.org/", "https://a.b.example.org/cat.jpg"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/x"),
        ("https://*.bücher.example/", "https://bilder.BÜCHER.example/x"),
        ("https://xn--bcher-kva.example/", "https://bücher。example/x"),
        ("https://images.example.org/größe/", "https://images.example.org/gr%C3%B6%c3%9fe/x"),
        ("https://93.184.216.34/", "https://93.184.216.34/cat.jpg"),
        ("https://[2606:4700::1]/", "https://[2606:4700:0:0::0001]/cat.jpg"),
    ],
)
def test_what_is_under_an_entry_is_admitted(entry: str, uri: str) -> None:
    assert parse_allowed(entry).admits(parse_uri(uri))


@pytest.mark.parametrize(
    ("entry", "uri"),
    [
        (PHOTOS, "http://images.example.org/photos/cat.jpg"),
        (PHOTOS, "https://images.example.org:8443/photos/cat.jpg"),
        (PHOTOS, "https://images.example.org/"),
        (PHOTOS, "https://images.example.org/photos-secret/x"),
        (PHOTOS, "https://images.example.org/photos/../x"),
        (PHOTOS, "https://images.example.org/PHOTOS/x"),
        (PHOTOS, "https://images.example.org//photos/x"),
        (PHOTOS, "https://images.example.org/photos%2Fx"),
        (PHOTOS, "https://images.example.org/%2570hotos/x"),
        (PHOTOS, "https://images.example.org/?/photos/x"),
        (PHOTOS, "https://images.example.org.evil.test/photos/x"),
        (PHOTOS, "https://evil.test/images.example.org/photos/x"),
        (PHOTOS, "https://evil.test#@images.example.org/photos/x"),
        (PHOTOS, "https://evil.test?@images.example.org/photos/x"),
        ("https://*.example.org/", "https://example.org/x"),
        ("https://*.example.org/", "https://evilexample.org/x"),
        ("https://*.example.org/", "https://example.org.evil.test/x"),
        ("https://images.example.org/caf%E9/", "https://images.example.org/caf%E8/x"),
    ],
)
def test_what_is_not_under_an_entry_is_not_admitted(entry: str, uri: str) -> None:
    assert not parse_allowed(entry).admits(parse_uri(uri))


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "begins with http"),
        ("cat.jpg", "begins with http"),
        ("data:image/png;base64,AAAA", "send the bytes in content"),
        ("file:///etc/passwd", "send the bytes in content"),
        ("gs://bucket/cat.jpg", "send the bytes in content"),
        ("ftp://images.example.org/cat.jpg", "begins with http"),
        (" https://images.example.org/cat.jpg", "begins with http"),
        ("https:cat.jpg", "names a host"),
        ("https:///cat.jpg", "names a host"),
        ("https://images..example.org/", "names a host"),
        ("https://images.example.org../", "names a host"),
        ("https://images%2eexample.org/", "names a host"),
        ("https://evil.test\\.example.org/", "names a host"),
        (f"https://{'a' * 64}.org/", "names a host"),
        (f"https://{'a.' * 130}org/", "names a host"),
        ("https://ｉmages.example.org/", "not a URI"),
        ("https://user@images.example.org/", "no user name or password"),
        ("https://user:word@images.example.org/", "no user name or password"),
        ("https://evil.test\\@images.example.org/", "no user name or password"),
        ("https://images.example.org:0/", "0 isn't a port"),
        ("https://images.example.org:65536/", "65536 isn't a port"),
        ("https://images.example.org:-1/", "-1 isn't a port"),
        ("https://images.example.org:http/", "not a URI"),
        ("https://[::1].evil.test/", "not a URI"),
        ("https://[::1/", "not a URI"),
        ("https://[fe80::1%25eth0]/", "no zone"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://0x7f000001/", "four decimal numbers"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("http://127.1/", "four decimal numbers"),
        ("http://0177.0.0.1/", "not a URI"),
        ("http://127.0.0.0x1/", "four decimal numbers"),
        ("https://images.example.org/photos/%2e%2e/x", "segments of dots"),
        ("https://images.example.org/photos/.%2E/x", "segments of dots"),
        ("https://images.example.org/photos/%252e%252e/x", "segments of dots"),
        ("https://images.example.org/photos/..%2fx", "segments of dots"),
        ("https://images.example.org/photos/..\\x", "segments of dots"),
        ("https://images.example.org/photos/%5c..%5cx", "segments of dots"),
        ("https://images.example.org/photos/..;a=b/x", "segments of dots"),
        ("https://images.example.org/%25252525252e", "more than 3 times"),
        ("https://images.example.org/cat.jpg%00.txt", "control characters"),
        ("https://images.example.org/cat.jpg\r\nHost: evil.test", "not a URI"),
        (f"https://images.example.org/{'a' * 9000}", "8192 characters at most, not 9027"),
    ],
)
def test_a_uri_that_nothing_honest_needs_is_refused_with_the_reason(uri: str, why: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_uri(uri)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("images.example.org", "begins with http"),
        ("https://*/", "names a host"),
        ("https://*.org/", "domain of two names"),
        ("https://*.93.184.216.34/", "domain of two names"),
        ("https://images.*.org/", "names a host"),
        ("https://user@images.example.org/", "no user name"),
        ("https://images.example.org/photos?size=1", "neither query nor fragment"),
        ("https://images.example.org/photos#top", "neither query nor fragment"),
        ("http://10.0.0.5/photos/", "10.0.0.5 isn't a public address"),
        ("http://[::1]/", "::1 isn't a public address"),
    ],
)
def test_a_wrong_entry_is_named_with_the_reason(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"can't be allowed") as refused:
        parse_allowed(entry)
    assert repr(entry) in str(refused.value)
    assert why in str(refused.value)


@given(st.one_of(st.text(), st.text("/.%2eE5cCfF\\;@:[]a", max_size=40).map("https://a.org/".__add__)))
def test_whatever_text_is_a_uri_or_refused_and_what_is_sent_is_what_was_checked(text: str) -> None:
    try:
        place = parse_uri(text)
    except RefusedError:
        return
    again = parse_uri(f"{place.origin}{place.target.decode('ascii')}")
    assert (place.origin, place.target, place.segments) == (again.origin, again.target, again.segments)
    assert not {b".", b".."} & set(place.segments)


# What the registries of special addresses keep from the open internet, as they write it.
SPECIAL_V4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
]  # fmt: skip
SPECIAL_V6 = [
    "::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
    "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip


def special_v4() -> st.SearchStrategy[IPv4Address]:
    networks = st.sampled_from([IPv4Network(each) for each in SPECIAL_V4])
    return networks.flatmap(lambda network: st.ip_addresses(network=network)).map(
        lambda found: IPv4Address(int(found))
    )


def special_v6() -> st.SearchStrategy[IPv6Address]:
    networks = st.sampled_from([IPv6Network(each) for each in SPECIAL_V6])
    return networks.flatmap(lambda network: st.ip_addresses(network=network)).map(
        lambda found: IPv6Address(int(found))
    )


@given(special_v4() | special_v6())
def test_no_special_address_is_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)


@given(special_v4(), st.integers(0, 2**80 - 1), st.sampled_from(["::ffff:0:0", "::", "64:ff9b::"]))
def test_no_special_address_is_public_inside_another(inner: IPv4Address, rest: int, prefix: str) -> None:
    assert not is_public(IPv6Address(int(IPv6Address(prefix)) | int(inner)))
    assert not is_public(IPv6Address(0x2002 << 112 | int(inner) << 80 | rest))
    assert not is_public(IPv6Address(0x20010000 << 96 | int(inner) ^ 0xFFFFFFFF))


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_knows_to_be_special_is_public(
    address: IPv4Address | IPv6Address,
) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    carried = isinstance(address, IPv6Address) and address in IPv6Network("64:ff9b::/96")
    if special or address.is_unspecified or (address.is_reserved and not carried):
        assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "223.255.255.255", "2606:4700::1111", "2a00::1", "64:ff9b::5db8:d822"],
)
def test_an_address_on_the_open_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", ["2606:4700::1%eth0", "64:ff9b::5db8:d822%1"])
def test_an_address_with_a_zone_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
