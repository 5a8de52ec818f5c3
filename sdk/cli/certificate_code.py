"""govnode cert code, cert slip: what a certificate carries on paper, as a picture and as a printed page."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, open_client, url_option
from sdk.cli.output import fields, json_option, show
from verification.errors import InputError

if TYPE_CHECKING:
    from verification.certificate_files.document import CertificateDocument
    from verification.certificate_files.presentation import Presentation

LINK_VARIABLE: Final = "GOVNODE_LINK_BASE"

F = TypeVar("F", bound=Callable[..., Any])


def _source_options(command: F) -> F:
    """Add what a code is made of, and where to."""
    for option in (
        click.option(
            "--out", type=FILE, required=True, help="写入的文件，不得已存在 / The file to write; must not exist."
        ),
        click.option(
            "--link",
            "base",
            envvar=LINK_VARIABLE,
            show_envvar=True,
            help="核验链接的前缀，如 https://主机 / Where the link leads: https://host of a node or of the department.",
        ),
        click.argument("source"),
    ):
        command = option(command)
    return command


@click.command("code", cls=Command)
@_source_options
@json_option
def make_code(source: str, base: str | None, out: Path, as_json: bool) -> None:
    """由证照标识或文件 SOURCE 制作二维码（.svg 或 .png）/ Make a QR code of an identifier or a file, as .svg or .png.

    证照标识与证照文件得到核验链接，须给出 --link；出示件得到自含全部内容的码 / An identifier or a document gives a link, and needs
    --link; a presentation gives a code that holds all of it.
    """
    from sdk.documents import write_new
    from verification.code_image import code_png, code_svg, print_size_mm

    draw = {".svg": code_svg, ".png": code_png}.get(out.suffix.lower())
    if draw is None:
        raise click.UsageError("--out 应以 .svg 或 .png 结尾 / --out ends in .svg or .png")
    content = _load(source)
    text = _code_text(content, base)
    write_new(out, draw(text))
    width_mm = print_size_mm(text)
    result = {"out": str(out), "text": text, "characters": len(text), "print_mm": width_mm}
    shown = fields(
        [
            ("内容 / content", text if len(text) <= 200 else f"{text[:60]}…"),
            ("字符 / characters", len(text)),
            ("印刷边长不小于 / print at least", f"{width_mm} mm"),
            ("账本 / ledger", "未查有无此证照 / not asked whether there is one" if isinstance(content, str) else None),
            ("文件 / file", out),
        ]
    )
    show(result, as_json, shown)


@click.command("slip", cls=Command)
@_source_options
@click.option(
    "--show",
    "names",
    multiple=True,
    help="印出的字段值，可多次给出；不给则不印个人信息 / A field whose value is printed; repeatable.",
)
@url_option
@json_option
def make_slip(source: str, base: str | None, names: tuple[str, ...], out: Path, url: str, as_json: bool) -> None:
    """由证照标识或文件 SOURCE 制作可打印的核验单（PDF，A5）/ Make a verification slip to print, of an identifier or a file.

    只给证照标识时，类型、机构与有效期取自节点 / Of an identifier alone, type, issuer and days come from the node.
    """
    from sdk.documents import write_new
    from verification.codes import PRESENTATION_PREFIX
    from verification.slip import Slip, document_facts, encode_slip

    if out.suffix.lower() != ".pdf":
        raise click.UsageError("--out 应以 .pdf 结尾 / --out ends in .pdf")
    content = _load(source)
    text = _code_text(content, base)
    if isinstance(content, str):
        if names:
            raise click.UsageError("--show 须给出证照文件或出示件 / --show needs a document or a presentation")
        facts: tuple[tuple[str, str, str], ...] = _ledger_facts(content, url)
        values: tuple[tuple[str, str], ...] = ()
    else:
        facts, values = document_facts(content.core), _values(content, names)
    if base is not None and not text.startswith(PRESENTATION_PREFIX):
        facts += (("核验地址", "Verify at", base),)
    write_new(out, encode_slip(Slip(text, facts, values)))
    result = {"out": str(out), "text": text, "values": dict(values)}
    show(result, as_json, fields([*values, ("文件 / file", out)]))


def _load(source: str) -> CertificateDocument | Presentation | str:
    """Return the document or presentation in a file, or the identifier where no file has that name."""
    from sdk.documents import read_limited
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, decode_document
    from verification.certificate_files.file_verification import certificate_file_kind
    from verification.certificate_files.presentation import decode_presentation
    from verification.identifier_check import check_identifier

    if not Path(source).is_file():
        report = check_identifier(source)
        if report.parts is None:
            raise InputError(
                "SOURCE_UNKNOWN",
                f"{source[:80]} 既不是文件，也不是证照标识：{report.findings[0].zh}",
                f"{source[:80]} is neither a file nor an identifier: {report.findings[0].en}",
            )
        parts = report.parts
        if parts.check != parts.expected_check:
            raise InputError(
                "CHECK_CHARACTER_MISMATCH",
                f"{parts.text} 的校验位应为 {parts.expected_check}，请核对录入，不为录错的标识制码",
                f"the check character of {parts.text} should be {parts.expected_check}: look for a typing error; no code is made of one",
            )
        return parts.text
    raw = read_limited(Path(source), MAX_DOCUMENT_FILE_BYTES)
    if certificate_file_kind(raw) == "presentation":
        return decode_presentation(raw)
    return decode_document(raw)


def _code_text(content: CertificateDocument | Presentation | str, base: str | None) -> str:
    """Return what the code holds: a presentation itself where no link is asked for, a link otherwise."""
    from verification.certificate_files.document import core_digest
    from verification.certificate_files.presentation import Presentation
    from verification.codes import make_link, pack_presentation

    # A base in the environment is for what needs one; a presentation is made a link of only where the command line says so.
    is_asked = click.get_current_context().get_parameter_source("base") is ParameterSource.COMMANDLINE
    if isinstance(content, Presentation) and not is_asked:
        return pack_presentation(content)
    if base is None:
        raise click.UsageError("请以 --link 给出核验链接的前缀 / give the base of the verification link with --link")
    if isinstance(content, str):
        return make_link(base, content).text
    return make_link(base, content.core.identifier, core_digest(content.core)).text


def _ledger_facts(identifier: str, url: str) -> tuple[tuple[str, str, str], ...]:
    from contracts.fields import MAX_TIME_MS
    from sdk.cli.certificate_show import look_up
    from verification.days import show_day

    try:
        with open_client(url) as client:
            record, _ = look_up(client, identifier, None, time.time_ns() // 1_000_000)
    except InputError as error:
        if error.code != "ARCHIVE_NEEDED":
            raise
        raise InputError(
            "DOCUMENT_NEEDED",
            f"{identifier} 是整批颁发的，没有单独的记录，所问节点也没有该批次的清单：请给出证照文件，或改问有清单的节点",
            f"{identifier} is of a batch, has no record of its own, and the node has no manifest of the batch: give its document instead, "
            "or ask a node that has the manifest",
        ) from None
    end = "长期 / without end" if record["valid_to_ms"] >= MAX_TIME_MS else show_day(record["valid_to_ms"])
    return (
        ("证照标识", "Identifier", record["identifier"]),
        ("证照类型", "Type", f"{record['type_name'] or ''} {record['type_code']}"),
        ("颁发机构", "Issuer", f"{record['issuer_name']} {record['issuer']}"),
        ("有效期", "Validity", f"{show_day(record['valid_from_ms'])} ~ {end}"),
    )


def _values(content: CertificateDocument | Presentation, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the values to print, in the order asked for; raise InputError FIELD_UNKNOWN for one that the file does not show."""
    from verification.certificate_files.presentation import Presentation

    known = [field.name for field in content.core.fields]
    if isinstance(content, Presentation):
        shown = {known[one.position]: one.value for one in content.fields}
    else:
        shown = dict(zip(known, content.values, strict=True))
    for name in names:
        if name not in shown:
            raise InputError(
                "FIELD_UNKNOWN",
                f"文件没有出示字段 {name!r}，有 {'、'.join(shown) or '无'}",
                f"the file shows no field {name!r}, it shows {', '.join(shown) or 'none'}",
            )
    return tuple((name, shown[name]) for name in names)
