"""The registry: calls by address, views, ABI, gas, determinism, and arbitrary call data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import decode as eth_decode
from eth_abi.abi import encode as eth_encode
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import registry
from contracts.abi import AbiError, AbiType, Array, Tuple, decode_error, selector
from contracts.call import Call, Log
from contracts.frame import CALL_GAS, DATA_BYTE_GAS
from contracts.parameters import ChainParameters
from contracts.records import ADDRESSES
from contracts.refusals import REFUSALS, Refused
from node.chain.block import MAX_BLOCK_BYTES

GAS = 1_000_000
METHODS = [
    (contract.name, method.name) for contract in registry.CONTRACTS.values() for method in contract.methods.values()
]


def arguments_of(kind: AbiType, meaningful: list[str]) -> st.SearchStrategy[Any]:
    """Return values of an ABI type, often ones that mean something to the contracts."""
    if isinstance(kind, Array):
        return st.lists(arguments_of(kind.element, meaningful), max_size=3)
    if isinstance(kind, Tuple):
        return st.tuples(*(arguments_of(item, meaningful) for item in kind.items)).map(list)
    if kind.name == "string":
        return st.sampled_from(meaningful) | st.text(max_size=40)
    if kind.name == "bool":
        return st.booleans()
    if kind.name.startswith("uint"):
        return st.integers(0, 5) | st.integers(0, 2 ** int(kind.name[4:]) - 1)
    if kind.name.startswith("int"):
        bits = int(kind.name[3:])
        return st.integers(0, 2_000_000_000_000) | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    size = {"address": 20, "bytes12": 12, "bytes16": 16, "bytes32": 32}.get(kind.name)
    return st.binary(max_size=70) if size is None else st.binary(min_size=size, max_size=size)


@pytest.fixture(scope="module")
def busy(make_bench: Any) -> Any:
    """A ledger with something of everything in it."""
    bench = make_bench()
    bench.register_type()
    bench.issue()
    bench.publish()
    bench.grant()
    return bench


def copy_of(make_bench: Any, bench: Any) -> Any:
    other = make_bench()
    other.state, other.time_ms, other.calls = type(bench.state)(bench.state), bench.time_ms, bench.calls
    return other


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_call_ends_accepted_or_refused_by_name_and_the_same_each_time(
    busy: Any, make_bench: Any, data: st.DataObject
) -> None:
    contract, name = data.draw(st.sampled_from(METHODS))
    method = registry.CONTRACTS[contract].methods[name]
    known = [
        "",
        "default",
        "city",
        "person",
        busy.land_bureau,
        busy.type_arguments()["code"],
        busy.identifier("20250001"),
    ]
    known += ["307013301/000001", "面积", "issuer", "03", "x"]
    values = [data.draw(arguments_of(item, known)) for item in method.inputs.items]
    call_data = method.selector + method.inputs.encode(values)
    callers = [
        busy.governor,
        busy.administrator,
        busy.issuer,
        busy.publisher,
        busy.approver,
        busy.requester,
        busy.recorder,
    ]
    sender = data.draw(st.sampled_from(callers)).address
    ends = []
    for bench in (copy_of(make_bench, busy), copy_of(make_bench, busy)):
        ends.append((bench.execute(sender, ADDRESSES[contract], call_data), bench.state))
    assert ends[0] == ends[1]
    result = ends[0][0]
    assert result.refusal is None or result.refusal in REFUSALS
    assert result.gas_used > 0
    for log in result.logs:
        registry.decode_log(log)
    if result.refusal is not None:
        text = decode_error(result.output)
        assert text is not None
        assert text.startswith(f"{result.refusal}: ")
        assert ends[0][1] == busy.state


@settings(max_examples=300, deadline=None)
@given(
    target=st.sampled_from([*ADDRESSES.values(), bytes(20), None]),
    head=st.sampled_from([b"", *(registry.CONTRACTS[c].methods[m].selector for c, m in METHODS)]),
    tail=st.binary(max_size=200),
)
def test_any_bytes_are_refused_or_canonical(
    busy: Any, make_bench: Any, target: bytes | None, head: bytes, tail: bytes
) -> None:
    bench = copy_of(make_bench, busy)
    result = bench.execute(bench.governor.address, target, head + tail)
    assert result.refusal is None or result.refusal in REFUSALS
    try:
        decoded = registry.decode_call(target or bytes(20), head + tail)
    except AbiError:
        assert result.refusal is not None
    else:
        assert registry.encode_call(decoded.contract, decoded.method, **decoded.args) == (target, head + tail)


def test_a_call_to_nowhere_is_refused(bench: Any) -> None:
    for target in (None, bytes(20), b"\xff" * 20):
        result = bench.execute(bench.governor.address, target, b"")
        assert (result.refusal, result.gas_used) == ("NO_CONTRACT", CALL_GAS)
    assert bench.execute(bench.governor.address, ADDRESSES["members"], b"\0\0\0\0").refusal == "NO_METHOD"


def test_malformed_call_data_is_refused_naming_the_method(bench: Any) -> None:
    to, data = registry.encode_call("certificates", "suspend", identifier="x", reason="y")
    for malformed in (data[:-1], data + b"\0", data[:4] + b"\1" + data[5:]):
        result = bench.execute(bench.issuer.address, to, malformed)
        assert result.refusal == "MALFORMED_CALL"
        assert "suspend" in (decode_error(result.output) or "")


def test_bytes_behind_the_arguments_are_a_fault_of_transactions_only(bench: Any) -> None:
    """Vyper's compiler sends a call of another contract with room for the longest arguments; nobody signs those bytes."""
    to, data = registry.encode_call("members", "department_of", account=bench.issuer.address)
    padded = Call(bench.issuer.address, to, data + bytes(64), GAS, 1, bench.time_ms, bytes(32))
    members = registry.CONTRACTS["members"]
    assert members.execute(bench.state, padded).refusal == "MALFORMED_CALL"
    found = members.execute(bench.state, padded, by_code=True)
    assert eth_decode(["string"], found.output) == (bench.land_bureau,)
    short = Call(bench.issuer.address, to, data[:-1], GAS, 1, bench.time_ms, bytes(32))
    assert members.execute(bench.state, short, by_code=True).refusal == "MALFORMED_CALL"


def test_gas_bounds_a_call_and_is_what_is_declared(bench: Any) -> None:
    bench.register_type()
    to, data = registry.encode_call("certificates", "issue", **bench.certificate_arguments())
    for limit in (0, CALL_GAS, CALL_GAS + DATA_BYTE_GAS * len(data), 35_000):
        result = bench.execute(bench.issuer.address, to, data, limit)
        assert (result.refusal, result.gas_used) == ("OUT_OF_GAS", limit)
        assert str(limit) in (decode_error(result.output) or "")
    result = bench.execute(bench.issuer.address, to, data)
    assert result.refusal is None
    assert 50_000 < result.gas_used < 70_000
    again = bench.execute(
        bench.issuer.address, *registry.encode_call("certificates", "issue", **bench.certificate_arguments("2"))
    )
    exact = bench.execute(
        bench.issuer.address,
        *registry.encode_call("certificates", "issue", **bench.certificate_arguments("3")),
        again.gas_used,
    )
    assert (exact.refusal, exact.gas_used) == (None, again.gas_used)


def test_arguments_are_named(bench: Any) -> None:
    with pytest.raises(AbiError, match="missing: reason; unknown: why"):
        registry.encode_call("certificates", "suspend", identifier="x", why="y")
    with pytest.raises(AbiError, match="document_digest: expected bytes32"):
        registry.encode_call("certificates", "issue", **bench.certificate_arguments(document_digest=b"short"))
    with pytest.raises(KeyError, match="no contract is called"):
        registry.encode_call("weather", "issue")
    with pytest.raises(KeyError, match="it has"):
        registry.view(bench.state, "members", "none")
    with pytest.raises(KeyError, match="send it as a transaction"):
        registry.view(bench.state, "members", "add_account", department="", public_key=b"", name="", roles=[])


def test_views_are_refused_as_calls_are(bench: Any) -> None:
    with pytest.raises(Refused) as refused:
        bench.view("certificates", "certificate", identifier=bench.identifier("404"))
    assert refused.value.code == "CERTIFICATE_UNKNOWN"


def test_a_view_by_call_data_returns_abi_that_others_read(busy: Any, make_bench: Any) -> None:
    bench = copy_of(make_bench, busy)
    to, data = registry.encode_call("certificates", "certificate", identifier=bench.identifier("20250001"))
    assert data[4:] == eth_encode(["string"], [bench.identifier("20250001")])
    result = bench.execute(bytes(20), to, data)
    record = bench.view("certificates", "certificate", identifier=bench.identifier("20250001"))
    interval = "(string,uint8,int64,string,string,address)"
    kind = f"(string,string,string,bytes32,bytes32,int64,int64,string,string,string,int64,uint64,{interval}[])"
    (seen,) = eth_decode([kind], result.output)
    assert seen[:3] == (record.identifier, record.type_code, record.issuer)
    assert seen[12][0] == ("01", 1, record.issued_ms, "01", "", "0x" + bench.issuer.address.hex())


def canonical(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if kind.startswith("tuple"):
        return f"({','.join(canonical(part) for part in parameter['components'])}){kind[5:]}"
    return kind


@pytest.mark.parametrize("name", list(ADDRESSES))
def test_the_abi_is_json_that_gives_the_same_selectors(name: str) -> None:
    entries = json.loads(json.dumps(registry.abi(name)))
    contract = registry.CONTRACTS[name]
    for entry in entries:
        signature = f"{entry['name']}({','.join(canonical(parameter) for parameter in entry['inputs'])})"
        if entry["type"] == "function":
            assert contract.methods[entry["name"]].selector == selector(signature)
            assert entry["stateMutability"] == ("view" if contract.methods[entry["name"]].is_view else "nonpayable")
        else:
            assert contract.events[entry["name"]].topic[:4] == selector(signature)


def test_every_contract_has_its_address_and_every_writing_method_its_roles() -> None:
    assert list(registry.CONTRACTS) == list(ADDRESSES)
    for contract in registry.CONTRACTS.values():
        assert registry.contract_name(contract.address) == contract.name
        for method in contract.methods.values():
            # One method has no account for its sender yet, and checks the sender itself.
            assert bool(method.roles) is not (method.is_view or method.name == "confirm_validator")
            assert method.who
    assert registry.contract_name(bytes(20)) is None
    assert registry.contract_name(None) is None


@given(
    address=st.sampled_from([*ADDRESSES.values(), bytes(20)]),
    topics=st.lists(
        st.sampled_from([e.topic for c in registry.CONTRACTS.values() for e in c.events.values()])
        | st.binary(min_size=32, max_size=32),
        max_size=4,
    ),
    data=st.binary(max_size=150),
)
def test_any_log_is_refused_or_decoded(address: bytes, topics: list[bytes], data: bytes) -> None:
    try:
        decoded = registry.decode_log(Log(address, tuple(topics), data))
    except AbiError:
        return
    event = registry.CONTRACTS[decoded.contract].events[decoded.event]
    assert event.log(list(decoded.fields.values())) == Log(address, tuple(topics), data)


def test_no_block_of_cheap_calls_returns_more_than_it_can_carry(bench: Any) -> None:
    items = [[f"{number:03}" + "项" * 25, "C"] for number in range(256)]
    bench.publish(items=items)
    to, data = registry.encode_call("catalogue", "resource", code=bench.resource_description().code)
    # A view costs no role: whoever has an account may put it into a transaction, and its output into a receipt.
    result = bench.execute(bench.stranger.address, to, data, 30_000_000)
    assert (result.refusal, len(result.output) > 50_000) == (None, True)
    parameters = ChainParameters()
    calls = min(parameters.max_block_gas // result.gas_used, parameters.max_block_transactions)
    assert calls * len(result.output) < 2 * MAX_BLOCK_BYTES
    assert bench.execute(bench.stranger.address, to, data, 50_000).refusal == "OUT_OF_GAS"
