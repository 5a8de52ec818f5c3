"""govnode access keep: a stream whose reads come from commands goes on, and its reads lie where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, key_options, open_signer, url_option
from sdk.cli.output import fields, json_option, say, show

if TYPE_CHECKING:
    import threading

    from sdk.access_recording.policy import RecordingPolicy
    from sdk.client import Client

TURNS_PER_HEARTBEAT: Final = 4
MAX_TURN_S: Final = 300
"""Between two turns: so long a read of a command's waits for its copy at most."""


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
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="在此端口回答 /gov/records，供审计方与当事部门查阅 / Answer /gov/records at this port, for auditors and parties.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 / Address to listen on.")
@click.option(
    "--http-name",
    "http_names",
    multiple=True,
    help="请求中可用的主机名（含端口），可多次给出 / A name, with its port, that requests may be made out to; repeatable.",
)
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
    port: int | None,
    host: str,
    http_names: tuple[str, ...],
    once: bool,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """维持访问记录库 READS 的记录流：声明、补送批次与心跳、存放密封副本，直至 Ctrl-C / Keep a store's stream going until Ctrl-C.

    未给出的声明项保持账本上的原值；登记读取的命令可随时使用同一记录库。--port 的地址另以 --records-url 声明，须置于 TLS 代理之后 / What is
    not given stays as declared; commands that record may use the same store meanwhile. Declare where --port is reached by --records-url,
    and put a TLS proxy before it.
    """
    import contextlib
    import threading

    from sdk.access_recording.keeping import keep_stream, policy_of_stream
    from sdk.access_recording.second_place import ArchiveFolder, KeepingNode
    from sdk.client import Client
    from verification.days import show_moment

    if once and port is not None:
        raise click.UsageError("--once 与 --port 不能同用 / --once does not go with --port")
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
        due = show_moment(turn.due_ms)
        text = fields(
            [
                ("批次 / batches", turn.batch_number),
                ("下次最迟 / next due", due),
                ("副本 / copied", turn.copied),
                ("记录库 / store", reads),
            ]
        )
        show({**turn._asdict(), "store": str(reads)}, as_json, text)
        if once:
            return
        turns = (lambda: keep_stream(reads, client, department, policy, places), policy.heartbeat_s)
        if port is None:
            _go_on(*turns, threading.Event())
        else:
            answering = stack.enter_context(Client(url, signer))
            _serve(reads, answering, frozenset(http_names), (host, port), turns)


def audit_lines(policy: RecordingPolicy, reads: Path) -> list[tuple[str, object]]:
    """Return what a command that records says to its user of a stream whose reads no auditor can have; nothing where one can."""
    if policy.bodies_at or policy.second_place:
        return []
    kept = f"govnode access keep {reads}"
    return [
        (
            "注意 / note",
            f"本记录流未声明查阅地址或第二存放处，审计将记为 BODY_WITHHELD，见 {kept} / no place is declared where auditors find these "
            f"reads, audits will say BODY_WITHHELD: see {kept}",
        )
    ]


def _serve(
    reads: Path,
    client: Client,
    http_names: frozenset[str],
    address: tuple[str, int],
    turns: tuple[Callable[[], object], int],
) -> None:
    """Answer /gov/records from a store until Ctrl-C, taking turns meanwhile."""
    import contextlib
    import threading
    import time

    from sdk.access_recording.stored_reads import StoredReads
    from sdk.cli.serving import serve_until_stopped
    from sdk.department_services.accounts import SignedCallers
    from sdk.department_services.audit_queries import query_times
    from sdk.gateway.records_service import make_records_service
    from sdk.gateway.shown_records import ShownRecords

    with contextlib.closing(StoredReads(reads)) as store:
        shown = ShownRecords(store, query_times(client), lambda: time.time_ns() // 1_000_000)
        service = make_records_service(shown, SignedCallers(client, http_names))
        stopping = threading.Event()
        thread = threading.Thread(target=_go_on, args=(*turns, stopping), name="keeper", daemon=True)
        thread.start()
        try:
            serve_until_stopped(service, *address)
        finally:
            stopping.set()
            thread.join()


def _go_on(turn: Callable[[], object], heartbeat_s: int, stopping: threading.Event) -> None:
    """Take turns until told to stop; say once why one failed, and try again."""
    from verification.errors import GovnodeError

    said = ""
    while not stopping.wait(min(heartbeat_s / TURNS_PER_HEARTBEAT, MAX_TURN_S)):
        try:
            turn()
            said = ""
        except GovnodeError as error:
            if error.code != said:
                say(f"[{error.code}] {error.zh} / {error.en}")
            said = error.code
