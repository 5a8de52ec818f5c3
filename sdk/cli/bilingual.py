"""Commands and groups whose help and usage errors read in Chinese and English."""

from __future__ import annotations

import re
from typing import Final

import click

_HEADINGS: Final = {
    "Options": "选项 / Options",
    "Commands": "命令 / Commands",
    "Arguments": "参数 / Arguments",
}
_USAGE_ERRORS: Final[tuple[tuple[type[click.ClickException], str], ...]] = (
    (click.MissingParameter, "缺少参数"),
    (click.NoSuchOption, "没有这个选项"),
    (click.BadOptionUsage, "选项用法有误"),
    (click.BadArgumentUsage, "参数用法有误"),
    (click.BadParameter, "参数值有误"),
    (click.FileError, "文件无法读取"),
    (click.UsageError, "用法有误"),
)
_REASONS: Final[tuple[tuple[str, str], ...]] = (
    (r"'([^']*)' is a directory", "{0} 是文件夹，应为文件"),
    (r"Directory '([^']*)' is a file", "{0} 是文件，应为文件夹"),
    (r"'([^']*)' does not exist", "没有 {0}"),
    (r"'([^']*)' is not (readable|writable)", "{0} 不可读写，请检查权限"),
    (r"unexpected extra arguments? \((.*)\)", "多余的参数 {0}"),
    (r"(?s): (.*) is not in the range (.*)", "{0} 不在范围内，应为 {1}"),
    (r"(?s): (.*) is not a valid (?:integer|int)", "{0} 不是整数"),
    (r"(?s): (.*) is not a valid float", "{0} 不是数"),
    (r"(?s): (.*) is not one of (.*)", "{0} 应为其中之一：{1}"),
    (r"Missing (?:argument|option|parameter) (.*)", "应给出 {0}"),
    (r"No such option:? '?([^'. ]*)'?(?:\. Did you mean '([^']*)'\?)?", "没有 {0}，可用的见 --help"),
    (r"No such command '(.*?)'", "没有命令 {0}，可用的见 --help"),
    (r"Option '(.*)' requires (?:an argument|\d+ arguments)", "{0} 之后应有值"),
    (r"Option '(.*)' does not take a value", "{0} 之后不应有值"),
)
"""What click says, by its form, and what it means."""
_CHINESE: Final = re.compile("[\u4e00-\u9fff]")
_HELP_TEXT: Final = "显示本说明 / Show this help."


class Formatter(click.HelpFormatter):
    """Help with its headings in both languages."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that shows how a command is called."""
        super().write_usage(prog, args, prefix or "用法 / Usage: ")

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        super().write_heading(_HEADINGS.get(heading, heading))


click.Context.formatter_class = Formatter


class Command(click.Command):
    """A command with a bilingual --help, whose texts are text."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of a command line once its values are read; raise BadParameter where a text is none."""
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            if isinstance(parameter.type, click.Path):
                # A file may have any name.
                continue
            given = ctx.params.get(parameter.name or "")
            for value in given if isinstance(given, tuple) else (given,):
                if isinstance(value, str):
                    _check_text(ctx, parameter, value)
        return rest

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return click's help option with our text."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = _HELP_TEXT
        return option


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they were declared."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its whole first line of help: both languages, uncut."""
        rows = [(name, command.help.splitlines()[0]) for name, command in self.commands.items() if command.help]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return click's help option with our text."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = _HELP_TEXT
        return option


def _check_text(ctx: click.Context, parameter: click.Parameter, value: str) -> None:
    """Return if a text can be written as UTF-8: bytes of a command line that are no text come as halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("应为 UTF-8 文本 / expected UTF-8 text", ctx, parameter) from None


def usage_error_text(error: click.ClickException) -> str:
    """Return one line in both languages for an error of click, with where to look."""
    zh = next((text for kind, text in _USAGE_ERRORS if isinstance(error, kind)), "命令有误")
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "govnode"
    message = error.format_message().rstrip(".")
    if _CHINESE.search(message):
        return f"{zh} / {message}; 见 / see: {command} --help"
    found = next(((words, match) for form, words in _REASONS if (match := re.search(form, message))), None)
    reason = "" if found is None else f"：{found[0].format(*found[1].groups(''))}"
    name, meaning_zh, meaning_en = _meaning(error)
    told_zh, told_en = (f"（{name}：{meaning_zh}）", f" ({name}: {meaning_en})") if name else ("", "")
    return f"{zh}{reason}{told_zh} / {message}{told_en}; 见 / see: {command} --help"


def _meaning(error: click.ClickException) -> tuple[str, str, str]:
    """Return the option whose value is wrong and what it means in both languages, such as its unit; empty where there is none."""
    param = error.param if isinstance(error, click.BadParameter) else None
    if not isinstance(param, click.Option) or not param.help:
        return "", "", ""
    zh, _, en = param.help.partition(" / ")
    return param.opts[0], zh, en.rstrip(".")
