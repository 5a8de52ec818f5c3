"""A sample of the boundary programs against the results that Ethereum's executable specification gave for them."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from tests.state_tests.boundaries import DIGESTS, GROUPS, cases_of, digest_of, sample_of
from tests.state_tests.transition import run_case


@pytest.mark.parametrize("group", GROUPS)
def test_programs_at_the_edges_end_as_in_the_executable_specification(group: str) -> None:
    results = [run_case(case) for case in sample_of(group, cases_of(group))]
    kept = orjson.loads(DIGESTS.read_bytes())[group]
    ends = Counter(str(result.refused or result.ended) for result in results)
    assert digest_of((result.state_root, result.logs_hash) for result in results) == kept, ends


def test_every_group_has_programs_that_end_well_and_programs_that_do_not() -> None:
    ends = {
        group: {run_case(case).ended for case in sample_of(group, cases_of(group))}
        for group in ("stack_edges", "jumps")
    }
    assert all(None in found and len(found) > 1 for found in ends.values())
