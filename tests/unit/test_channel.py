"""What a client connects to."""

from __future__ import annotations

import json
import socket

import grpc
import pytest

from standpipe import Client
from standpipe.channel import channel_options, target


def test_one_address_is_left_to_grpc() -> None:
    assert "dns:///pipes.example:50051" == target("dns:///pipes.example:50051")
    assert "pipes.example:50051" == target(["pipes.example:50051"])


def test_several_addresses_are_one_target_of_their_family() -> None:
    assert "ipv4:127.0.0.1:1,127.0.0.2:2" == target(["127.0.0.1:1", "127.0.0.2:2"])
    assert "ipv6:[::1]:1,[::1]:2" == target(["[::1]:1", "[::1]:2"])


def test_a_name_among_several_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "both": [(socket.AF_INET6, "::2"), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "192.0.2.2")],
        "six": [(socket.AF_INET6, "::3")],
    }

    def look_up(host: str, port: str, type: int) -> list[object]:  # noqa: A002 - the library's own name
        return [(family, type, 6, "", (address, int(port))) for family, address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert "ipv4:192.0.2.1:1,192.0.2.2:1,192.0.2.1:2,192.0.2.2:2" == target(["both:1", "both:2"])
    assert "ipv6:[::2]:1,[::3]:2" == target(["both:1", "six:2"])


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1:1", "pipes"], ["127.0.0.1:1", "[::1]:1"]])
def test_what_cannot_be_one_target_is_refused(addresses: list[str]) -> None:
    with pytest.raises(ValueError, match=r"host:port|no family"):
        Client(addresses)


def test_health_counts_where_there_is_a_choice() -> None:
    def config(**options: bool) -> dict[str, object]:
        found: dict[str, object] = json.loads(str(dict(channel_options(**options))["grpc.service_config"]))
        return found

    assert {"methodConfig", "loadBalancingConfig", "healthCheckConfig"} == config(choice=True).keys()
    assert {"methodConfig", "loadBalancingConfig"} == config().keys()
    assert {"loadBalancingConfig"} == config(retry=False).keys()


def test_credentials_are_for_one_address() -> None:
    secret = grpc.ssl_channel_credentials()
    Client("pipes.example:50051", credentials=secret).close()
    with pytest.raises(ValueError, match="credentials"):
        Client(["127.0.0.1:1", "127.0.0.1:2"], credentials=secret)
