"""A server that isn't this project's, as a target: what it tells of itself is all that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from standpipe_bench.load.driver import Driver, Timing
from standpipe_bench.load.records import OK
from standpipe_bench.load.schedules import Constant
from standpipe_bench.requests.plan import RequestPlan
from standpipe_bench.targets.grpc import Connection, Grpc
from standpipe_bench.targets.methods import MethodError, calling, find_method

FOREIGN = Path(__file__).parents[1] / "foreign"
PROTO = FOREIGN / "library.proto"

LibraryServer = Callable[[Sequence[str]], AbstractContextManager[str]]


async def test_calls_of_an_rpc_known_by_reflection_alone_are_answered(library: Connection) -> None:
    method = find_method("FindBooks", connection=library)
    source = calling(method, library, RequestPlan(words="fixed:3", items=4, pool=2).make(method))

    assert ("acme.library.v1.LibraryService.FindBooks", False) == (source.name, source.streaming)
    async with source.open() as target:
        records = await Driver(target, Constant(rate=50), Timing(0.2)).run()
    calls = records.calls
    assert ([OK] * 10, [4] * 10) == (calls["status"].tolist(), calls["items"].tolist())
    # Four places of "shelf NN", each with two bytes before it.
    assert {4 * (2 + len("shelf NN"))} == set(calls["size"].tolist())
    assert [] == records.times.tolist()


async def test_messages_of_a_stream_known_by_reflection_alone_are_timed(library: Connection) -> None:
    method = find_method("acme.library.v1.LibraryService/ReadBook", connection=library)
    plan = RequestPlan(words="2", set=["pages=5"])
    source = calling(method, library, plan.make(method))

    assert source.streaming
    async with source.open() as target:
        records = await Driver(target, Constant(rate=50), Timing(0.1)).run()
    assert ([OK] * 5, [5] * 5) == (records.calls["status"].tolist(), records.calls["messages"].tolist())
    assert 25 == len(records.times)


async def test_what_a_foreign_server_refuses_is_a_status(library: Connection) -> None:
    method = find_method("FindBooks", connection=library)
    requests = RequestPlan(data='{"reader": "me"}').make(method)

    async with Grpc(library, method.full_name, requests).open() as target:
        answer = await target.call(0)
    assert 3 == answer.status


async def test_an_rpc_is_described_by_a_file_where_a_server_has_no_reflection(
    silent_library: Connection,
) -> None:
    method = find_method("FindBooks", connection=silent_library, proto=PROTO)
    requests = RequestPlan(data='{"titles": ["Emma"]}').make(method)

    async with calling(method, silent_library, requests).open() as target:
        answer = await target.call(0)
    assert (OK, 1) == (answer.status, answer.items)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "LibraryService.FindBoks",
            "no RPC of the server at {address} is called 'LibraryService.FindBoks'; near: "
            "acme.library.v1.LibraryService.FindBooks",
        ),
        (
            "Unheard",
            "no RPC of the server at {address} is called 'Unheard'; it has: "
            "acme.library.v1.LibraryService.FindBooks, acme.library.v1.LibraryService.ReadBook",
        ),
        (
            "StoreBooks",
            "acme.library.v1.LibraryService.StoreBooks takes a stream of requests; what can be called takes "
            "one, and answers once or with a stream",
        ),
    ],
)
def test_an_rpc_that_cannot_be_called_is_told_with_what_there_is(
    library: Connection, name: str, message: str
) -> None:
    with pytest.raises(MethodError) as caught:
        find_method(name, connection=library)
    assert message.format(address=library.address) == str(caught.value)


def test_a_server_without_reflection_is_told_as_such(silent_library: Connection) -> None:
    with pytest.raises(MethodError) as caught:
        find_method("FindBooks", connection=silent_library)
    address = silent_library.address
    assert f"the server at {address} offers no reflection: --proto FILE gives what describes its RPCs" == str(
        caught.value
    )


def test_version_1_of_reflection_is_read_and_headers_are_sent_to_it(library_server: LibraryServer) -> None:
    with library_server(["--reflection", "v1", "--token", "secret"]) as address:
        known = Connection(address, headers=[("authorization", "secret")])
        assert "FindBooks" == find_method("FindBooks", connection=known).name

        with pytest.raises(MethodError) as caught:
            find_method("FindBooks", connection=Connection(address))
    assert (
        f"the server at {address} refuses to describe itself: UNAUTHENTICATED: who are you?; --header sends "
        "it what it may want, --proto FILE does without it" == str(caught.value)
    )
