"""Commands and groups whose help and usage errors read in Chinese and English."""

from __future__ import annotations

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
    """A command with a bilingual --help."""

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


def usage_error_text(error: click.ClickException) -> str:
    """Return one line in both languages for an error of click, with where to look."""
    zh = next((text for kind, text in _USAGE_ERRORS if isinstance(error, kind)), "命令有误")
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "govnode"
    return f"{zh} / {error.format_message().rstrip('.')}; 见 / see: {command} --help"
