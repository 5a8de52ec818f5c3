"""The clerk's guide and the pages for departments and operators name commands and options that exist, the same in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sdk.cli.main import cli
from sdk.cli.verify_list import verify_list

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDES = [REPOSITORY / "docs" / name for name in ("clerk.md", "clerk.zh-CN.md")]
PAGES = ("data-sharing", "operating")


def command_lines(guide: Path) -> list[list[str]]:
    """Every command of the guide, in words: those of its blocks, and those in its sentences."""
    text = guide.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(govnode [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("govnode ")]
    return [words[1:] for words in found]


def check(words: list[str]) -> str:
    """Return what a command line is a command of; fail where a name or an option is unknown."""
    context, path = click.Context(cli), list[str]()
    found: click.Command = cli
    while words and isinstance(found, click.Group) and (deeper := found.get_command(context, words[0])):
        path.append(words.pop(0))
        found = deeper
    if path == ["verify"] and words[:1] == ["list"]:
        found = verify_list
        path.append(words.pop(0))
    assert not isinstance(found, click.Group) or found.invoke_without_command, (path, words)
    options = {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
    for word in words:
        assert not word.startswith("--") or word in options, (path, word)
    return " ".join(path)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_command_of_the_guide_exists(guide: Path) -> None:
    lines = command_lines(guide)
    assert len(lines) > 30
    named = {check(words) for words in lines}
    assert {"cert batch", "cert document", "cert suspend", "cert transfer-in", "department person", "verify"} <= named


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_for_departments_and_operators_name_commands_that_exist(page: str) -> None:
    pages = [REPOSITORY / "docs" / f"{page}{language}.md" for language in ("", ".zh-CN")]
    english, chinese = ([check(words) for words in command_lines(one)] for one in pages)
    assert len(english) > 30
    assert sorted(english) == sorted(chinese)


def test_both_guides_go_the_same_way() -> None:
    english, chinese = ([check(words) for words in command_lines(guide)] for guide in GUIDES)
    assert english == chinese


def test_every_code_of_the_guide_is_given_by_something() -> None:
    sources = "".join(
        path.read_text("utf-8")
        for folder in ("contracts", "sdk", "verification")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    for guide in GUIDES:
        codes = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", guide.read_text("utf-8"))
        assert len(codes) > 10
        for code in codes:
            assert f'"{code}"' in sources, code
