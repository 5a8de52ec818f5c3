"""A batch is prepared in steps that survive a crash anywhere, issued once, and each certificate of it verifies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.batches import BatchRecord, leaf_hash
from contracts.certificate_records import CertificateContent, StatusInterval
from contracts.identifiers import make_identifier
from sdk.certificate_batches import archive as archives
from sdk.certificate_batches import preparation as preparations
from sdk.certificate_batches.archive import BatchArchive, Stage
from sdk.certificate_batches.documents import document_of
from sdk.certificate_batches.issuing import issue_batch
from sdk.errors import CallRefused
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm3 import sm3
from verification.certificate_files.document import content_of, decode_document, encode_file
from verification.certificate_files.seals import BatchSeal, verify_membership, verify_seal
from verification.errors import InputError
from verification.manifest import read_manifest

TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"
SECRET = b"\7" * 32


class Stopped(Exception):
    """The process ends here."""


def identifier_of(place: int) -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"2026{place:07}")


def record_of(office: Any, name: str) -> BatchRecord:
    record: BatchRecord = registry.view(office.node.chain.state, "batches", "batch", 0, name=name)
    return record


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 16, 100, 129])
def test_the_kept_tree_is_the_tree_over_the_leaves(office: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparations, "BLOCK_HASHES", 8)
    monkeypatch.setattr(archives, "BLOCK_HASHES", 8)
    table = office.write([[row[0], *[""] * 4, row[5], "", ""] for row in office.rows(count)])
    with office.open(table) as archive:
        preparation = preparations.BatchPreparation(archive, SECRET, lambda *told: None)
        assert preparation.load(table, lambda asked: set()) == 0
        preparation.draft()
        preparation.build_tree()
        leaves = [leaf_hash(archive.content(position)) for position in range(count)]
        assert archive.tree.root == merkle_root(leaves)
        assert archive.tree.count == count
        for position in {0, count // 2, count - 1}:
            assert archive.path_of(position) == merkle_path(leaves, position)
            assert archive.position(archive.content(position).identifier) == position


def test_a_batch_is_issued_and_each_document_out_of_it_verifies(
    office: Any, cert_batch: Callable[..., Any], run: Callable[..., Any]
) -> None:
    table = office.write(office.rows(21))
    status, ready, _ = cert_batch(table)
    assert status == 3
    assert (ready["stage"], ready["issued_ms"]) == ("signed", None)
    assert office.node.receipts == {}
    status, out, _ = cert_batch(table, "--accept")
    assert status == 0
    assert (out["stage"], out["count"], out["first"], out["last"]) == ("issued", 21, "20260000001", "20260000021")
    record = record_of(office, out["batch"])
    assert (record.root.hex(), record.manifest_digest.hex()) == (out["root"], out["manifest_digest"])
    assert office.archive_path.stat().st_mode & 0o077 == 0
    for place in (1, 8, 21):
        file = office.folder / f"{place}.json"
        options = ("--out", file, "--holder-secret", office.folder / "secret")
        assert run("cert", "archive", "export", office.archive_path, identifier_of(place), *options)[0] == 0
        document = decode_document(file.read_bytes())
        assert document.values[1] == f"张{place}"
        content = content_of(document.core)
        assert isinstance(document.seal, BatchSeal)
        verify_membership(document.seal, content)
        assert verify_seal(document.seal, content.document_digest) == office.chain[0]
        assert (bytes.fromhex(document.seal.root), document.seal.position) == (record.root, place - 1)
        path = [bytes.fromhex(sibling) for sibling in document.seal.path]
        arguments: dict[str, Any] = {"batch": record.name, "position": place - 1, "content": content, "path": path}
        assert registry.view(office.node.chain.state, "batches", "is_in_force", office.node.chain.time_ms, **arguments)
    # A certificate of the batch gets its record by what the archive gives.
    office.node.chain.call(office.node.chain.clerk, "batches", "admit", **arguments)
    _, shown, _ = run("cert", "archive", "show", office.archive_path, identifier_of(21), "--json")
    assert (shown["position"], shown["document_digest"]) == (20, content.document_digest.hex())


def test_the_manifest_is_what_its_digest_is_over_and_names_nobody(office: Any, run: Callable[..., Any]) -> None:
    table = office.write(office.rows(5))
    with office.open(table) as archive:
        office.prepare(archive, table)
        tree = archive.tree
    file = office.folder / "manifest"
    assert run("cert", "archive", "manifest", office.archive_path, "--out", file)[0] == 0
    encoded = file.read_bytes()
    assert tree.manifest_digest == sm3(b"govnode/batch-manifest/1".ljust(64, b"\0") + encoded)
    unpacker = msgspec.msgpack.Decoder(CertificateContent)
    size = len(encoded) // 5
    contents = [unpacker.decode(encoded[start : start + size]) for start in range(0, len(encoded), size)]
    assert [content.identifier for content in contents] == [identifier_of(place) for place in range(1, 6)]
    assert merkle_root([leaf_hash(content) for content in contents]) == tree.root
    assert "张".encode() not in encoded
    # What a node that holds a copy makes of it.
    named = {name: getattr(tree, name) for name in ("name", "first", "last", "count", "root", "manifest_digest")}
    issued = StatusInterval("01", 0, 0, "01", "", bytes(20))
    record = BatchRecord(type_code=TYPE_CODE, issuer=tree.name.split(".")[1], issued=issued, **named)
    member = read_manifest([encoded], record).find(identifier_of(4), lambda start, size: encoded[start : start + size])
    assert member is not None
    assert (member.position, member.content) == (3, contents[3])


def test_a_file_that_cannot_be_written_is_told_of(office: Any, run: Callable[..., Any]) -> None:
    table = office.write(office.rows(2))
    with office.open(table) as archive:
        office.prepare(archive, table)
    status, _, errors = run("cert", "archive", "manifest", office.archive_path, "--out", office.folder / "none" / "x")
    assert status == 1
    assert "FILE_UNWRITABLE" in errors


def test_a_crash_at_any_commit_changes_nothing_of_the_outcome(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparations, "ROWS_AT_ONCE", 5)
    table = office.write(office.rows(10))
    transaction: Any = archives._Transaction
    leave = transaction.__exit__
    left = 0

    def stop_before_a_commit(self: Any, *ended: Any) -> None:
        # Between this commit and the one before nothing else is kept, so that this is every place a crash can be at.
        nonlocal left
        left -= 1
        if left == 0:
            raise Stopped
        leave(self, *ended)

    monkeypatch.setattr(transaction, "__exit__", stop_before_a_commit)
    roots, crashes = set(), 0
    for crashes in range(1, 30):
        left = crashes
        try:
            with office.open(table) as archive:
                office.prepare(archive, table)
        except Stopped:
            pass
        else:
            break
        left = 0
        with office.open(table) as archive:
            office.prepare(archive, table)
            roots.add((archive.tree, archive.count, archive.drafted_count))
            archive.remove()
    # Two of loading, one of serials, one to end it; two of documents; tree; signature; and the run without a crash.
    assert crashes == 9
    assert len(roots) == 1


def test_a_killed_run_is_taken_up_where_it_was(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = office.write(office.rows(10))
    with office.open(table) as archive:
        office.load(archive, table)
    child = f"""
import sys, time
from pathlib import Path
from sdk.certificate_batches import preparation
from sdk.certificate_batches.archive import BatchArchive
preparation.ROWS_AT_ONCE = 4
def told(step, done, total):
    print(done, flush=True)
    if done == 8:
        time.sleep(60)
preparation.BatchPreparation(BatchArchive(Path({str(office.archive_path)!r})), bytes([7]) * 32, told).draft()
"""
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["4\n", "8\n"]
        with pytest.raises(InputError) as caught:
            BatchArchive(office.archive_path)
        assert caught.value.code == "ARCHIVE_BUSY"
        process.send_signal(signal.SIGKILL)
    with office.open(table) as archive:
        assert (archive.stage, archive.drafted_count) == (Stage.LOADED, 8)
        office.prepare(archive, table)
        identifiers = [archive.content(position).identifier for position in range(10)]
    assert identifiers == [identifier_of(place) for place in range(1, 11)]


def test_a_run_cut_off_after_sending_does_not_issue_twice(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = office.write(office.rows(6))
    with office.open(table) as archive:
        office.prepare(archive, table)
        with monkeypatch.context() as patched:
            patched.setattr(BatchArchive, "save_issued", lambda self, issued: (_ for _ in ()).throw(Stopped))
            with pytest.raises(Stopped):
                issue_batch(office.client, archive, is_resumed=False)
    assert len(office.node.receipts) == 1
    issued_ms = office.node.chain.time_ms
    with office.open(table) as archive:
        assert archive.stage == Stage.SIGNED
        # It is known by its root; that the ledger has records under its identifiers by now is no clash.
        content, path = archive.content(2), archive.path_of(2)
        arguments = {"batch": archive.tree.name, "position": 2, "content": content, "path": path}
        office.node.chain.call(office.node.chain.clerk, "batches", "admit", **arguments)
        assert issue_batch(office.client, archive, is_resumed=True).time_ms == issued_ms
        assert issue_batch(office.client, archive, is_resumed=False).time_ms == issued_ms
    assert len(office.node.receipts) == 1


def test_a_transaction_that_comes_late_is_found_after_the_refusal(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = office.write(office.rows(6))
    with office.open(table) as archive:
        office.prepare(archive, table)
        tree = archive.tree
        ledger_says = office.node.methods["gov_call"]

        def before_it_is_final(contract: str, method: str, arguments: dict[str, Any]) -> Any:
            # The first transaction becomes final just after the ledger was asked.
            office.node.methods["gov_call"] = ledger_says
            try:
                return ledger_says(contract, method, arguments)
            finally:
                named = {name: getattr(tree, name) for name in ("first", "last", "count", "root", "manifest_digest")}
                clerk = office.node.chain.clerk
                office.node.chain.call(clerk, "batches", "issue_batch", type_code=TYPE_CODE, **named)

        office.node.methods["gov_call"] = before_it_is_final
        assert issue_batch(office.client, archive, is_resumed=False).height == 0
        assert archive.stage == Stage.ISSUED


def test_a_certificate_issued_since_the_batch_was_prepared_stops_it(office: Any) -> None:
    table = office.write(office.rows(6))
    with office.open(table) as archive:
        office.prepare(archive, table)
    content = {"document_digest": sm3(b"single"), "holder_commitment": sm3(b"holder")}
    days = {"valid_from_ms": office.node.chain.time_ms, "valid_to_ms": office.node.chain.time_ms + 86_400_000}
    clerk = office.node.chain.clerk
    office.node.chain.call(clerk, "certificates", "issue", identifier=identifier_of(4), **content, **days)
    with office.open(table) as archive:
        with pytest.raises(InputError, match=identifier_of(4)) as caught:
            issue_batch(office.client, archive, is_resumed=True)
        assert caught.value.code == "CERTIFICATE_EXISTS"
        assert archive.stage == Stage.SIGNED
    assert office.node.receipts == {}


def test_another_batch_of_the_same_serials_is_told_of(office: Any) -> None:
    table = office.write(office.rows(6))
    with office.open(table) as archive:
        office.prepare(archive, table)
        other = {"first": archive.tree.first, "last": archive.tree.last, "count": 3, "root": bytes([1] * 32)}
        clerk = office.node.chain.clerk
        chain = office.node.chain
        chain.call(clerk, "batches", "issue_batch", type_code=TYPE_CODE, manifest_digest=bytes([2] * 32), **other)
        with pytest.raises(InputError) as caught:
            issue_batch(office.client, archive, is_resumed=False)
        assert caught.value.code == "BATCH_DIFFERS"
        assert archive.stage == Stage.SIGNED


def test_a_corrected_file_begins_anew_where_nothing_was_issued(office: Any, cert_batch: Callable[..., Any]) -> None:
    rows = office.rows(3)
    assert cert_batch(office.write(rows))[0] == 3, "ready, and nobody said yes"
    rows[0][2] = "李四"
    status, _, err = cert_batch(office.write(rows))
    assert (status, "ARCHIVE_OF_ANOTHER" in err, "--anew" in err) == (1, True, True)
    status, out, _ = cert_batch(office.write(rows), "--anew", "--accept")
    assert (status, out["stage"]) == (0, "issued")
    rows[1][2] = "王五"
    status, _, err = cert_batch(office.write(rows))
    assert (status, "ARCHIVE_OF_ANOTHER" in err, "--anew" in err) == (1, True, False)
    assert "BATCH_ISSUED" in cert_batch(office.write(rows), "--anew")[2]
    with BatchArchive(office.archive_path) as archive:
        assert archive.row(identifier_of(3)).holder_name == "李四"
    # The same serials as those of the batch on the ledger: said in the check, before anybody is asked.
    status, _, err = cert_batch(office.write(rows), "--archive", office.folder / "other.govbatch")
    assert (status, "BATCH_DIFFERS" in err) == (1, True)


def test_overlapping_serials_are_refused_by_the_ledger(office: Any) -> None:
    table = office.write(office.rows(6))
    with office.open(table) as archive:
        office.prepare(archive, table)
        clerk, wide = office.node.chain.clerk, {"first": "2026", "last": "2027", "count": 3}
        digests = {"root": bytes([1] * 32), "manifest_digest": bytes([2] * 32)}
        office.node.chain.call(clerk, "batches", "issue_batch", type_code=TYPE_CODE, **wide, **digests)
        with pytest.raises(CallRefused) as caught:
            issue_batch(office.client, archive, is_resumed=False)
        assert caught.value.code == "SERIALS_TAKEN"


def test_an_archive_belongs_to_one_file_and_one_secret(office: Any) -> None:
    table = office.write(office.rows(3))
    with office.open(table) as archive:
        office.prepare(archive, table)
        assert encode_file(document_of(archive, identifier_of(2), SECRET))
        for identifier, secret, code in (
            (identifier_of(2), b"\1" * 32, "SECRET_DIFFERS"),
            (identifier_of(9), SECRET, "NOT_IN_ARCHIVE"),
            ("none", SECRET, "IDENTIFIER_MALFORMED"),
        ):
            with pytest.raises(InputError) as caught:
                document_of(archive, identifier, secret)
            assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        office.open(office.write(office.rows(4)))
    assert caught.value.code == "ARCHIVE_OF_ANOTHER"


def test_a_row_changed_in_the_archive_gives_no_document(office: Any) -> None:
    table = office.write(office.rows(3))
    with office.open(table) as archive:
        office.prepare(archive, table)
        name = identifier_of(2)
        content = archives._CONTENT_ENCODER.encode(archive.row(identifier_of(1)))
        archive._database.execute("UPDATE source_row SET content = ? WHERE identifier = ?", (content, name))
        with pytest.raises(InputError) as caught:
            document_of(archive, name, SECRET)
        assert caught.value.code == "ARCHIVE_DAMAGED"


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_another_file_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.govbatch"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        BatchArchive(path)
    assert caught.value.code == "ARCHIVE_INVALID"
    with pytest.raises(InputError) as caught:
        BatchArchive(tmp_path / "none")
    assert caught.value.code == "ARCHIVE_MISSING"
