"""A connection breaks in the middle of a large request: it is sent again, in each language."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cases import cases
from conformance.conftest import Proxied
from conformance.judging import faults
from conformance.languages import LANGUAGES, Language, required, wanted
from conformance.relay import relay
from standpipe_bench.server_process import ServerProcess

FIRST, LARGE = "example of EmbedText", "a request of more than 4 MB is taken"
ASKED = [case for name in (FIRST, LARGE) for case in cases() if case.name == name]


@pytest.mark.parametrize(
    "language", [one for one in LANGUAGES if wanted(one)], ids=lambda language: language.name
)
def test_a_large_request_that_was_cut_off_is_sent_again(
    language: Language, default_server: ServerProcess, proxied: Proxied, tmp_path: Path
) -> None:
    if why := language.missing():
        (pytest.fail if required(language) else pytest.skip)(f"{language.name}: {why}")
    with relay(default_server.address) as way:
        way.hiccup(1 << 20)
        target = proxied(way.address) if language.proxied else way.address
        reported = language.run(target, ASKED, tmp_path)
        assert way.hiccups == 1
    assert [] == [fault for case in ASKED for fault in faults(case, reported[case.name])]
