"""Writes the tables of docs/spec/contracts.md from the declarations: `python docs/spec/contract_tables.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts import (
    accounts,
    anchors,
    authorisations,
    batches,
    certificate_records,
    certificate_types,
    code_tables,
    deployments,
    governance,
    offences,
    recent_blocks,
    registry,
    serial_ranges,
    validator_sets,
)
from contracts.abi import struct_type
from contracts.accounts import ROLES
from contracts.code_tables import DEFAULT_CODES
from contracts.data_sharing import (
    access,
    arrival_records,
    audit_figures,
    audits,
    catalogue,
    corrections,
    datasets,
    deadlines,
    deliveries,
    directories,
    disputes,
    encryption_keys,
    product_records,
    quality_reviews,
    recalls,
    refusal_reasons,
    sharing,
)
from contracts.parameters import BOUNDS, ORDER, ChainParameters
from contracts.records import ADDRESSES, Table
from contracts.refusals import REFUSALS

PAGE: Final = Path(__file__).with_name("contracts.md")

KEYS: Final[dict[Table[Any], str]] = {
    accounts.DEPARTMENTS: "unified social credit code",
    accounts.ACCOUNTS: "address (20 bytes)",
    encryption_keys.LATEST: "department's code",
    encryption_keys.ENCRYPTION_KEYS: "number (8 bytes, big-endian), department's code",
    encryption_keys.BY_KEY_ID: "last 20 bytes of SM3 of the key",
    validator_sets.VALIDATORS: "`set`: the validators of the next height",
    validator_sets.PAST_VALIDATORS: "number of the set (8 bytes, big-endian)",
    validator_sets.CANDIDATES: "`candidates`: one record",
    recent_blocks.BLOCK_IDS: "height modulo 8,191 (2 bytes, big-endian); `genesis` for height 0, which stays",
    offences.OFFENCES: "address (20 bytes), height and round (8 bytes each, big-endian), kind (1 byte)",
    offences.LATEST_OFFENCES: "address (20 bytes)",
    certificate_types.TYPES: "type code",
    certificate_types.PERMISSIONS: "type code, `/`, department's code",
    code_tables.CODE_TABLES: "table's name",
    certificate_records.CERTIFICATES: "identifier, root included",
    certificate_records.HISTORY_PAGES: "identifier, root included, number of the page (8 bytes, big-endian)",
    catalogue.RESOURCES: "resource code",
    catalogue.PAST_VERSIONS: "resource code, version (8 bytes, big-endian)",
    catalogue.PROPOSALS: "resource code",
    quality_reviews.REVIEWS: "resource code, version (8 bytes, big-endian), reviewing department's code",
    arrival_records.ARRIVALS: "resource code, number (8 bytes, big-endian)",
    arrival_records.RETURN_HEADS: "resource code",
    directories.DUTIES: "department's code, `/`, duty's code",
    directories.SYSTEMS: "department's code, `/`, system's code",
    datasets.DATASETS: "resource code",
    datasets.RELEASES: "resource code, number (8 bytes, big-endian)",
    datasets.REPORTS: "resource code, number (8 bytes, big-endian)",
    sharing.REQUESTS: "request id (32 bytes)",
    corrections.CORRECTIONS: "request id (32 bytes), number from 1 (8 bytes, big-endian)",
    disputes.DISPUTES: "request id (32 bytes), number from 1 (8 bytes, big-endian)",
    disputes.RAISED_COUNTS: "request id (32 bytes), code of the department that raised them",
    recalls.RECALLS: "request id (32 bytes), number from 1 (8 bytes, big-endian)",
    sharing.RESOURCE_COUNTS: "resource code",
    sharing.RESOURCE_REQUESTS: "resource code, place among its requests from 0 (8 bytes, big-endian)",
    refusal_reasons.REASONS: "`reasons`: one record",
    access.STREAMS: "recorder's address (20 bytes), department's code",
    access.BATCHES: "recorder's address (20 bytes), department's code, number (8 bytes, big-endian)",
    access.STREAM_NAMES: "place in the list of all streams, from 0 (8 bytes, big-endian)",
    access.STREAM_COUNT: "empty: one record",
    anchors.ANCHORS: "digest (32 bytes), department's code",
    governance.PARAMETERS: "`parameters`: one record",
    deployments.DEPLOYMENTS: "contract's address (20 bytes)",
    batches.BATCHES: "batch's name: type code, `.`, issuer's code, `.`, first serial",
    serial_ranges.INDEXES: "type code, `/`, issuer's code",
    serial_ranges.PAGES: "type code, `/`, issuer's code, `/`, number of the page (2 bytes, big-endian)",
    authorisations.AUTHORISATIONS: "id (32 bytes), issuer's code",
    authorisations.FETCHES: "id (32 bytes), issuer's code, number (8 bytes, big-endian)",
    deliveries.HEADS: "grant id (32 bytes)",
    deliveries.DELIVERIES: "grant id (32 bytes), number (8 bytes, big-endian)",
    deadlines.CALENDARS: "year (four digits)",
    deadlines.REGIONS: "first digits of a region code, none for everywhere",
    deadlines.TERM_VERSIONS: "those digits, `#`, number (8 bytes, big-endian)",
    audits.AUTHORITIES: "`authority`: one record",
    audits.QUERIES: "number (8 bytes, big-endian)",
    audits.FINDINGS: "number (8 bytes, big-endian)",
    audits.FINDING_NUMBERS: "id (32 bytes)",
    audits.COUNTS: "`queries`, `findings`, `figures`; rule, `/`, state: findings by a rule that are in a state now",
    audit_figures.FIGURE_TABLES: "number (8 bytes, big-endian)",
    batches.POSITIONS: "batch's name, `/`, position (8 bytes, big-endian)",
    product_records.PRODUCTS: "product's code",
    product_records.FACTS: "product's code, `#`, number (8 bytes, big-endian)",
    product_records.OBJECTIONS: "product's code, `#`, number (8 bytes, big-endian)",
    product_records.FORMULAS: "number (8 bytes, big-endian)",
    product_records.FORMULA_COUNT: "`count`: one record",
}
"""What follows address and table number in the key of each table's records."""


def cell(value: object) -> str:
    """Return a value as the text of a table cell."""
    return str(value).replace("|", "&#124;") or "–"


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * len(head))
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def addresses() -> str:
    """Return the address of each contract."""
    return table(("contract", "address"), ((name, f"`0x{address.hex()}`") for name, address in ADDRESSES.items()))


def roles() -> str:
    """Return every role and what it may do."""
    return table(("role", "中文", "English"), ((f"`{role}`", *texts) for role, texts in ROLES.items()))


def methods() -> str:
    """Return the methods of each contract, with selectors and who may call them."""
    parts = []
    for contract in registry.CONTRACTS.values():
        rows = []
        for method in contract.methods.values():
            inputs = [
                f"{name} {item.name}" for name, item in zip(method.inputs.names, method.inputs.items, strict=True)
            ]
            output = "" if method.output is None else f" → {method.output.name}"
            rows.append(
                (
                    f"`{method.selector.hex()}`",
                    f"`{method.name}({', '.join(inputs)}){output}`",
                    method.who,
                    method.summary,
                )
            )
        parts.append(f"### {contract.name}\n\n" + table(("selector", "method", "who", "what"), rows))
    return "\n\n".join(parts)


def events() -> str:
    """Return the events of each contract."""
    rows = []
    for contract in registry.CONTRACTS.values():
        for event in contract.events.values():
            fields = [
                f"{name} {item.name}{' indexed' if name in event.indexed else ''}"
                for name, item in event.field_types.items()
            ]
            rows.append((contract.name, f"`{event.name}({', '.join(fields)})`"))
    return table(("contract", "event"), rows)


def records() -> str:
    """Return every table of records, its keys and fields."""
    rows = []
    for kind, key in KEYS.items():
        contract = registry.contract_name(kind.prefix[:20])
        fields_of: type[msgspec.Struct] = kind.kind
        shape = struct_type(fields_of)
        fields = [f"{name} {item.name}" for name, item in zip(shape.names, shape.items, strict=True)]
        rows.append((contract, kind.prefix[20], kind.kind.__name__, key, f"`{', '.join(fields)}`"))
    return table(("contract", "table", "record", "key", "fields in order"), rows)


def parameters() -> str:
    """Return every chain parameter with its default and bounds."""
    defaults = msgspec.structs.asdict(ChainParameters())
    return table(
        ("parameter", "default", "least", "greatest"),
        (
            (f"`{name}`", f"{defaults[name]:,}", f"{least:,}", f"{greatest:,}")
            for name, (least, greatest) in BOUNDS.items()
        ),
    )


def parameter_order() -> str:
    """Return the pairs of parameters that keep an order."""
    return table(("parameter", "at most"), ((f"`{name}`", f"`{ceiling}`") for name, ceiling in ORDER))


def refusals() -> str:
    """Return every refusal with its texts."""
    return table(("name", "中文", "English"), ((f"`{code}`", *texts) for code, texts in REFUSALS.items()))


def codes() -> str:
    """Return the default table of status and operation codes."""
    effects = {code_tables.IN_FORCE: "in force", code_tables.HELD: "held", code_tables.ENDED: "ended"}
    statuses = table(
        ("status", "中文", "English", "effect"),
        ((code.code, code.name, code.english, effects[code.effect]) for code in DEFAULT_CODES.statuses),
    )
    operations = table(
        ("operation", "中文", "English", "action", "from status", "to status", "predecessor gets"),
        (
            (
                code.code,
                code.name,
                code.english,
                code.action,
                ", ".join(code.from_statuses),
                ", ".join(code.to_statuses),
                code.predecessor_status,
            )
            for code in DEFAULT_CODES.operations
        ),
    )
    return f"{statuses}\n\n{operations}"


PARTS: Final[dict[str, Callable[[], str]]] = {
    part.__name__: part
    for part in (addresses, roles, methods, events, records, parameters, parameter_order, refusals, codes)
}


def rendered(page: str) -> str:
    """Return the page with every part between its marks written anew; raise KeyError on a mark of an unknown part."""
    return re.sub(
        r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)",
        lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
