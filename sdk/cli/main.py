"""The entry of `govnode`: a table of commands, each loaded when it is used, and one line for every error."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click

from sdk.cli.bilingual import Group, usage_error_text
from sdk.cli.output import EXIT_FAULT, EXIT_REFUSED, EXIT_USAGE, fail
from verification.errors import GovnodeError

PROGRAM: Final = "govnode"
TRACEBACK_VARIABLE: Final = "GOVNODE_TRACEBACK"

# Short help stands here, so that `govnode --help` loads no command.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("sdk.cli.demo:demo", "运行示范网络 / Run the demonstration network"),
    "network": ("sdk.cli.network:network", "建立与扩充网络 / Set up a network, and add to it"),
    "start": ("sdk.cli.start:start", "启动一个节点 / Start one node"),
    "status": ("sdk.cli.status:status", "查看节点状态 / Show a node's status"),
    "doctor": ("sdk.cli.doctor:doctor", "诊断节点与链 / Say what ails a node or its chain"),
    "node": ("sdk.cli.node:node", "处置已停止的节点 / Mend a stopped node"),
    "ledger": ("sdk.cli.ledger:ledger", "核验账本 / Check a stored ledger"),
    "validator": ("sdk.cli.validator:validator", "共识节点 / The validators"),
    "governance": ("sdk.cli.governance:governance", "链参数 / The chain's parameters"),
    "department": ("sdk.cli.department:department", "部门 / Departments"),
    "account": ("sdk.cli.account:account", "账户 / Accounts"),
    "contract": ("sdk.cli.contract:contract", "EVM 合约 / EVM contracts"),
    "keys": ("sdk.cli.keys:keys", "生成与查看密钥 / Make and show keys"),
    "cert": ("sdk.cli.cert:cert", "电子证照 / Certificates"),
    "document": ("sdk.cli.document:document", "查看 OFD 与 PDF 文件 / Look into OFD and PDF files"),
    "catalogue": ("sdk.cli.catalogue:catalogue", "数据目录 / The data catalogue"),
    "directory": ("sdk.cli.directory:directory", "职责目录与系统目录 / Directories of duties and of systems"),
    "open-data": ("sdk.cli.open_data:open_data", "公共数据开放 / Open data"),
    "product": ("sdk.cli.product:product", "数据产品 / Data products"),
    "score": ("sdk.cli.score:score", "贡献评分 / Contribution scores"),
    "share": ("sdk.cli.share:share", "数据共享申请与授权 / Requests and grants for data"),
    "calendar": ("sdk.cli.calendar:calendar", "工作日与办理期限 / Working days, and terms of clocks"),
    "exchange": ("sdk.cli.exchange:exchange", "部门间交换数据 / Exchange payloads between departments"),
    "access": ("sdk.cli.access:access", "数据访问记录 / Access records"),
    "gateway": ("sdk.cli.gateway:gateway", "数据访问网关 / The access gateway"),
    "audit": ("sdk.cli.audit:audit", "审计 / Audit"),
    "proof": ("sdk.cli.proof:proof", "导出证明 / Export proofs"),
    "issuing-service": (
        "sdk.cli.issuing_service:issuing_service",
        "供其他系统以 HTTP 颁证 / Issue over HTTP, for other systems",
    ),
    "verify": ("sdk.cli.verify:verify", "离线核验证明 / Verify a proof offline"),
    "bench": ("sdk.cli.bench:bench", "测量性能 / Measure performance"),
}

# What to do about a refusal whose text stands in the ledger, and so cannot speak of commands.
_NOT_REGISTERED: Final = (
    "请由持有人 govnode account request，再由管理账户 govnode account add 登记 / "
    "register it: its holder by govnode account request, then an administrator by govnode account add"
)
_HINTS: Final = {"UNKNOWN_ACCOUNT": _NOT_REGISTERED, "UNKNOWN_SENDER": _NOT_REGISTERED}


class LazyGroup(Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its module; None when there is no such command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, attribute = target[0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, name=PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="govnode", message="govnode %(version)s", help="显示版本 / Show the version.")
def cli() -> None:
    """政务服务联盟链节点与工具 / Node and tools of a permissioned chain for government services.

    每个命令加 --help 看用法 / Add --help to a command for its usage.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 refused or not to be done, 2 wrong usage, 70 a fault of govnode itself."""
    try:
        status: Any = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except GovnodeError as error:
        hint = _HINTS.get(error.code)
        fail(error.code, str(error) if hint is None else f"{error}; {hint}", EXIT_REFUSED, error.details)
    except click.exceptions.Abort:
        fail("ABORTED", "已中止 / aborted", EXIT_REFUSED)
    except click.ClickException as error:
        fail("USAGE", usage_error_text(error), EXIT_USAGE)
    except BrokenPipeError:
        # The reader of our output is gone; nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_REFUSED)
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        from verification.reasons import system_reason

        zh, en = system_reason(error)
        fail("SYSTEM", f"系统操作失败：{zh}{name} / the system refused: {en}{name}", EXIT_REFUSED)
    except Exception as error:
        if (code := _foreseen(error)) is not None:
            fail(code, str(error), EXIT_REFUSED)
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        fail(
            "FAULT",
            f"govnode 自身出错 / a fault of govnode itself: {type(error).__name__}: {error}; "
            f"设 {TRACEBACK_VARIABLE}=1 看详情 / set {TRACEBACK_VARIABLE}=1 for details",
            EXIT_FAULT,
        )
    sys.exit(status if isinstance(status, int) else 0)


def _foreseen(error: Exception) -> str | None:
    """Return the code of an error whose text already says what to do, None for a fault; imports only now what defines them."""
    from node.config import StartError
    from sm_crypto.keystore import KeyFileError, WrongPassword

    for kind, code in ((StartError, "START"), (WrongPassword, "WRONG_PASSWORD"), (KeyFileError, "KEY_FILE")):
        if isinstance(error, kind):
            return code
    return None


if __name__ == "__main__":
    main()
