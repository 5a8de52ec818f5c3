"""govnode doctor: why the chain does or does not move, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE
from sdk.cli.output import fail, json_option, show

EXIT_ACTION: Final = 1
EXIT_UNSEEN: Final = 2
_MARKS: Final = {"ok": "✓", "notice": "·", "action": "✗"}


@click.command(cls=Command)
@click.option("--config", type=FILE, required=True, help="节点配置 node.toml / The node's settings.")
@json_option
def doctor(config: Path, as_json: bool) -> int:
    """诊断：链为什么前进或不前进，该做什么 / Say why the chain does or does not move, and what to do.

    在运行中的节点旁执行，或对已停止节点的文件夹执行，以节点的用户身份 / Run it beside a running node, or on the folder of
    a stopped one, as the node's user.

    退出状态：0 无事，1 需要处理，2 无法诊断 / Exit status: 0 nothing to do, 1 action needed, 2 could not look.
    """
    import msgspec

    from node.config import StartError
    from sdk.doctor import diagnose
    from sdk.doctor_look import look
    from sdk.doctor_seen import Level
    from verification.errors import GovnodeError
    from verification.shown_text import shown_line

    try:
        findings = diagnose(look(config))
    except (StartError, GovnodeError) as error:
        fail("UNSEEN", str(error), EXIT_UNSEEN)
    except OSError as error:
        fail("UNSEEN", f"系统操作失败 / the system refused: {error}", EXIT_UNSEEN)
    needs_action = any(finding.level is Level.ACTION for finding in findings)
    lines = []
    for finding in findings:
        lines += [f"{_MARKS[finding.level]} {finding.zh} [{finding.code}]", f"  {finding.en}"]
        if finding.todo_zh:
            lines += [f"  → {finding.todo_zh}", f"  → {finding.todo_en}"]
    # Nodes say their names and versions: none of it may begin a line of its own.
    lines = [*map(shown_line, lines)]
    if needs_action:
        end = "有 ✗ 的各项需要处理 / deal with what is marked ✗"
    elif any(finding.level is Level.NOTICE for finding in findings):
        end = "没有必须处理的事，有 · 的各项可留意 / nothing presses; what is marked · is worth knowing"
    else:
        end = "一切正常 / all is well"
    lines += ["", end]
    result = {"needs_action": needs_action, "findings": msgspec.to_builtins(findings)}
    show(result, as_json, "\n".join(lines))
    return EXIT_ACTION if needs_action else 0
