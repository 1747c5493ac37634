"""Processes of this machine: one with all that it started, and the one that listens on an address.

Not aware of when it is asked, nor of what the processes do.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil

from standpipe_bench.devices import UnavailableError

FORWARDERS = frozenset(
    (
        "com.docker.backend",
        "docker-proxy",
        "gvproxy",
        "kubectl",
        "launchd",
        "pasta",
        "rootlessport",
        "slirp4netns",
        "socat",
        "ssh",
        "systemd",
        "vpnkit-bridge",
    )
)
"""Programs that listen for a server elsewhere, in a container, or not yet started: they aren't the server."""

_LOCATION = re.compile(r"(?:(?:dns|ipv[46]):(?://[^/]*/)?|https?://)?(?:\[([^]]+)]|([^][:/]+)):(\d+)(?:/.*)?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a process has taken so far.

    Attributes:
        own: Seconds of processors.
        reaped: Seconds of the children that it saw ending, and of theirs; macOS doesn't say.
        rss: Bytes; 0 of one that has ended and waits for its parent to see it.
    """

    own: float = 0.0
    reaped: float = 0.0
    rss: int = 0


class ProcessTree:
    """A process with all that it started, as they come and go.

    Attributes:
        seconds: Of processors, that they took since the first one began; it never falls.
        rss: Bytes that they hold together; what they share counts for each.
        alive: Whether the first one is.

    Raises:
        UnavailableError: There is no such process, or it may not be looked at.
    """

    def __init__(self, pid: int) -> None:
        try:
            self._root = psutil.Process(pid)
            self._root.memory_info()
        except psutil.NoSuchProcess:
            raise UnavailableError(f"there is no process {pid}") from None
        except psutil.AccessDenied:
            raise UnavailableError(f"process {pid} is another user's and may not be looked at") from None
        self._known: dict[psutil.Process, _Taken] = {}
        self._owed = 0.0
        self.seconds, self.rss, self.alive = 0.0, 0, True

    def look(self) -> None:
        """See how they stand now."""
        before = self._known
        now = {one: taken for one in self._members() if (taken := _taken(one)) is not None}
        ended = sum(before[one].own + before[one].reaped for one in before.keys() - now.keys())
        own = sum(now[one].own - before.get(one, _Taken()).own for one in now)
        reaped = sum(now[one].reaped - before.get(one, _Taken()).reaped for one in now)
        # Who saw a child ending has all its seconds, those too that were counted while it lived. It may have
        # been looked at just before: they are deducted until the next look. After that nobody saw it.
        self.seconds += own + max(0.0, reaped - self._owed - ended)
        self._owed = min(ended, max(0.0, self._owed + ended - reaped))
        self._known = now
        self.rss = sum(taken.rss for taken in now.values())
        self.alive = now.get(self._root, _Taken()).rss > 0

    def _members(self) -> Iterable[psutil.Process]:
        """All of them, parents first: a child that ends while they are looked at must not count at both."""
        members = dict.fromkeys(_with_children(self._root))
        # Those whose parent has ended are nobody's children here.
        for orphan in self._known:
            if orphan not in members:
                members |= dict.fromkeys(_with_children(orphan))
        return members


def pid_listening(address: str) -> int | None:
    """The process that listens on an address of this machine, "localhost:50051" say.

    Of several, such as a server's workers, the one that started all others.

    Returns:
        Its id; None where it is elsewhere, isn't to be seen by this user, or isn't the only one.
    """
    found = _LOCATION.fullmatch(address)
    if found is None:
        return None
    own = _own_addresses(found[1] or found[2])
    listening = _listening(int(found[3]))
    # The system hands a connection to whoever listens on just its address before those that listen on all.
    exact = {pid for pid, at in listening if at in own}
    pids = exact or {pid for pid, at in listening if own and at.is_unspecified}
    eldest = {_eldest(pid, int(found[3])) for pid in pids}
    return next((pid for pid in eldest if not _forwards(pid)), None) if len(eldest) == 1 else None


def _own_addresses(host: str) -> set[Address]:
    """What a name stands for; nothing where that isn't this machine alone."""
    try:
        found = {_address(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()
    own = {
        _address(entry.address)
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    }
    return found if all(one.is_loopback or one.is_unspecified or one in own for one in found) else set()


def _address(text: str | int) -> Address:
    address = ipaddress.ip_address(str(text).partition("%")[0])
    # One socket may serve both families.
    return getattr(address, "ipv4_mapped", None) or address


def _listening(port: int) -> list[tuple[int, Address]]:
    return [
        (pid, _address(one.laddr.ip))
        for pid, one in _sockets()
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]


def _sockets() -> Iterable[tuple[int, Any]]:
    try:
        for one in psutil.net_connections("tcp"):
            if one.pid:
                yield one.pid, one
    except psutil.AccessDenied:
        # macOS: one's own processes can still be asked, one by one.
        yield from _own_sockets()


def _own_sockets() -> Iterable[tuple[int, Any]]:
    for process in psutil.process_iter():
        try:
            sockets = process.net_connections("tcp")
        except psutil.Error:
            continue
        for one in sockets:
            yield process.pid, one


def _eldest(pid: int, port: int) -> int:
    """Of a process and those that it comes from, the first that listens: they may share one socket."""
    try:
        parents = psutil.Process(pid).parents()
    except psutil.Error:
        return pid
    return [pid, *(one.pid for one in parents if _listens(one, port) and not _forwards(one.pid))][-1]


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        sockets = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets)


def _forwards(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() in FORWARDERS
    except psutil.Error:
        return False


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it started, parents first; nothing where it has ended."""
    try:
        return [process, *process.children(recursive=True)] if process.is_running() else []
    except psutil.Error:
        return []


def _taken(process: psutil.Process) -> _Taken | None:
    try:
        with process.oneshot():
            times, rss = process.cpu_times(), process.memory_info().rss
    except psutil.Error:
        return None
    return _Taken(times.user + times.system, times.children_user + times.children_system, rss)
