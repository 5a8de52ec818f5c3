"""govnode cert issue, and renew, change, transfer-in: new certificates, and such as take the place of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sdk.cli.bilingual import Command
from sdk.cli.certificate_status import archive_option, csv_option, one_source, reason_option
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_hex,
    check_secret_owner,
    day_end,
    day_start,
    key_options,
    open_client,
    read_holder_secret,
    url_option,
)
from sdk.cli.outcomes import show_outcomes
from sdk.cli.output import json_option

if TYPE_CHECKING:
    from sdk.certificates import NewCertificate, Succession

F = TypeVar("F", bound=Callable[..., Any])
_FIXED: Final = ("valid_from", "valid_to", "holder_code_type", "holder_code", "holder_name")
"""Options about what a certificate document says itself."""


def _content_options(command: F) -> F:
    """Add what a new certificate is made of."""
    options = (
        click.option(
            "--document",
            type=click.Path(path_type=Path),
            help="证照文件：govnode cert document 所制的登记其自身的摘要，其余都取自其中，也可给出整个文件夹；其他文件登记 SM3 / "
            "The document. Of one that govnode cert document made its own digest is recorded, and all else is taken from it; a "
            "folder of them serves too. Of any other file its SM3 is recorded.",
        ),
        click.option("--digest", help="证照文件的 SM3（64 位十六进制）/ SM3 of the document, 64 hex digits."),
        click.option("--valid-from", help="有效期起 YYYY-MM-DD / First day of validity."),
        click.option(
            "--valid-to", help="有效期止 YYYY-MM-DD；不给为长期 / Last day of validity; without end when absent."
        ),
        click.option(
            "--holder-code-type", default="", help="持证主体代码类型，如 001、111 / Kind of the holder's code."
        ),
        click.option(
            "--holder-code",
            default="",
            help="持证主体代码（只登记其密钥承诺）/ The holder's code; a keyed commitment is recorded.",
        ),
        click.option("--holder-name", default="", help="持证主体名称（同上）/ The holder's name; likewise."),
        click.option(
            "--holder-secret",
            type=FILE,
            envvar=HOLDER_SECRET_VARIABLE,
            show_envvar=True,
            help="本部门计算承诺的密钥文件；证照文件已含承诺时不需要 / "
            "File with the department's secret for commitments; not needed where the document has them.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("issue", cls=Command)
@click.argument("identifier", required=False)
@_content_options
@csv_option
@click.option(
    "--own", is_flag=True, help="只取 CSV 中本部门的行 / Of the CSV, only rows of the account's own department."
)
@url_option
@key_options
@json_option
def issue(
    identifier: str | None,
    csv_file: Path | None,
    own: bool,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
    **content: Any,
) -> int:
    """颁发一份证照，或 CSV 中的多份 / Issue one certificate, or those of a CSV file.

    CSV 至少有 identifier、valid_from 两列，见 samples/certificates.csv / The CSV has at least the columns identifier and
    valid_from; samples/certificates.csv is one.
    """
    from sdk.certificates import check_succession, load_new_certificates
    from sdk.certificates import issue as issue_all

    if csv_file:
        one_source(identifier, csv_file)
        certificates = load_new_certificates(csv_file)
    else:
        certificates = _described(identifier, content)
        for new in certificates:
            check_succession(new, "")
    secret = _secret(content["holder_secret"], certificates)
    with open_client(url, key, password_file) as client:
        if secret:
            check_secret_owner(content["holder_secret"], client.own_department())
        if own:
            department = client.own_department()
            certificates = [new for new in certificates if new.issuer_code == department]
        return show_outcomes(issue_all(client, certificates, secret), as_json)


SUCCESSIONS: Final[dict[str, tuple[Succession, str]]] = {
    "renew": (
        "renew",
        "延续：以新证照 IDENTIFIER 接替 PREDECESSOR / Renew: IDENTIFIER takes the place of PREDECESSOR.",
    ),
    "change": (
        "change",
        "变更：以内容有变的 IDENTIFIER 接替 PREDECESSOR / Change what it says: IDENTIFIER takes the place of PREDECESSOR.",
    ),
    "transfer-in": (
        "transfer_in",
        "转入他部门转出的 PREDECESSOR，另发 IDENTIFIER / Take in PREDECESSOR, which another department offers, as IDENTIFIER.",
    ),
}


def succession_commands() -> list[click.Command]:
    """Return the commands that put a new certificate in the place of an earlier one."""
    return [_succession_command(name, succession, text) for name, (succession, text) in SUCCESSIONS.items()]


def _succession_command(name: str, succession: Succession, text: str) -> click.Command:
    @click.command(name, cls=Command, help=text)
    @click.argument("predecessor", required=False)
    @click.argument("identifier", required=False)
    @_content_options
    @reason_option
    @csv_option
    @url_option
    @key_options
    @json_option
    def succeed(
        predecessor: str | None,
        identifier: str | None,
        reason: str,
        csv_file: Path | None,
        url: str,
        key: Path,
        password_file: Path | None,
        as_json: bool,
        archive: Path | None = None,
        **content: Any,
    ) -> int:
        from sdk.certificate_batches.admission import after_admission
        from sdk.certificate_batches.archive import BatchArchive
        from sdk.certificates import issue as issue_all
        from sdk.certificates import load_renewals
        from sdk.identity_numbers import check_free_text

        if csv_file:
            one_source(predecessor, csv_file)
            successors = load_renewals(csv_file)
        else:
            successors = _successors(predecessor, identifier, reason, content)
        for new in successors:
            # Before a predecessor of a batch gets a record for nothing.
            check_free_text("reason", new.reason)
        secret = _secret(content["holder_secret"], successors)
        with open_client(url, key, password_file) as client:
            if secret:
                check_secret_owner(content["holder_secret"], client.own_department())
            act = partial(issue_all, client, holder_secret=secret, succession=succession)
            if archive is None:
                return show_outcomes(act(successors), as_json)
            with BatchArchive(archive) as opened:
                names = [new.predecessor for new in successors]
                return show_outcomes(after_admission(client, opened, names, successors, act), as_json)

    # What another department offers has its record; no archive of this department knows it.
    return succeed if succession == "transfer_in" else archive_option(succeed)


def _successors(
    predecessor: str | None, identifier: str | None, reason: str, content: dict[str, Any]
) -> list[NewCertificate]:
    """Return what arguments and options describe, each with its predecessor, which its document may name."""
    import msgspec

    from sdk.certificates import check_succession

    found = []
    for new in _described(identifier, content):
        earlier = predecessor or new.predecessor
        if not earlier:
            raise click.UsageError("缺少前证的标识 / the predecessor's identifier is missing")
        check_succession(new, earlier)
        found.append(msgspec.structs.replace(new, predecessor=earlier, reason=reason))
    return found


def _secret(path: Path | None, certificates: list[NewCertificate]) -> bytes:
    """Return the department's secret; empty where no certificate needs it."""
    if path is not None:
        return read_holder_secret(path)
    if all(new.commitment for new in certificates):
        return b""
    raise click.UsageError(
        f"缺少 --holder-secret（或 {HOLDER_SECRET_VARIABLE}）：计算持证主体承诺须用本部门密钥 / "
        "--holder-secret is missing: the commitment to the holder is made under the department's secret"
    )


def _described(identifier: str | None, content: dict[str, Any]) -> list[NewCertificate]:
    """Return the certificate that the options describe, or those of a folder of documents, in the order of files' names."""
    from sdk.certificate_batches.single_documents import MAX_SINGLE_DOCUMENTS
    from sdk.certificates import certificate_of_document
    from verification.errors import InputError

    folder: Path | None = content["document"]
    if folder is None or not folder.is_dir():
        return [_single(identifier, content)]
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    found = [certificate_of_document(path) for path in paths[: MAX_SINGLE_DOCUMENTS + 1]]
    if identifier is not None or not 1 <= len(found) <= MAX_SINGLE_DOCUMENTS or None in found:
        raise InputError(
            "NOT_DOCUMENTS",
            f"{folder} 应含 1 至 {MAX_SINGLE_DOCUMENTS} 个 .json 证照文件，没有其他 .json，并且不再给出证照标识",
            f"expected 1 to {MAX_SINGLE_DOCUMENTS} certificate documents as .json in {folder}, no other .json, and no identifier",
        )
    return [new for new in found if new is not None]


def _single(identifier: str | None, content: dict[str, Any]) -> NewCertificate:
    """Return the certificate that the options describe."""
    from contracts.fields import MAX_TIME_MS
    from sdk.certificates import NewCertificate, certificate_of_document
    from sdk.documents import document_digest
    from verification.holders import Holder

    document: Path | None = content["document"]
    if (document is None) == (content["digest"] is None):
        raise click.UsageError("给出 --document 或 --digest，二者选一 / give --document or --digest, one of the two")
    recorded = None if document is None else certificate_of_document(document)
    if recorded is not None:
        _nothing_beside(identifier, recorded, content)
        return recorded
    if identifier is None:
        raise click.UsageError("缺少证照标识 / the identifier is missing")
    if not content["valid_from"]:
        raise click.UsageError("缺少 --valid-from / --valid-from is missing")
    digest = check_hex("--digest", content["digest"], 32) if document is None else document_digest(document)
    return NewCertificate(
        identifier=identifier,
        digest=digest,
        valid_from_ms=day_start("--valid-from", content["valid_from"]),
        valid_to_ms=day_end("--valid-to", content["valid_to"]) if content["valid_to"] else MAX_TIME_MS,
        holder=Holder(content["holder_code_type"], content["holder_code"], content["holder_name"]),
        document=document,
    )


def _nothing_beside(identifier: str | None, recorded: NewCertificate, content: dict[str, Any]) -> None:
    """Refuse what a certificate document says already: two sources could differ."""
    from contracts.identifiers import ROOT_OID

    given = [f"--{name.replace('_', '-')}" for name in _FIXED if content[name]]
    if given:
        raise click.UsageError(
            f"证照文件已载明，不要再给 {', '.join(given)} / the certificate document says it: leave out {', '.join(given)}"
        )
    if identifier is not None and identifier not in {recorded.identifier, recorded.identifier.removeprefix(ROOT_OID)}:
        raise click.UsageError(
            f"证照文件是 {recorded.identifier}，不是 {identifier[:160]} / the document is of {recorded.identifier}"
        )
