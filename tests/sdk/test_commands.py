"""The commands as a clerk and a stranger use them: files in, one answer out, and a status that scripts can rely on."""

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.certificate_records import load_certificate
from contracts.data_sharing.access import load_stream
from contracts.data_sharing.sharing import load_request
from contracts.identifiers import make_identifier
from node.chain.transaction import address_of
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import hmac_sm3, sm3
from verification.days import show_time
from verification.holders import Holder, holder_commitment, holder_salt

Run = Callable[..., tuple[int, Any, str]]
TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"


@pytest.fixture
def clerk(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The clerk's environment: key, password, secret and node named by variables, as a script would."""
    save_key(tmp_path / "clerk.key", node.chain.clerk, b"correct horse", iterations=1_000)
    save_key(tmp_path / "governor.key", node.chain.governor, b"correct horse", iterations=1_000)
    save_key(tmp_path / "consumer.key", node.chain.consumer, b"correct horse", iterations=1_000)
    for name, text in (("password", "correct horse\n"), ("secret", "07" * 32)):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(tmp_path / "clerk.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("GOVNODE_HOLDER_SECRET_FILE", str(tmp_path / "secret"))
    return node


def test_certificate_is_issued_shown_proved_verified_revoked_and_refused(
    run: Run, clerk: Any, tmp_path: Path, trust_path: Path
) -> None:
    identifier = make_identifier(TYPE_CODE, DEPARTMENT, "20250000009")
    document = tmp_path / "证照.pdf"
    document.write_bytes(b"%PDF real")
    status, out, _ = run(
        *("cert", "issue", identifier, "--document", document, "--valid-from", "2025-01-01"),
        *("--holder-code-type", "111", "--holder-code", "999999", "--holder-name", "示例", "--json"),
    )
    assert (status, out["done"], out["failed"]) == (0, 1, 0)
    record = load_certificate(clerk.chain.state, identifier)
    assert record is not None
    assert record.document_digest == sm3(b"%PDF real")
    assert record.holder_commitment == holder_commitment(
        holder_salt(b"\7" * 32, identifier), Holder("111", "999999", "示例")
    )

    status, out, _ = run("cert", "show", identifier, "--json")
    assert (status, out["status"]["verdict"]) == (0, "IN_FORCE")
    status, text, _ = run("cert", "show", identifier)
    assert "长期 / without end" in text
    assert "有效（01 名称） / in force (01 name)" in text

    early, late = tmp_path / "early.json", tmp_path / "late.json"
    assert run("proof", "export", identifier, "--out", early)[0] == 0
    status, out, _ = run("verify", early, "--document", document, "--trust", trust_path, "--json")
    assert (status, out["code"], out["is_accepted"]) == (0, "IN_FORCE", True)

    status, out, _ = run("cert", "revoke", identifier, "--reason", "样本撤销", "--status", "07", "--json")
    assert status == 0
    assert run("proof", "export", identifier, "--out", late)[0] == 0
    status, text, _ = run("verify", late, "--document", document, "--trust", trust_path)
    assert status == 1
    assert "✗ status" in text
    assert "样本撤销" in text
    status, text, _ = run("verify", early, "--document", document, "--trust", trust_path)
    assert status == 0
    assert "what changed later is not in this proof" in text

    document.write_bytes(b"%PDF reaI")
    status, text, _ = run("verify", early, "--document", document, "--trust", trust_path)
    assert status == 1
    assert "✗ document" in text
    assert "DOCUMENT_CHANGED" in text


def test_lists_of_many_are_done_row_by_row(run: Run, clerk: Any, tmp_path: Path) -> None:
    identifiers = [make_identifier(TYPE_CODE, DEPARTMENT, f"2025000010{n}") for n in range(3)]
    rows = "".join(f"{identifier},{DEPARTMENT},2025-01-01\n" for identifier in identifiers)
    other = make_identifier(TYPE_CODE, "11990100MB00000031", "20250000001")
    listed = tmp_path / "list.csv"
    listed.write_text(f"identifier,issuer_code,valid_from\n{rows}{other},11990100MB00000031,2025-01-01\n", "utf-8")

    status, out, _ = run("cert", "issue", "--csv", listed, "--json")
    assert (status, out["done"], out["failed"]) == (1, 3, 1)
    assert out["results"][3]["error"]["code"] == "ISSUER_MISMATCH"
    status, out, _ = run("cert", "issue", "--csv", listed, "--own")
    assert status == 1
    assert out.count("CERTIFICATE_EXISTS") == 3

    changes = tmp_path / "changes.csv"
    changes.write_text("identifier,reason\n" + "".join(f"{i},挂失\n" for i in identifiers), "utf-8")
    assert run("cert", "suspend", "--csv", changes)[0] == 0
    assert run("cert", "resume", "--csv", changes)[0] == 0
    assert run("cert", "resume", "--csv", changes)[0] == 1

    successor = make_identifier(TYPE_CODE, DEPARTMENT, "20250000100", "002")
    status, _, _ = run(
        *("cert", "renew", identifiers[0], successor, "--digest", "ab" * 32),
        *("--valid-from", "2026-01-01", "--valid-to", "2027-12-31", "--reason", "延续"),
    )
    assert status == 0
    status, out, _ = run("cert", "show", identifiers[0], "--json")
    assert (out["status"]["verdict"], out["record"]["successor"]) == ("SUPERSEDED", successor)


def test_types_are_registered_by_a_governor(run: Run, clerk: Any, tmp_path: Path) -> None:
    samples = Path(__file__).resolve().parents[2] / "samples" / "certificate-types.csv"
    lines = samples.read_text("utf-8").splitlines()
    types = tmp_path / "types.csv"
    # The stand-in chain knows one department only.
    types.write_text("\n".join([lines[0], lines[2]]), "utf-8")
    assert run("cert", "register-type", "--csv", types, "--key", tmp_path / "governor.key")[0] == 0
    status, out, _ = run("cert", "register-type", "--csv", types, "--key", tmp_path / "governor.key")
    assert status == 1
    assert "TYPE_EXISTS" in out


def day(time_ms: int) -> str:
    return show_time(time_ms)[:10]


def publish(run: Run, sharing: str, *more: str) -> tuple[int, Any, str]:
    return run(
        *("catalogue", "publish", "301000/1", "--name", "不动产登记信息", "--summary", "样本"),
        *("--item", "权利人:C", "--item", "面积:N", "--sharing", sharing, *more, "--json"),
    )


def end_stream(run: Run, chain: Any, consumer: tuple[Any, ...]) -> None:
    """End the consumer's stream of two reads: not with a gap behind its last batch, which would be missing for ever."""
    recorder = address_of(chain.consumer.public_key)
    status, _, err = run("access", "end", recorder.hex())
    assert (status, "[STREAM_UNKNOWN]" in err) == (1, True)
    chain.time_ms += 3_600_000
    status, _, err = run("access", "end", recorder.hex(), *consumer)
    assert (status, "STREAM_NOT_COVERED" in err) == (1, True)
    chain.time_ms -= 3_600_000
    assert run("access", "end", recorder.hex(), *consumer)[0] == 0
    stream = load_stream(chain.state, "11990100MB00000031", recorder)
    assert stream is not None
    assert (stream.number, stream.ended_ms) == (2, chain.time_ms)


def end_suspended_stream(run: Run, chain: Any, folder: Path) -> None:
    """Suspend the consumer while its stream goes on, and end that as its governor, a day later."""
    recorder, department = address_of(chain.consumer.public_key), "11990100MB00000031"
    policy = {"heartbeat_s": 60, "max_batch_records": 10, "on_outage": 1, "stop_after_s": 0}
    chain.call(chain.consumer, "access", "declare_stream", **policy, bodies_at="", second_place="")
    end = ("access", "end", recorder.hex(), "--department", department, "--key", folder / "governor.key")
    status, _, err = run(*end)
    assert (status, "DEPARTMENT_NOT_SUSPENDED" in err) == (1, True)
    chain.call(chain.governor, "members", "suspend_department", code=department, reason="撤并")
    suspended_ms = chain.time_ms
    chain.time_ms += 86_400_000
    assert run(*end)[0] == 0
    stream = load_stream(chain.state, department, recorder)
    assert stream is not None
    assert stream.ended_ms == suspended_ms


def test_data_is_published_requested_granted_read_and_stopped(run: Run, clerk: Any, tmp_path: Path) -> None:
    chain, consumer = clerk.chain, ("--key", tmp_path / "consumer.key", "--json")
    # A read is dated by this machine's clock: the blocks with its grant lie before, a second each.
    chain.time_ms = time.time_ns() // 1_000_000 - 30_000
    first, last = day(chain.time_ms), day(chain.time_ms + 30 * 86_400_000)
    status, out, _ = publish(run, "conditional", "--basis", "办件需要")
    assert (status, out["code"]) == (0, "301000/1")

    asked = (
        *("share", "request", "301000/1", "--purpose", "办件", "--legal-basis", "条例"),
        *("--from", first, "--to", last),
    )
    status, out, _ = run(*asked, "--item", "权利人", *consumer)
    assert (status, out["state"]) == (0, "waiting")
    request = out["request"]
    assert load_request(chain.state, bytes.fromhex(request[2:])) is not None

    status, out, _ = run("share", "grant", request, "--to", last, "--note", "仅限办件", "--json")
    assert (status, out["state"]) == (0, "granted")

    result = tmp_path / "result.json"
    result.write_bytes(b"{}")
    query = tmp_path / "query"
    query.write_bytes(b"q")
    store = tmp_path / "reads.sqlite"
    reading = (
        *("access", "record", request, "--reads", store),
        *("--system", "办件系统", "--case", "案-1", "--query", query),
    )
    status, out, err = run(*reading, "--result", result, *consumer)
    assert (status, out and out["number"]) == (0, 1), err
    nonce = bytes.fromhex(out["nonce"])
    # Who records into a stream that no auditor can look into is told so, until it is mended.
    assert not out["is_open_to_audits"]
    assert run("access", "keep", store, "--once", "--second-place", "市档案馆", *consumer)[0] == 0
    status, out, _ = run(*reading, "--refusal", "QUOTA_EXCEEDED", *consumer)
    assert (status, out["number"], out["is_open_to_audits"]) == (0, 2, True)
    status, _, err = run(*reading, *consumer)
    assert (status, "--result" in err) == (2, True)
    assert run("access", "check", store, "--json")[:2] == (0, {"batches": 2, "findings": []})
    exported = tmp_path / "reads.json"
    assert run("access", "export", store, "--out", exported, "--case", "案-1", "--json")[1]["reads"] == 2
    served, denied = orjson.loads(exported.read_bytes())
    assert (served["outcome"], denied["outcome"]) == (1, 2)
    # Neither digest can be found by trying: they are opened by the nonce alone.
    for name, content in (("query", b"q"), ("result", b"{}")):
        keyed = hmac_sm3(nonce, b"govnode/stated-%b/1\0" % name.encode() + sm3(content))
        assert served["details"][f"{name}_digest"] == "0x" + keyed.hex()
    assert denied["details"]["query_digest"] != served["details"]["query_digest"]
    secret = ("access", "record", request, "--reads", store, "--system", "系统", "--case", "11010519491231002X")
    status, _, err = run(*secret, "--query", query, "--result", result, *consumer)
    assert (status, "IDENTITY_NUMBER" in err) == (1, True)
    assert exported.stat().st_mode & 0o777 == 0o600
    end_stream(run, chain, consumer)
    with sqlite3.connect(store) as database:
        database.execute("DELETE FROM reads WHERE number = 2")
    database.close()
    status, out, _ = run("access", "check", store, "--json")
    assert (status, [one["batch_number"] for one in out["findings"]]) == (1, [2])

    status, out, _ = run("share", "stop", request, "--reason", "办结", *consumer)
    assert (status, out["state"]) == (0, "stopped")
    status, out, _ = run("share", "refuse", request, "--code", "other", "--reason", "已停", "--json")
    assert status == 1
    end_suspended_stream(run, chain, tmp_path)


def test_resource_that_is_not_shared_is_not_to_be_had(run: Run, clerk: Any, tmp_path: Path) -> None:
    assert publish(run, "none", "--basis", "涉密")[0] == 0
    status, _, err = run(
        *("share", "request", "301000/1", "--purpose", "办件", "--legal-basis", "条例"),
        *("--from", "2026-01-01", "--to", "2099-01-01", "--key", tmp_path / "consumer.key"),
    )
    assert (status, "[NOT_SHARED]" in err) == (1, True)


def test_status_is_shown(run: Run, clerk: Any) -> None:
    status, text, _ = run("status")
    assert status == 0
    assert "示范网络 (7)" in text
    assert "未连接：连不上 / not connected: refused" in text
    assert re.search(r"不在的共识节点 / validators away +node2$", text, re.MULTILINE)
    assert re.search(r"尚未投票 / no vote yet from +node2, node3$", text, re.MULTILINE)
    assert re.search(r"轮次 / round +2 prevote$", text, re.MULTILINE)
    assert "弃权：没有签名记录 / abstains: no last-signed record" in text
    assert "网络高度 / network's height" in text


def test_keys_are_made_and_shown(run: Run, clerk: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    status, made, _ = run("keys", "new", path, "--json")
    assert status == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("keys", "show", path, "--json") == (0, made, "")
    status, _, err = run("keys", "new", path)
    assert (status, "KEY_FILE_EXISTS" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cert", "show", "1.2.3"), "IDENTIFIER_MALFORMED"),
        (("cert", "show", "X", "--at", "3 March"), "DATE_MALFORMED"),
        (("cert", "issue", "X"), "USAGE"),
        (("cert", "issue", "X", "--digest", "ab", "--valid-from", "2025-01-01"), "HEX_INVALID"),
        (("cert", "issue", "X", "--digest", "ab" * 32, "--valid-from", "2025-13-01"), "DATE_MALFORMED"),
        (("cert", "issue", "--csv", "none.csv"), "FILE_UNREADABLE"),
        (("cert", "revoke", "X", "--csv", "y"), "USAGE"),
        (("cert", "suspend", "X", "--reason", "y", "--key", "none.key"), "KEY_FILE"),
        (("cert", "suspend", "X", "--reason", "y", "--password-file", "none"), "START"),
        (("cert", "show", "X", "--url", "http://127.0.0.1:1"), "NODE_UNREACHABLE"),
        (("share", "grant", "12", "--to", "2026-01-01"), "HEX_INVALID"),
        (("catalogue", "publish", "1/1", "--name", "a", "--summary", "b", "--item", "c", "--sharing", "none"), "USAGE"),
        (("catalogue", "list"), "NOT_FOUND"),
        (("proof", "export", "X", "--out", "y"), "IDENTIFIER_MALFORMED"),
        (("verify", "none.json"), "FILE_UNREADABLE"),
        (("start", "--config", "none.toml"), "START"),
    ],
)
def test_every_error_is_one_clear_line(run: Run, clerk: Any, arguments: tuple[str, ...], expected: str) -> None:
    status, out, err = run(*arguments)
    assert status in {1, 2}
    assert out == ""
    assert err.count("\n") == 1
    assert f"[{expected}]" in err
    assert " / " in err


def test_wrong_password_and_exposed_password_file_are_named(run: Run, clerk: Any, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    status, _, err = run("cert", "suspend", "X", "--reason", "y")
    assert (status, "[WRONG_PASSWORD]" in err) == (1, True)
    (tmp_path / "password").chmod(0o644)
    status, _, err = run("cert", "suspend", "X", "--reason", "y")
    assert (status, "chmod 600" in err) == (1, True)


def test_without_a_password_file_or_terminal_the_command_says_so(
    run: Run, clerk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOVNODE_PASSWORD_FILE")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    status, _, err = run("cert", "suspend", "X", "--reason", "y")
    assert (status, "[PASSWORD_MISSING]" in err) == (1, True)
