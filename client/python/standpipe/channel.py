"""How every client of Standpipe connects: retries, balancing, health, message sizes."""

from __future__ import annotations

import json
from importlib.resources import files

MAX_MESSAGE_BYTES = 64 << 20
"""Largest message that a client takes or sends; as large as a server takes unless configured."""


def channel_options(*, retry: bool = True) -> list[tuple[str, str | int]]:
    """Options of a channel.

    Args:
        retry: Retry UNAVAILABLE with growing pauses, and pass by servers that say that they are going down,
            as ``service_config.json`` says. Without, each refusal is heard in its server's own words.
    """
    config = json.loads(files("standpipe").joinpath("service_config.json").read_text(encoding="utf-8"))
    if not retry:
        del config["methodConfig"], config["healthCheckConfig"]
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", int(retry)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
