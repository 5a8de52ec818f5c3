"""Tables as files: whichever of the forms a file has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdk.tables.csv_tables import CsvTable
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.tables.json_tables import JsonTable
    from sdk.tables.lines import IsHeading
    from sdk.tables.spreadsheets import XlsxTable


def open_table(path: Path, is_heading: IsHeading | None = None) -> CsvTable | XlsxTable | JsonTable:
    """Return the table in a file; raise InputError where it cannot be read or is none of .csv, .xlsx and .json.

    With `is_heading`, lines above the column names are passed over, as find_names does.
    """
    kind = path.suffix.lower()
    if kind == ".xlsx":
        from sdk.tables.spreadsheets import XlsxTable

        return XlsxTable(path, is_heading)
    if kind == ".json":
        from sdk.tables.json_tables import JsonTable

        return JsonTable(path)
    if kind != ".csv":
        raise InputError(
            "TABLE_KIND",
            f"{path} 应为 .csv、.xlsx 或 .json 文件，请在表格软件中另存",
            f"expected {path} to be a .csv, .xlsx or .json file; save it as one in your spreadsheet program",
        )
    return CsvTable(path, is_heading)
