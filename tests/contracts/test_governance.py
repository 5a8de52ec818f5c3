"""Chain parameters: set by governors only, and never to values under which the chain could not go on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import governance, registry
from contracts.call import Log
from contracts.parameters import BOUNDS, ORDER, ChainParameters, changed_parameters
from contracts.refusals import Refused


def changes(**values: int) -> dict[str, Any]:
    return {"names": list(values), "values": list(values.values())}


def test_the_parameters_of_genesis_are_in_state(bench: Any) -> None:
    assert bench.view("governance", "parameters") == ChainParameters()
    assert governance.parameters_key() in bench.state
    assert governance.load_parameters(bench.state) == ChainParameters()
    with pytest.raises(LookupError, match="no chain parameters"):
        governance.load_parameters({})


def test_a_governor_sets_several_at_once(bench: Any) -> None:
    chosen = changes(timeout_limit_ms=20_000, timeout_propose_ms=15_000)
    result = bench.accept(bench.governor, "governance", "set_parameters", **chosen)
    expected = ChainParameters(timeout_limit_ms=20_000, timeout_propose_ms=15_000)
    assert bench.view("governance", "parameters") == expected
    (log,) = result.logs
    decoded = registry.decode_log(Log(log.address, log.topics, log.data))
    assert (decoded.event, decoded.fields) == ("ParametersSet", chosen)
    assert expected.hash != ChainParameters().hash


def test_nobody_else_sets_them(bench: Any) -> None:
    for account in (bench.auditor, bench.administrator, bench.issuer, bench.recorder):
        bench.refuse("ROLE_MISSING", account, "governance", "set_parameters", **changes(block_interval_ms=20))


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("LIST_EMPTY", changes()),
        ("LENGTHS_DIFFER", {"names": ["block_interval_ms"], "values": []}),
        ("LENGTHS_DIFFER", {"names": ["block_interval_ms"], "values": [1, 2]}),
        ("LIST_REPEATS", {"names": ["block_interval_ms"] * 2, "values": [1, 2]}),
        ("LIST_TOO_LONG", {"names": [f"n{index}" for index in range(15)], "values": [1] * 15}),
        ("PARAMETER_UNKNOWN", changes(block_intervall_ms=20)),
        ("PARAMETER_UNKNOWN", changes(hash=20)),
        ("PARAMETER_OUT_OF_RANGE", changes(block_interval_ms=0)),
        ("PARAMETER_OUT_OF_RANGE", changes(timeout_limit_ms=2**64 - 1)),
        ("PARAMETER_OUT_OF_RANGE", changes(max_transaction_gas=10)),
        ("PARAMETERS_CONFLICT", changes(block_interval_ms=60_000, empty_block_interval_ms=59_999)),
        ("PARAMETERS_CONFLICT", changes(transaction_window_ms=10_000, block_interval_ms=10_001)),
        ("PARAMETERS_CONFLICT", changes(max_block_gas=29_999_999)),
        ("PARAMETERS_CONFLICT", changes(timeout_limit_ms=1_000, timeout_propose_ms=1_001)),
        ("PARAMETERS_CONFLICT", changes(timeout_prevote_ms=10_001)),
        ("PARAMETERS_CONFLICT", changes(timeout_precommit_ms=10_001)),
        ("PARAMETERS_CONFLICT", changes(timeout_step_ms=10_001)),
    ],
)
def test_what_cannot_hold_is_refused_by_name(bench: Any, code: str, arguments: dict[str, Any]) -> None:
    text = bench.refuse(code, bench.governor, "governance", "set_parameters", **arguments)
    assert " / " in text


def test_both_are_named_in_a_conflict(bench: Any) -> None:
    text = bench.refuse(
        "PARAMETERS_CONFLICT", bench.governor, "governance", "set_parameters", **changes(max_block_gas=10_000_000)
    )
    assert "max_transaction_gas (30000000) must not be above max_block_gas (10000000)" in text


def test_genesis_is_held_to_the_same_rules(bench: Any) -> None:
    for wrong in (ChainParameters(max_block_gas=10_000_000), ChainParameters(block_interval_ms=0)):
        with pytest.raises(Refused, match="PARAMETER"):
            governance.write_genesis(type(bench.state)(), wrong)


def test_the_bounds_are_those_of_the_type() -> None:
    assert list(BOUNDS) == [field.name for field in msgspec.structs.fields(ChainParameters)]
    for name, (least, greatest) in BOUNDS.items():
        values = msgspec.structs.asdict(ChainParameters())
        for value, fits in ((least, True), (greatest, True), (least - 1, False), (greatest + 1, False)):
            try:
                msgspec.convert(list((values | {name: value}).values()), ChainParameters)
            except msgspec.ValidationError:
                assert not fits
            else:
                assert fits


@given(st.dictionaries(st.sampled_from(list(BOUNDS)), st.integers(0, 2**64 - 1)))
def test_any_change_is_refused_or_keeps_the_rules(chosen: dict[str, int]) -> None:
    refusal: str | None = None
    try:
        changed = changed_parameters(ChainParameters(), chosen)
    except Refused as error:
        refusal = error.code
    else:
        assert all(getattr(changed, low) <= getattr(changed, high) for low, high in ORDER)
        assert msgspec.convert(list(msgspec.structs.asdict(changed).values()), ChainParameters) == changed
    assert refusal in (None, "PARAMETER_OUT_OF_RANGE", "PARAMETERS_CONFLICT")
