"""Our executor against py-evm's own on random programs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.evm_fuzz import difference, make_program


# py-evm's own machine warns that SELFDESTRUCT goes out of use.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_random_programs_end_as_in_py_evm(seed: int) -> None:
    found, _ = difference(make_program(random.Random(seed)))
    assert found is None
