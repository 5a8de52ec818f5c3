"""Options that many commands share, and what they open: a signer from a key file, a client of a node."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client
    from sm_crypto.keystore import Signer

DEFAULT_URL: Final = "http://127.0.0.1:8551"
URL_VARIABLE: Final = "GOVNODE_URL"
KEY_VARIABLE: Final = "GOVNODE_KEY"
PASSWORD_FILE_VARIABLE: Final = "GOVNODE_PASSWORD_FILE"  # noqa: S105 - the name of a variable, not a password
PASSWORD_OPTION: Final = "--password-file"  # noqa: S105 - the name of an option, not a password

HOLDER_SECRET_VARIABLE: Final = "GOVNODE_HOLDER_SECRET_FILE"  # noqa: S105 - the name of a variable, not a secret

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def url_option(command: F) -> F:
    """Add --url: which node to ask."""
    return click.option(
        "--url",
        envvar=URL_VARIABLE,
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="节点地址 / The node to ask.",
    )(command)


def key_options(command: F) -> F:
    """Add --key and --password-file: the account that signs."""
    command = click.option(
        "--password-file",
        type=FILE,
        envvar=PASSWORD_FILE_VARIABLE,
        show_envvar=True,
        help="存放口令的文件（0600）；不给则提示输入 / File (0600) that holds the password; asked for when absent.",
    )(command)
    return click.option(
        "--key",
        type=FILE,
        envvar=KEY_VARIABLE,
        show_envvar=True,
        required=True,
        help="账户密钥文件 / The account's key file.",
    )(command)


def read_password(password_file: Path | None, question: str, option: str = PASSWORD_OPTION) -> bytes:
    """Return the password in a file, or the one typed at a terminal; raise InputError where there is neither.

    `option` is the one that names the file.
    """
    if password_file is not None:
        from node.config import read_password_file

        return read_password_file(password_file)
    if not sys.stdin.isatty():
        zh_else = f" 或环境变量 {PASSWORD_FILE_VARIABLE}" if option == PASSWORD_OPTION else ""
        en_else = f" or {PASSWORD_FILE_VARIABLE}" if option == PASSWORD_OPTION else ""
        raise InputError(
            "PASSWORD_MISSING",
            f"需要口令（{question.rstrip(': ')}）：请用 {option}{zh_else} 指明口令文件",
            f"a password is needed ({question.rstrip(': ')}): name its file with {option}{en_else}",
        )
    return getpass.getpass(question).encode("utf-8")


def read_new_password(password_file: Path | None, option: str = PASSWORD_OPTION) -> bytes:
    """Return the password for a new key: from a file, which `option` names, or typed twice at a terminal."""
    password = read_password(password_file, "新口令 / New password: ", option)
    if password_file is None and getpass.getpass("再输一次 / Again: ").encode("utf-8") != password:
        raise InputError("PASSWORDS_DIFFER", "两次输入的口令不同，请重试", "the two passwords differ; try again")
    if not password:
        raise InputError("PASSWORD_MISSING", "口令不能为空", "the password must not be empty")
    return password


def open_signer(key: Path, password_file: Path | None) -> Signer:
    """Return the signer of a key file."""
    from sm_crypto.keystore import load_key

    return load_key(key, read_password(password_file, f"{key.name} 的口令 / Password of {key.name}: "))


def open_client(url: str, key: Path | None = None, password_file: Path | None = None) -> Client:
    """Return a client of the node at `url`, signing with `key` when it is given."""
    from sdk.client import Client

    return Client(url, open_signer(key, password_file) if key is not None else None)


def read_holder_secret(path: Path) -> bytes:
    """Return the 32 bytes that a department keys its commitments with, from a file of 64 hex digits; raise InputError."""
    from sdk.secret_files import load_holder_secret

    return load_holder_secret(path)


def check_secret_owner(path: Path, department: str) -> None:
    """Return unless a secret's file is named for another department than this one; raise InputError SECRET_OF_ANOTHER.

    `network init` names it so. What it holds says nothing of its owner, and commitments under a wrong one could not be made again.
    """
    from contracts.identifiers import is_uscc

    owner = path.name.partition(".")[0]
    if is_uscc(owner) and owner != department:
        raise InputError(
            "SECRET_OF_ANOTHER",
            f"{path} 是部门 {owner} 的密钥文件，账户属于 {department}：请用 --holder-secret 指明本部门的",
            f"{path} is the secret of the department {owner}, and the account is of {department}: name your own with --holder-secret",
        )


def check_hex(name: str, text: str, size: int) -> bytes:
    """Return the `size` bytes that hex digits stand for, with or without 0x; raise InputError that names where they were given."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != size:
        found = repr(text[:80])
        raise InputError(
            "HEX_INVALID",
            f"{name} 应为 {2 * size} 位十六进制，实为 {found}",
            f"{name}: expected {2 * size} hex digits, found {found}",
        )
    return value


def day_start(name: str, text: str) -> int:
    """Return the first millisecond of the day given in an option; raise InputError."""
    from verification.days import day_start_ms

    return _day(name, text, day_start_ms)


def day_end(name: str, text: str) -> int:
    """Return the last millisecond of the day given in an option; raise InputError."""
    from verification.days import day_end_ms

    return _day(name, text, day_end_ms)


def _day(name: str, text: str, convert: Callable[[str], int]) -> int:
    try:
        return convert(text)
    except ValueError:
        raise InputError(
            "DATE_MALFORMED",
            f"{name} 应为日期 YYYY-MM-DD，实为 {text[:40]!r}",
            f"{name}: expected a date as YYYY-MM-DD, found {text[:40]!r}",
        ) from None
