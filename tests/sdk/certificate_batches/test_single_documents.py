"""Documents of rows, made and signed one by one, are issued by their own digest and verify against the ledger's record."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.certificate_records import load_certificate
from contracts.identifiers import make_identifier
from sdk.certificate_batches.rows import BatchHead
from sdk.certificate_batches.single_documents import draft_table
from sdk.tables.opening import open_table
from sm_crypto.sm2 import PrivateKey
from verification.certificate_files.document import content_of, decode_document, file_digest
from verification.certificate_files.file_verification import Expectations, verify_document
from verification.errors import InputError

TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"
ROW = {
    "serial": "20260000001",
    "number": "示1号",
    "holder_name": "张三",
    "holder_code_type": "999",
    "holder_code": "N1",
    "valid_from": "2026-05-01",
    "field:坐落": "示例路1号",
    "attachment:宗地图": "map.pdf",
}


def identifier_of(place: int, version: str = "001") -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"2026{place:07}", version)


@pytest.fixture
def clerk(office: Any, cert_batch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The clerk's desk: the environment names key, secret and node, the folder has the chain and a file to attach."""
    monkeypatch.setenv("GOVNODE_URL", office.node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(office.folder / "clerk.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(office.folder / "password"))
    monkeypatch.setenv("GOVNODE_HOLDER_SECRET_FILE", str(office.folder / "secret"))
    (office.folder / "map.pdf").write_bytes(b"%PDF-1.7 map")
    return office


def make(run: Callable[..., Any], office: Any, rows: object, out: Path, *more: object) -> Any:
    table = office.folder / "rows.json"
    table.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    chain = office.folder / "chain.pem"
    return run("cert", "document", table, "--type", TYPE_CODE, "--chain", chain, "--out", out, *more)


def test_a_document_is_made_issued_and_verified(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    holder = PrivateKey.generate()
    path = tmp_path / "one.json"
    status, out, err = make(run, clerk, ROW | {"holder_key": holder.public_key.hex()}, path, "--json")
    assert status == 0, err
    assert path.stat().st_mode & 0o077 == 0
    document = decode_document(path.read_bytes())
    assert (document.core.holder_key, document.core.attachments[0].name) == (holder.public_key.hex(), "宗地图")
    assert load_certificate(clerk.node.chain.state, identifier_of(1)) is None
    status, _, err = run("cert", "issue", "--document", path)
    assert status == 0, err
    record = load_certificate(clerk.node.chain.state, identifier_of(1))
    assert record is not None
    assert record.document_digest.hex() == out["documents"][0]["document_digest"]
    content = content_of(document.core)
    assert record.holder_commitment == content.holder_commitment
    trusted = Expectations(document.seal.signed_ms, (clerk.root,), ledger=content)
    assert verify_document(path.read_bytes(), trusted).code == "GENUINE"
    status, text, _ = make(run, clerk, ROW, tmp_path / "two.json")
    assert (status, "CERTIFICATE_EXISTS" in text) == (1, True)


def test_a_successor_is_issued_by_what_its_document_says(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    assert make(run, clerk, ROW, tmp_path / "old.json")[0] == 0
    assert run("cert", "issue", "--document", tmp_path / "old.json")[0] == 0
    later = ROW | {"version": "002", "predecessor": identifier_of(1), "valid_from": "2027-05-01"}
    assert make(run, clerk, later, tmp_path / "new.json")[0] == 0
    status, _, err = run("cert", "issue", "--document", tmp_path / "new.json")
    assert (status, "PREDECESSOR_DIFFERS" in err) == (1, True)
    status, _, err = run("cert", "change", identifier_of(2), "--document", tmp_path / "new.json", "--reason", "x")
    assert (status, "PREDECESSOR_DIFFERS" in err) == (1, True)
    assert run("cert", "change", "--document", tmp_path / "new.json", "--reason", "地址变更")[0] == 0
    record = load_certificate(clerk.node.chain.state, identifier_of(1))
    assert record is not None
    assert (record.successor, record.history[-1].operation) == (identifier_of(1, "002"), "09")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace("示例路1号", "示例路2号"), "FIELD_CHANGED"),
        (lambda text: text.replace("2026-05-01", "2026-05-02"), "SIGNATURE_INVALID"),
        (lambda text: text.replace('"files"', '"more"'), "DOCUMENT_MALFORMED"),
        (lambda text: text.replace("govnode-certificate/1", "govnode-presentation/1"), "NOT_A_DOCUMENT"),
    ],
)
def test_a_document_that_was_changed_is_not_issued(
    clerk: Any, run: Callable[..., Any], tmp_path: Path, change: Callable[[str], str], code: str
) -> None:
    path = tmp_path / "one.json"
    assert make(run, clerk, ROW, path)[0] == 0
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    status, _, err = run("cert", "issue", "--document", path)
    assert (status, code in err) == (1, True), err
    assert load_certificate(clerk.node.chain.state, identifier_of(1)) is None


def test_many_rows_fill_a_folder_and_a_list_issues_them(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    rows = [ROW | {"serial": f"2026000000{place}"} for place in (1, 2)]
    status, text, _ = make(run, clerk, rows, tmp_path / "made")
    assert (status, f"--document {tmp_path / 'made'}" in text) == (0, True)
    listed = tmp_path / "list.csv"
    files = [f"made/{identifier_of(place)}.json" for place in (1, 2)]
    lines = [f"{identifier_of(place)},2026-05-01,{file}" for place, file in zip((1, 2), files, strict=True)]
    listed.write_text("identifier,valid_from,document\n" + "\n".join(lines) + "\n", "utf-8")
    assert run("cert", "issue", "--csv", listed)[0] == 0
    record = load_certificate(clerk.node.chain.state, identifier_of(2))
    assert record is not None
    assert (
        record.document_digest == content_of(decode_document((tmp_path / files[1]).read_bytes()).core).document_digest
    )
    listed.write_text(f"identifier,valid_from,document\n{identifier_of(3)},2026-05-01,{files[0]}\n", "utf-8")
    assert "CSV_INVALID" in run("cert", "issue", "--csv", listed)[2]


def test_a_folder_of_documents_is_issued_at_once(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    rows = [ROW | {"serial": f"2026000000{place}"} for place in (1, 2, 3)]
    assert make(run, clerk, rows, tmp_path / "made")[0] == 0
    status, out, _ = run("cert", "issue", "--document", tmp_path / "made", "--json")
    assert (status, [one["identifier"] for one in out["results"]]) == (0, [identifier_of(place) for place in (1, 2, 3)])
    later = [ROW | {"serial": f"2027000000{place}", "predecessor": identifier_of(place)} for place in (1, 2)]
    assert make(run, clerk, later, tmp_path / "later")[0] == 0
    assert run("cert", "renew", "--document", tmp_path / "later", "--reason", "换证")[0] == 0
    (tmp_path / "made" / "other.json").write_text("{}")
    for folder in (tmp_path / "made", tmp_path / "later" / ".."):
        assert "NOT_DOCUMENTS" in run("cert", "issue", "--document", folder)[2]


def test_faults_of_rows_are_all_told_and_nothing_is_made(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    rows = [ROW, ROW, ROW | {"serial": "2", "valid_from": "1 May"}]
    status, out, _ = make(run, clerk, rows, tmp_path / "made", "--json")
    assert status == 1
    assert {(one["line"], one["code"]) for one in out["first"]} == {(2, "IDENTIFIER_TWICE"), (3, "DATE_MALFORMED")}
    assert not (tmp_path / "made").exists()


def test_a_document_of_a_batch_is_issued_with_its_batch(
    clerk: Any, cert_batch: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    assert cert_batch(clerk.write(clerk.rows(3)), "--accept")[0] == 0
    file = tmp_path / "member.json"
    assert run("cert", "archive", "export", clerk.archive_path, identifier_of(1), "--out", file)[0] == 0
    status, _, err = run("cert", "issue", "--document", file)
    assert (status, "DOCUMENT_OF_BATCH" in err) == (1, True)


def test_certificates_of_a_batch_have_their_files_and_keys_too(
    clerk: Any, cert_batch: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    holder = PrivateKey.generate()
    columns = ("serial", "valid_from", "holder_key", "attachment:宗地图.pdf")
    rows = [["20260000001", "2026-05-01", holder.public_key.hex(), "map.pdf"], ["20260000002", "2026-05-01", "", ""]]
    assert cert_batch(clerk.write(rows, columns), "--accept")[0] == 0
    export = ("cert", "archive", "export", clerk.archive_path, identifier_of(1), "--out", tmp_path / "one.json")
    status, out, _ = run(*export, "--json")
    assert (status, out["attachments"]) == (0, ["宗地图.pdf"])
    document = decode_document((tmp_path / "one.json").read_bytes())
    assert document.core.holder_key == holder.public_key.hex()
    assert document.files == (file_digest(b"%PDF-1.7 map"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "1",
        "[1]",
        '{"serial": 1}',
        "{}",
        "[]",
        '{"a": "1", "a": "2"}',
        "[" * 100_000,
        r'{"serial": "\ud800"}',
        '{"serial": null}',
    ],
)
def test_json_that_is_no_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        open_table(path)
    assert caught.value.code == "TABLE_INVALID"


_TEXTS = st.text(max_size=40) | st.sampled_from(["20260000001", "2026-05-01", "111", "map.pdf", "../map.pdf", "001"])
_NAMES = st.sampled_from([*ROW, "holder_key", "version", "identifier", "predecessor"]) | st.text(max_size=10)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=12,
)
_ROWS = st.lists(st.dictionaries(_NAMES, _TEXTS, max_size=8), max_size=4)


@given(content=st.binary(max_size=200) | (_VALUES | _ROWS).map(lambda value: json.dumps(value).encode()))
@settings(max_examples=60, deadline=None)
def test_any_json_is_rows_with_their_faults_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-json"
    folder.mkdir(exist_ok=True)
    table = folder / "rows.json"
    table.write_bytes(content)
    head = BatchHead(TYPE_CODE, "不动产权证书", DEPARTMENT, "示范局", "2026-07-01")
    with suppress(InputError):
        drafts, faults = draft_table(table, head, b"\7" * 32, lambda asked: set())
        assert bool(drafts) != bool(faults)


def test_a_file_that_is_there_is_not_overwritten(clerk: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text("kept")
    status, _, err = make(run, clerk, ROW, path)
    assert (status, "FILE_EXISTS" in err, path.read_text()) == (1, True, "kept")


def test_rows_of_json_have_the_columns_of_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"serial": " 1 "}, {}, {"number": "N"}]')
    with open_table(path) as opened:
        assert [(line.number, line.cells) for line in opened] == [(1, ["1", ""]), (3, ["", "N"])]
        assert opened.names == ["serial", "number"]
