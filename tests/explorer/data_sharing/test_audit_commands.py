"""`govnode audit` as an auditor and a department use it: a trace from a node and a recorder's service, findings, signed reports."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pypdfium2
import pytest

from contracts.accounts import AUDITOR
from contracts.data_sharing.access import FIRST_PREVIOUS_DIGEST, GO_ON, SERVED
from contracts.data_sharing.audits import load_query
from contracts.data_sharing.conditions import Conditions
from explorer.auth import Caller
from node.chain.transaction import address_of
from sdk.access_recording.read_store import KeptRead, ReadStore
from sdk.gateway.denials import Denied
from sdk.gateway.shown_records import ShownRecords
from sdk.trust import save_trust
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import sm3
from tests.endings import end_thread
from tests.hand_made_chain import run
from tests.verification.access.audit_world import draft_read
from verification.access.reads import batch_root, decode_read, encode_read, number_read, read_digest
from verification.trust import trust_of_genesis

__all__ = ["run"]

RESOURCE = "330000001/000001"
PURPOSE = "核验购房人名下不动产"
MANDATE = "审通〔2026〕7号"


class RecorderService:
    """Answers /gov/records over HTTP from a store, as a gateway does; `is_away` and `reads` are the test's to change."""

    def __init__(self, world: Any, store: ReadStore) -> None:
        self.queries: list[str] = []
        self.is_away = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = service.answer(world, store, self.path, dict(self.headers))
                raw = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: object) -> None:
                """Keep the test's output free of it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, world: Any, store: ReadStore, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        if self.is_away:
            return 503, {"code": "RECORDING_STOPPED", "zh": "x", "en": "x"}
        caller = Caller(address_of(bytes.fromhex(headers["Gov-Key"])), world.bureau, frozenset({AUDITOR}))

        def recorded_ms(number: int, account: bytes, digest: bytes) -> int:
            found = load_query(world.ledger.state(), number)
            is_it = found is not None and (found.account, found.digest) == (account, digest)
            return found.recorded_ms if found is not None and is_it else 0

        try:
            self.queries.append(headers.get("Gov-Audit-Query", ""))
            shown = ShownRecords(store, recorded_ms, lambda: world.ledger.head_time_ms)
            return 200, shown.answer(caller, dict(parse_qsl(urlsplit(path).query)), headers)
        except Denied as denied:
            return 403, {"code": denied.code, "zh": "x", "en": "x"}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        end_thread(self.thread)


@pytest.fixture(scope="module")
def audited(
    make_world: Callable[[], Any],
    serve: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """A served world whose land bureau has recorded three reads, one of them for another purpose, and ended its stream."""
    world = make_world()
    # Clients date what they send by the machine's clock.
    world.make_block([], after_ms=time.time_ns() // 1_000_000 - world.ledger.head_time_ms - 60_000)
    share(world)
    folder = tmp_path_factory.mktemp("audit")
    recorder = address_of(world.keys["land"].public_key)
    store = ReadStore(folder / "reads.sqlite", world.land, recorder, world.ledger.head_time_ms)
    service = RecorderService(world, store)
    record_reads(world, store, recorder, service.url)
    assert world.call("governor", "audits", "name_authority", department=world.bureau)[1] is None
    save_trust(folder / "trust.json", trust_of_genesis(world.genesis))
    (folder / "password").write_bytes(b"audit password")
    (folder / "password").chmod(0o600)
    for account in ("auditor", "land"):
        save_key(folder / f"{account}.json", world.keys[account], b"audit password", iterations=1_000)
    site = serve(world)
    site.folder, site.service = folder, service
    yield site
    service.stop()
    store.close()


def share(world: Any) -> None:
    """Let the housing bureau read what the land bureau publishes."""
    world.publish(RESOURCE, "不动产登记信息")
    now_ms = world.ledger.head_time_ms
    asked: dict[str, Any] = {"resource": RESOURCE, "purpose": PURPOSE, "legal_basis": "政务数据共享条例", "items": []}
    period = {"case_types": [], "rows_per_day": 0, "from_ms": now_ms - 60_000, "to_ms": now_ms + 86_400_000}
    world.grant, refusal = world.call("housing", "sharing", "request", **asked, **period)
    assert refusal is None
    granted = {"request": world.grant, "conditions": Conditions(), "to_ms": period["to_ms"]}
    assert world.call("land", "sharing", "grant", **granted)[1] is None


def record_reads(world: Any, store: ReadStore, recorder: bytes, url: str) -> None:
    policy = {"heartbeat_s": 3_600, "max_batch_records": 100, "on_outage": GO_ON, "stop_after_s": 0}
    declared = world.call("land", "access", "declare_stream", bodies_at=url, second_place="", **policy)
    assert declared[1] is None
    parties = {"grant": world.grant, "resource": RESOURCE, "provider": world.land, "consumer": world.housing}
    begin_ms = world.ledger.head_time_ms
    previous, reads = FIRST_PREVIOUS_DIGEST, []
    for number, purpose in enumerate((PURPOSE, "催收欠款", PURPOSE), 1):
        said: dict[str, Any] = {**parties, "purpose": purpose, "columns": ("权利人",), "at_ms": begin_ms + number}
        draft = draft_read(number, **said)
        read = number_read(draft, world.land, recorder, number, previous, begin_ms + number)
        previous = read_digest(read)
        reads.append(KeptRead(read, previous, encode_read(read)))
    store.keep_reads(reads)
    recorded = world.call(
        "land",
        "access",
        "record_batch",
        batch_number=1,
        first_number=1,
        count=3,
        previous_digest=FIRST_PREVIOUS_DIGEST,
        last_digest=previous,
        root=batch_root([one.digest for one in reads]),
        from_ms=begin_ms,
        to_ms=begin_ms + 100,
        served=3,
        denied=0,
        irregular=0,
        rows=3,
    )
    assert recorded[1] is None
    assert {read.read.outcome for read in reads} == {SERVED}
    assert world.call("land", "access", "end_stream", recorder=recorder)[1] is None


@pytest.fixture
def audit(audited: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Run `govnode audit …` with the node, the trust file and an account's key given."""

    def call(*arguments: object, account: str = "auditor") -> Any:
        folder = audited.folder
        words: list[object] = ["audit", *arguments]
        if arguments[0] != "verify":
            words += ["--url", audited.url, "--key", folder / f"{account}.json"]
            words += ["--password-file", folder / "password"]
        if arguments[0] in {"trace", "verify", "findings", "report"}:
            words += ["--trust", folder / "trust.json"]
        return run(*words, "--json")

    return call


@pytest.fixture
def trace(audited: Any, audit: Callable[..., Any], tmp_path: Path) -> Path:
    path = tmp_path / "trace.gvt"
    status, shown, err = audit("trace", "--from", "2020-01-01", "--basis", MANDATE, "--out", path)
    assert status == 0, (shown, err)
    assert (shown["is_complete"], shown["matches"], shown["altered"]) == (True, 3, [])
    return path


def test_an_auditors_query_is_recorded_before_it_is_answered(
    audited: Any, audit: Callable[..., Any], trace: Path
) -> None:
    _, shown, _ = audit("verify", trace)
    record = load_query(audited.world.ledger.state(), shown["query"])
    assert record is not None
    assert (record.basis, record.kind, record.digest.hex()) == (MANDATE, "trace", shown["query_digest"])
    assert audited.service.queries[-1] == str(shown["query"])
    _, listed, _ = audit("queries")
    assert listed["items"][0]["number"] == shown["query"]


def test_a_period_ends_at_the_newest_block_at_the_latest(
    audited: Any, audit: Callable[..., Any], tmp_path: Path
) -> None:
    """A day that is not over or not there yet is answered for as far as the ledger goes, and the file says how far that is."""
    asked = ("trace", "--basis", MANDATE, "--out", tmp_path / "t.gvt")
    status, shown, err = audit(*asked, "--from", "2020-01-01", "--to", "2999-12-31")
    assert (status, shown["is_complete"], shown["matches"]) == (0, True, 3), err
    assert (
        shown["covered_until_ms"] == shown["filter"]["to_ms"] <= shown["time_ms"] == audited.world.ledger.head_time_ms
    )
    for days, code in (
        (("2999-12-31", "2999-12-31"), "PERIOD_NOT_BEGUN"),
        (("2020-01-02", "2020-01-01"), "DATES_REVERSED"),
    ):
        status, _, err = audit(*asked, "--from", days[0], "--to", days[1])
        assert (status, json.loads(err)["error"]["code"]) == (1, code)


def test_a_node_that_stands_still_shortens_no_period(
    audit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = time.time_ns() // 1_000_000 + 20 * 86_400_000
    monkeypatch.setattr("sdk.access_audit.traces.now_ms", lambda: now_ms)
    asked = ("trace", "--from", "2020-01-01", "--basis", MANDATE, "--out", tmp_path / "t.gvt")
    status, shown, _ = audit(*asked, "--to", "2999-12-31")
    assert (status, shown["filter"]["to_ms"], shown["reaches_end"], shown["is_complete"]) == (3, now_ms, False, False)
    assert audit(*asked)[0] == 3


def test_an_auditor_without_a_mandate_gets_nothing(audit: Callable[..., Any], tmp_path: Path) -> None:
    status, _, err = audit("trace", "--from", "2020-01-01", "--out", tmp_path / "t")
    assert (status, json.loads(err)["error"]["code"]) == (1, "BASIS_MISSING")
    assert not (tmp_path / "t").exists()


def test_a_trace_is_verified_by_govnode_verify_too(audited: Any, run: Callable[..., Any], trace: Path) -> None:
    command = ("verify", trace, "--trust", audited.folder / "trust.json", "--json")
    status, shown, _ = run(*command)
    assert (status, shown["is_complete"], shown["reads"]) == (0, True, 3)
    raw = bytearray(trace.read_bytes())
    raw[-40] ^= 1
    trace.write_bytes(raw)
    status, shown, _ = run(*command)
    assert (status, shown["is_sound"]) == (1, False)


def test_a_recorder_that_gives_nothing_is_named(audited: Any, audit: Callable[..., Any], tmp_path: Path) -> None:
    audited.service.is_away = True
    try:
        status, shown, _ = audit("trace", "--from", "2020-01-01", "--basis", MANDATE, "--out", tmp_path / "t")
    finally:
        audited.service.is_away = False
    assert (status, shown["is_sound"], shown["is_complete"]) == (3, True, False)
    (withheld,) = shown["withheld"]
    assert (withheld["count"], withheld["first_number"]) == (3, 1)
    assert "RECORDING_STOPPED" in withheld["reason"]


STORE_TAMPERING = {
    "remove": (("DELETE FROM reads WHERE number = 2",), {("READ_REMOVED", 2)}),
    "insert": (("UPDATE reads SET body = (SELECT body FROM reads WHERE number = 3) WHERE number = 2",),
               {("READ_INSERTED", 3), ("READ_REMOVED", 2)}),
    "reorder": (("UPDATE reads SET number = 9 WHERE number = 2", "UPDATE reads SET number = 2 WHERE number = 3",
                 "UPDATE reads SET number = 3 WHERE number = 9"), {("READS_REORDERED", 2)}),
    "edit": (("UPDATE reads SET body = changed(body, 'rows', 500) WHERE number = 2",), {("READ_EDITED", 2)}),
    "date back": (("UPDATE reads SET body = changed(body, 'read_ms', 1) WHERE number = 2",),
                  {("READ_EDITED", 2), ("BACK_DATED", 2)}),
    "drop all": (("DELETE FROM reads",), {("READ_REMOVED", 1), ("READ_REMOVED", 2), ("READ_REMOVED", 3)}),
}  # fmt: skip
"""What somebody does to the database file of a recorder, and what a trace from it says: batch 1 has reads 1 to 3."""


def changed_body(body: bytes, field: str, value: int) -> bytes:
    """Return an encoded read with another value of one field."""
    read = decode_read(body)
    if field == "rows":
        return encode_read(msgspec.structs.replace(read, details=msgspec.structs.replace(read.details, rows=value)))
    return encode_read(msgspec.structs.replace(read, **{field: value}))


@pytest.mark.parametrize("name", STORE_TAMPERING)
def test_a_tampered_store_is_named_and_the_recorders_service_asked_next(
    audited: Any, audit: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    statements, expected = STORE_TAMPERING[name]
    copy = tmp_path / "copy.sqlite"
    with contextlib.closing(sqlite3.connect(audited.folder / "reads.sqlite")) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as database:
        database.create_function("changed", 3, changed_body)
        database.execute("INSERT INTO batches VALUES (1, 1, 3, x'', x'', x'', 0, 0, 3, 0, 0, 3, 1, 1)")
        for statement in statements:
            database.execute(statement)
    command = ("trace", "--from", "2020-01-01", "--basis", MANDATE, "--store", copy, "--out", tmp_path / "t.gvt")
    status, shown, err = audit(*command)
    assert (status, shown["is_complete"], shown["matches"]) == (0, True, 3), err
    assert {(one["code"], int(one["en"].rpartition("read ")[2].rstrip(")"))) for one in shown["altered"]} == expected
    assert all("batch 1" in one["en"] and one["place"] == "copy.sqlite" for one in shown["altered"])


def test_findings_are_raised_once_explained_and_closed(
    audited: Any, audit: Callable[..., Any], trace: Path, tmp_path: Path
) -> None:
    command = ("findings", trace, "--raise", "--evidence", tmp_path / "evidence", "--reference", "审函1号")
    rules = tmp_path / "rules.toml"
    rules.write_text('without = ["OUTSIDE_HOURS"]\n', "utf-8")
    status, shown, err = audit(*command, "--rules", rules)
    assert status == 0, err
    found = [(one["subject"]["rule"], one["numbers"], one["why"]) for one in shown["findings"]]
    assert found == [("OUTSIDE_PURPOSE", [2], "用途与授权不符 / another purpose than the grant's")]
    number = shown["raised"]["0"]
    evidence = list((tmp_path / "evidence").iterdir())
    assert len(evidence) == 1
    _, again, _ = audit(*command, "--rules", rules)
    assert again["raised"] == {"0": number}
    assert list((tmp_path / "evidence").iterdir()) == evidence
    _, listed, _ = audit("findings", "--state", "raised")
    (item,) = [one for one in listed["items"] if one["number"] == number]
    assert item["history"][0]["digest"] == "0x" + sm3(evidence[0].read_bytes()).hex()
    status, one, err = audit("finding", number, "--evidence", evidence[0])
    assert status == 0, err
    assert (one["evidence"]["numbers"], one["evidence"]["subject"]["rule"]) == ([2], "OUTSIDE_PURPOSE")
    letter = tmp_path / "letter.txt"
    letter.write_text("经查属误操作，已整改。", "utf-8")
    status, _, err = audit("explain", number, "--letter", letter, account="land")
    assert (status, json.loads(err)["error"]["code"]) == (1, "FINDING_OF_OTHERS"), (
        "it is the housing bureau's to explain"
    )
    for step in ("confirm", "close"):
        status, shown, err = audit(step, number, "--letter", letter, "--reference", "审决1号")
        assert status == 0, err
    found_item = audited.get_signed("auditor", f"/api/v1/audits/findings/{number}").json()
    assert [one["state"] for one in found_item["history"]] == ["raised", "confirmed", "closed"]


def test_published_figures_are_what_findings_are_judged_by(
    audited: Any, audit: Callable[..., Any], run: Callable[..., Any], trace: Path
) -> None:
    first_day = "2100-01-01"
    for figures, code in (
        (("late=1",), "FIGURE_INVALID"),
        (("day_to_minute=1441",), "FIGURE_INVALID"),
        ((), "LIST_EMPTY"),
    ):
        status, _, err = audit("set-figures", *figures, "--basis", "审规1号", "--from", first_day)
        assert (status, json.loads(err)["error"]["code"]) == (1, code)
    own = ("--department", audited.world.housing, "day_to_minute=1320", "only_working_days=0")
    status, shown, err = audit("set-figures", *own, "--basis", "审规1号", "--from", first_day)
    assert (status, shown["subject"]) == (0, audited.world.housing), err
    status, _, err = audit("set-figures", *own, "--basis", "审规1号", "--from", first_day, account="land")
    assert (status, json.loads(err)["error"]["code"]) == (1, "ROLE_MISSING")
    status, shown, _ = run("audit", "figures", "--url", audited.url, "--json")
    assert [(row["figure"], row["value"]) for row in shown["items"][0]["rows"]] == [
        ("day_to_minute", 1_320),
        ("only_working_days", 0),
    ]
    assert shown["built_in"]["day_to_minute"] == 1_200
    status, shown, err = audit("findings", trace)
    assert (status, shown["figures"]) == (0, "内置 / built in"), "what is published begins in 2100"


def test_a_faulty_table_of_rules_is_refused_by_name(audit: Callable[..., Any], trace: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    for text in ("late_s = -1", "unknown = 1", 'without = ["ODD"]', "= ="):
        rules.write_text(text, "utf-8")
        status, _, err = audit("findings", trace, "--rules", rules)
        assert (status, json.loads(err)["error"]["code"]) == (1, "RULES_INVALID")


def test_reports_are_signed_and_a_changed_one_is_refused(
    audit: Callable[..., Any], trace: Path, tmp_path: Path
) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("pdf", "csv", "reads-csv")}
    options: list[object] = []
    for name, path in files.items():
        options += [f"--{name}", path]
    status, shown, err = audit("report", trace, *options)
    assert status == 0, err
    assert len(shown["files"]) == 6
    page = pypdfium2.PdfDocument(files["pdf"].read_bytes())[0].get_textpage().get_text_range()
    assert MANDATE in page
    assert "不动产登记信息" in page, "what the finding's grant is about, by its name"
    lines = files["reads-csv"].read_text("utf-8-sig").splitlines()
    assert [f",{RESOURCE},不动产登记信息," in line for line in lines] == [False, True, True, True]
    for path in files.values():
        status, signed, _ = audit("verify", path)
        assert status == 0
        assert signed["trace_sm3"] == sm3(trace.read_bytes()).hex()
    with files["csv"].open("ab") as file:
        file.write(b"one more\r\n")
    status, _, err = audit("verify", files["csv"])
    assert (status, json.loads(err)["error"]["code"]) == (1, "REPORT_DIFFERS")


def test_only_an_auditor_signs_reports(audit: Callable[..., Any], trace: Path, tmp_path: Path) -> None:
    status, _, err = audit("report", trace, "--csv", tmp_path / "r.csv", account="land")
    assert (status, json.loads(err)["error"]["code"]) == (1, "NOT_AN_AUDITOR")
    assert not (tmp_path / "r.csv").exists()


def test_a_signature_that_is_changed_is_refused(audit: Callable[..., Any], trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    assert audit("report", trace, "--csv", path)[0] == 0
    beside = tmp_path / "r.csv.sig.json"
    content = msgspec.json.decode(beside.read_bytes())
    changes = (
        ({"signed_ms": content["signed_ms"] + 1}, "SIGNATURE_INVALID"),
        ({"trace_sm3": "00" * 32}, "SIGNATURE_INVALID"),
        ({"account_proof": content["account_proof"][:-2] + "00"}, "ACCOUNT_UNPROVED"),
        ({"format": "x"}, "SIGNATURE_MALFORMED"),
    )
    for change, code in changes:
        beside.write_bytes(msgspec.json.encode(content | change))
        status, _, err = audit("verify", path)
        assert (status, json.loads(err)["error"]["code"]) == (1, code)


def test_a_department_traces_its_own_stream_without_a_query(
    audited: Any, audit: Callable[..., Any], tmp_path: Path
) -> None:
    """The stand-in answers auditors only, so the reads are withheld; but no query is recorded and the trace is sound."""
    before = audited.get("/api/v1/audits/authority").json()["queries"]
    status, shown, err = audit("trace", "--from", "2020-01-01", "--out", tmp_path / "t", account="land")
    assert (status, shown["query"], shown["is_sound"]) == (3, 0, True), err
    assert shown["filter"]["recorded_by"] == [audited.world.land]
    assert audited.get("/api/v1/audits/authority").json()["queries"] == before
