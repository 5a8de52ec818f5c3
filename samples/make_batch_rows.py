"""Write two files of 10,000 rows for `govnode cert batch`, the same bytes at every run: one without faults, one with 37 bad rows.

    python samples/make_batch_rows.py FOLDER

rows.csv is good; in rows-with-faults.csv 37 rows are bad, in twelve different ways. Both are of the type 不动产权证书 and the
land bureau of network.toml. Holders are invented and look it: names begin with 示例, codes carry the region 999999, which no
place has.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

ROWS = 10_000
BAD_ROWS = 37
FIRST_BAD_ROW = 101
BETWEEN_BAD_ROWS = 263
TYPE_CODE, ISSUER_CODE = "11100000MB03271699001", "11990100MB0000002X"
COLUMNS = (
    *("serial", "version", "type_code", "issuer_code", "number", "holder_name", "holder_code_type", "holder_code"),
    *("valid_from", "valid_to", "predecessor", "field:坐落", "field:面积"),
)

Row = dict[str, str]


def citizen_number(sequence: int) -> str:
    """Return an 18-character citizen number of the region 999999 with its check character (GB 11643, MOD 11-2)."""
    birth = date(1960, 1, 1) + timedelta(days=sequence)
    stem = f"999999{birth:%Y%m%d}{sequence % 1_000:03d}"
    total = sum(int(digit) * pow(2, 17 - position, 11) for position, digit in enumerate(stem))
    return stem + "10X98765432"[total % 11]


def good_row(number: int) -> Row:
    """Return the row at a place, from 1."""
    values = (
        *(f"2026{number:07d}", "", TYPE_CODE, ISSUER_CODE, f"示(2026)不动产权第{number:07d}号"),
        *(f"示例持证人{number:05d}", "111", citizen_number(number), "2026-11-01", ""),
        *("", f"示例路{number}号", f"{60 + number % 90}.5"),
    )
    return dict(zip(COLUMNS, values, strict=True))


def wrong_check(row: Row) -> Row:
    """Return the row with another check character in the holder's code."""
    code = row["holder_code"]
    return {"holder_code": code[:-1] + ("0" if code[-1] != "0" else "1")}


# Each with the code that the report gives it.
FAULTS: tuple[tuple[str, Callable[[Row], Row]], ...] = (
    ("VALUE_MISSING", lambda row: {"valid_from": ""}),
    ("DATE_MALFORMED", lambda row: {"valid_from": "2026/11/1"}),
    ("DATES_REVERSED", lambda row: {"valid_to": "2025-12-31"}),
    ("HOLDER_CODE_MALFORMED", wrong_check),
    ("HOLDER_CODE_TYPE_UNKNOWN", lambda row: {"holder_code_type": "112"}),
    ("OTHER_TYPE", lambda row: {"type_code": "11100000MB03271699022"}),
    ("OTHER_ISSUER", lambda row: {"issuer_code": "11990100MB00000031"}),
    ("IDENTIFIER_MALFORMED", lambda row: {"serial": row["serial"] + "号"}),
    ("IDENTIFIER_TWICE", lambda row: {"serial": f"{int(row['serial']) - 1}"}),
    ("SERIAL_TWICE", lambda row: {"serial": f"{int(row['serial']) - 1}", "version": "002"}),
    ("PREDECESSOR_MALFORMED", lambda row: {"predecessor": "见旧证"}),
    ("COLUMN_COUNT", lambda row: {"field:面积": row["field:面积"] + ",平方米"}),
)


def bad_rows() -> dict[int, str]:
    """Return the places of the bad rows, from 1, and the code of what is wrong with each."""
    return {FIRST_BAD_ROW + BETWEEN_BAD_ROWS * n: FAULTS[n % len(FAULTS)][0] for n in range(BAD_ROWS)}


def write(path: Path, bad: dict[int, str]) -> None:
    """Write a file of rows, those at the places of `bad` spoilt."""
    spoil = dict(FAULTS)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(1, ROWS + 1):
            row = good_row(number)
            if number in bad:
                row |= spoil[bad[number]](row)
            cells = list(row.values())
            # A comma that was typed without quotes makes one cell two.
            writer.writerow(cells[:-1] + cells[-1].split(","))


def main(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "rows.csv", {})
    write(folder / "rows-with-faults.csv", bad_rows())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
