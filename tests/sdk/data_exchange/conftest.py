"""A provider and a consumer with a grant between them and an encryption key, over a hand-made chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdk.client import Client
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.sdk.certificate_sharing.conftest import make_grant
from tests.sdk.persons.conftest import add_account, set_encryption_key
from tests.served import serve

__all__ = ["serve"]

PAYLOAD = "不动产单元号,面积\r\n".encode() + b"990100001001GB00001F00010001,98.5\r\n" * 40


@dataclass
class Exchange:
    """Both sides: `provider` and `consumer` are clients of their recorders' accounts."""

    node: Any
    provider: Client
    consumer: Client
    administrator: Client
    recorder: Signer
    key: PrivateKey
    grant: bytes
    source: Path


@pytest.fixture
def exchange(node: Any, tmp_path: Path) -> Iterator[Exchange]:
    chain = node.chain
    recorder = add_account(chain, DEPARTMENT, "交换", "recorder")
    administrator = add_account(chain, CONSUMER, "管理员", "administrator")
    key = set_encryption_key(chain, administrator, CONSUMER)
    grant = make_grant(node)
    source = tmp_path / "房产.csv"
    source.write_bytes(PAYLOAD)
    with (
        Client(node.url, Signer(recorder)) as provider,
        Client(node.url, Signer(chain.consumer)) as consumer,
        Client(node.url, Signer(administrator)) as manager,
    ):
        yield Exchange(node, provider, consumer, manager, Signer(recorder), key, grant, source)
