"""Whatever EVM code sends to a system contract, it gets an answer or a named refusal, and nothing is written."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import registry
from contracts.abi import AbiType, Array, Text, Tuple, abi_type, decode_error
from contracts.call import Call
from contracts.evm import intrinsic_gas
from contracts.refusals import REFUSALS

VIEWS = [
    (contract, method)
    for contract in registry.CONTRACTS.values()
    for method in contract.methods.values()
    if method.is_view and method.is_public
]
GAS = 30_000_000


def values(kind: AbiType) -> st.SearchStrategy[Any]:
    """Return values of an ABI type, the ends of its range often among them."""
    if isinstance(kind, Array):
        return st.lists(values(kind.element), max_size=70)
    if isinstance(kind, Tuple):
        return st.tuples(*map(values, kind.items))
    if isinstance(kind, Text):
        texts = st.text(max_size=300) | st.sampled_from(["", "default", "\0" * 40, "长" * 400])
        return texts if kind.is_text else st.binary(max_size=300)
    if kind.name == "bool":
        return st.booleans()
    if "int" in kind.name:
        signed, bits = kind.name.startswith("int"), int(kind.name.lstrip("uint"))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return st.integers(low, high) | st.sampled_from([low, high, 0, 1])
    length = 20 if kind.name == "address" else int(kind.name.removeprefix("bytes"))
    return st.binary(min_size=length, max_size=length) | st.just(bytes(length))


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, bytes]:
    """Return a system contract and call data: right for a view of it, changed somewhere, cut, lengthened, or anything at all."""
    contract, method = draw(st.sampled_from(VIEWS))
    data = method.selector + method.inputs.encode(draw(values(method.inputs)))
    way = draw(st.sampled_from(["right", "changed", "cut", "longer", "other"]))
    if way == "changed":
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(min_size=1, max_size=32)) + data[at + 1 :]
    elif way == "cut":
        data = data[: draw(st.integers(0, len(data)))]
    elif way == "longer":
        data += draw(st.binary(max_size=200))
    elif way == "other":
        data = method.selector + draw(st.binary(max_size=500))
    return contract, data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=calls(), gas=st.sampled_from([0, 1_999, 2_000, 3_000, 50_000, GAS]))
def test_every_call_by_code_ends_with_an_answer_or_a_reason(bench: Any, asked: tuple[Any, bytes], gas: int) -> None:
    contract, data = asked
    before = bench.state.copy()
    call = Call(bytes(20), contract.address, data, gas, 1, bench.time_ms, bytes(32))
    result = contract.execute(bench.state, call, by_code=True)
    assert bench.state == before
    assert 0 <= result.gas_used <= gas
    assert result.logs == ()
    if result.refusal is None:
        method = contract.by_selector[data[:4]]
        assert (
            method.encode_output(method.output.decode(result.output, 32 * method.output.is_dynamic)[0]) == result.output
        )
    else:
        assert result.refusal in REFUSALS
        assert (decode_error(result.output) or "").startswith(f"{result.refusal}: ")


def test_a_transaction_reads_views_too_and_pays_for_what_it_gets(office: Any) -> None:
    """A view by transaction costs what a call of a system contract costs, not what the EVM would ask."""
    data = registry.CONTRACTS["crypto"].methods["sm3"].encode_call({"data": b"abc"})
    result = office.run(office.bench.auditor.address, registry.CONTRACTS["crypto"].address, data)
    assert (result.refusal, result.work) == (None, 0)
    assert result.gas_used == 20_000 + 8 * len(data) + 6 + 64 * 32 != intrinsic_gas(data, False)
    assert abi_type("bytes32").decode(result.output, 0)[0].hex().startswith("66c7f0f462eeedd9")
