"""Trees of processes, and who listens on an address: by real processes and sockets."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import psutil
import pytest
from usage_fakes import BURN, WAIT, first_line, python

from standpipe_bench import processes
from standpipe_bench.devices import UnavailableError
from standpipe_bench.processes import ProcessTree, _Taken, pid_listening


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system doesn't add up ended children")
def test_time_of_children_counts_whether_they_live_or_have_ended() -> None:
    program = (
        "import subprocess, sys\n"
        f"for _ in range(2): subprocess.run([sys.executable, '-c', {BURN.format(seconds=0.2)!r}])\n"
        f"lives = subprocess.Popen([sys.executable, '-c', {BURN.format(seconds=0.2) + WAIT!r}])\n"
        "sys.stdin.read()"
    )
    with python(program) as process:
        tree, parent = ProcessTree(process.pid), psutil.Process(process.pid)
        # Two have ended, and one is there.
        while sum(parent.cpu_times()[2:4]) < 0.3 or not parent.children():
            tree.look()
        child = parent.children()[0]
        # The system counts in 1/100 s.
        while sum(child.cpu_times()[:2]) < 0.15:
            tree.look()
        tree.look()
        assert sum(parent.cpu_times()[:4]) + sum(child.cpu_times()[:2]) == pytest.approx(
            tree.seconds, abs=0.1
        )
        assert tree.rss > parent.memory_info().rss
        child.kill()


def test_a_process_whose_parent_has_ended_still_counts() -> None:
    waiter = f"subprocess.Popen([sys.executable, '-c', {WAIT!r}])"
    middle = f"import subprocess, sys\nprint({waiter}.pid, flush=True)\nsys.stdin.read()"
    with python(middle) as process:
        orphan = psutil.Process(int(first_line(process)))
        tree = ProcessTree(process.pid)
        tree.look()
        process.kill()
        process.wait()
        tree.look()
        assert (False, True) == (tree.alive, tree.rss > 0)
        orphan.kill()


def test_parents_are_looked_at_before_their_children() -> None:
    program = (
        "import subprocess, sys\n"
        "depth = int(sys.argv[1])\n"
        "more = [sys.executable, '-c', sys.argv[2], str(depth - 1), sys.argv[2]]\n"
        "if depth: subprocess.Popen(more)\n"
        "else: print(flush=True)\n"
        "sys.stdin.read()"
    )
    start = f"import sys; program = {program!r}; sys.argv[1:] = ['3', program]; exec(program)"
    with python(start) as process:
        first_line(process)
        tree = ProcessTree(process.pid)
        seen = list(tree._members())
        assert [one.pid for one in seen[:-1]] == [one.ppid() for one in seen[1:]]
        assert 4 == len(seen)
        tree.look()
        process.kill()
        process.wait()
        # Those that are left stay in their order.
        assert seen[1:] == list(tree._members())
        for one in seen[1:]:
            one.kill()


# What each look finds of the processes by name: (seconds of its own, seconds of children that it saw ending).
Looks = Sequence[Mapping[str, tuple[float, float]]]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([{"a": (1, 0)}, {"a": (2, 0)}], 2, id="one"),
        pytest.param([{"a": (1, 0), "b": (4, 0)}, {"a": (1, 6)}], 7, id="a child ended and was waited for"),
        pytest.param([{"a": (1, 0)}, {"a": (1, 3)}], 4, id="a child came and went between looks"),
        pytest.param(
            [{"a": (1, 0), "b": (4, 0)}, {"a": (2, 0)}, {"a": (3, 0)}], 7, id="nobody waited for it"
        ),
        pytest.param(
            [{"a": (1, 0), "b": (4, 0)}, {"a": (1, 0)}, {"a": (1, 5)}], 6, id="it was waited for meanwhile"
        ),
        pytest.param(
            [{"a": (1, 0), "b": (4, 0)}, {"a": (1, 0)}, {"a": (1, 0)}, {"a": (1, 2)}],
            7,
            id="nobody waited for it, but for another one later",
        ),
        pytest.param(
            [{"a": (0, 0), "b": (1, 2), "c": (3, 0)}, {"a": (0, 0), "b": (1, 5)}, {"a": (0, 6)}],
            6,
            id="a child's child, then the child",
        ),
        pytest.param([{"a": (1, 0), "b": (4, 0)}, {"b": (5, 0)}, {}], 6, id="the first one ended first"),
    ],
)
def test_no_second_counts_twice(monkeypatch: pytest.MonkeyPatch, looks: Looks, expected: float) -> None:
    tree = ProcessTree(os.getpid())
    seen: list[float] = []
    for look in looks:
        # Made here: no test can make a process end just between two system calls.
        monkeypatch.setattr(tree, "_members", lambda: {name for one in looks for name in one})
        taken = {name: _Taken(*seconds, rss=1) for name, seconds in look.items()}
        monkeypatch.setattr(processes, "_taken", taken.get)
        tree.look()
        seen.append(tree.seconds)
    assert (expected, seen) == (tree.seconds, sorted(seen))


def test_another_user_s_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    # As macOS refuses it; on Linux everybody may look.
    monkeypatch.setattr(psutil.Process, "memory_info", refuse)
    with pytest.raises(UnavailableError, match="is another user's and may not be looked at"):
        ProcessTree(os.getpid())


@contextmanager
def listening(host: str, family: int = socket.AF_INET) -> Iterator[int]:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine can't listen on {host}")
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:{}"),
        ("127.0.0.1", "localhost:{}"),
        ("127.0.0.1", "dns:///localhost:{}"),
        ("127.0.0.1", "dns:localhost:{}"),
        ("127.0.0.1", "ipv4:127.0.0.1:{}"),
        ("127.0.0.1", "http://127.0.0.1:{}/v1"),
        ("0.0.0.0", "127.0.0.1:{}"),
        ("0.0.0.0", "0.0.0.0:{}"),
        ("::1", "[::1]:{}"),
        ("::1", "ipv6:[::1]:{}"),
        ("::", "[::1]:{}"),
        ("::", "127.0.0.1:{}"),
        # So gRPC listens on addresses of the old family.
        ("::ffff:127.0.0.1", "127.0.0.1:{}"),
    ],
)
def test_the_process_that_listens_is_found(host: str, address: str) -> None:
    with listening(host, socket.AF_INET6 if ":" in host else socket.AF_INET) as port:
        assert os.getpid() == pid_listening(address.format(port))


@pytest.mark.parametrize("bound", ["localhost:0", "127.0.0.1:0", "[::]:0"])
def test_a_grpc_server_s_process_is_found(bound: str) -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port(bound)
    server.start()
    try:
        assert os.getpid() == pid_listening(f"localhost:{port}")
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1:{}",
        "[2001:db8::1]:{}",
        "127.0.0.2:{}",
        "unix:/run/server.sock",
        "unix:///run/server.sock:{}",
        "ipv4:127.0.0.1:{0},127.0.0.1:{0}",
        "localhost",
        "",
    ],
)
def test_a_process_elsewhere_is_not_found(address: str) -> None:
    with listening("127.0.0.1") as port:
        assert None is pid_listening(address.format(port))


def test_a_name_that_nobody_knows_is_no_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with listening("0.0.0.0") as port:
        assert None is pid_listening(f"nowhere.invalid:{port}")


def test_of_processes_that_share_a_socket_the_one_that_started_the_others_is_found() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        python("print(flush=True)\n" + WAIT, pass_fds=[listener.fileno()]) as worker,
    ):
        first_line(worker)
        assert os.getpid() == pid_listening(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no two may listen here")
def test_of_processes_that_know_nothing_of_each_other_none_is_found() -> None:
    program = (
        "import socket, sys\n"
        "one = socket.socket()\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
        "one.bind(('127.0.0.1', {port}))\n"
        "one.listen()\n"
        "print(one.getsockname()[1], flush=True)\n" + WAIT
    )
    with ExitStack() as both:
        one = both.enter_context(python(program.format(port=0)))
        port = first_line(one)
        assert one.pid == pid_listening(f"127.0.0.1:{port}")
        first_line(both.enter_context(python(program.format(port=port))))
        assert None is pid_listening(f"127.0.0.1:{port}")


def test_what_only_forwards_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FORWARDERS", {psutil.Process().name()})
    with listening("127.0.0.1") as port:
        assert None is pid_listening(f"127.0.0.1:{port}")


def test_where_all_sockets_are_not_to_be_seen_one_s_own_still_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise psutil.AccessDenied

    # As macOS refuses it.
    monkeypatch.setattr(psutil, "net_connections", refuse)
    with listening("127.0.0.1") as port:
        assert os.getpid() == pid_listening(f"127.0.0.1:{port}")
