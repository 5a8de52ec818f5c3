"""The command line's frame: lazy commands, help in both languages, one line for every error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from sdk.cli import main as entry
from sdk.cli.bilingual import Command, Group
from sdk.cli.output import fields, table


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdk.cli.main", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **environment},
        timeout=60,
    )


def run_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["govnode", *arguments])
    with pytest.raises(SystemExit) as ended:
        entry.main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_help_lists_every_command_in_both_languages_and_loads_none() -> None:
    code = (
        "import sys\nfrom sdk.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'httpx', 'msgspec', 'fastapi', 'web3', 'plyvel', 'uvloop'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    for name in (
        "demo",
        "network",
        "start",
        "status",
        "doctor",
        "ledger",
        "keys",
        "cert",
        "catalogue",
        "share",
        "access",
        "audit",
        "proof",
        "verify",
        "bench",
    ):
        assert f"\n  {name} " in result.stdout
    assert "用法 / Usage" in result.stdout
    assert "离线核验证明 / Verify a proof offline" in result.stdout


def test_version_and_module_entry() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("govnode ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fly"], "No such command 'fly'"),
        (["--fast"], "没有这个选项：没有 --fast，可用的见 --help / No such option '--fast'"),
        (["network", "init"], "缺少参数：应给出 '--out'（--out："),
        (["cert", "show"], "缺少参数：应给出 '"),
        (["verify"], "缺少参数：应给出 '"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    status, out, err = run_here(capsys, monkeypatch, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("错误 / error [USAGE]")
    assert expected in err


def test_error_is_json_when_json_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, out, err = run_here(
        capsys,
        monkeypatch,
        "network",
        "init",
        "--config",
        str(tmp_path / "none.toml"),
        "--out",
        str(tmp_path / "x"),
        "--json",
    )
    assert (status, out) == (1, "")
    assert "none.toml" in json.loads(err)["error"]["message"]


def test_fault_of_our_own_is_one_line_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, *arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a fault\nover two lines")

    monkeypatch.setattr(click.Group, "main", broken)
    status, _, err = run_here(capsys, monkeypatch, "status")
    assert status == 70
    assert err.count("\n") == 1
    assert "ZeroDivisionError" in err


def test_every_command_has_help_in_both_languages() -> None:
    def walk(command: click.Command, path: str) -> None:
        context = click.Context(command, info_name=path)
        assert command.help is not None, path
        assert re.search(r"[ ）]/ [A-Z]", command.help.splitlines()[0]), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help is not None, (path, parameter.name)
                assert re.search(r"[ ）]/ [A-Z]", parameter.help), (path, parameter.name)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                if name in {"demo", "bench"} and path == "govnode":
                    continue
                found = command.get_command(context, name)
                assert found is not None
                walk(found, f"{path} {name}")

    walk(entry.cli, "govnode")


def test_no_option_takes_a_password_itself() -> None:
    def options(command: click.Command) -> set[str]:
        found = {name for parameter in command.params for name in parameter.opts}
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in set(command.list_commands(context)) - {"demo", "bench"}:
                child = command.get_command(context, name)
                assert child is not None
                found |= options(child)
        return found

    files = {"--password-file", "--open-password-file", "--signing-password-file", "--encryption-password-file"}
    assert {name for name in options(entry.cli) if "password" in name} == files


def test_columns_line_up_with_chinese_text() -> None:
    assert table(("名", "b"), [("甲乙", "1"), ("c", "2")]) == "名    b\n甲乙  1\nc     2"
    assert fields([("名称", "x"), ("b", None), ("c", 3)]) == "名称  x\nc     3"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("catalogue", "show", "30\udcff"), "CODE"),
        (("catalogue", "list", "--search", "\udcff"), "--search"),
        (("product", "show", "\udc80"), "CODE"),
        (("catalogue", "approve", "307003001/0001", "\udcff"), "CODES"),
    ],
)
def test_an_argument_that_is_no_text_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], named: str
) -> None:
    monkeypatch.setenv("GOVNODE_KEY", "none.key")
    status, _, err = run_here(capsys, monkeypatch, *arguments)
    assert (status, named in err, "UTF-8" in err) == (2, True, True)
    assert "\udcff" not in err


def test_a_file_may_have_a_name_that_is_no_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, _, err = run_here(capsys, monkeypatch, "verify", str(tmp_path / "\udcff.json"))
    assert (status, "FILE_UNREADABLE" in err or "SYSTEM" in err) == (1, True), err


def test_every_command_reads_its_arguments_alike() -> None:
    commands = [(name, entry.cli.get_command(click.Context(entry.cli), name)) for name in entry.COMMANDS]
    while commands:
        name, command = commands.pop()
        assert isinstance(command, Command | Group), name
        if isinstance(command, Group):
            commands += [(f"{name} {inner}", found) for inner, found in command.commands.items()]
