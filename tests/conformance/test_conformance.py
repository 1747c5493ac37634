"""The table: each case, in each language."""

from __future__ import annotations

import shutil

import pytest

from conformance.cases import Case, cases
from conformance.conftest import Reports
from conformance.judging import faults
from conformance.languages import LANGUAGES, SECONDS, Language, runnable, wanted
from standpipe import contract

# The first case of a language waits for its runner to go through all of them.
pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.mark.parametrize(
    ("language", "case"),
    [(language, case) for language in LANGUAGES if wanted(language) for case in cases()],
    ids=lambda one: one.name,
)
def test_a_case_is_as_it_should_be(language: Language, case: Case, reports: Reports) -> None:
    runnable(language)
    if not language.takes(case):
        pytest.skip(f"{language.name} has no such calls")
    if case.needs and shutil.which(case.needs) is None:
        pytest.skip(f"{case.needs} isn't on the path")
    assert [] == faults(case, reports(language)[case.name])


def test_every_rpc_stands_in_the_table() -> None:
    assert set(contract.methods()) == {case.rpc for case in cases()}
