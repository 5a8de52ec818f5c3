"""Files that only their owner may read: keys under passwords, the passwords, and other secrets of one line."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import msgspec

from sdk.documents import PRIVATE_MODE, read_limited
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError
from verification.holders import HOLDER_SECRET_SIZE

PASSWORD_SIZE: Final = 24
SECRET_MODE: Final = PRIVATE_MODE
MAX_SECRET_FILE_BYTES: Final = 1_024
SECRET_FOLDER_MODE: Final = 0o700


class KeyFile(msgspec.Struct, frozen=True):
    """A key file that is still to be written, with the password that is to protect it."""

    path: Path
    key: PrivateKey
    password: bytes

    def save(self, iterations: int) -> None:
        """Write the file."""
        save_key(self.path, self.key, self.password, iterations=iterations)


def make_password(path: Path) -> bytes:
    """Write a new random password to a file that only its owner can read, and return it."""
    password = secrets.token_urlsafe(PASSWORD_SIZE)
    write_secret(path, password)
    return password.encode("ascii")


def write_secret(path: Path, text: str) -> None:
    """Write one line to a new file that only its owner can read."""
    path.touch(mode=SECRET_MODE, exist_ok=False)
    path.write_text(text + "\n", encoding="ascii")


def load_holder_secret(path: Path) -> bytes:
    """Return the 32 bytes that a department keys its commitments with, from a file of 64 hex digits; raise InputError."""
    text = read_limited(path, MAX_SECRET_FILE_BYTES).decode("ascii", "replace").strip()
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != HOLDER_SECRET_SIZE:
        digits = 2 * HOLDER_SECRET_SIZE
        raise InputError(
            "HEX_INVALID",
            f"{path} 应为 {digits} 位十六进制，实为 {len(text)} 个字符",
            f"{path}: expected {digits} hex digits, found {len(text)} characters",
        )
    return secret
