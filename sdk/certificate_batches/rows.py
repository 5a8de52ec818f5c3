"""Rows of a batch: what a line must hold to become a certificate, and every fault of one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from contracts.fields import check_period, check_text
from contracts.identifiers import FIRST_VERSION, MAX_SERIAL_LENGTH, is_uscc, make_identifier, parse_identifier
from contracts.refusals import Refused
from sdk.certificate_batches.attached_files import read_attachment
from sdk.identity_numbers import is_resident_number
from sdk.tables.lines import FORMULA_FAILED, UNCALCULATED, RowFault, TableLine, invalid_table, is_failed
from sm_crypto.errors import InvalidKey
from sm_crypto.sm2 import check_public_key
from verification.certificate_files.document import (
    HOLDER_CODE_TYPES,
    HOLDER_NAMES,
    MAX_ATTACHMENTS,
    MAX_FIELD_NAME,
    MAX_FIELDS,
    MAX_NAME,
    METADATA_NAMES,
    WITHOUT_END,
    Attachment,
    Draft,
    Particulars,
    check_value,
    document_secret,
    draft_document,
)
from verification.days import day_end_ms, day_start_ms
from verification.errors import InputError

COLUMNS: Final = (
    "identifier",
    "serial",
    "version",
    "type_code",
    "issuer_code",
    "number",
    "holder_name",
    "holder_code",
    "holder_code_type",
    "holder_key",
    "issued_on",
    "valid_from",
    "valid_to",
    "predecessor",
)
"""Columns with a meaning of their own; `identifier` or `serial`, and `valid_from`, must be there."""
FIELD_PREFIX: Final = "field:"
"""A column named so is a field of the type; any other name is refused, so that a slip of the pen is no field by mistake."""
ATTACHMENT_PREFIX: Final = "attachment:"
"""A column named so has the path of a file to attach under the rest of the name."""
MAX_SHOWN: Final = 60
USCC_TYPE: Final = "001"
RESIDENT_TYPE: Final = "111"
_PERIOD_FAULTS: Final = {
    "DATES_REVERSED": ("有效期止应不早于有效期起", "expected the last day of validity not before the first"),
    "DATE_OUT_OF_RANGE": ("日期应在 1900 年至 9999 年之间", "expected days from 1900 to 9999"),
}
_SERIAL_FAULT: Final = (
    f"流水号应为 1 至 {MAX_SERIAL_LENGTH} 位数字或大写字母，版本号为 3 位数字",
    f"expected a serial of 1 to {MAX_SERIAL_LENGTH} digits and capital letters, and a version of 3 digits",
)


class BatchHead(msgspec.Struct, frozen=True):
    """What all certificates of a batch share; `issued_on` is the day of those that state none, YYYY-MM-DD."""

    type_code: str
    type_name: str
    issuer_code: str
    issuer_name: str
    issued_on: str


class BatchRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One certificate to be issued, as its line says; days are YYYY-MM-DD, `values` those of the batch's own fields in order."""

    line: int
    identifier: str
    serial: str
    number: str
    holder_name: str
    holder_code: str
    holder_code_type: str
    issued_on: str
    valid_from: str
    valid_to: str
    predecessor: str
    values: tuple[str, ...]
    holder_key: str = ""
    """The SM2 key that presentations must be signed by, x || y in 128 hex digits; empty where the holder has none."""
    attachments: tuple[Attachment, ...] = ()


class RowReader:
    """Reads the lines of one table as rows of one batch."""

    def __init__(self, path: Path, names: Sequence[str], head: BatchHead) -> None:
        """Take a table's column names; raise InputError TABLE_INVALID where one is missing or unknown."""
        self._head = head
        self._places = {name: place for place, name in enumerate(names)}
        self.field_names = tuple(name.removeprefix(FIELD_PREFIX).strip() for name in names if _is_field(name))
        self._field_columns = [name for name in names if _is_field(name)]
        self._attached = {name: _attachment_name(name) for name in names if _is_attachment(name)}
        self._folder = path.parent
        self._check_columns(path, names)
        self._check_attached(path)

    def read(self, line: TableLine) -> BatchRow | list[RowFault]:
        """Return the certificate that a line asks for, or everything that keeps it from being one."""
        reader = _LineReader(self._head, self._places, self._field_columns, line)
        return reader.read(self._folder, self._attached)

    def _check_columns(self, path: Path, names: Sequence[str]) -> None:
        for name in names:
            if name not in COLUMNS and not _is_field(name) and not _is_attachment(name):
                shown = ", ".join(COLUMNS)
                raise invalid_table(
                    path,
                    1,
                    f"列名之一：{shown}，或以 {FIELD_PREFIX} 开头的自有字段、以 {ATTACHMENT_PREFIX} 开头的附件，"
                    f"实为 {name[:MAX_SHOWN]!r}",
                    f"one of {shown}, or a field of your own beginning with {FIELD_PREFIX}, or an attachment beginning "
                    f"with {ATTACHMENT_PREFIX}, found {name[:MAX_SHOWN]!r}",
                )
        if "valid_from" not in names or not {"identifier", "serial"} & set(names):
            raise invalid_table(
                path, 1, "列 valid_from，以及 identifier 或 serial", "the columns valid_from, and identifier or serial"
            )
        taken = {*METADATA_NAMES, *HOLDER_NAMES}
        for name in self.field_names:
            if not _is_name(name, MAX_FIELD_NAME) or name in taken:
                raise invalid_table(
                    path,
                    1,
                    f"自有字段名 1 至 {MAX_FIELD_NAME} 个字符且不是标准元数据名，实为 {name[:MAX_SHOWN]!r}",
                    f"a field name of 1 to {MAX_FIELD_NAME} characters that is none of the standard's, "
                    f"found {name[:MAX_SHOWN]!r}",
                )
        if len(self.field_names) > MAX_FIELDS - len(HOLDER_NAMES) or len(set(self.field_names)) < len(self.field_names):
            most = MAX_FIELDS - len(HOLDER_NAMES)
            raise invalid_table(path, 1, f"至多 {most} 个互不同名的自有字段", f"at most {most} fields, no name twice")

    def _check_attached(self, path: Path) -> None:
        names = list(self._attached.values())
        for name in names:
            if not _is_name(name, MAX_NAME):
                raise invalid_table(
                    path,
                    1,
                    f"附件名 1 至 {MAX_NAME} 个字符，实为 {name[:MAX_SHOWN]!r}",
                    f"a name of 1 to {MAX_NAME} characters for an attachment, found {name[:MAX_SHOWN]!r}",
                )
        if len(names) > MAX_ATTACHMENTS or len(set(names)) < len(names):
            raise invalid_table(
                path,
                1,
                f"至多 {MAX_ATTACHMENTS} 个互不同名的附件",
                f"at most {MAX_ATTACHMENTS} attachments, no name twice",
            )


class _LineReader:
    """One line on its way to a row; faults gather."""

    def __init__(self, head: BatchHead, places: dict[str, int], field_columns: Sequence[str], line: TableLine) -> None:
        self._head = head
        self._places = places
        self._field_columns = field_columns
        self._names = list(places)
        self._line = line
        self._faults: list[RowFault] = []

    def read(self, folder: Path, attached: dict[str, str]) -> BatchRow | list[RowFault]:
        """Return the row; `folder` has the files, and `attached` the names that columns of them give to attachments."""
        found = len(self._line.cells)
        width = len(self._names)
        if found != width:
            self._fault(
                "-",
                "COLUMN_COUNT",
                str(found),
                f"应有 {width} 列，实为 {found} 列；含逗号的内容须加引号",
                f"expected {width} columns, found {found}; quote what has a comma in it",
            )
            return self._faults
        for place in self._line.inexact:
            self._fault(
                self._names[place],
                "NUMBER_INEXACT",
                self._line.cells[place],
                "数字超过 15 位，已被表格软件舍入，请把该列设为文本后重新录入",
                "a number of more than 15 digits, which the spreadsheet has rounded: make the column text and enter it anew",
            )
        for place in self._line.uncalculated:
            self._fault(self._names[place] if place < width else "-", "FORMULA_UNCALCULATED", "", *UNCALCULATED)
        for place, cell in enumerate(self._line.cells):
            if is_failed(cell):
                self._fault(self._names[place], "FORMULA_FAILED", cell, *FORMULA_FAILED)
        identifier, serial = self._identifier()
        issued_on = self._text("issued_on") or self._head.issued_on
        if issued_on != self._head.issued_on:
            self._day("issued_on", issued_on)
        valid_from, valid_to = self._validity()
        self._holder()
        row = BatchRow(
            self._line.number,
            identifier,
            serial,
            self._value("number"),
            self._value("holder_name"),
            self._text("holder_code"),
            self._text("holder_code_type"),
            issued_on,
            valid_from,
            valid_to,
            self._predecessor(),
            tuple(self._value(column) for column in self._field_columns),
            self._holder_key(),
            tuple(self._attachments(folder, attached)),
        )
        return self._faults or row

    def _text(self, column: str) -> str:
        place = self._places.get(column)
        return "" if place is None else self._line.cells[place]

    def _value(self, column: str) -> str:
        text = self._text(column)
        if text:
            try:
                check_value(column, text)
            except InputError as error:
                self._fault(column, "VALUE_MALFORMED", text, error.zh, error.en)
        return text

    def _identifier(self) -> tuple[str, str]:
        """Return the identifier and its serial: the one given, or made from type, issuer, serial and version."""
        given, serial = self._text("identifier"), self._text("serial")
        version = self._text("version") or FIRST_VERSION
        for column, expected in (("type_code", self._head.type_code), ("issuer_code", self._head.issuer_code)):
            self._same(column, self._text(column), expected)
        column = "identifier" if given else "serial"
        if not given and not serial:
            self._fault(column, "VALUE_MISSING", "", "应给出证照标识或流水号", "expected an identifier or a serial")
            return "", ""
        try:
            if not given:
                given = make_identifier(self._head.type_code, self._head.issuer_code, serial, version)
            parsed = parse_identifier(given)
        except Refused as refused:
            texts = refused.texts if self._text("identifier") else _SERIAL_FAULT
            self._fault(column, "IDENTIFIER_MALFORMED", self._text("identifier") or serial, *texts)
            return "", ""
        if parsed.check != parsed.expected_check:
            expected = parsed.expected_check
            self._fault(
                column, "CHECK_CHARACTER_MISMATCH", given, f"校验位应为 {expected}", f"expected the check {expected}"
            )
        self._same("identifier", parsed.type_code, self._head.type_code)
        self._same("identifier", parsed.issuer_code, self._head.issuer_code)
        if serial and serial != parsed.serial:
            self._fault(
                "serial",
                "SERIAL_MISMATCH",
                serial,
                f"标识中的流水号是 {parsed.serial}",
                f"the identifier has {parsed.serial}",
            )
        return parsed.text, parsed.serial

    def _same(self, column: str, found: str, expected: str) -> None:
        if found and found != expected:
            code = "OTHER_TYPE" if expected == self._head.type_code else "OTHER_ISSUER"
            self._fault(column, code, found, f"本批次为 {expected}", f"this batch is of {expected}")

    def _validity(self) -> tuple[str, str]:
        start, end = self._text("valid_from"), self._text("valid_to") or WITHOUT_END
        if not start:
            self._fault("valid_from", "VALUE_MISSING", "", "应给出有效期起始日", "expected the first day of validity")
        elif self._day("valid_from", start) and self._day("valid_to", end):
            try:
                check_period("valid_from", day_start_ms(start), "valid_to", day_end_ms(end))
            except Refused as refused:
                self._fault("valid_to", refused.code, f"{start} ~ {end}", *_PERIOD_FAULTS[refused.code])
        return start, end

    def _day(self, column: str, text: str) -> bool:
        if _is_day(text):
            return True
        self._fault(column, "DATE_MALFORMED", text, "应为日期 YYYY-MM-DD", "expected a date as YYYY-MM-DD")
        return False

    def _holder(self) -> None:
        kind, code = self._text("holder_code_type"), self._value("holder_code")
        if kind and kind not in HOLDER_CODE_TYPES:
            known = ", ".join(HOLDER_CODE_TYPES)
            self._fault(
                "holder_code_type",
                "HOLDER_CODE_TYPE_UNKNOWN",
                kind,
                f"代码类型应为其中之一：{known}",
                f"expected one of these kinds of code: {known}",
            )
        elif bool(kind) != bool(code):
            column = "holder_code_type" if code else "holder_code"
            self._fault(
                column,
                "VALUE_MISSING",
                "",
                "持证主体代码与其类型应一并给出",
                "expected the holder's code and its kind together",
            )
        elif (kind == USCC_TYPE and not is_uscc(code)) or (kind == RESIDENT_TYPE and not is_resident_number(code)):
            self._fault(
                "holder_code",
                "HOLDER_CODE_MALFORMED",
                code,
                f"不是合规的{HOLDER_CODE_TYPES[kind]}（类型 {kind}），或校验位有误",
                f"not well formed for the kind {kind}, or its check character is wrong",
            )

    def _holder_key(self) -> str:
        text = self._text("holder_key").lower()
        try:
            if text:
                check_public_key(bytes.fromhex(text))
        except (ValueError, InvalidKey):
            self._fault(
                "holder_key",
                "HOLDER_KEY_MALFORMED",
                text,
                "应为 SM2 公钥，128 位十六进制",
                "expected an SM2 public key as 128 hex digits",
            )
        return text

    def _attachments(self, folder: Path, attached: dict[str, str]) -> Iterator[Attachment]:
        for column, name in attached.items():
            text = self._text(column)
            try:
                if text:
                    yield read_attachment(folder, name, text)
            except InputError as error:
                self._fault(column, error.code, text, error.zh, error.en)

    def _predecessor(self) -> str:
        text = self._text("predecessor")
        try:
            return parse_identifier(text).text if text else ""
        except Refused as refused:
            self._fault("predecessor", "PREDECESSOR_MALFORMED", text, *refused.texts)
            return ""

    def _fault(self, column: str, code: str, found: str, zh: str, en: str) -> None:
        self._faults.append(RowFault(self._line.number, column, code, found[:MAX_SHOWN], zh, en))


def draft_row(head: BatchHead, field_names: Sequence[str], row: BatchRow, department_secret: bytes) -> Draft:
    """Return the document of a row, without its seal: the same whenever head, names, row and the department's secret are."""
    one = row_particulars(head, field_names, row, document_secret(department_secret, row.identifier))
    return draft_document(one.metadata, one.fields, one.attachments, one.secret, holder_key=one.holder_key)


def row_particulars(head: BatchHead, field_names: Sequence[str], row: BatchRow, secret: bytes) -> Particulars:
    """Return what a row's document is drafted from; `secret` is the document's own."""
    metadata = {
        "ZZBS": row.identifier,
        "ZZMC": head.type_name,
        "ZZBFJG": head.issuer_name,
        "ZZBFRQ": row.issued_on,
        "ZZYXQQSRQ": row.valid_from,
        "ZZYXQJZRQ": row.valid_to,
        "associatedZzeCertID": row.predecessor,
        "ZZBH": row.number,
        "CZZT": row.holder_name,
        "CZZTDM": row.holder_code,
        "CZZTDMLXDM": row.holder_code_type,
    }
    named = [(name, value) for name, value in zip(field_names, row.values, strict=True) if value]
    return Particulars(metadata, named, row.attachments, secret, bytes.fromhex(row.holder_key))


@lru_cache(maxsize=4_096)
def _is_day(text: str) -> bool:
    try:
        day_start_ms(text)
    except (ValueError, OverflowError):
        return False
    return True


def _is_field(name: str) -> bool:
    return name.startswith(FIELD_PREFIX)


def _is_attachment(name: str) -> bool:
    return name.startswith(ATTACHMENT_PREFIX)


def _attachment_name(column: str) -> str:
    return column.removeprefix(ATTACHMENT_PREFIX).strip()


def _is_name(name: str, limit: int) -> bool:
    try:
        check_text("name", name, limit)
    except Refused:
        return False
    return True
