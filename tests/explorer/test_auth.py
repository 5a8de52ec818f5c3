"""Signed requests as docs/spec/signed-requests.md says: each check by its code, and who may see what belongs to audits."""

from __future__ import annotations

import secrets
import socket
import time
from typing import Any

import httpx
import pytest

from explorer import auth
from explorer.auth import CLOCK_WINDOW_MS, MAX_NONCES_PER_KEY, NonceMemory
from explorer.problems import Problem
from node.chain.transaction import decode_transaction, transaction_id
from node.http.signed_request import signed_request_digest
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

TARGET = "/api/v1/deposits"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("arguments", "digest"),
    [
        (
            (
                20250801,
                "GET",
                b"127.0.0.1:8545",
                b"/api/v1/access-records?department=11330100002489405Q&limit=50",
                b"",
                1764000000000,
                bytes(range(16)),
            ),
            "1100469bc529f09ed5d1b9204e60c88cc48b3e98f1cafb1ac8b370775340f7a3",
        ),
        (
            (20250801, "POST", b"[::1]:8545", b"/api/v1/x?q=%E8%AF%81", b'{"a":1}', 1764000000001, b"\xff" * 16),
            "4231a46e12a5f871197d154da71b930c3c895ba77206958a38519000f084e3ce",
        ),
    ],
)
def test_the_digests_of_the_specification(arguments: Any, digest: str) -> None:
    assert signed_request_digest(*arguments).hex() == digest


def test_the_public_sees_that_an_auditor_asked_but_not_what(site: Any) -> None:
    shown = site.get("/api/v1/transactions", params={"contract": "audits"}).json()["items"][-1]
    assert shown["is_restricted"] is True
    assert shown["arguments"] is shown["events"] is shown["output"] is None
    target = f"/api/v1/transactions/{shown['id']}"
    one = site.get(target).json()
    assert one["is_restricted"] is True
    assert one["arguments"] is one["events"] is one["raw"] is one["output"] is None
    assert site.get_signed("district", target).json()["arguments"] is None
    assert site.get_signed("auditor", target).json()["arguments"]["basis"] == "MANDATE-2025-0001"


def test_a_finding_is_told_to_the_department_that_it_is_about(site: Any) -> None:
    world, now_ms = site.world, site.world.ledger.head_time_ms
    subject = ("over quota", world.housing, "", "", bytes(20), 0, 0, bytes(32), now_ms - 1, now_ms)
    stated = {"subject": subject, "reference": "F-1", "digest": sm3(b"evidence")}
    refused = world.sign("auditor", "audits", "raise_finding", **stated)
    world.make_block([refused])
    target = f"/api/v1/transactions/0x{transaction_id(decode_transaction(refused).body).hex()}"
    for shown in (site.get(target).json(), site.get_signed("district", target).json()):
        assert (shown["refusal"], shown["message"], shown["is_restricted"]) == ("RULE_MALFORMED", None, True)
    for account in ("auditor", "housing"):
        assert "RULE_MALFORMED" in site.get_signed(account, target).json()["message"]


def test_an_unsigned_request(site: Any) -> None:
    answer = site.get(TARGET)
    assert code_of(answer) == (401, "SIGNATURE_REQUIRED")
    assert answer.headers["www-authenticate"] == "Gov-Signature"


@pytest.mark.parametrize("name", ["Gov-Key", "Gov-Time", "Gov-Nonce", "Gov-Signature"])
@pytest.mark.parametrize("value", [None, "", "ABCDEF", "-1", "0" * 129, "00 00"])
def test_a_missing_or_malformed_header(site: Any, name: str, value: str | None) -> None:
    headers = site.signed_headers("auditor", TARGET)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    answer = site.get(TARGET, headers=headers)
    assert code_of(answer) == (401, "SIGNATURE_MALFORMED")
    assert answer.json()["field"] == name


def test_a_header_twice(site: Any) -> None:
    headers = site.signed_headers("auditor", TARGET)
    doubled = [*headers.items(), ("Gov-Nonce", headers["Gov-Nonce"])]
    assert code_of(site.get(TARGET, headers=doubled)) == (401, "SIGNATURE_MALFORMED")


def test_a_request_signed_for_another_server(site: Any) -> None:
    headers = site.signed_headers("auditor", TARGET, host="node9.example")
    assert code_of(site.get(TARGET, headers=headers)) == (401, "SIGNATURE_INVALID")
    answer = site.get(TARGET, headers=headers | {"Host": "node9.example"})
    assert code_of(answer) == (401, "AUTHORITY_UNKNOWN")


def test_the_name_localhost_is_this_node(site: Any) -> None:
    host = site.url.removeprefix("http://").replace("127.0.0.1", "localhost")
    headers = site.signed_headers("auditor", TARGET, host=host)
    assert site.get(TARGET, headers=headers | {"Host": host.upper()}).status_code == 200


@pytest.mark.parametrize("distance_ms", [-CLOCK_WINDOW_MS - 5_000, CLOCK_WINDOW_MS + 5_000])
def test_a_wrong_clock(site: Any, distance_ms: int) -> None:
    answer = site.get_signed("auditor", TARGET, time_ms=time.time_ns() // 1_000_000 + distance_ms)
    assert code_of(answer) == (401, "CLOCK_OUTSIDE_WINDOW")


def test_a_request_from_before_the_start(site: Any) -> None:
    start_ms = site.world.view.start_ms
    answer = site.get_signed("auditor", TARGET, time_ms=start_ms - 30_000)
    assert code_of(answer) in {(401, "SIGNED_BEFORE_START"), (401, "CLOCK_OUTSIDE_WINDOW")}


def test_every_part_of_the_request_is_covered(site: Any) -> None:
    headers = site.signed_headers("auditor", TARGET + "?limit=5")
    assert code_of(site.get(TARGET + "?limit=6", headers=headers)) == (401, "SIGNATURE_INVALID")
    assert code_of(site.get(TARGET, headers=headers)) == (401, "SIGNATURE_INVALID")
    headers = site.signed_headers("auditor", TARGET, method="POST")
    assert code_of(site.get(TARGET, headers=headers)) == (401, "SIGNATURE_INVALID")
    headers = site.signed_headers("auditor", TARGET)
    for name, value in (("Gov-Nonce", "00" * 16), ("Gov-Time", str(int(headers["Gov-Time"]) + 1))):
        assert code_of(site.get(TARGET, headers=headers | {name: value})) == (401, "SIGNATURE_INVALID")
    off_curve = headers | {"Gov-Key": "11" * 64}
    assert code_of(site.get(TARGET, headers=off_curve)) == (401, "SIGNATURE_INVALID")


def test_an_account_that_nobody_registered(site: Any) -> None:
    assert code_of(site.get_signed(PrivateKey.generate(), TARGET)) == (403, "ACCOUNT_UNKNOWN")


def test_a_request_counts_once(site: Any) -> None:
    headers = site.signed_headers("auditor", TARGET)
    assert site.get(TARGET, headers=headers).status_code == 200
    assert code_of(site.get(TARGET, headers=headers)) == (401, "REQUEST_REPEATED")


def test_an_answer_to_a_signed_request_is_never_cached_for_others(site: Any) -> None:
    assert site.get_signed("auditor", TARGET).headers["cache-control"] == "no-store"
    assert site.get(TARGET).status_code == 401


def test_a_path_with_escapes_is_signed_as_sent(site: Any) -> None:
    """A raw connection, because clients rewrite such a target."""
    target = f"{TARGET}?resource=%33%33%30000001%2f000001&department="
    headers = site.signed_headers("auditor", target)
    host, port = site.url.removeprefix("http://").split(":")
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 200 " in answer.split(b"\r\n")[0]


def test_nonces_are_bounded_and_forgotten() -> None:
    memory, key = NonceMemory(), b"k" * 64
    for number in range(MAX_NONCES_PER_KEY):
        memory.use("a", key, number.to_bytes(16), 1_000)
    with pytest.raises(Problem, match="TOO_MANY_SIGNED_REQUESTS"):
        memory.use("a", key, secrets.token_bytes(16), 1_000)
    memory.use("a", b"other" * 12 + b"keys", bytes(16), 1_000)
    with pytest.raises(Problem, match="REQUEST_REPEATED"):
        memory.use("a", key, bytes(16), 1_000 + 2 * CLOCK_WINDOW_MS)
    memory.use("a", key, bytes(16), 1_001 + 2 * CLOCK_WINDOW_MS)


def count_taken(memory: NonceMemory, department: str, keys: int, requests: int) -> int:
    """Return how many requests that a department signs, in turn with its keys, are taken before one is not."""
    for number in range(requests):
        try:
            memory.use(department, f"{department} {number % keys}".encode(), number.to_bytes(16), 1_000)
        except Problem:
            return number
    return requests


def test_a_department_with_many_accounts_has_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_NONCES_PER_KEY", 10)
    monkeypatch.setattr(auth, "MAX_NONCES_PER_DEPARTMENT", 25)
    monkeypatch.setattr(auth, "MAX_NONCES", 60)
    monkeypatch.setattr(auth, "NONCES_OF_ONES_OWN", 4)
    memory = NonceMemory()
    assert [count_taken(memory, name, 20, 100) for name in ("a", "b")] == [25, 25]
    with pytest.raises(Problem, match="TOO_MANY_SIGNED_REQUESTS"):
        memory.use("a", b"another key", b"nonce", 1_000)
    # What is left is for whoever comes, and then each has a little of its own.
    assert [count_taken(memory, name, 20, 100) for name in ("c", "d", "e")] == [10, 4, 4]
    memory.use("a", b"key", b"later", 1_001 + 2 * CLOCK_WINDOW_MS)
    assert (len(memory._used), dict(memory._counts)) == (1, {"a": 1, b"key": 1})
