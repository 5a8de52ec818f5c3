"""govnode keys: make an account's key, show a key's public part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, PASSWORD_FILE_VARIABLE, open_signer, read_new_password
from sdk.cli.output import fields, json_option, show
from verification.errors import InputError

if TYPE_CHECKING:
    from sm_crypto.keystore import Signer

_password_file_option = click.option(
    "--password-file",
    type=FILE,
    envvar=PASSWORD_FILE_VARIABLE,
    show_envvar=True,
    help="存放口令的文件（0600）；不给则提示输入 / File (0600) that holds the password; asked for when absent.",
)


@click.group(cls=Group)
def keys() -> None:
    """生成与查看密钥 / Make and show keys."""


@keys.command("new")
@click.argument("key_file", type=FILE)
@_password_file_option
@json_option
def new(key_file: Path, password_file: Path | None, as_json: bool) -> None:
    """生成一个 SM2 密钥，加密存入 KEY_FILE / Make an SM2 key and keep it, encrypted, in KEY_FILE."""
    from sm_crypto.keystore import load_key, save_key
    from sm_crypto.sm2 import PrivateKey

    if key_file.exists():
        raise InputError(
            "KEY_FILE_EXISTS", f"{key_file} 已存在，请另选文件名", f"{key_file} exists already; choose another name"
        )
    password = read_new_password(password_file)
    save_key(key_file, PrivateKey.generate(), password)
    _show_key(key_file, load_key(key_file, password), as_json)


@keys.command("show")
@click.argument("key_file", type=FILE)
@_password_file_option
@json_option
def show_key(key_file: Path, password_file: Path | None, as_json: bool) -> None:
    """显示公钥与地址 / Show the public key and the address."""
    _show_key(key_file, open_signer(key_file, password_file), as_json)


def _show_key(path: Path, signer: Signer, as_json: bool) -> None:
    result = {"key": str(path), "public_key": signer.public_key.hex(), "address": "0x" + signer.address.hex()}
    text = fields(
        [
            ("密钥文件 / key file", path),
            ("公钥 / public key", result["public_key"]),
            ("地址 / address", result["address"]),
        ]
    )
    show(result, as_json, text)
