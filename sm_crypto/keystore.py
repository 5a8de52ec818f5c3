"""Key files: an SM2 private key sealed with SM4-GCM under a password, readable by its owner only; and the signer over it."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from sm_crypto import sm4
from sm_crypto.errors import DecryptionFailed, InvalidKey
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import pbkdf2_hmac_sm3, sm3

DEFAULT_ITERATIONS: Final = 600_000
MIN_ITERATIONS: Final = 1_000
MAX_ITERATIONS: Final = 10_000_000
MAX_KEY_FILE_BYTES: Final = 4_096
MAX_PASSWORD_BYTES: Final = 1_024
ADDRESS_BYTES: Final = 20
KEY_FILE_MODE: Final = 0o600
SALT_BYTES: Final = 16
_KDF: Final = "pbkdf2-hmac-sm3"
_CIPHER: Final = "sm4-gcm"
_FORMAT: Final = "govnode-key/1"


class KeyFileError(Exception):
    """A key file cannot be used; the message says what was found and what to do."""


class WrongPassword(KeyFileError):
    """The key file is whole, and the password does not open it."""


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The JSON of a key file; bytes are lower-case hexadecimal."""

    format: Literal["govnode-key/1"]
    public_key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]
    kdf: Literal["pbkdf2-hmac-sm3"]
    iterations: Annotated[int, msgspec.Meta(ge=MIN_ITERATIONS, le=MAX_ITERATIONS)]
    salt: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    cipher: Literal["sm4-gcm"]
    nonce: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")]
    sealed: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{96}$")]
    checksum: str
    """SM3 of the other fields: tells a damaged file from a wrong password."""


# Made here, before there are threads: of two that decode a type for the first time at once, one may meet it half made and crash.
_DECODE: Final = msgspec.json.Decoder(_KeyFile).decode


class Signer:
    """What signs in the name of one key without showing it."""

    __slots__ = ("_key", "address", "public_key")

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key
        """64 bytes x || y."""
        self.address = sm3(key.public_key)[-ADDRESS_BYTES:]
        """The last 20 bytes of SM3 of the public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte SM2 signature r || s over `message` under the default user id."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Signer(address={self.address.hex()})"


def save_key(path: Path, key: PrivateKey, password: bytes, *, iterations: int = DEFAULT_ITERATIONS) -> None:
    """Write a new key file with mode 0600, synced to disk; raise KeyFileError where a file exists or cannot be written.

    Deriving the sealing key takes 0.3 s at the default and releases the interpreter lock. The password has 1 to
    MAX_PASSWORD_BYTES bytes.
    """
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"expected {MIN_ITERATIONS} to {MAX_ITERATIONS} iterations, found {iterations}")
    _check_password(path, password)
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(sm4.NONCE_BYTES)
    header = _KeyFile(
        format=_FORMAT,
        public_key=key.public_key.hex(),
        kdf=_KDF,
        iterations=iterations,
        salt=salt.hex(),
        cipher=_CIPHER,
        nonce=nonce.hex(),
        sealed="",
        checksum="",
    )
    sealing_key = pbkdf2_hmac_sm3(password, salt, iterations, sm4.KEY_BYTES)
    sealed = sm4.seal(sealing_key, nonce, key.to_bytes(), _bound(header)).hex()
    record = msgspec.structs.replace(header, sealed=sealed)
    record = msgspec.structs.replace(record, checksum=_checksum(record))
    _write_new(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def load_private_key(path: Path, password: bytes) -> PrivateKey:
    """Return the key in a key file; raise WrongPassword, or KeyFileError on a missing, damaged or exposed file."""
    _check_password(path, password)
    record = _read(path)
    salt, nonce = bytes.fromhex(record.salt), bytes.fromhex(record.nonce)
    sealing_key = pbkdf2_hmac_sm3(password, salt, record.iterations, sm4.KEY_BYTES)
    try:
        scalar = sm4.open_sealed(sealing_key, nonce, bytes.fromhex(record.sealed), _bound(record))
    except DecryptionFailed:
        raise WrongPassword(
            f"口令不能打开密钥文件 {path}，请检查口令 / the password does not open the key file {path}: check the password"
        ) from None
    try:
        key = PrivateKey.from_bytes(scalar)
    except InvalidKey:
        raise _damaged(path, "its content is no SM2 key") from None
    if key.public_key.hex() != record.public_key:
        raise _damaged(path, "its public key belongs to another key")
    return key


def load_key(path: Path, password: bytes) -> Signer:
    """Return the signer over a key file; raises as load_private_key does."""
    return Signer(load_private_key(path, password))


def load_public_key(path: Path) -> bytes:
    """Return the 64-byte public key that a key file names, without a password; raise KeyFileError as load_key does.

    Only opening the file with its password proves that the private key belongs to it.
    """
    return bytes.fromhex(_read(path).public_key)


def _check_password(path: Path, password: bytes) -> None:
    if not 1 <= len(password) <= MAX_PASSWORD_BYTES:
        raise WrongPassword(
            f"密钥文件 {path} 的口令应为 1 至 {MAX_PASSWORD_BYTES} 字节，实为 {len(password)} 字节 / "
            f"expected a password of 1 to {MAX_PASSWORD_BYTES} bytes for the key file {path}, found {len(password)} bytes"
        )


def _bound(record: _KeyFile) -> bytes:
    """Return all that the seal protects beside the key: a changed field must not open as another key."""
    return msgspec.json.encode(msgspec.structs.replace(record, sealed="", checksum=""))


def _checksum(record: _KeyFile) -> str:
    return sm3(msgspec.json.encode(msgspec.structs.replace(record, checksum=""))).hex()


def _read(path: Path) -> _KeyFile:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(
            f"无法读取密钥文件 {path}（{error.strerror}） / cannot read the key file {path}: {error.strerror}"
        ) from None
    if mode & ~KEY_FILE_MODE:
        raise KeyFileError(
            f"密钥文件 {path} 的权限为 {mode:04o}，他人可读，请执行 chmod 600 / "
            f"expected mode 0600 on the key file {path}, found {mode:04o}: run chmod 600 on it"
        )
    if len(raw) > MAX_KEY_FILE_BYTES:
        raise _damaged(path, f"it is longer than {MAX_KEY_FILE_BYTES} bytes")
    try:
        record = _DECODE(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    if record.checksum != _checksum(record):
        raise _damaged(path, "its checksum does not match")
    return record


def _damaged(path: Path, reason: str) -> KeyFileError:
    return KeyFileError(
        f"密钥文件 {path} 已损坏（{reason}），请从备份恢复 / the key file {path} is damaged ({reason}): restore it from a backup"
    )


def _write_new(path: Path, content: bytes) -> None:
    """Create the file and sync it and its folder; a key file is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_FILE_MODE)
    except OSError as error:
        raise KeyFileError(
            f"无法新建密钥文件 {path}（{error.strerror}） / cannot create the key file {path}: {error.strerror}"
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        # Half a key file helps nobody, and would stand in the way of the next try.
        path.unlink(missing_ok=True)
        raise KeyFileError(
            f"无法写入密钥文件 {path}（{error.strerror}） / cannot write the key file {path}: {error.strerror}"
        ) from None
