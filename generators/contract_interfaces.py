"""Writes contracts/interfaces, what Solidity and Vyper code imports: `python -m generators.contract_interfaces`.

Only what EVM code may call is declared: the views that anyone may read. The limits that Vyper's types need are those of the contracts.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from eth_utils.address import to_checksum_address

from contracts import (
    accounts,
    anchors,
    batches,
    certificate_records,
    certificate_types,
    code_tables,
    identifiers,
    members,
    offences,
    parameters,
    registry,
    validator_sets,
)
from contracts.abi import AbiType, Array, Text, Tuple
from contracts.data_sharing import audits, conditions, datasets, deadlines, deliveries, directories, resources, sharing
from contracts.frame import Event, Method, SystemContract
from generators.data_sharing_limits import (
    DATA_SHARING_LIMITS,
    NAME_BYTES,
    REASON_BYTES,
    RESOURCE_CODE_BYTES,
    ROLE_BYTES,
    USCC_BYTES,
    UTF8_BYTES,
    longest,
)
from sm_crypto.merkle import MAX_PATH_LENGTH
from sm_crypto.sm2_curve import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

FOLDER: Final = Path(__file__).parents[1] / "contracts" / "interfaces"
LINE_LENGTH: Final = 120

REGION_BYTES: Final = 12
RECORD_KEY_BYTES: Final = 64
"""Address, height, round and kind."""
BLOCK_VALUE_BYTES: Final = 32
VYPER_DATA_BYTES: Final = 16 * 1024
"""Vyper reserves memory for the longest data that a type allows: the 128 KiB that the contracts take would cost every caller."""
CODE_BYTES: Final = UTF8_BYTES * code_tables.MAX_CODE_LENGTH
CODE_NAME_BYTES: Final = UTF8_BYTES * code_tables.MAX_CODE_NAME_LENGTH
BATCH_NAME_BYTES: Final = (
    len(batches.batch_name("", "", "")) + identifiers.TYPE_CODE_LENGTH + USCC_BYTES + identifiers.MAX_SERIAL_LENGTH
)


LIMITS: Final[dict[str, int]] = {
    # Of any struct, method or event: bytes of text or data, items of a list.
    "batch": BATCH_NAME_BYTES,
    "consumer": USCC_BYTES,
    "department": USCC_BYTES,
    "first": identifiers.MAX_SERIAL_LENGTH,
    "identifier": identifiers.MAX_IDENTIFIER_LENGTH,
    "issuer": USCC_BYTES,
    "last": identifiers.MAX_SERIAL_LENGTH,
    "label": UTF8_BYTES * anchors.MAX_LABEL_LENGTH,
    "name": NAME_BYTES,
    "operation": CODE_BYTES,
    "parent": USCC_BYTES,
    "predecessor": identifiers.MAX_IDENTIFIER_LENGTH,
    "provider": USCC_BYTES,
    "public_key": PUBLIC_KEY_BYTES,
    "reason": REASON_BYTES,
    "recipient": USCC_BYTES,
    "region": REGION_BYTES,
    "resource": RESOURCE_CODE_BYTES,
    "role": ROLE_BYTES,
    "roles": len(accounts.ROLES),
    "roles[]": ROLE_BYTES,
    "status": CODE_BYTES,
    "successor": identifiers.MAX_IDENTIFIER_LENGTH,
    "type_code": identifiers.TYPE_CODE_LENGTH,
    # Of one struct, method or event, where the name alone does not tell.
    "AccountRecord.name": NAME_BYTES,
    "CandidateRecord.name": validator_sets.MAX_VALIDATOR_NAME_LENGTH,
    "ValidatorRecord.name": validator_sets.MAX_VALIDATOR_NAME_LENGTH,
    "OffenceRecord.name": validator_sets.MAX_VALIDATOR_NAME_LENGTH,
    "OffenceRecord.first_value": BLOCK_VALUE_BYTES,
    "OffenceRecord.second_value": BLOCK_VALUE_BYTES,
    "OffenceRecord.previous": RECORD_KEY_BYTES,
    "DepartmentRecord.code": USCC_BYTES,
    "DepartmentRecord.level": longest(members.LEVELS),
    "DepartmentAdded.code": USCC_BYTES,
    "DepartmentSuspended.code": USCC_BYTES,
    "DepartmentResumed.code": USCC_BYTES,
    "department.code": USCC_BYTES,
    "validators": validator_sets.MAX_VALIDATORS,
    "validators_at": validator_sets.MAX_VALIDATORS,
    "candidates": validator_sets.MAX_CANDIDATES,
    "offences": offences.MAX_LISTED_OFFENCES,
    "department_of": USCC_BYTES,
    "CertificateRecord.history": certificate_records.MAX_RECORD_INTERVALS,
    "HistoryPage.intervals": certificate_records.PAGE_INTERVALS,
    "BatchRecord.name": BATCH_NAME_BYTES,
    "batch.name": BATCH_NAME_BYTES,
    "batch_of": BATCH_NAME_BYTES,
    "admitted": identifiers.MAX_IDENTIFIER_LENGTH,
    "CertificateType.code": identifiers.TYPE_CODE_LENGTH,
    "CertificateType.defining_body": NAME_BYTES,
    "CertificateType.defining_level": longest(members.LEVELS),
    "CertificateType.holder_category": longest(certificate_types.HOLDER_CATEGORIES),
    "CertificateType.validity_range": NAME_BYTES,
    "CertificateType.issuing_level": longest(members.LEVELS),
    "CertificateType.certificate_class": longest(certificate_types.CLASSES),
    "CertificateType.code_table": UTF8_BYTES * code_tables.MAX_TABLE_NAME_LENGTH,
    "StatusAt.verdict": longest(certificate_records.VERDICTS),
    "TypeRegistered.code": identifiers.TYPE_CODE_LENGTH,
    "CodeTableSet.name": UTF8_BYTES * code_tables.MAX_TABLE_NAME_LENGTH,
    "QueryRecorded.kind": longest(audits.QUERY_KINDS),
    "FindingRaised.rule": audits.MAX_RULE_LENGTH,
    "FindingMoved.state": longest(audits.FINDING_STATES),
    "DeliveryRecord.note": UTF8_BYTES * deliveries.MAX_NOTE_LENGTH,
    "authority": USCC_BYTES,
    "certificate_type.code": identifiers.TYPE_CODE_LENGTH,
    "code_table.name": UTF8_BYTES * code_tables.MAX_TABLE_NAME_LENGTH,
    "CodeTable.statuses": code_tables.MAX_TABLE_CODES,
    "CodeTable.operations": code_tables.MAX_TABLE_CODES,
    "StatusCode.code": CODE_BYTES,
    "StatusCode.name": CODE_NAME_BYTES,
    "StatusCode.english": CODE_NAME_BYTES,
    "OperationCode.code": CODE_BYTES,
    "OperationCode.name": CODE_NAME_BYTES,
    "OperationCode.english": CODE_NAME_BYTES,
    "OperationCode.action": longest(code_tables.ACTIONS),
    "OperationCode.from_statuses": code_tables.MAX_TABLE_CODES,
    "OperationCode.from_statuses[]": CODE_BYTES,
    "OperationCode.to_statuses": code_tables.MAX_TABLE_CODES,
    "OperationCode.to_statuses[]": CODE_BYTES,
    "OperationCode.predecessor_status": CODE_BYTES,
    **DATA_SHARING_LIMITS,
    "ParametersSet.names": len(parameters.BOUNDS),
    "ParametersSet.names[]": longest(parameters.BOUNDS),
    "ParametersSet.values": len(parameters.BOUNDS),
    "sm3.data": VYPER_DATA_BYTES,
    "sm2_verify.message": VYPER_DATA_BYTES,
    "sm2_verify.signature": SIGNATURE_BYTES,
    "sm4_gcm_open.sealed_text": VYPER_DATA_BYTES,
    "sm4_gcm_open.associated_data": VYPER_DATA_BYTES,
    "Opened.plaintext": VYPER_DATA_BYTES,
    "merkle_verify.leaf": VYPER_DATA_BYTES,
    "path": MAX_PATH_LENGTH,
}
"""By field, or by struct, method or event and field; `[]` is for the items of a list, a method's own name for what it returns."""


def _codes(table: Mapping[Any, tuple[str, str]]) -> str:
    return "; ".join(f"{code} {zh} {en}" for code, (zh, en) in table.items())


NOTES: Final[dict[str, str]] = {
    "StatusAt.verdict": _codes(certificate_records.VERDICTS),
    "StatusInterval.effect": f"{code_tables.IN_FORCE} in force; {code_tables.HELD} held; {code_tables.ENDED} ended",
    "StatusCode.effect": f"{code_tables.IN_FORCE} in force; {code_tables.HELD} held; {code_tables.ENDED} ended",
    "OperationCode.action": ", ".join(code_tables.ACTIONS),
    "CertificateType.holder_category": ", ".join(certificate_types.HOLDER_CATEGORIES),
    "CertificateType.certificate_class": ", ".join(certificate_types.CLASSES),
    "DepartmentRecord.level": ", ".join(members.LEVELS),
    "OffenceRecord.kind": "; ".join(f"{number} {kind}" for number, kind in enumerate(offences.OFFENCE_KINDS)),
    "ResourceDescription.sharing_type": _codes(resources.SHARING_TYPES),
    "ResourceDescription.update_cycle": _codes(resources.UPDATE_CYCLES),
    "ResourceDescription.data_class": _codes(resources.DATA_CLASSES),
    "ResourceItem.type": ", ".join(resources.ITEM_TYPES),
    "ResourceDescription.library": ", ".join(resources.LIBRARIES),
    "ResourceDescription.source_level": _codes(resources.SOURCE_LEVELS),
    "System.network": _codes(directories.NETWORKS),
    "DatasetStep.state": _codes(datasets.STATES),
    "RequestInterval.state": _codes(sharing.STATES),
    "Term.kind": _codes(deadlines.KINDS),
    "Mask.kind": _codes(conditions.MASK_KINDS),
}
"""What the codes in a field stand for, from the contracts' own tables."""

RESERVED: Final = {"address", "contract", "days", "library", "sealed", "type"}
"""Names of ours that are words of one of the two languages."""


def interface_name(contract: SystemContract) -> str:
    """Return what the contract's interface is called."""
    return "I" + "".join(part.capitalize() for part in contract.name.split("_"))


def summary_of(contract: SystemContract) -> str:
    """Return what a contract is, as its module says it."""
    module = sys.modules[next(iter(contract.methods.values())).function.__module__]
    return (module.__doc__ or "").splitlines()[0]


def callable_views(contract: SystemContract) -> list[Method]:
    """Return the methods that EVM code may call."""
    return [method for method in contract.methods.values() if method.is_view and method.is_public]


def structs_of(methods: list[Method]) -> list[Tuple]:
    """Return the structs that methods take and return, each after those that it holds."""
    found: dict[str, Tuple] = {}

    def visit(kind: AbiType | None) -> None:
        if isinstance(kind, Array):
            visit(kind.element)
        elif isinstance(kind, Tuple):
            for item in kind.items:
                visit(item)
            if kind.build is not None:
                found.setdefault(kind.build.__name__, kind)

    for method in methods:
        visit(method.inputs)
        visit(method.output)
    return list(found.values())


def field_notes(kind: Tuple) -> dict[str, str]:
    """Return what is said of a struct's fields: its docstrings after them, and what their codes stand for."""
    assert kind.build is not None
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind.build))).body
    assert isinstance(declared, ast.ClassDef)
    notes, field = {}, ""
    for line in declared.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            field = line.target.id
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and field:
            notes[field] = " ".join(str(line.value.value).split())
    for name in kind.names:
        if codes := NOTES.get(f"{kind.build.__name__}.{name}"):
            notes[name] = codes
    return notes


def refused_methods(contract: SystemContract) -> str:
    """Return what a contract's interface leaves out, and why, as a sentence each."""
    writes = [method.name for method in contract.methods.values() if not method.is_view]
    restricted = [method.name for method in contract.methods.values() if method.is_view and not method.is_public]
    parts = []
    if writes:
        parts.append(
            f"Left out, because code that calls them is refused VIEW_ONLY: {', '.join(writes)}. A contract that could write "
            "would do so with the roles of whoever happens to call it; people send these as transactions of their own."
        )
    if restricted:
        parts.append(f"Left out, because only signed requests of those concerned read it: {', '.join(restricted)}.")
    return " ".join(parts)


GENERAL: Final = (
    "Times are milliseconds since 1970. What a view refuses reverts with Error(string): "
    "its name, and why in Chinese and English."
)
ORIGIN: Final = "Written by generators/contract_interfaces.py from the contract's declarations: edit those."


def _wrapped(text: str, prefix: str) -> list[str]:
    return textwrap.wrap(text, LINE_LENGTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)


def _argument_names(contract: SystemContract, names: tuple[str, ...]) -> list[str]:
    """Return the names of arguments, with an underscore after those that are words of a language or methods of the contract."""
    return [name + "_" if name in RESERVED or name in contract.methods else name for name in names]


# Solidity


def _solidity_type(kind: AbiType) -> str:
    if isinstance(kind, Array):
        return _solidity_type(kind.element) + "[]"
    if isinstance(kind, Tuple):
        assert kind.build is not None, "a tuple of an interface is a struct"
        return kind.build.__name__
    return kind.name


def _solidity_place(kind: AbiType, place: str) -> str:
    return f"{_solidity_type(kind)} {place}" if isinstance(kind, Array | Tuple | Text) else _solidity_type(kind)


def _solidity_struct(kind: Tuple) -> Iterator[str]:
    assert kind.build is not None
    yield from _wrapped((kind.build.__doc__ or "").strip().splitlines()[0], "    // ")
    yield f"    struct {kind.build.__name__} {{"
    notes = field_notes(kind)
    for name, item in zip(kind.names, kind.items, strict=True):
        if name in notes:
            yield from _wrapped(notes[name], "        // ")
        yield f"        {_solidity_type(item)} {name + '_' if name in RESERVED else name};"
    yield "    }"
    yield ""


def _solidity_event(event: Event) -> str:
    fields = ", ".join(
        f"{_solidity_type(kind)}{' indexed' if name in event.indexed else ''} {name + '_' if name in RESERVED else name}"
        for name, kind in event.field_types.items()
    )
    return f"    event {event.name}({fields});"


def _solidity_method(contract: SystemContract, method: Method) -> Iterator[str]:
    yield from _wrapped(f"@notice {method.summary}", "    /// ")
    names = _argument_names(contract, method.inputs.names)
    inputs = ", ".join(
        f"{_solidity_place(kind, 'calldata')} {name}" for name, kind in zip(names, method.inputs.items, strict=True)
    )
    assert method.output is not None, "a view returns something"
    yield f"    function {method.name}({inputs}) external view returns ({_solidity_place(method.output, 'memory')});"
    yield ""


def solidity(contract: SystemContract) -> str:
    """Return the contract's interface in Solidity, with its address as a constant."""
    name = interface_name(contract)
    lines = ["// SPDX-License-Identifier: Apache-2.0", f"// {ORIGIN}", "pragma solidity >=0.8.4 <0.9.0;", ""]
    lines += _wrapped(f"@notice {summary_of(contract)}", "/// ")
    lines += _wrapped(f"@dev {GENERAL} {refused_methods(contract)}".rstrip(), "/// ")
    lines += [f"interface {name} {{"]
    views = callable_views(contract)
    for kind in structs_of(views):
        lines += _solidity_struct(kind)
    if contract.events:
        lines += [*map(_solidity_event, contract.events.values()), ""]
    for method in views:
        lines += _solidity_method(contract, method)
    lines[-1] = "}"
    return "\n".join(
        [*lines, "", f"{name} constant {contract.name.upper()} = {name}({to_checksum_address(contract.address)});", ""]
    )


# Vyper


def _limit(owner: str, field: str) -> int:
    limit = LIMITS.get(f"{owner}.{field}", LIMITS.get(field))
    if limit is None:
        raise KeyError(f"LIMITS names neither {owner}.{field} nor {field}")
    return limit


def _vyper_type(kind: AbiType, owner: str, field: str) -> str:
    if isinstance(kind, Array):
        return f"DynArray[{_vyper_type(kind.element, owner, field + '[]')}, {_limit(owner, field)}]"
    if isinstance(kind, Tuple):
        assert kind.build is not None, "a tuple of an interface is a struct"
        return kind.build.__name__
    if isinstance(kind, Text):
        return f"{'String' if kind.is_text else 'Bytes'}[{_limit(owner, field)}]"
    return kind.name


def _vyper_struct(kind: Tuple) -> Iterator[str]:
    assert kind.build is not None
    yield from _wrapped((kind.build.__doc__ or "").strip().splitlines()[0], "# ")
    yield f"struct {kind.build.__name__}:"
    notes = field_notes(kind)
    for name, item in zip(kind.names, kind.items, strict=True):
        if name in notes:
            yield from _wrapped(notes[name], "    # ")
        yield f"    {name + '_' if name in RESERVED else name}: {_vyper_type(item, kind.build.__name__, name)}"
    yield from ("", "")


def _vyper_event(event: Event) -> Iterator[str]:
    yield f"event {event.name}:"
    for name, kind in event.field_types.items():
        declared = _vyper_type(kind, event.name, name)
        yield f"    {name + '_' if name in RESERVED else name}: {f'indexed({declared})' if name in event.indexed else declared}"
    yield from ("", "")


def _vyper_method(contract: SystemContract, method: Method) -> Iterator[str]:
    names = _argument_names(contract, method.inputs.names)
    inputs = ", ".join(
        f"{name}: {_vyper_type(kind, method.name, declared)}"
        for name, declared, kind in zip(names, method.inputs.names, method.inputs.items, strict=True)
    )
    assert method.output is not None, "a view returns something"
    yield from ("@view", "@external")
    yield f"def {method.name}({inputs}) -> {_vyper_type(method.output, method.name, method.name)}:"
    yield from ('    """', *_wrapped(f"@notice {method.summary}", "    "), '    """', "    ...", "", "")


def vyper(contract: SystemContract) -> str:
    """Return the contract's interface in Vyper."""
    lines = [f"# {ORIGIN}", '"""', *_wrapped(f"@notice {summary_of(contract)}", "")]
    lines += [*_wrapped(f"@dev {GENERAL} {refused_methods(contract)}".rstrip(), ""), '"""', "", ""]
    views = callable_views(contract)
    for kind in structs_of(views):
        lines += _vyper_struct(kind)
    for event in contract.events.values():
        lines += _vyper_event(event)
    for method in views:
        lines += _vyper_method(contract, method)
    return "\n".join(lines).rstrip() + "\n"


def vyper_addresses() -> str:
    """Return the Vyper module of the contracts' addresses: an interface file of Vyper's cannot hold constants."""
    lines = [
        f"# {ORIGIN}",
        "# pragma version ^0.4.0",
        '"""',
        "@notice The fixed addresses of the system contracts.",
        '"""',
        "",
    ]
    lines += [
        f"{contract.name.upper()}: constant(address) = {to_checksum_address(contract.address)}"
        for contract in registry.CONTRACTS.values()
    ]
    return "\n".join([*lines, ""])


def files() -> dict[str, str]:
    """Return every file of the folder by its name."""
    written = {"addresses.vy": vyper_addresses()}
    for contract in registry.CONTRACTS.values():
        written[f"{interface_name(contract)}.sol"] = solidity(contract)
        written[f"{interface_name(contract)}.vyi"] = vyper(contract)
    return written


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file_name, text in files().items():
        (FOLDER / file_name).write_text(text, "utf-8")
