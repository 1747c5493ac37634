"""How every client of Standpipe connects: retries, balancing, health, message sizes."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from importlib.resources import files

MAX_MESSAGE_BYTES = 64 << 20
"""Largest message that a client takes or sends; as large as a server takes unless configured."""

_FAMILIES = {socket.AF_INET: "ipv4:", socket.AF_INET6: "ipv6:"}


def reached(
    address: str | Sequence[str], *, retry: bool, secured: bool
) -> tuple[str, list[tuple[str, str | int]]]:
    """The target and the options of a client's channel.

    Args:
        address: As ``target`` takes it.
        retry: As ``channel_options`` takes it.
        secured: Whether the channel has credentials.

    Raises:
        ValueError: As ``target``; and credentials for several addresses.
        OSError: As ``target``.
    """
    several = not isinstance(address, str) and len(address) > 1
    if several and secured:
        # gRPC would hold every certificate against the whole list.
        raise ValueError("credentials go with one address: give a name that stands for all servers")
    return target(address), channel_options(retry=retry, choice=several)


def target(address: str | Sequence[str]) -> str:
    """What gRPC connects to: any target of its own, or several ``host:port`` that calls are spread over.

    Names among several are looked up here, once. A single name, which may have several addresses, is looked
    up by gRPC, and again when servers go away.

    Raises:
        ValueError: No address, one that isn't ``host:port``, or none of one family (IPv4, IPv6) for each.
        OSError: A name among several that nobody knows.
    """
    if isinstance(address, str):
        return address
    if len(address) == 1:
        return address[0]
    found = [_looked_up(one) for one in address]
    for family, scheme in _FAMILIES.items():
        if found and all(family in one for one in found):
            return scheme + ",".join(place for one in found for place in one[family])
    raise ValueError(f"no address, or no family (IPv4, IPv6) that each has: {', '.join(address)}")


def _looked_up(address: str) -> dict[int, list[str]]:
    """Its places by family, as gRPC writes them."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port):
        raise ValueError(f"{address!r} isn't host:port")
    places: dict[int, list[str]] = {}
    for family, _, _, _, place in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        number = f"[{place[0]}]" if family == socket.AF_INET6 else str(place[0])
        places.setdefault(family, []).append(f"{number}:{port}")
    return places


def channel_options(*, retry: bool = True, choice: bool = False) -> list[tuple[str, str | int]]:
    """Options of a channel.

    Args:
        retry: Retry UNAVAILABLE with growing pauses, as ``service_config.json`` says.
        choice: Pass by servers that don't say that they are ready. Where there is one only, its own words,
            such as which model still loads, tell more than gRPC's that it isn't ready.
    """
    config = json.loads(files("standpipe").joinpath("service_config.json").read_text(encoding="utf-8"))
    if not retry:
        del config["methodConfig"]
    if not choice:
        del config["healthCheckConfig"]
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", int(retry)),
        # What a request may hold that is sent again: gRPC's own 256 KiB is less than a picture.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
