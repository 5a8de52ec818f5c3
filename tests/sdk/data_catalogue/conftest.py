"""What these tests share: a stand-in node over the hand-made chain, and tables of its department."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import CONSUMER, DEPARTMENT, HandMadeChain, chain, identifier, node, run

__all__ = ["chain", "identifier", "node", "run"]


@pytest.fixture
def keys(chain: HandMadeChain, tmp_path: Path) -> Path:
    """A folder with the keys of the department's publisher, of an account of another role, and of nobody."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, key in (("a-consumer", chain.consumer), ("clerk", chain.clerk), ("stranger", PrivateKey.generate())):
        save_key(folder / f"{name}.key", key, b"password", iterations=1_000)
        password = folder / f"{name}.password"
        password.write_bytes(b"password")
        password.chmod(0o600)
    return folder


@pytest.fixture
def write_tables(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write the three tables of a small directory chain: `count` resources, each with a duty and a system of its department."""

    def write(count: int = 5, *, department: str = DEPARTMENT, name: str = "登记信息") -> list[Path]:
        duties = [
            ("提供方代码", "职责代码", "职责名称", "依据"),
            (department, "D-1", "不动产登记", "《不动产登记暂行条例》"),
        ]
        systems = [
            ("提供方代码", "系统代码", "系统名称", "系统简介", "所在网络", "对应职责代码"),
            (department, "S-1", "登记系统", "办理登记", "政务外网", "D-1"),
        ]
        head = "提供方代码,资源代码,资源名称,摘要,格式,数据项,共享类型,共享条件,共享方式,更新周期,数据分级,职责代码,系统代码"
        resources = [tuple(head.split(","))]
        for number in range(1, count + 1):
            code, title = f"307013301/{number:06d}", f"{name}{number}"
            resources.append(
                (
                    department,
                    code,
                    title,
                    "登记结果",
                    "JSON",
                    "姓名:C；面积:N",
                    "无条件",
                    "",
                    "接口",
                    "每日",
                    "一般",
                    "D-1",
                    "S-1",
                )
            )
        paths = []
        for kind, rows in (("duties", duties), ("systems", systems), ("resources", resources)):
            path = tmp_path / f"{kind}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(rows)
            paths.append(path)
        return paths

    return write


@pytest.fixture
def other_department() -> str:
    """A department whose publisher's key nobody here has."""
    return CONSUMER
