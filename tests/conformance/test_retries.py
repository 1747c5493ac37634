"""A connection breaks in the middle of a large request: it is sent again, in each language."""

from __future__ import annotations

from pathlib import Path

from conformance.cases import cases
from conformance.conftest import Proxied
from conformance.judging import faults
from conformance.languages import Language, each_language, runnable
from conformance.relay import Hiccup, relay
from standpipe_bench.server_process import ServerProcess

FIRST, LARGE = "example of EmbedText", "a request of more than 4 MB is taken"
ASKED = [case for name in (FIRST, LARGE) for case in cases() if case.name == name]


@each_language
def test_a_large_request_that_was_cut_off_is_sent_again(
    language: Language, default_server: ServerProcess, proxied: Proxied, tmp_path: Path
) -> None:
    runnable(language)
    hiccup = Hiccup(1 << 20)
    with relay(default_server.address, hiccup) as one, relay(default_server.address, hiccup) as other:
        # Envoy leaves out a server whose connection broke, for a moment, and so needs another one.
        target = proxied(one.address, other.address) if language.proxied else one.address
        reported = language.run(target, ASKED, tmp_path)
        assert hiccup.happened
    assert [] == [fault for case in ASKED for fault in faults(case, reported[case.name])]
