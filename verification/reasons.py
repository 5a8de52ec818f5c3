"""What libraries and the system say of a file that they do not take, in both languages: the one place that words it."""

from __future__ import annotations

import errno
import re
from typing import Final

import msgspec

MAX_REASON_LENGTH: Final = 300
"""In characters: a decoder's words may repeat what it was given."""
MAX_SHOWN_FORMAT: Final = 40

_KINDS: Final = {
    "int": "整数",
    "float": "数",
    "str": "文本",
    "bool": "是或否",
    "array": "列表",
    "object": "对象",
    "null": "空值",
    "bytes": "字节",
}
_DECODING: Final[tuple[tuple[str, str], ...]] = (
    (r"zero-length, empty|truncated|unexpected end|Unterminated", "内容为空或不完整"),
    (r"Expecting value.*\(char 0\)", "内容为空，或不是 JSON"),
    (r"line (\d+) column (\d+)", "第 {0} 行第 {1} 列起不是合格的 JSON"),
    (r"\(byte (\d+)\)", "第 {0} 字节起不是合格的 JSON"),
    (r"trailing characters", "结尾有多余的内容"),
    (r"missing required field `([^`]*)`", "缺少字段 {0}"),
    (r"unknown field `([^`]*)`", "有不认识的字段 {0}"),
    (r"the name (.*) stands twice", "名称 {0} 出现两次"),
    (r"[Ii]nvalid enum value (.*?)(?: - at|$)", "值 {0} 不是所允许的"),
    (r"Expected `([^`]*)`, got `([^`]*)`", "应为{0}，实为{1}"),
    (r"matching regex", "值的格式不符"),
    (r"Expected `([^`]*)` of length ([<>]=) (\d+)", "{0}的长度应 {1} {2}"),
    (r"Expected `([^`]*)` ([<>]=?) (-?\d+)", "{0}应 {1} {2}"),
    (r"more than (\d+) bytes", "超过 {0} 字节"),
    (r"recursion|nested|[Rr]ecursion", "嵌套过深"),
    (r"utf-8|UTF-8|surrogate|codec can't decode", "不是 UTF-8 文本"),
    (r"PEM", "不是 PEM 证书"),
)
_AT: Final = re.compile(r"at `(\$[^`]*|key[^`]*)`")
_SIGNATURES: Final[dict[bytes, str]] = {
    b"%PDF-": "PDF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WebP",
    b"PK": "ZIP / OFD / XLSX",
    b"-----BEGIN": "PEM",
}
_SYSTEM: Final = {
    errno.ENOENT: "没有这个文件或文件夹",
    errno.EACCES: "没有权限",
    errno.EPERM: "不允许此操作",
    errno.EISDIR: "是文件夹，不是文件",
    errno.ENOTDIR: "路径中有一段不是文件夹",
    errno.EEXIST: "已经存在",
    errno.ENOSPC: "磁盘已满",
    errno.EROFS: "只读的文件系统",
    errno.ENAMETOOLONG: "名称过长",
    errno.EMFILE: "打开的文件过多",
    errno.ELOOP: "符号链接过多，或不得经符号链接",
    errno.EIO: "磁盘读写错误",
    errno.EBUSY: "正被使用",
    errno.EADDRINUSE: "地址已被占用",
    errno.EADDRNOTAVAIL: "本机没有这个地址",
    errno.ECONNREFUSED: "对方拒绝连接：没有程序在该地址监听",
    errno.ENOTEMPTY: "文件夹不是空的",
}


class _Format(msgspec.Struct):
    format: str = ""


def decoding_reason(error: Exception) -> tuple[str, str]:
    """Return why a decoder refused what it was given, in Chinese and in English."""
    english = str(error)[:MAX_REASON_LENGTH] or type(error).__name__
    where = _AT.search(english)
    for form, words in _DECODING:
        found = re.search(form, english)
        if found is not None:
            told = words.format(*(_KINDS.get(text, text) for text in found.groups()))
            break
    else:
        told = f"内容不合要求（{english}）"
    return (told if where is None else f"{told}（位置 {where[1]}）"), english


def system_reason(error: OSError) -> tuple[str, str]:
    """Return why the system refused, in Chinese and in English."""
    english = error.strerror or str(error)[:MAX_REASON_LENGTH] or type(error).__name__
    known = None if error.errno is None else _SYSTEM.get(error.errno)
    return known or f"系统拒绝（{english}）", english


def found_kind(raw: bytes) -> tuple[str, str]:
    """Return what a file that is not the expected one is, as far as its beginning or its `format` tells."""
    if not raw.strip():
        return "空文件", "an empty file"
    name = next((name for start, name in _SIGNATURES.items() if raw.startswith(start)), None)
    if name is not None:
        return f"{name} 文件", f"a file of the kind {name}"
    try:
        named = msgspec.json.decode(raw, type=_Format).format[:MAX_SHOWN_FORMAT]
    except msgspec.ValidationError:
        named = ""
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "不是 JSON 的其他文件", "some other file, which is not JSON"
    return (
        (f"格式为 {named!r} 的文件", f"a file of the format {named!r}")
        if named
        else ("其他 JSON 文件", "some other JSON")
    )
