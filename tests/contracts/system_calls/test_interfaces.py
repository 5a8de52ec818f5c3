"""The interface files: current, and what EVM code reads through them is what the system contracts answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import certificate_records, registry
from contracts.abi import abi_type, decode_error, keccak256, selector
from contracts.data_sharing.arrival_records import Arrival
from contracts.data_sharing.contribution import MEASURES
from contracts.data_sharing.deadlines import KINDS
from contracts.data_sharing.deliveries import Parcel
from contracts.data_sharing.directories import Duty, System
from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.evm_state import NATIVE_CODE
from contracts.fields import MAX_TIME_MS, MIN_TIME_MS
from contracts.frame import Method
from contracts.identifiers import make_identifier
from contracts.offences import save_offence
from contracts.validator_sets import load_validators
from generators import contract_interfaces
from sm_crypto.merkle import EMPTY_ROOT, leaf_hash, merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from sm_crypto.sm4 import seal

LONG = "𠮷"
"""A character of four bytes: the longest texts that the contracts take have these only."""
RESOURCE = "307013301/000001"
OPENED = "307013301/000002"
RETURNED = "307013301/000003"
GENESIS_HASH = sm3(b"genesis")


def test_the_kept_files_are_those_of_the_declarations() -> None:
    folder = contract_interfaces.FOLDER
    kept = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert kept == contract_interfaces.files(), "run: python -m generators.contract_interfaces"


@pytest.fixture
def full_office(office: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The ledger with a record of every kind, texts as long as they may be."""
    bench = office.bench
    bench.register_type(name=LONG * 128, defining_body=LONG * 128, validity_range=LONG * 128)
    bench.issue(valid_from_ms=MIN_TIME_MS, valid_to_ms=MAX_TIME_MS)
    # A short record, so that a few changes fill a page.
    monkeypatch.setattr(certificate_records, "MAX_RECORD_INTERVALS", 6)
    monkeypatch.setattr(certificate_records, "PAGE_INTERVALS", 3)
    for _ in range(4):
        for method in ("suspend", "resume"):
            arguments = {"identifier": bench.identifier("20250001"), "reason": LONG * 200}
            bench.accept(bench.issuer, "certificates", method, **arguments)
    (office.member, *_) = bench.issue_batch(bench.batch_contents(30_000_000, 9))
    bench.publish(summary=LONG * 1_000, items=[[LONG * 127 + letter, "C"] for letter in "abcd"] + [["面积", "N"]])
    office.request = bench.grant(purpose=LONG * 200, legal_basis=LONG * 500)
    said = {"request": office.request, "claim": LONG * 500, "evidence": sm3(b"e")}
    bench.accept(bench.requester, "sharing", "ask_correction", **said, item="面积")
    bench.accept(bench.requester, "sharing", "raise_dispute", **said, kind="conditions")
    supplied = {"from_ms": bench.time_ms - 1_000, "to_ms": bench.time_ms, "ends_grant": False}
    bench.accept(bench.approver, "sharing", "recall", request=office.request, reason=LONG * 200, **supplied)
    bench.accept(bench.issuer, "anchors", "anchor_root", root=sm3(b"root"), label=LONG * 128, count=2**64 - 1)
    office.contract = office.deploy(bytes.fromhex("6001600c60003960016000f300"))
    statement = {"statement": sm3(b"s"), "purpose": sm3(b"p"), "code": bytes(32)}
    period = {"from_ms": MIN_TIME_MS, "to_ms": MAX_TIME_MS, "max_fetches": 1_000}
    named = {"authorisation": sm3(b"authorisation"), "recipient": bench.tax_bureau}
    bench.accept(bench.issuer, "authorisations", "authorise", **named, **statement, **period)
    fetched = {"requester": bench.requester.address, "request": sm3(b"q"), "result": sm3(b"r")}
    asked = {"authorisation": sm3(b"authorisation"), "purpose": sm3(b"p"), "code": bytes(32)}
    bench.accept(bench.provider_recorder, "authorisations", "record_fetch", **asked, **fetched)
    fill_catalogue(bench)
    fill_exchange(office)
    fill_stream(bench)
    fill_products(bench)
    days = [[f"2025-{month:02d}-{day:02d}", True, LONG * 32] for month in (11, 12) for day in range(1, 31)]
    bench.accept(bench.governor, "deadlines", "set_calendar", year=2025, source=LONG * 200, days=days)
    rule = {"region": "3301", "name": LONG * 64, "source": LONG * 200, "from_ms": 0}
    terms = [[kind, 60] for kind in KINDS]
    bench.accept(bench.governor, "deadlines", "set_terms", **rule, terms=terms)
    (validator,) = load_validators(bench.state)
    for height in (5, 6):
        save_offence(bench.state, validator, (height, 0, 1), (bytes(32), b""), (height + 1, bench.time_ms))
    return office


def fill_stream(bench: Any) -> None:
    """A stream of access records with a heartbeat."""
    policy = {"heartbeat_s": 60, "max_batch_records": 10, "on_outage": 1, "stop_after_s": 0}
    places = {"bodies_at": LONG * 200, "second_place": LONG * 200}
    bench.accept(bench.recorder, "access", "declare_stream", **policy, **places)
    place = {"batch_number": 1, "first_number": 1, "count": 0, "from_ms": 0, "to_ms": bench.time_ms}
    digests = {"previous_digest": bytes(32), "last_digest": bytes(32), "root": EMPTY_ROOT}
    counts = {"served": 0, "denied": 0, "irregular": 0, "rows": 0}
    bench.accept(bench.recorder, "access", "record_batch", **place, **digests, **counts)


def fill_products(bench: Any) -> None:
    """A product with a valuation that waits and an objection, and a formula to come."""
    claim = [["hold", "process", "operate"], LONG * 500, sm3(b"proof")]
    stated = {"number": "1" * 32, "name": LONG * 128, "kind": "dataset", "summary": LONG * 1_000, "claim": claim}
    bench.accept(bench.publisher, "products", "register", **stated, sources=[[RESOURCE, bytes(32)]])
    product = f"{bench.land_bureau}/{'1' * 32}"
    terms = ["valuation", "cost", 10**15, bench.time_ms, MAX_TIME_MS, sm3(b"paper"), bytes(32), 0]
    bench.accept(bench.approver, "products", "propose", product=product, counterparty=bench.tax_bureau, terms=terms)
    said = {"product": product, "ground": LONG * 500, "evidence": bytes(32)}
    bench.accept(bench.other_approver, "products", "raise_objection", **said)
    rows = [[measure, -1_000_000, 10**9, 2**64 - 1] for measure in MEASURES]
    bench.accept(bench.governor, "products", "set_formula", rows=rows, basis=LONG * 500, from_ms=bench.time_ms + 10**6)


def product_questions(bench: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for every view of data products and the score's formula."""
    product = f"{bench.land_bureau}/{'1' * 32}"
    return {
        ("products", "product"): {"code": product},
        ("products", "fact"): {"product": product, "number": 1},
        ("products", "objection"): {"product": product, "number": 1},
        ("products", "formula"): {"period_begins_ms": MAX_TIME_MS},
    }


def fill_catalogue(bench: Any) -> None:
    """A duty, a system, a waiting version, a review, and an open dataset with a report of its downloads."""
    reviewed = {"code": RESOURCE, "version": 1, "score": 90, "finding": "完整"}
    bench.accept(bench.governor, "catalogue", "review", **reviewed)
    changed = bench.resource_description(data_class=2)
    bench.accept(bench.publisher, "catalogue", "publish", resource=changed, replaces=1)
    bench.publish(code=RETURNED, source_level="national", source_body=LONG * 128)
    came = Arrival(1, MIN_TIME_MS, bench.time_ms, 10**12, sm3(b"came"), LONG * 64, bench.time_ms)
    bench.accept(bench.provider_recorder, "catalogue", "record_arrival", code=RETURNED, number=1, arrival=came)
    void = {"code": RETURNED, "number": 1, "reason": LONG * 200}
    bench.accept(bench.provider_recorder, "catalogue", "void_arrival", **void)
    bench.accept(bench.publisher, "directories", "enter_duties", duties=[Duty("D1", "登记", "条例", "一处", ("受理",))])
    bench.accept(
        bench.publisher, "directories", "enter_systems", systems=[System("S1", "登记系统", "受理", 1, ("D1",))]
    )
    bench.publish(code=OPENED, is_open=True)
    bench.accept(bench.publisher, "open_data", "propose", resource=OPENED, items=[], format="CSV", terms="注明来源")
    bench.accept(bench.governor, "open_data", "clear", resource=OPENED, reason="")
    released = {"place": "https://data.example/a", "digest": sm3(b"a"), "size_bytes": 1, "rows": 1}
    bench.accept(bench.publisher, "open_data", "release", resource=OPENED, **released)
    report = {"resource": OPENED, "number": 1, "from_ms": bench.time_ms - 2, "to_ms": bench.time_ms - 1}
    bench.accept(bench.provider_recorder, "open_data", "report_downloads", **report, downloads=3)


def fill_exchange(office: Any) -> None:
    """An encryption key of the consumer, and a delivery under the grant that it did not take."""
    bench, key = office.bench, PrivateKey.from_bytes(bytes(31) + b"\x51")
    administrator = type(bench.issuer)(bench.tax_bureau, "administrator")
    account = bench.account_arguments(administrator, bench.tax_bureau, "管理员", ["administrator"])
    bench.accept(bench.governor, "members", "add_account", **account)
    signature = key.sign(EncryptionKeyStatement(GENESIS_HASH, bench.tax_bureau, key.public_key).digest)
    bench.accept(administrator, "members", "set_encryption_key", public_key=key.public_key, signature=signature)
    parcel = Parcel(sm3(b"payload"), sm3(b"sealed"), 2**42, 2**43, 10**12, 1)
    named = {"grant": office.request, "number": 1}
    bench.accept(bench.provider_recorder, "deliveries", "deliver", **named, parcel=parcel)
    said = {"answer": 3, "received": bytes(32), "note": LONG * 200}
    bench.accept(bench.recorder, "deliveries", "answer", **named, **said)


def exchange_questions(office: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for the views of encryption keys and deliveries."""
    consumer = office.bench.tax_bureau
    return {
        ("members", "encryption_key"): {"department": consumer},
        ("members", "encryption_key_numbered"): {"department": consumer, "number": 1},
        ("deliveries", "delivery"): {"grant": office.request, "number": 1},
        ("deliveries", "deliveries"): {"grant": office.request},
    }


def deadline_questions(office: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for the views of calendars, terms and deadlines."""
    return {
        ("deadlines", "calendar"): {"year": 2025},
        ("deadlines", "deadlines_of"): {"request": office.request},
        ("deadlines", "terms"): {"region": "3301"},
        ("deadlines", "terms_at"): {"region": "330106", "time_ms": office.bench.time_ms},
    }


def sharing_questions(office: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for the views of requests and what follows them."""
    bench = office.bench
    return {
        ("sharing", "data_request"): {"request": office.request},
        ("sharing", "refusal_reasons"): {},
        ("sharing", "correction"): {"request": office.request, "number": 1},
        ("sharing", "dispute"): {"request": office.request, "number": 1},
        ("sharing", "data_recall"): {"request": office.request, "number": 1},
        ("sharing", "request_count"): {"resource": RESOURCE},
        ("sharing", "request_of"): {"resource": RESOURCE, "index": 0},
        ("sharing", "is_grant_in_force"): {"request": office.request, "time_ms": bench.time_ms},
        ("sharing", "is_granted"): {"request": office.request, "consumer": bench.tax_bureau, "resource": RESOURCE},
    }


def catalogue_questions(bench: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for every view of the catalogue, the directories and open data."""
    return {
        ("catalogue", "resource"): {"code": RESOURCE},
        ("catalogue", "resource_version"): {"code": RESOURCE, "version": 1},
        ("catalogue", "proposal"): {"code": RESOURCE},
        ("catalogue", "quality_review"): {"code": RESOURCE, "version": 1, "department": bench.data_bureau},
        ("catalogue", "arrival"): {"code": RETURNED, "number": 1},
        ("catalogue", "return_head"): {"code": RETURNED},
        ("directories", "duty"): {"department": bench.land_bureau, "code": "D1"},
        ("directories", "system"): {"department": bench.land_bureau, "code": "S1"},
        ("open_data", "dataset"): {"resource": OPENED},
        ("open_data", "release_of"): {"resource": OPENED, "number": 1},
        ("open_data", "download_report"): {"resource": OPENED, "number": 1},
    }


def questions(office: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return arguments for every view that EVM code may call."""
    bench = office.bench
    leaves = [leaf_hash(bytes((number,))) for number in range(7)]
    key, nonce = sm3(b"key")[:16], sm3(b"nonce")[:12]
    signer, message = bench.issuer.key, "订单".encode() * 100
    department, account = {"code": bench.land_bureau}, {"account": bench.issuer.address}
    certificate = {"identifier": bench.identifier("20250001")}
    authorisation = {"issuer": bench.land_bureau, "authorisation": sm3(b"authorisation")}
    return {
        ("members", "department"): department,
        ("members", "account"): account,
        ("members", "has_role"): account | {"department": bench.land_bureau, "role": "issuer"},
        ("members", "department_of"): account,
        ("members", "validators"): {},
        ("members", "candidates"): {},
        ("members", "validators_at"): {"height": 1},
        ("members", "offences"): {"address": bench.validator.address},
        ("certificates", "certificate"): certificate,
        ("certificates", "certificate_status"): certificate | {"time_ms": -1},
        ("certificates", "history_page"): certificate | {"number": 0},
        ("certificates", "is_in_force"): certificate,
        ("certificates", "certificate_type"): {"code": bench.type_arguments()["code"]},
        ("certificates", "is_issuer"): {"type_code": "x", "department": bench.land_bureau},
        ("certificates", "code_table"): {"name": "default"},
        **catalogue_questions(bench),
        **exchange_questions(office),
        **sharing_questions(office),
        **deadline_questions(office),
        **product_questions(bench),
        ("access", "stream"): {"department": bench.tax_bureau, "recorder": bench.recorder.address},
        ("access", "batch"): {
            "department": bench.tax_bureau,
            "recorder": bench.recorder.address,
            "batch_number": 1,
        },
        ("audits", "query_recorded_ms"): {"number": 1, "account": bench.auditor.address, "digest": sm3(b"query")},
        ("audits", "authority"): {},
        ("anchors", "anchored"): {"digest": sm3(b"root"), "department": bench.land_bureau},
        ("governance", "parameters"): {},
        ("deployments", "deployment"): {"contract": office.contract},
        ("batches", "batch"): {"name": office.member["batch"]},
        ("batches", "batch_of"): {"identifier": office.member["content"].identifier},
        ("batches", "admitted"): {"batch": office.member["batch"], "position": 0},
        ("batches", "status"): office.member | {"time_ms": bench.time_ms},
        ("batches", "is_in_force"): office.member,
        ("authorisations", "authorisation"): authorisation,
        ("authorisations", "fetch"): authorisation | {"number": 1},
        ("authorisations", "is_authorised"): authorisation | {"recipient": bench.tax_bureau},
        ("crypto", "sm3"): {"data": b"abc"},
        ("crypto", "sm2_verify"): {
            "public_key": signer.public_key,
            "message": message,
            "signature": signer.sign(message),
        },
        ("crypto", "sm4_gcm_open"): {
            "key": key,
            "nonce": nonce,
            "sealed_text": seal(key, nonce, b"p" * 10_000, b"a" * 100),
            "associated_data": b"a" * 100,
        },
        ("crypto", "merkle_verify"): {
            "root": merkle_root(leaves),
            "leaf": bytes((3,)),
            "index": 3,
            "count": 7,
            "path": merkle_path(leaves, 3),
        },
    }


def open_views(contract: str) -> dict[str, Method]:
    return {name: method for name, method in registry.CONTRACTS[contract].methods.items() if method.is_view}


def test_every_view_but_the_restricted_one_is_asked_for(full_office: Any) -> None:
    views = {(name, method) for name in registry.CONTRACTS for method in open_views(name)}
    assert views - set(questions(full_office)) == {
        ("audits", "audit_query"),
        ("audits", "finding"),
    }


@pytest.mark.parametrize("language", ["vyper", "solidity"])
@pytest.mark.parametrize("contract", registry.CONTRACTS)
def test_code_reads_what_the_contract_answers(
    full_office: Any,
    compile_vyper: Callable[[str], bytes],
    solidity_code: dict[str, bytes],
    asker: Callable[..., str],
    contract: str,
    language: str,
) -> None:
    """The asking contract has the same methods, so the same call data goes to both, and the same output must come back."""
    declared = registry.CONTRACTS[contract]
    code = compile_vyper(asker(declared, language)) if language == "vyper" else solidity_code[contract]
    asking = full_office.deploy(code)
    for (name, method), arguments in questions(full_office).items():
        if name == contract:
            data = declared.methods[method].encode_call(arguments)
            direct = full_office.ask(declared.address, data)
            assert full_office.ask(asking, data) == direct, method


SOLC_SETTINGS = {
    "evmVersion": "prague",
    # What code reads through an interface is the same however short the code is; to make it short takes two thirds of the time.
    "optimizer": {"enabled": False},
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "outputSelection": {"*": {"Asker": ["evm.bytecode.object"]}},
}


def test_the_kept_solidity_code_is_what_the_compiler_makes_of_the_interfaces(
    solidity_code: dict[str, bytes], asker: Callable[..., str], solc: Path, tmp_path: Path
) -> None:
    """Without a warning: what is imported must not spoil the build of who imports it."""
    sources = {path.name: {"content": path.read_text("utf-8")} for path in contract_interfaces.FOLDER.glob("*.sol")}
    sources |= {name: {"content": asker(contract, "solidity")} for name, contract in registry.CONTRACTS.items()}
    wanted = json.dumps({"language": "Solidity", "sources": sources, "settings": SOLC_SETTINGS})
    command = ["node", str(solc / "node_modules" / "solc" / "solc.js"), "--standard-json"]
    # From a file and into one: node neither waits for a pipe that is empty for now nor until one has taken all.
    (tmp_path / "input").write_text(wanted)
    with (tmp_path / "input").open() as given, (tmp_path / "output").open("w") as output:
        subprocess.run(command, stdin=given, stdout=output, timeout=120, check=True)
    text = (tmp_path / "output").read_text()
    made = json.loads(text[text.index("{") :])
    assert [problem["formattedMessage"] for problem in made.get("errors", [])] == []
    compiled = {
        name: bytes.fromhex(made["contracts"][name]["Asker"]["evm"]["bytecode"]["object"])
        for name in registry.CONTRACTS
    }
    assert compiled == solidity_code


UNKNOWN: dict[str, tuple[str, dict[str, Any], str]] = {
    "members": ("account", {"account": bytes(20)}, "UNKNOWN_ACCOUNT"),
    "certificates": (
        "certificate",
        {"identifier": make_identifier("11100000MB03271699001", "11330100MB1234567X", "1")},
        "CERTIFICATE_UNKNOWN",
    ),
    "sharing": ("data_request", {"request": bytes(32)}, "REQUEST_UNKNOWN"),
}


@pytest.mark.parametrize("language", ["vyper", "solidity"])
@pytest.mark.parametrize("contract", UNKNOWN)
def test_a_refused_view_reverts_its_caller_with_the_reason(
    office: Any,
    compile_vyper: Callable[[str], bytes],
    solidity_code: dict[str, bytes],
    asker: Callable[..., str],
    contract: str,
    language: str,
) -> None:
    declared = registry.CONTRACTS[contract]
    code = compile_vyper(asker(declared, language)) if language == "vyper" else solidity_code[contract]
    method, arguments, refusal = UNKNOWN[contract]
    asking = office.deploy(code)
    result = office.run(office.bench.auditor.address, asking, declared.methods[method].encode_call(arguments))
    text = decode_error(result.output)
    assert result.refusal == "REVERTED"
    assert text is not None
    assert text.startswith(f"{refusal}: ")
    assert " / " in text


CALL, STATICCALL, DELEGATECALL = range(3)


@pytest.mark.parametrize("way", [CALL, STATICCALL, DELEGATECALL])
def test_code_writes_nothing_whoever_calls_it(office: Any, forwarder: Any, way: int) -> None:
    """The one who calls may write; a contract that could do so for them would be a trap for every governor."""
    bench = office.bench
    before = bench.state.copy()
    for contract in registry.CONTRACTS.values():
        for method in contract.methods.values():
            if not method.is_view:
                success, answer = forwarder(bench.governor, contract.address, method.selector, way)
                assert (success, (decode_error(answer) or "")[:11]) == (False, "VIEW_ONLY: ")
    assert bench.state == before


@pytest.mark.parametrize("way", [CALL, STATICCALL, DELEGATECALL])
def test_code_does_not_read_what_is_restricted(office: Any, forwarder: Any, way: int) -> None:
    to, data = registry.encode_call("audits", "audit_query", number=1)
    success, answer = forwarder(office.bench.auditor, to, data, way)
    assert (success, (decode_error(answer) or "")[:11]) == (False, "VIEW_ONLY: ")


@pytest.mark.parametrize("way", [CALL, STATICCALL, DELEGATECALL])
@pytest.mark.parametrize(
    ("data", "refusal"), [(b"", "NO_METHOD"), (b"\1\2\3\4", "NO_METHOD"), (selector("sm3(bytes)"), "MALFORMED_CALL")]
)
def test_call_data_of_no_method_is_refused_by_name(
    office: Any, forwarder: Any, data: bytes, refusal: str, way: int
) -> None:
    success, answer = forwarder(office.bench.auditor, registry.CONTRACTS["crypto"].address, data, way)
    assert (success, (decode_error(answer) or "").partition(":")[0]) == (False, refusal)


def test_code_sees_that_system_contracts_are_contracts(office: Any, forwarder: Any) -> None:
    """Compilers look for code before they call: a system contract shows one byte, which as an instruction is invalid."""
    outputs = abi_type("(uint256,bytes32,bool,uint256)")
    for contract in registry.CONTRACTS.values():
        call = selector("look(address)") + contract.address.rjust(32, b"\0")
        seen = outputs.decode(office.ask(forwarder.address, call), 0)[0]
        assert seen == [1, keccak256(NATIVE_CODE), True, 0]


def test_present_means_the_time_of_the_block(
    office: Any, compile_vyper: Callable[[str], bytes], asker: Callable[..., str]
) -> None:
    bench = office.bench
    bench.register_type()
    identifier = bench.issue(valid_to_ms=bench.time_ms + 10_000)
    contract = registry.CONTRACTS["certificates"]
    asking = office.deploy(compile_vyper(asker(contract, "vyper")))
    data = contract.methods["is_in_force"].encode_call({"identifier": identifier})
    answers = []
    for step_ms in (0, 9_000, 1):
        bench.time_ms += step_ms
        answers.append(int.from_bytes(office.ask(asking, data), "big"))
    assert answers == [1, 1, 0]
