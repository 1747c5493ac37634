"""Whom a fetcher connects to, through real sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from web_fakes import (
    CAT,
    FIELD,
    NOBODY,
    PRIVATE,
    PUBLIC,
    Names,
    Site,
    closing,
    fetching,
    status,
)

from standpipe_server.errors import InvalidInputError, MediaUnavailableError, RetryableError
from standpipe_server.media.fetching import Fetcher
from standpipe_server.media.network import NotPublicError, PublicNetwork, look_up


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "localhost", "::1", "::ffff:7f00:1", "fe80::1"],
)
async def test_however_it_is_written_the_server_s_own_machine_is_not_connected_to(host: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        network = PublicNetwork(partial(look_up, threads))
        async with Site({}).listening(PUBLIC) as site:
            with pytest.raises(NotPublicError):
                await network.connect_tcp(host, site.port, 1.0)


async def test_the_default_network_is_the_public_one() -> None:
    async with Site({"/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site:
        base = f"http://localhost:{site.port}"
        async with closing(Fetcher([base], max_bytes=100)) as fetcher:
            with pytest.raises(InvalidInputError, match="localhost has no public address"):
                await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert [] == site.requests


@pytest.mark.parametrize("found", [[], [PRIVATE], [PUBLIC, PRIVATE], [PRIVATE, PUBLIC], ["::1"]])
async def test_a_private_address_and_none_are_the_same_to_the_caller(found: list[str]) -> None:
    async with Site({"/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base], Names(photos_test=[found])) as fetcher:
            with pytest.raises(InvalidInputError) as refused:
                await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert "photos.test has no public address" == str(refused.value)
    assert [] == site.requests


async def test_a_name_server_that_changes_its_mind_leads_nobody_inside() -> None:
    names = Names(photos_test=[[PUBLIC], [PRIVATE]])
    outside = Site({"/cat": status("200 OK", body=CAT)})
    inside = Site({"/cat": status("200 OK", body=b"secret")})
    async with outside.listening(PUBLIC):
        inside.port = outside.port
        base = f"http://photos.test:{outside.port}"
        async with inside.listening(PRIVATE), fetching([base], names) as fetcher:
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
            assert ["photos.test"] == names.asked
            with pytest.raises(InvalidInputError, match="no public address"):
                await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert [] == inside.requests


async def test_of_several_addresses_one_that_answers_is_enough() -> None:
    names = Names(photos_test=[[NOBODY, PUBLIC]])
    async with Site({"/cat": status("200 OK", body=CAT)}).listening(PUBLIC) as site:
        base = f"http://photos.test:{site.port}"
        async with fetching([base], names) as fetcher:
            assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)


@pytest.mark.parametrize("host", [PUBLIC, "::1"])
async def test_the_machine_s_resolver_is_asked_for_addresses(host: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        assert [host] == await look_up(threads, host, 80)


@pytest.mark.parametrize(
    ("code", "error", "why"),
    [
        (socket.EAI_NONAME, InvalidInputError, "photos.test has no public address"),
        (socket.EAI_AGAIN, MediaUnavailableError, "http://photos.test can't be reached"),
        (socket.EAI_FAIL, MediaUnavailableError, "http://photos.test can't be reached"),
    ],
)
async def test_a_name_that_does_not_exist_is_the_caller_s_fault_and_a_broken_name_server_is_not(
    code: int, error: type[InvalidInputError | RetryableError], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise socket.gaierror(code, "as the resolver says")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    async with closing(Fetcher(["http://photos.test"], max_bytes=1)) as fetcher:
        with pytest.raises(error, match=why):
            await fetcher.fetch("http://photos.test/cat", FIELD, 5.0)


async def test_a_name_server_that_says_nothing_is_given_up() -> None:
    async def thinks(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    async with fetching(["http://photos.test"], thinks, timeout=0.1) as fetcher:
        with pytest.raises(MediaUnavailableError, match="takes too long"):
            await fetcher.fetch("http://photos.test/cat", FIELD, 5.0)


async def test_a_site_that_does_not_listen_may_be_asked_again() -> None:
    async with Site({}).listening(PUBLIC) as site:
        port = site.port
    async with fetching([f"http://photos.test:{port}"]) as fetcher:
        with pytest.raises(MediaUnavailableError, match="can't be reached"):
            await fetcher.fetch(f"http://photos.test:{port}/cat", FIELD, 5.0)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of photos.test, signed by itself; the key is beside it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=photos.test"
    command += " -addext subjectAltName=DNS:photos.test"
    subprocess.run(
        [
            openssl,
            *command.split(),
            "-keyout",
            str(folder / "key.pem"),
            "-out",
            str(folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "certificate.pem"


@pytest.mark.parametrize(
    ("host", "trusted", "whole"),
    [("photos.test", True, True), ("photos.test", False, False), ("other.test", True, False)],
)
async def test_a_certificate_must_be_trusted_and_the_host_s_own(
    host: str, trusted: bool, whole: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Site({"/cat": status("200 OK", body=CAT)}).listening(PUBLIC, tls) as site:
        base = f"https://{host}:{site.port}"
        async with fetching([base]) as fetcher:
            if whole:
                assert CAT == await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
            else:
                with pytest.raises(MediaUnavailableError, match="can't be reached"):
                    await fetcher.fetch(f"{base}/cat", FIELD, 5.0)
    assert whole == bool(site.requests)
