"""Through real sockets."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from web_fakes import (
    CAT,
    FIELD,
    PRIVATE,
    PUBLIC,
    Answer,
    Names,
    Site,
    drips,
    fetching,
    redirects,
    says_nothing,
    sends,
    serving,
    status,
    writes_for_ever,
)

from standpipe_server.errors import (
    DeadlinePassedError,
    InvalidInputError,
    LimitExceededError,
    MediaUnavailableError,
    RetryableError,
)
from standpipe_server.media.fetching import Fetcher

# What is asked for


async def test_a_uri_s_bytes_are_fetched_and_nothing_is_told_that_need_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{PRIVATE}:9")
    monkeypatch.setenv("ALL_PROXY", f"http://{PRIVATE}:9")
    answer = status("200 OK", "Set-Cookie: a=b; Path=/", body=CAT)
    async with Site({"/cat?size=1": answer}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base]) as fetcher:
            fetched = [await fetcher.fetch(f"{base}/cat?size=1#whiskers", FIELD, 5.0) for _ in range(2)]
    head = [
        "GET /cat?size=1 HTTP/1.1",
        f"Host: photos.test:{site.port}",
        "User-Agent: standpipe",
        "Accept: */*",
        "Accept-Encoding: identity",
        "",
    ]
    assert [CAT, CAT] == fetched
    assert [head, head] == site.requests


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("PHOTOS.Test", "photos.test"),
        ("photos.test.", "photos.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test.", "xn--bcher-kva.test"),
        ("[2606:4700:0::1111]", "[2606:4700::1111]"),
    ],
)
async def test_a_host_is_looked_up_and_asked_by_its_one_spelling(written: str, host: str) -> None:
    names = Names()
    async with (
        Site({"/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site,
        fetching([f"http://{host}:{site.port}"], names) as fetcher,
    ):
        assert CAT == await fetcher.fetch(f"http://{written}:{site.port}/cat", FIELD, 5.0)
    assert [host.strip("[]")] == names.asked
    assert f"Host: {host}:{site.port}" == site.requests[0][1]


async def test_a_connection_is_kept_for_the_next_fetch() -> None:
    async def answers_twice(writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await status("200 OK", body=CAT)(writer)
            await asyncio.sleep(0.05)

    names = Names()
    async with Site({"/cat": answers_twice}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base], names) as fetcher:
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert ["photos.test"] == names.asked


# What is refused


@pytest.mark.parametrize(
    ("allowed", "uri", "why"),
    [
        ([], "https://photos.test/cat", "fetches no URIs: send the bytes in content instead"),
        ([], "data:image/png;base64,AAAA", "fetches no URIs"),
        (["https://photos.test/"], "data:image/png;base64,AAAA", "send the bytes in content instead"),
        (["https://photos.test/"], "https://user:word@photos.test/cat", "no user name or password"),
        (
            ["https://photos.test/"],
            "https://evil.test:8080/cat?key=secret",
            "https://evil.test:8080 with this",
        ),
        (["https://photos.test/a/"], "https://photos.test/a/%2e%2e/b", "segments of dots"),
    ],
)
async def test_a_refused_uri_is_never_looked_up(allowed: list[str], uri: str, why: str) -> None:
    names = Names()
    async with fetching(allowed, names) as fetcher:
        with pytest.raises(InvalidInputError) as refused:
            await fetcher.fetch(uri, FIELD, 5.0)
    assert FIELD == refused.value.field
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)
    assert [] == names.asked


def test_a_wrong_entry_of_the_list_stops_the_server() -> None:
    with pytest.raises(ValueError, match="can't be allowed"):
        Fetcher(["photos.test"], max_bytes=1)


# Redirects


async def test_redirects_are_followed_within_the_list() -> None:
    async with Site({}).listening(PUBLIC) as site:
        site.answers = {
            "/a/1": redirects("2"),
            "/a/2": redirects(f"http://cdn.photos.test:{site.port}/3"),
            "/3": redirects(f"//photos.test:{site.port}/a/cat"),
            "/a/cat": status("200 OK", body=CAT),
        }
        allowed = [f"http://photos.test:{site.port}/a/", f"http://*.photos.test:{site.port}"]
        async with fetching(allowed) as fetcher:
            assert CAT == await fetcher.fetch(f"http://photos.test:{site.port}/a/1", FIELD, 5.0)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://inside.photos.test:{port}/cat", "inside.photos.test has no public address"),
        ("http://evil.test:{port}/cat", "http://evil.test:{port} with this path isn't among"),
        ("/b/cat", "http://photos.test:{port} with this path isn't among"),
        ("../b/cat", "http://photos.test:{port} with this path isn't among"),
        ("%2e%2e/b/cat", "segments of dots"),
        ("http://127.0.0.2:{port}/cat", "http://127.0.0.2:{port} with this path isn't among"),
        ("http://user@photos.test:{port}/a/cat", "no user name or password"),
        ("file:///etc/passwd", "send the bytes in content"),
        ("http://[oops/cat", "redirects to what is refused"),
        ("/a/start", "more than 3 redirects"),
    ],
)
async def test_no_redirect_leads_out_of_the_list(location: str, why: str) -> None:
    names = Names(inside_photos_test=[[PRIVATE]])
    names.answers["evil.test"] = [[PUBLIC]]
    site, inside = Site({}), Site({"/cat": status("200 OK", body=b"secret")})
    async with site.listening(PUBLIC):
        site.answers = {
            "/a/start": redirects(location.format(port=site.port)),
            "/b/cat": status("200 OK", body=b"secret"),
            "/cat": status("200 OK", body=b"secret"),
        }
        inside.port = site.port
        allowed = [f"http://photos.test:{site.port}/a/", f"http://*.photos.test:{site.port}"]
        async with inside.listening(PRIVATE), fetching(allowed, names) as fetcher:
            with pytest.raises(InvalidInputError) as refused:
                await fetcher.fetch(f"http://photos.test:{site.port}/a/start", FIELD, 5.0)
    assert FIELD == refused.value.field
    assert why.format(port=site.port) in str(refused.value)
    assert {"GET /a/start HTTP/1.1"} == {head[0] for head in site.requests}
    assert [] == inside.requests


# Answers


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (status("404 Not Found"), InvalidInputError, "answers with status 404"),
        (status("401 Unauthorized"), InvalidInputError, "answers with status 401"),
        (status("206 Partial Content", body=CAT), InvalidInputError, "answers with status 206"),
        (status("304 Not Modified"), InvalidInputError, "answers with status 304"),
        (status("302 Found"), InvalidInputError, "answers with status 302"),
        (status("429 Too Many Requests"), MediaUnavailableError, "answers with status 429"),
        (status("500 Internal Server Error"), MediaUnavailableError, "answers with status 500"),
        (status("503 Service Unavailable"), MediaUnavailableError, "answers with status 503"),
        (sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), MediaUnavailableError, "can't be reached, or broke off"),
        (sends(), MediaUnavailableError, "can't be reached, or broke off"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", CAT), MediaUnavailableError, "broke off"),
        (
            sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"),
            LimitExceededError,
            "max_media_bytes = 10000",
        ),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), MediaUnavailableError, "broke off"),
        (sends(b"HTTP/1.1 200 OK\r\n\r\n", bytes(10_001)), LimitExceededError, "max_media_bytes = 10000"),
        (status("200 OK", body=bytes(10_001)), LimitExceededError, "max_media_bytes = 10000"),
        (writes_for_ever, LimitExceededError, "max_media_bytes = 10000"),
        (
            status("200 OK", "Content-Encoding: gzip", body=gzip.compress(bytes(1_000_000))),
            InvalidInputError,
            "packed bytes (gzip), unasked: send the bytes in content",
        ),
    ],
)
async def test_an_answer_without_the_bytes_says_what_it_is(
    answer: Answer, error: type[InvalidInputError | RetryableError], why: str
) -> None:
    async with serving(answer) as fetch:
        with pytest.raises(error) as raised:
            await fetch()
    assert error is type(raised.value)
    assert why in str(raised.value)


async def test_the_limit_is_named_for_programs_too() -> None:
    async with serving(writes_for_ever, max_bytes=77) as fetch:
        with pytest.raises(LimitExceededError) as raised:
            await fetch()
    assert FIELD == raised.value.field
    assert {"limit": "max_media_bytes", "value": "77"} == raised.value.details


@pytest.mark.parametrize(
    "answer",
    [
        status("200 OK", body=bytes(10_000)),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", bytes(20_000)),
        sends(b"HTTP/1.1 200 OK\r\n\r\n", bytes(10_000)),
    ],
)
async def test_as_many_bytes_as_may_be_are_taken_and_none_beyond_the_promised(answer: Answer) -> None:
    async with serving(answer) as fetch:
        assert bytes(10_000) == await fetch()


# Time


@pytest.mark.parametrize("answer", [drips, says_nothing])
async def test_who_takes_too_long_is_given_up_and_may_be_asked_again(answer: Answer) -> None:
    async with serving(answer, timeout=0.2) as fetch:
        with pytest.raises(MediaUnavailableError, match=r"takes too long: given up after 0.2 s") as raised:
            await fetch()
    assert "MEDIA_UNAVAILABLE" == raised.value.reason
    assert 1.0 == raised.value.retry_after


@pytest.mark.parametrize("timeout", [0.15, 0.0, -1.0])
async def test_the_caller_s_time_ends_the_fetch(timeout: float) -> None:
    async with Site({"/cat": drips}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base]) as fetcher:
            with pytest.raises(DeadlinePassedError, match=f"{base} takes too long"):
                await fetcher.fetch(f"{base}/cat", FIELD, timeout)


async def test_who_waits_too_long_for_others_to_end_is_told_that_they_are_many() -> None:
    async with serving(says_nothing, timeout=0.1, side_by_side=1) as fetch:
        ends = await asyncio.gather(*(fetch() for _ in range(5)), return_exceptions=True)
    assert {MediaUnavailableError} == set(map(type, ends))
    assert "takes too long" in str(ends[0])
    assert f"{FIELD}: 1 URIs are being fetched already: given up after 0.1 s" in map(str, ends)


async def test_nobody_waits_for_ever_until_others_end_and_the_next_has_its_turn() -> None:
    async with Site({"/slow": says_nothing, "/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base], side_by_side=1, timeout=0.2) as fetcher:
            slow = asyncio.ensure_future(fetcher.fetch(f"{base}/slow", FIELD, 5.0))
            await asyncio.sleep(0.05)
            with pytest.raises(DeadlinePassedError, match="1 URIs are being fetched already"):
                await fetcher.fetch(f"{base}/cat", FIELD, 0.05)
            with pytest.raises(MediaUnavailableError, match="takes too long"):
                await slow
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert ["GET /slow HTTP/1.1", "GET /cat HTTP/1.1"] == [head[0] for head in site.requests]


async def test_a_fetch_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    async with Site({"/slow": says_nothing, "/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base], side_by_side=1) as fetcher:
            slow = asyncio.ensure_future(fetcher.fetch(f"{base}/slow", FIELD, 5.0))
            await site.asked.wait()
            slow.cancel()
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert slow.cancelled()


async def test_no_more_are_fetched_side_by_side_than_may_be() -> None:
    running: list[int] = [0]

    async def counts(writer: asyncio.StreamWriter) -> None:
        running.append(running[-1] + 1)
        await asyncio.sleep(0.02)
        running.append(running[-1] - 1)
        await status("200 OK", body=CAT)(writer)

    async with serving(counts, side_by_side=3) as fetch:
        assert [CAT] * 9 == await asyncio.gather(*(fetch() for _ in range(9)))
    assert 3 == max(running)
