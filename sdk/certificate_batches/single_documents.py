"""Documents of rows, each to be signed and issued for itself: what a department makes that issues one certificate at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from sdk.certificate_batches.rows import BatchHead, BatchRow, RowReader, draft_row
from sdk.tables.lines import RowFault, invalid_table
from sdk.tables.opening import open_table
from verification.certificate_files.document import Draft
from verification.errors import InputError

MAX_SINGLE_DOCUMENTS: Final = 1_000
"""Of one file; more are issued as a batch."""


def draft_table(
    table: Path, head: BatchHead, department_secret: bytes, known: Callable[[Sequence[str]], set[str]]
) -> tuple[list[Draft], list[RowFault]]:
    """Return the documents of a table's rows, without seals, in their order, or everything that is wrong with the rows.

    `known` tells which of the identifiers the ledger has. Raises InputError where the file is no table or has too many rows.
    """
    with open_table(table) as opened:
        reader = RowReader(table, opened.names, head)
        read = [reader.read(line) for line in islice(opened, MAX_SINGLE_DOCUMENTS + 1)]
    if not 1 <= len(read) <= MAX_SINGLE_DOCUMENTS:
        raise invalid_table(
            table,
            2,
            f"1 至 {MAX_SINGLE_DOCUMENTS} 行数据，更多的请用 govnode cert batch",
            f"1 to {MAX_SINGLE_DOCUMENTS} rows; issue more with govnode cert batch",
        )
    rows = [one for one in read if isinstance(one, BatchRow)]
    faults = [fault for one in read if isinstance(one, list) for fault in one]
    taken = known([row.identifier for row in rows])
    lines: dict[str, int] = {}
    for row in rows:
        before = lines.setdefault(row.identifier, row.line)
        if before != row.line:
            zh, en = f"与第 {before} 行的证照标识相同", f"the same identifier as in line {before}"
            faults.append(RowFault(row.line, "identifier", "IDENTIFIER_TWICE", row.identifier, zh, en))
        if row.identifier in taken:
            zh, en = "账本上已有这份证照", "the ledger has this certificate already"
            faults.append(RowFault(row.line, "identifier", "CERTIFICATE_EXISTS", row.identifier, zh, en))
    faults.sort(key=lambda fault: fault.line)
    return [] if faults else [_draft(head, reader.field_names, row, department_secret) for row in rows], faults


def _draft(head: BatchHead, names: Sequence[str], row: BatchRow, department_secret: bytes) -> Draft:
    try:
        return draft_row(head, names, row, department_secret)
    except InputError as error:
        raise InputError(error.code, f"第 {row.line} 行：{error.zh}", f"line {row.line}: {error.en}") from None
