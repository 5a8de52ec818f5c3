"""Wrong usage is told in Chinese and in English, with what was found and what an option means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sdk.issuer import Issuer
from verification.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("verify", "."), "参数值有误：. 是文件夹，应为文件 / "),
        (("verify", "a", "b", "c"), "用法有误：多余的参数 b c / "),
        (
            ("verify", "a", "--max-age", "0"),
            "参数值有误：0 不在范围内，应为 1<=x<=878400（--max-age：证明至多多少小时之前）",
        ),
        (("verify", "a", "--max-age", "x"), "'x' 不是整数"),
        (("verify",), "缺少参数：应给出 'PROOF'"),
        (("verify", "a", "--foo"), "没有 --foo"),
        (("cert", "foo"), "没有命令 foo"),
        (("verify", "a", "--at"), "--at 之后应有值"),
    ],
)
def test_wrong_usage_has_a_reason_in_chinese(
    run: Callable[..., tuple[int, Any, str]], arguments: tuple[str, ...], expected: str
) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert expected in err


@pytest.mark.parametrize("days", [{"valid_from": "2026-02-30"}, {"valid_from": "2026-02-28", "valid_to": "x"}])
def test_a_day_that_is_none_is_named_before_anything_is_asked(days: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        Issuer.issue(object.__new__(Issuer), "1", "1", **days)
    name, text = list(days.items())[-1]
    assert refused.value.code == "DATE_MALFORMED"
    assert (name in refused.value.zh, repr(text) in refused.value.zh) == (True, True)
