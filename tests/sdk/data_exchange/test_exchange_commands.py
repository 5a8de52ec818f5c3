"""The exchange from the command line, as a provider's and a consumer's operators run it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sdk.cli.proof import _record_key
from sdk.data_exchange.exchange import receive_payload, record_delivery, seal_payload
from sdk.data_exchange.inbox import GIB, Inbox
from sdk.data_exchange.inbox_service import make_inbox
from sdk.department_services.accounts import SignedCallers
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.sdk.data_exchange.conftest import PAYLOAD, Exchange
from verification.errors import InputError

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def folder(exchange: Exchange, tmp_path: Path) -> Path:
    """Key files of both sides, under one password."""
    keys = {
        "provider": exchange.recorder._key,
        "consumer": exchange.node.chain.consumer,
        "administrator": exchange.administrator._signer._key,  # type: ignore[union-attr]
        "encryption": exchange.key,
    }
    for name, key in keys.items():
        save_key(tmp_path / f"{name}.key", key, b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    return tmp_path


def options(exchange: Exchange, folder: Path, account: str) -> list[object]:
    return [
        *("--url", exchange.node.url, "--json"),
        *("--key", folder / f"{account}.key", "--password-file", folder / "password"),
    ]


def opening(folder: Path, key: str = "encryption.key") -> list[object]:
    return ["--encryption-key", folder / key, "--encryption-password-file", folder / "password"]


def send(exchange: Exchange, folder: Path, run: Run, *more: object) -> tuple[int, Any, str]:
    said = ["--grant", exchange.grant.hex(), "--rows", "40", "--out", folder / "out.govx", *more]
    return run("exchange", "send", exchange.source, *said, *options(exchange, folder, "provider"))


def send_here(exchange: Exchange, folder: Path) -> int:
    """Seal and record a delivery, and return its number."""
    waybill = seal_payload(exchange.provider, exchange.source, folder / "out.govx", exchange.grant, 40)
    record_delivery(exchange.provider, waybill)
    return waybill.envelope.number


def test_a_file_is_sent_and_received(exchange: Exchange, folder: Path, run: Run, serve: Any) -> None:
    inbox = folder / "inbox"
    inbox.mkdir()
    callers = SignedCallers(exchange.consumer, frozenset())
    url = serve(make_inbox(Inbox(exchange.consumer, CONSUMER, inbox, GIB), callers))
    status, sent, errors = send(exchange, folder, run, "--to", url)
    assert (status, errors) == (0, "")
    assert (sent["number"], sent["parcel"]["rows"], sent["parcel"]["size"], sent["sent"]) == (1, 40, len(PAYLOAD), True)
    (arrived,) = (inbox / DEPARTMENT).iterdir()
    status, shown, _ = run("exchange", "show", arrived, "--url", exchange.node.url, "--json")
    assert (status, shown["provider"], shown["consumer"]) == (0, DEPARTMENT, CONSUMER)
    assert shown["answer_text"]["en"] == "not answered for yet"
    target = folder / "opened.csv"
    status, received, errors = run(
        *("exchange", "receive", arrived, "--out", target),
        *opening(folder),
        *options(exchange, folder, "consumer"),
    )
    assert (status, errors) == (0, "")
    assert target.read_bytes() == PAYLOAD
    assert (received["name"], received["answer_text"]["zh"]) == ("房产.csv", "已签收")
    height = len(exchange.node.receipts)
    status, again, _ = send(exchange, folder, run, "--to", url)
    assert (status, again["sent"], again["delivered_ms"]) == (0, False, sent["delivered_ms"])
    assert len(exchange.node.receipts) == height
    status, listed, _ = run("exchange", "list", exchange.grant.hex(), "--url", exchange.node.url, "--json")
    assert (status, listed["count"], [one["number"] for one in listed["items"]]) == (0, 1, [1])


def test_a_proof_of_a_delivery_says_both_sides_word(
    exchange: Exchange, folder: Path, run: Run, trust_path: Path
) -> None:
    send_here(exchange, folder)
    proof, sealed = folder / "receipt.json", folder / "out.govx"

    def verified(*more: object) -> tuple[int, Any]:
        named = (f"{exchange.grant.hex()}/1", "--kind", "delivery", "--url", exchange.node.url)
        assert run("proof", "export", *named, "--out", proof, "--json")[0] == 0
        status, verdict, _ = run("verify", proof, "--trust", trust_path, "--json", *more)
        return status, verdict

    status, verdict = verified("--document", sealed)
    assert (status, verdict["code"]) == (0, "RECORDED")
    for text in (DEPARTMENT, CONSUMER, "40", "待签收"):
        assert text in verdict["zh"]
    assert "not answered for yet" in verdict["en"]
    assert sm3(sealed.read_bytes()).hex() in verdict["record"]["parcel"]["sealed"]
    _, text, _ = run("verify", proof, "--trust", trust_path)
    for shown in (exchange.grant.hex(), sm3(sealed.read_bytes()).hex()):
        assert shown in text
    receive_payload(exchange.consumer, exchange.key, sealed, folder / "opened.csv")
    _, verdict = verified()
    assert "已签收" in verdict["zh"]
    assert "received as recorded" in verdict["en"]
    status, verdict = verified("--document", folder / "opened.csv")
    assert (status, verdict["code"]) == (1, "DOCUMENT_CHANGED")
    assert "govnode exchange receive" in verdict["en"]


def test_a_password_that_is_missing_is_asked_for_by_its_own_option(exchange: Exchange, folder: Path, run: Run) -> None:
    administrator = options(exchange, folder, "administrator")
    sealed = (
        "exchange",
        "receive",
        folder / "x.govx",
        "--out",
        folder / "x",
        "--encryption-key",
        folder / "encryption.key",
    )
    for command in (("exchange", "key", folder / "new.key"), sealed):
        status, _, errors = run(*command, *administrator)
        assert (status, "PASSWORD_MISSING" in errors) == (1, True)
        assert "--encryption-password-file" in errors


def test_a_delivery_that_is_not_taken_says_why(exchange: Exchange, folder: Path, run: Run) -> None:
    for _ in range(2):
        assert send(exchange, folder, run)[0] == 0
    consumer = options(exchange, folder, "consumer")
    named = ("exchange", "answer", exchange.grant.hex(), "1")
    assert run(*named, "--note", "缺列", *consumer)[0] == 2
    status, answered, _ = run(*named, "--not-taken", "--note", "缺少面积列", *consumer)
    assert (status, answered["note"], answered["answer_text"]["en"]) == (0, "缺少面积列", "not taken")
    status, _, errors = run(*named, "--differs", "12" * 32, "--note", "摘要不符", *consumer)
    assert status == 1
    assert "DELIVERY_ANSWERED" in errors


def test_a_delivery_is_looked_at_before_it_is_answered(exchange: Exchange, folder: Path, run: Run) -> None:
    send_here(exchange, folder)
    consumer, target = options(exchange, folder, "consumer"), folder / "looked.csv"
    command = ("exchange", "receive", folder / "out.govx", "--out", target, *opening(folder))
    height = len(exchange.node.receipts)
    status, looked, _ = run(*command, "--unacknowledged", *consumer)
    assert (status, looked["acknowledged_now"], looked["answer_text"]["en"]) == (0, False, "not answered for yet")
    assert (target.read_bytes(), len(exchange.node.receipts)) == (PAYLOAD, height)
    _, text, _ = run(*command, "--unacknowledged", *(one for one in consumer if one != "--json"))
    assert "待签收" in text
    assert "已签收" not in text
    named = ("exchange", "answer", exchange.grant.hex(), "1", "--not-taken", "--note", "缺少面积列")
    assert run(*named, *consumer)[0] == 0


@pytest.mark.parametrize(
    ("answer", "word"),
    [(("--not-taken",), "拒收"), (("--differs", "12" * 32), "内容不符")],
    ids=["not_taken", "differs"],
)
def test_a_delivery_answered_otherwise_is_not_received(
    exchange: Exchange, folder: Path, run: Run, answer: tuple[str, ...], word: str
) -> None:
    send_here(exchange, folder)
    consumer, target = options(exchange, folder, "consumer"), folder / "opened.csv"
    assert run("exchange", "answer", exchange.grant.hex(), "1", *answer, "--note", "旧表", *consumer)[0] == 0
    height = len(exchange.node.receipts)
    command = ("exchange", "receive", folder / "out.govx", "--out", target, *opening(folder))
    status, _, errors = run(*command, *consumer)
    assert (status, target.exists(), len(exchange.node.receipts)) == (1, False, height)
    for said in ("ANSWERED_OTHERWISE", word, "旧表", "--unacknowledged"):
        assert said in errors
    status, text, _ = run(*command, "--unacknowledged", *(one for one in consumer if one != "--json"))
    assert (status, target.read_bytes(), len(exchange.node.receipts)) == (0, PAYLOAD, height)
    assert word in text
    assert "已签收" not in text


def test_the_digest_of_what_came_is_shown_wherever_its_delivery_is(
    exchange: Exchange, folder: Path, run: Run, trust_path: Path
) -> None:
    """It is the one fact that the two sides will dispute."""
    send_here(exchange, folder)
    found, grant, proof = "12" * 32, exchange.grant.hex(), folder / "receipt.json"
    signed = [one for one in options(exchange, folder, "consumer") if one != "--json"]
    url = ("--url", exchange.node.url)
    assert run("proof", "export", f"{grant}/1", "--kind", "delivery", *url, "--out", proof)[0] == 0
    assert "收到的摘要" not in run("verify", proof, "--trust", trust_path)[1]
    answered = run("exchange", "answer", grant, "1", "--differs", found, "--note", "旧表", *signed)
    assert run("proof", "export", f"{grant}/1", "--kind", "delivery", *url, "--out", proof)[0] == 0
    for status, text, _ in (
        answered,
        run("exchange", "list", grant, *url),
        run("exchange", "show", folder / "out.govx", *url),
        run("verify", proof, "--trust", trust_path),
    ):
        assert (status, found in text) == (0, True)
    verdict = run("verify", proof, "--trust", trust_path, "--json")[1]
    assert f"内容不符，收到的摘要为 {found}（旧表）" in verdict["zh"]
    assert f"the digest of what came is {found}" in verdict["en"]


def test_receiving_twice_says_that_it_was_received_before(exchange: Exchange, folder: Path, run: Run) -> None:
    send_here(exchange, folder)
    command = ("exchange", "receive", folder / "out.govx", "--out", folder / "opened.csv", *opening(folder))
    consumer = options(exchange, folder, "consumer")
    found = [run(*command, *consumer) for _ in range(2)]
    assert [(status, shown["acknowledged_now"]) for status, shown, _ in found] == [(0, True), (0, False)]
    assert found[0][1]["answered_ms"] == found[1][1]["answered_ms"]


def test_a_departments_key_is_made_and_registered(
    exchange: Exchange, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm_crypto.keystore.save_key", partial(save_key, iterations=1_000))
    administrator = options(exchange, folder, "administrator")
    password = ("--encryption-password-file", folder / "password")
    status, shown, errors = run("exchange", "key", folder / "new.key", *password, *administrator)
    assert (status, errors) == (0, "")
    assert (shown["department"], shown["number"]) == (CONSUMER, 2)
    assert (folder / "new.key").stat().st_mode & 0o777 == 0o600
    status, _, errors = run("exchange", "key", folder / "encryption.key", *password, *administrator)
    assert status == 1
    assert "ENCRYPTION_KEY_USED" in errors


def test_a_delivery_is_named_for_a_proof_by_grant_and_number(exchange: Exchange, folder: Path) -> None:
    assert send_here(exchange, folder) == 1
    state, grant = exchange.node.chain.state, exchange.grant.hex()
    assert _record_key("delivery", f"{grant}/1") in state
    assert _record_key("encryption-key", f"{CONSUMER}/1") in state
    for kind, name in (
        ("delivery", grant),
        ("delivery", f"{grant}/0"),
        ("delivery", "12/1"),
        ("delivery", grant + "/\uff11"),
        ("encryption-key", "/1"),
        ("encryption-key", f"{CONSUMER}/{10**18}"),
    ):
        with pytest.raises(InputError) as refused:
            _record_key(kind, name)
        assert refused.value.code in {"NAME_MALFORMED", "HEX_INVALID"}


def test_what_cannot_be_done_has_a_reason(exchange: Exchange, folder: Path, run: Run) -> None:
    consumer = options(exchange, folder, "consumer")
    url = ("--url", exchange.node.url, "--json")
    other = folder / "other.txt"
    other.write_text("something else\n")
    for arguments, code in (
        (("exchange", "show", folder / "none.govx", *url), "FILE_UNREADABLE"),
        (("exchange", "show", other, *url), "EXCHANGE_MALFORMED"),
        (("exchange", "receive", other, "--out", folder / "x", *opening(folder), *consumer), "EXCHANGE_MALFORMED"),
        (("exchange", "list", "12", *url), "HEX_INVALID"),
    ):
        status, _, errors = run(*arguments)
        assert status == 1
        assert code in errors
        assert "Traceback" not in errors
