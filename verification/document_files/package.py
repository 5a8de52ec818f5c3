"""The zip container of an OFD file, read in memory under limits; nothing is ever unpacked to disk.

Every way in which two readers could see different parts is refused: names that repeat (by case too) or leave the package, a part whose
local header differs from the directory, parts that share bytes, zip64, encryption, split archives. Archives within are not opened.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.characters import has_control_character
from verification.errors import InputError

MAX_PACKAGE_BYTES: Final = 64 * 1024 * 1024
MAX_PARTS: Final = 4_096
MAX_PART_BYTES: Final = 64 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
MAX_UNPACKING_RATIO: Final = 100
"""Of all parts together to the file, once they are over MIN_RATIO_BYTES: drawings repeat themselves, but not that much."""
MIN_RATIO_BYTES: Final = 4 * 1024 * 1024
MAX_PART_NAME: Final = 256
MAX_FOLDER_DEPTH: Final = 16

_END: Final = struct.Struct("<4s4H2IH")
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_MAX_COMMENT: Final = 0xFFFF
_ENCRYPTED: Final = 0x2041
_HAS_DESCRIPTOR: Final = 0x0008
_IS_UTF8: Final = 0x0800
_STORED, _DEFLATED = 0, 8
_MAX_DESCRIPTOR_BYTES: Final = 16


class Package(msgspec.Struct, frozen=True):
    """The parts of a package by name, in the directory's order; `stray_bytes` belong to none of them."""

    parts: dict[str, bytes]
    stray_bytes: int


class _Entry(msgspec.Struct, frozen=True):
    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def is_package(raw: bytes) -> bool:
    """Whether a file begins as a zip archive does."""
    return raw.startswith(b"PK\x03\x04")


def read_package(raw: bytes) -> Package:
    """Return the parts of a zip archive; raise InputError PACKAGE_TOO_LARGE over a limit, PACKAGE_MALFORMED otherwise."""
    if len(raw) > MAX_PACKAGE_BYTES:
        raise too_large("文件字节数", "bytes of the file", MAX_PACKAGE_BYTES, len(raw))
    entries, directory = _directory(raw)
    unpacked = sum(entry.size for entry in entries)
    if unpacked > MAX_UNPACKED_BYTES:
        raise too_large("解压后总字节数", "bytes of all parts", MAX_UNPACKED_BYTES, unpacked)
    if unpacked > MIN_RATIO_BYTES and unpacked > MAX_UNPACKING_RATIO * len(raw):
        raise too_large("解压比", "ratio of unpacking", MAX_UNPACKING_RATIO, unpacked // len(raw))
    parts: dict[str, bytes] = {}
    spans = []
    for entry in entries:
        data, start, end = _unpack(raw, entry, directory)
        spans.append((start, end, bool(entry.flags & _HAS_DESCRIPTOR)))
        if not entry.name.endswith("/"):
            parts[entry.name] = data
    return Package(parts, _stray_bytes(spans, directory, raw))


def too_large(zh: str, en: str, limit: int, found: int) -> InputError:
    """Return the error for what is over a limit."""
    return InputError(
        "PACKAGE_TOO_LARGE", f"{zh}应不超过 {limit}，实为 {found}", f"{en}: expected at most {limit}, found {found}"
    )


def malformed(zh: str, en: str) -> InputError:
    """Return the error for what is not an OFD file's container."""
    return InputError("PACKAGE_MALFORMED", f"不是可读的 OFD 文件：{zh}", f"not a readable OFD file: {en}")


def _directory(raw: bytes) -> tuple[list[_Entry], int]:
    """Return the entries of the central directory and the offset where it begins."""
    position = raw.rfind(b"PK\x05\x06", max(0, len(raw) - _END.size - _MAX_COMMENT))
    if position < 0 or position + _END.size > len(raw):
        raise malformed("缺少 ZIP 目录", "the directory of the zip archive is missing")
    _, disk, start_disk, here, count, size, start, comment = _END.unpack_from(raw, position)
    if position + _END.size + comment != len(raw) or disk or start_disk or here != count or start + size != position:
        raise malformed("ZIP 目录与文件不符", "the zip archive's directory does not fit the file (or is zip64)")
    if count > MAX_PARTS:
        raise too_large("部件数", "parts", MAX_PARTS, count)
    entries = []
    names: set[str] = set()
    cursor = start
    for _ in range(count):
        entry, cursor = _entry(raw, cursor, position)
        folded = entry.name.casefold().rstrip("/")
        if folded in names:
            raise malformed(f"部件名重复：{entry.name}", f"two parts have the name {entry.name}")
        names.add(folded)
        entries.append(entry)
    if cursor != position:
        raise malformed("ZIP 目录长度不符", "the zip archive's directory is of another length than it says")
    return entries, start


def _entry(raw: bytes, cursor: int, end: int) -> tuple[_Entry, int]:
    if cursor + _ENTRY.size > end:
        raise malformed("ZIP 目录被截断", "the zip archive's directory is cut off")
    fields = _ENTRY.unpack_from(raw, cursor)
    signature, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, disk, _, _, offset = (
        fields
    )
    name_end = cursor + _ENTRY.size + name_size
    after = name_end + extra_size + comment_size
    if signature != b"PK\x01\x02" or after > end or disk:
        raise malformed("ZIP 目录项不完整", "an entry of the zip archive's directory is not whole")
    if flags & _ENCRYPTED:
        raise malformed("部件已加密", "a part is encrypted")
    if method not in (_STORED, _DEFLATED):
        raise malformed(f"压缩方法 {method} 不支持", f"compression method {method} is not supported")
    if size > MAX_PART_BYTES:
        raise too_large("部件解压后字节数", "bytes of a part", MAX_PART_BYTES, size)
    raw_name = raw[cursor + _ENTRY.size : name_end]
    name = _part_name(raw_name, is_utf8=bool(flags & _IS_UTF8))
    return _Entry(name, raw_name, flags, method, crc, packed, size, offset), after


def _part_name(raw_name: bytes, *, is_utf8: bool) -> str:
    """Return a part's name; without the flag for UTF-8 it may be in GB 18030, which older Chinese tools write."""
    name = ""
    for encoding in ("utf-8",) if is_utf8 else ("utf-8", "gb18030"):
        try:
            name = raw_name.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    segments = name.removesuffix("/").split("/")
    is_plain = not (has_control_character(name) or set(name) & set('\\:*?"<>|'))
    if not name or len(name) > MAX_PART_NAME or not is_plain or any(one in ("", ".", "..") for one in segments):
        shown = "".join(character if character.isprintable() else "�" for character in name[:60])
        raise malformed(f"部件名不可用：{shown!r}", f"a part has a name that is not usable: {shown!r}")
    if len(segments) > MAX_FOLDER_DEPTH:
        raise too_large("文件夹层数", "folders within each other", MAX_FOLDER_DEPTH, len(segments))
    return name


def _unpack(raw: bytes, entry: _Entry, directory: int) -> tuple[bytes, int, int]:
    """Return a part's bytes and the span that it takes in the file."""
    name_start = entry.offset + _LOCAL.size
    if name_start > directory:
        raise malformed(f"{entry.name} 的位置不在文件内", f"{entry.name} lies outside the file")
    signature, _, flags, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack_from(raw, entry.offset)
    start = name_start + name_size + extra_size
    end = start + entry.packed
    local_name = raw[name_start : name_start + name_size]
    is_same = local_name == entry.raw_name and method == entry.method and not (flags ^ entry.flags) & _ENCRYPTED
    if signature != b"PK\x03\x04" or not is_same or end > directory:
        raise malformed(f"{entry.name} 的文件头与目录不符", f"the header of {entry.name} differs from the directory")
    data = raw[start:end]
    if entry.method == _DEFLATED:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(data, entry.size + 1)
        except zlib.error:
            raise malformed(f"{entry.name} 无法解压", f"{entry.name} cannot be unpacked") from None
        if not unpacker.eof or unpacker.unused_data:
            raise malformed(
                f"{entry.name} 的长度与目录不符", f"{entry.name} is of another length than the directory says"
            )
    if len(data) != entry.size or zlib.crc32(data) != entry.crc:
        raise malformed(f"{entry.name} 损坏", f"{entry.name} is damaged: length or checksum differ")
    return data, entry.offset, end


def _stray_bytes(spans: Sequence[tuple[int, int, bool]], directory: int, raw: bytes) -> int:
    """Return how many bytes belong to no part; refuses parts that share bytes."""
    stray = 0
    cursor, descriptor = 0, False
    for start, end, has_descriptor in [*sorted(spans), (directory, directory, False)]:
        gap = start - cursor
        if gap < 0:
            raise malformed("部件相互重叠", "parts share bytes")
        stray += max(0, gap - _MAX_DESCRIPTOR_BYTES) if descriptor else gap
        cursor, descriptor = end, has_descriptor
    comment: int = _END.unpack_from(raw, raw.rfind(b"PK\x05\x06", max(0, len(raw) - _END.size - _MAX_COMMENT)))[-1]
    return stray + comment
