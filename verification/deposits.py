"""Deposits: a presentation or annotated copy that lies encrypted at a node, and the link that finds and opens it (docs/spec/codes.md).

The key stands behind the # of the link, which no browser sends: who keeps the deposit cannot read it.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NamedTuple, TypeAlias

import msgspec

from sm_crypto import sm4
from sm_crypto.errors import DecryptionFailed
from verification.certificate_files.file_verification import Kind, certificate_file_kind
from verification.certificate_files.presentation import Presentation
from verification.codes import MAX_BASE_LENGTH, VerificationLink, normal_base, read_code
from verification.errors import InputError

DEPOSIT_MARK: Final = "/P/"
"""Stands in every link to a deposit, between the base and the id."""
KEY_MARK: Final = "#"
DEPOSIT_ID_BYTES: Final = 10
"""80 bits, so that nobody meets a deposit by trying; in base32 it is DEPOSIT_ID_CHARACTERS long."""
DEPOSIT_ID_CHARACTERS: Final = 16
DEPOSIT_KEY_CHARACTERS: Final = 26
MAX_DEPOSITED_FILE_BYTES: Final = 256 * 1024 - sm4.TAG_BYTES
MAX_DEPOSIT_BYTES: Final = 256 * 1024
"""Of a sealed deposit."""
MAX_LIFE_DAYS: Final = 90
MAX_LIFE_MS: Final = MAX_LIFE_DAYS * 86_400_000
PADDING_BYTES: Final = 4_096
"""Files are filled up with blanks to a multiple of it, less the tag: their length says little of the values in them."""
MAX_DEPOSIT_LINK: Final = MAX_BASE_LENGTH + len(DEPOSIT_MARK) + DEPOSIT_ID_CHARACTERS + 1 + DEPOSIT_KEY_CHARACTERS

_ID: Final = re.compile(rf"[A-Z2-7]{{{DEPOSIT_ID_CHARACTERS}}}")
_BOUND: Final = b"govnode/deposit/1"
_NONCE: Final = bytes(sm4.NONCE_BYTES)
"""The same for all: a key seals one deposit."""


class DepositLink(msgspec.Struct, frozen=True):
    """A link to a deposit; `base` is the word of whoever made the link, `key` (16 bytes) opens the deposit and is told to nobody else."""

    base: str
    id: str
    key: bytes

    @property
    def text(self) -> str:
        """The link as codes carry it."""
        return f"{self.base}{DEPOSIT_MARK}{self.id}{KEY_MARK}{encode_key(self.key)}"

    def __repr__(self) -> str:
        return f"DepositLink({self.base}{DEPOSIT_MARK}{self.id})"


CodeContent: TypeAlias = VerificationLink | Presentation | DepositLink
"""What a code on paper or a screen carries."""


class Deposited(NamedTuple):
    """What a deposit holds: the bytes of a presentation's or annotated copy's file."""

    raw: bytes
    kind: Kind


def encode_id(raw: bytes) -> str:
    """Return DEPOSIT_ID_BYTES random bytes as the id of a deposit, in base32 (RFC 4648)."""
    return base64.b32encode(raw).decode("ascii")


def is_deposit_id(text: str) -> bool:
    """Return whether a text has the form of a deposit's id."""
    return _ID.fullmatch(text) is not None


def encode_key(key: bytes) -> str:
    """Return a key as links carry it: base32 without padding."""
    return base64.b32encode(key).decode("ascii").rstrip("=")


def decode_key(text: str) -> bytes:
    """Return the key behind the # of a link; raise InputError KEY_MALFORMED, which does not repeat it."""
    key = b""
    if len(text) == DEPOSIT_KEY_CHARACTERS and text.isascii():
        try:
            key = base64.b32decode(text + "=" * (-len(text) % 8))
        except ValueError:
            key = b""
    if len(key) != sm4.KEY_BYTES or encode_key(key) != text:
        raise InputError(
            "KEY_MALFORMED",
            f"链接中 # 之后的密钥应为 {DEPOSIT_KEY_CHARACTERS} 个大写字母或数字 2–7，请使用完整的链接",
            f"the key behind the # of the link has {DEPOSIT_KEY_CHARACTERS} capital letters or digits 2 to 7: use the whole link",
        )
    return key


def make_deposit_link(base: str, deposit_id: str, key: bytes) -> DepositLink:
    """Return the link to a deposit at `base`; raise InputError LINK_BASE_INVALID."""
    return DepositLink(normal_base(base), deposit_id, key)


def read_deposit_link(text: str) -> DepositLink | None:
    """Return the parts of a link to a deposit, None where the text is no such link; scheme and host may be in small letters.

    Raises InputError KEY_MALFORMED where it is one, and its key is not whole.
    """
    address, _, key = text.partition(KEY_MARK)
    base, mark, deposit_id = address.rpartition(DEPOSIT_MARK)
    if not mark or not is_deposit_id(deposit_id) or len(text) > MAX_DEPOSIT_LINK:
        return None
    try:
        capitals = normal_base(base)
    except InputError:
        return None
    return DepositLink(capitals, deposit_id, decode_key(key))


def read_code_content(text: str) -> CodeContent:
    """Return what a code carries, a link to a deposit among it; raise InputError as read_code and read_deposit_link do."""
    return read_deposit_link(text) or read_code(text)


def seal_deposit(raw: bytes, key: bytes) -> bytes:
    """Return a file sealed under a fresh random key of 16 bytes, which must never serve again; raise InputError DEPOSIT_REFUSED.

    Only presentations and annotated copies are taken: a document holds the secret that opens every field of it.
    """
    _kind_of(raw)
    if len(raw) > MAX_DEPOSITED_FILE_BYTES:
        raise _refused(
            f"至多 {MAX_DEPOSITED_FILE_BYTES} 字节，实为 {len(raw)} 字节：请少出示一些字段，或直接交付文件",
            f"at most {MAX_DEPOSITED_FILE_BYTES} bytes, found {len(raw)}: show fewer fields, or hand the file over",
        )
    blanks = -(len(raw) + sm4.TAG_BYTES) % PADDING_BYTES
    return sm4.seal(key, _NONCE, raw + b" " * blanks, _BOUND)


def open_deposit(sealed: bytes, key: bytes) -> Deposited:
    """Return what a deposit holds, to be verified as the file of it is; raise InputError KEY_WRONG or DEPOSIT_REFUSED."""
    try:
        raw = sm4.open_sealed(key, _NONCE, sealed, _BOUND)
    except DecryptionFailed:
        raise InputError(
            "KEY_WRONG",
            "链接中的密钥打不开这份寄存件：链接不完整或被改动，或寄存件被替换；请向出示人要完整的链接",
            "the key in the link does not open the deposit: the link was cut or changed, or the deposit was replaced; ask whoever gave "
            "you the link for the whole of it",
        ) from None
    raw = raw.rstrip(b" ")
    return Deposited(raw, _kind_of(raw))


def _kind_of(raw: bytes) -> Kind:
    kind = certificate_file_kind(raw)
    if kind is None or kind == "document":
        raise _refused(
            "只寄存出示件与加注件（证照文件含有可打开全部字段的密值，请先用 govnode cert present 出示）",
            "only presentations and annotated copies are deposited (a document holds the secret that opens all of its fields: "
            "make a presentation of it with govnode cert present)",
        )
    return kind


def _refused(zh: str, en: str) -> InputError:
    return InputError("DEPOSIT_REFUSED", f"不能寄存：{zh}", f"it cannot be deposited: {en}")
