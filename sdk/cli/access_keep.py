"""govnode access keep: a stream whose reads come from commands goes on, and its reads lie where they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, key_options, open_signer, url_option
from sdk.cli.output import fields, json_option, say, show

TURNS_PER_HEARTBEAT: Final = 4


@click.command("keep", cls=Command)
@click.argument("reads", type=FILE)
@click.option(
    "--records-url",
    help="审计方到何处查阅，声明在账本上 / Where auditors ask for the reads; declared on the ledger.",
)
@click.option(
    "--second-place", help="第二存放处的名称，声明在账本上 / The second place's name; declared on the ledger."
)
@click.option(
    "--heartbeat-s", type=click.IntRange(1), help="心跳间隔（秒），声明在账本上 / Heartbeat, seconds; declared."
)
@click.option(
    "--reads-archive", type=FOLDER, help="密封副本的归档目录 / Folder for copies sealed to the auditing authority."
)
@click.option("--keeping-node", help="代存密封副本的节点地址 / Address of a node that keeps sealed copies.")
@click.option("--once", is_flag=True, help="只做一次即退出，供定时任务使用 / One turn, then end: for a timer.")
@url_option
@key_options
@json_option
def keep(
    reads: Path,
    records_url: str | None,
    second_place: str | None,
    heartbeat_s: int | None,
    reads_archive: Path | None,
    keeping_node: str | None,
    once: bool,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """维持访问记录库 READS 的记录流：声明、补送批次与心跳、存放密封副本，直至 Ctrl-C / Keep a store's stream going until Ctrl-C.

    未给出的声明项保持账本上的原值；登记读取的命令可随时使用同一记录库 / What is not given stays as declared; commands that record may
    use the same store meanwhile.
    """
    import contextlib

    from sdk.access_recording.keeping import keep_stream, policy_of_stream
    from sdk.access_recording.second_place import ArchiveFolder, KeepingNode
    from sdk.client import Client

    stated = {"bodies_at": records_url, "second_place": second_place, "heartbeat_s": heartbeat_s}
    changes: dict[str, Any] = {name: value for name, value in stated.items() if value is not None}
    signer = open_signer(key, password_file)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(url, signer))
        department = client.own_department()
        policy = policy_of_stream(client, department, **changes)
        places: list[ArchiveFolder | KeepingNode] = []
        if reads_archive is not None:
            places.append(ArchiveFolder(reads_archive))
        if keeping_node is not None:
            places.append(KeepingNode(stack.enter_context(Client(keeping_node, signer))))
        turn = keep_stream(reads, client, department, policy, places)
        text = fields(
            [("批次 / batches", turn.batch_number), ("副本 / copied", turn.copied), ("记录库 / store", reads)]
        )
        show({**turn._asdict(), "store": str(reads)}, as_json, text)
        if not once:
            _go_on(lambda: keep_stream(reads, client, department, policy, places), policy.heartbeat_s)


def _go_on(turn: Any, heartbeat_s: int) -> None:
    """Take turns until Ctrl-C; say once why one failed, and try again."""
    import threading

    from verification.errors import GovnodeError

    waiting, said = threading.Event(), ""
    while not waiting.wait(heartbeat_s / TURNS_PER_HEARTBEAT):
        try:
            turn()
            said = ""
        except GovnodeError as error:
            if error.code != said:
                say(f"[{error.code}] {error.zh} / {error.en}")
            said = error.code
