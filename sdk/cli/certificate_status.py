"""govnode cert suspend, resume, revoke, ...: what changes a certificate's status; of a batch straight from its archive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, key_options, open_client, url_option
from sdk.cli.outcomes import show_outcomes
from sdk.cli.output import json_option

if TYPE_CHECKING:
    from sdk.certificates import StatusChange

F = TypeVar("F", bound=Callable[..., Any])
csv_option = click.option("--csv", "csv_file", type=FILE, help="列出多份的 CSV 文件 / CSV file that lists many.")
reason_option = click.option("--reason", default="", help="原因 / The reason.")
archive_option = click.option(
    "--archive",
    type=FILE,
    help="所属批次的档案：尚无自身记录的先登记 / Archive of the batch it is of: it first gets a record of its own.",
)


class StatusCommand(NamedTuple):
    """A command that gives certificates another status: the contract's method, and the help."""

    method: str
    text: str


STATUS_COMMANDS: Final = {
    "suspend": StatusCommand("suspend", "暂扣证照 / Suspend a certificate."),
    "resume": StatusCommand("resume", "恢复暂扣的证照 / Resume a suspended certificate."),
    "revoke": StatusCommand("revoke", "撤销、注销或吊销证照 / Revoke, cancel or withdraw a certificate."),
    "expire": StatusCommand(
        "expire", "登记有效期届满的证照失效 / Record that a certificate whose validity has ended has lapsed."
    ),
    "record-other": StatusCommand(
        "record_other",
        "登记其他情况，--reason 说明之 / Record what no other operation covers; --reason describes it.",
    ),
    "transfer-out": StatusCommand(
        "transfer_out", "办理转出，交 --recipient 部门转入 / Offer a certificate to the department --recipient."
    ),
    "cancel-transfer": StatusCommand(
        "cancel_transfer",
        "取消转出，恢复到转出前的状态 / Take back the offer: it is again what it was before.",
    ),
}


def one_source(identifier: str | None, csv_file: Path | None) -> None:
    """Return if exactly one of identifier and CSV file is given; raise UsageError."""
    if (identifier is None) == (csv_file is None):
        raise click.UsageError("给出证照标识，或 --csv，二者选一 / give the identifier, or --csv, one of the two")


def status_commands() -> list[click.Command]:
    """Return the commands that change a certificate's status."""
    return [_status_command(name, command) for name, command in STATUS_COMMANDS.items()]


def _status_command(name: str, command: StatusCommand) -> click.Command:
    @click.command(name, cls=Command, help=command.text)
    @click.argument("identifier", required=False)
    @reason_option
    @csv_option
    @archive_option
    @url_option
    @key_options
    @json_option
    def change(
        identifier: str | None,
        reason: str,
        csv_file: Path | None,
        archive: Path | None,
        url: str,
        key: Path,
        password_file: Path | None,
        as_json: bool,
        status: str = "",
        recipient: str = "",
    ) -> int:
        from sdk.certificate_batches.admission import after_admission
        from sdk.certificate_batches.archive import BatchArchive
        from sdk.certificates import StatusChange, change_status, load_status_changes

        one_source(identifier, csv_file)
        single = StatusChange(identifier or "", reason, status, recipient)
        changes = load_status_changes(csv_file) if csv_file else [single]
        _check(name, changes)
        with open_client(url, key, password_file) as client:
            act = partial(change_status, client, command.method)
            if archive is None:
                return show_outcomes(act(changes), as_json)
            with BatchArchive(archive) as opened:
                names = [one.identifier for one in changes]
                return show_outcomes(after_admission(client, opened, names, changes, act), as_json)

    change.params += _own_options(name)
    return change


def _check(name: str, changes: list[StatusChange]) -> None:
    """Refuse what the ledger would, before a certificate of a batch gets a record for nothing."""
    from sdk.identity_numbers import check_free_text

    if not all(one.reason for one in changes):
        raise click.UsageError("缺少 --reason：原因记入账本 / --reason is missing: it goes on the ledger")
    for place, one in enumerate(changes, 1):
        # Of many, all are looked at before the first is done.
        check_free_text("--reason" if len(changes) == 1 else f"reason [{place}]", one.reason)
    if name == "transfer-out" and not all(one.recipient for one in changes):
        raise click.UsageError(
            "缺少 --recipient（CSV 中为 recipient 列）：转入部门 / --recipient is missing (in a CSV, a column): who takes it in"
        )


def _own_options(name: str) -> list[click.Parameter]:
    """Return the options that one of the commands has beside those of all."""
    if name == "revoke":
        text = (
            "终止后的状态：03 撤销（默认）、04 注销、07 吊销 / "
            "The status it ends in: 03 revoked (default), 04 cancelled, 07 withdrawn."
        )
        return [click.Option(["--status"], default="", help=text)]
    if name == "transfer-out":
        text = "转入部门的统一社会信用代码 / Code of the department that takes it in."
        return [click.Option(["--recipient"], default="", help=text)]
    return []


@click.command("admit", cls=Command)
@click.argument("identifiers", nargs=-1, required=True)
@click.option("--archive", type=FILE, required=True, help="所属批次的档案 / Archive of the batch.")
@url_option
@key_options
@json_option
def admit(
    identifiers: tuple[str, ...], archive: Path, url: str, key: Path, password_file: Path | None, as_json: bool
) -> int:
    """为批次中的证照登记自身的记录 / Give certificates of a batch records of their own.

    此后状态可单独变更；其他命令加 --archive 时自动完成 / Their status can change from then on; other commands do it
    themselves when --archive is given.
    """
    from sdk.certificate_batches.admission import admit_members
    from sdk.certificate_batches.archive import BatchArchive

    with open_client(url, key, password_file) as client, BatchArchive(archive) as opened:
        return show_outcomes(admit_members(client, opened, identifiers), as_json)
