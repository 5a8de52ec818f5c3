"""Reasons of decoders and of the system read in both languages."""

from __future__ import annotations

import errno
import json
import os
from typing import Annotated, Any, Literal

import msgspec
import pytest

from verification.reasons import decoding_reason, system_reason
from verification.trust import decode_trust


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["a"]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    text: Annotated[str, msgspec.Meta(max_length=2)] = ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "内容为空或不完整"),
        (b'{"format": "a"', "内容为空或不完整"),
        (b"{x", "字节起不是合格的 JSON"),
        (b"{}", "缺少字段 format"),
        (b'{"format": "a", "more": 1}', "有不认识的字段 more"),
        (b'{"format": "b"}', "值 'b' 不是所允许的（位置 $.format）"),
        (b'{"format": "a", "count": "1"}', "应为整数，实为文本（位置 $.count）"),
        (b'{"format": "a", "count": 0}', "整数应 >= 1"),
        (b'{"format": "a", "text": "abc"}', "文本的长度应 <= 2"),
        (b"[]", "应为对象，实为列表"),
    ],
)
def test_a_decoders_refusal_is_worded(raw: bytes, expected: str) -> None:
    with pytest.raises(msgspec.DecodeError) as refused:
        msgspec.json.decode(raw, type=Sample)
    zh, en = decoding_reason(refused.value)
    assert expected in zh
    assert en == str(refused.value)


def test_other_decoders_are_worded_too() -> None:
    def reason(raw: Any) -> str:
        with pytest.raises(ValueError, match=r".+") as refused:
            json.loads(raw)
        return decoding_reason(refused.value)[0]

    assert reason("") == "内容为空，或不是 JSON"
    assert reason('{"a": x}') == "第 1 行第 7 列起不是合格的 JSON"
    assert reason(b'"\xff"') == "不是 UTF-8 文本"
    with pytest.raises(ValueError, match="bytes") as refused:
        decode_trust(b" " * 100_000)
    assert decoding_reason(refused.value)[0] == "超过 81920 字节"
    zh, en = decoding_reason(ValueError("x" * 5_000))
    assert len(zh) < 400
    assert "x" in en


def test_the_systems_refusals_are_worded() -> None:
    for number in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOSPC, errno.ECONNREFUSED):
        zh, en = system_reason(OSError(number, os.strerror(number), "a.json"))
        assert en == os.strerror(number)
        assert not zh.isascii()
        assert en not in zh
    assert system_reason(OSError("odd")) == ("系统拒绝（odd）", "odd")
