"""Status lists as a department and a verifier use them: from the command line, over a node's real REST side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.batches import leaf_hash
from contracts.certificate_records import certificate_key
from node.http.proof_file import encode_proof_file
from sdk.client import Client
from sdk.trust import save_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer, save_key
from sm_crypto.merkle import merkle_path, merkle_root
from tests.hand_made_chain import run
from verification.certificate_files.document import document_secret, draft_document, encode_file, seal_document
from verification.certificate_files.seals import sign_batch
from verification.trust import trust_of_genesis

__all__ = ["run"]

PASSWORD = b"a password of a test"
Run = Callable[..., tuple[int, Any, str]]


@dataclass(frozen=True)
class Desk:
    """What lies on the desk of the issuer's clerk, and of a verifier."""

    site: Any
    scope: str
    folder: Path
    root: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @property
    def key_options(self) -> list[object]:
        return ["--key", self.folder / "land.key", "--password-file", self.folder / "password"]

    @property
    def url(self) -> list[object]:
        return ["--url", self.site.url]

    @property
    def trust(self) -> list[object]:
        return ["--trust", self.folder / "trust.json", "--root", self.folder / "root.pem"]

    def prove(self, identifier: str) -> Path:
        path = self.folder / f"{identifier[-8:]}.proof.json"
        path.write_bytes(encode_proof_file(self.site.world.ledger.record_proof(certificate_key(identifier))))
        return path


@pytest.fixture(scope="module")
def desk(
    make_world: Callable[[], Any],
    serve: Callable[..., Any],
    fill: Callable[[Any], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    world, folder = make_world(), tmp_path_factory.mktemp("desk")
    fill(world)
    root = x509.issue_root("Demo City Root", now_ms=world.genesis.time_ms)
    department = x509.issue_department(root, world.land, "示范市自然资源和规划局", now_ms=world.genesis.time_ms)
    key = world.keys["land"]
    person = x509.issue_person(department, "签章人", key.public_key, now_ms=world.genesis.time_ms)
    chain = (person, department.certificate)
    (folder / "chain.pem").write_bytes("".join(one.pem for one in chain).encode())
    (folder / "root.pem").write_bytes(root.certificate.pem.encode())
    (folder / "password").write_bytes(PASSWORD)
    (folder / "password").chmod(0o600)
    save_key(folder / "land.key", key, PASSWORD, iterations=1_000)
    known = trust_of_genesis(world.genesis)
    save_trust(folder / "trust.json", msgspec.structs.replace(known, root_certificates=()))
    scope = world.certificate.removeprefix("1.2.156.3005.2.").rsplit(".", 3)[0]
    return Desk(serve(world), scope, folder, root.certificate, chain)


@pytest.fixture(autouse=True)
def time_of_the_chain(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients sign by the clock of a chain whose blocks lie some minutes back."""

    def ahead_ms(client: Client) -> int:
        head_ms: int = desk.site.world.ledger.head_time_ms
        return head_ms + 60_000 - time.time_ns() // 1_000_000

    monkeypatch.setattr(Client, "window_ms", property(lambda client: 2 * ahead_ms(client)))


def published(desk: Desk, run: Run, scope: str, name: str, *, is_signed: bool = True) -> Path:
    """Return a list as a verifier has it: made, signed and published by the clerk, fetched by the verifier."""
    made, fetched = desk.folder / f"{name}.made.json", desk.folder / f"{name}.json"
    steps: list[list[object]] = [["make", scope, "--out", made, *desk.url, *desk.key_options]]
    if is_signed:
        steps.append(["sign", made, "--chain", desk.folder / "chain.pem", *desk.key_options])
    steps += [["publish", made, *desk.url, *desk.key_options], ["fetch", scope, "--out", fetched, *desk.url]]
    for step in steps:
        status, _, errors = run("cert", "status-list", *step)
        assert (status, errors) == (0, "")
    assert fetched.read_bytes() == made.read_bytes()
    return fetched


def suspend(desk: Desk, identifier: str) -> None:
    _, refusal = desk.site.world.call("land", "certificates", "suspend", identifier=identifier, reason="核实")
    assert refusal is None, refusal


def test_a_list_tells_offline_what_became_of_a_certificate_since_its_proof(desk: Desk, run: Run) -> None:
    identifier = desk.site.world.issue("2025000091")
    proof = desk.prove(identifier)
    before = published(desk, run, desk.scope, "before")
    suspend(desk, identifier)
    after = published(desk, run, desk.scope, "after")
    status, verdict, _ = run("verify", proof, *desk.trust, "--status-list", before, "--json")
    assert (status, verdict["code"], verdict["freshness"]["code"]) == (0, "IN_FORCE", "CLEAR")
    assert verdict["freshness"]["departments"] == [desk.site.world.land]
    status, verdict, _ = run("verify", proof, *desk.trust, "--status-list", after, "--json")
    assert (status, verdict["code"], verdict["broken_step"]) == (1, "ASK_ONLINE", "freshness")
    status, text, _ = run("verify", proof, *desk.trust, "--status-list", before)
    assert "未被暂停或终止" in text
    assert "neither suspended nor ended" in text
    # What a proof refuses by itself stays refused, and the list is not looked at.
    revoked = desk.prove(desk.site.world.revoked)
    status, verdict, _ = run("verify", revoked, *desk.trust, "--status-list", before, "--json")
    assert (status, verdict["code"], verdict["steps"][-1]["state"]) == (1, "ENDED", "not-reached")
    status, found, _ = run("cert", "status-list", "list", *desk.url, "--json")
    # The later one alone is kept, whatever lists other tests publish.
    assert (status, [one["scope"] for one in found["items"]].count(desk.scope)) == (0, 1)


def test_an_anchored_list_needs_no_root_certificate(desk: Desk, run: Run) -> None:
    held = published(desk, run, desk.scope, "anchored", is_signed=False)
    trust = ["--trust", desk.folder / "trust.json"]
    status, facts, _ = run("cert", "status-list", "check", held, *trust, "--json")
    assert (status, facts["departments"], facts["signatures"]) == (0, [desk.site.world.land], [])
    status, found, _ = run("cert", "status-list", "check", held, desk.site.world.certificate, *trust, "--json")
    assert (status, found["code"]) == (0, "CLEAR")
    status, found, _ = run("cert", "status-list", "check", held, desk.site.world.revoked, *trust, "--json")
    assert (status, found["code"]) == (1, "ASK_ONLINE")
    status, _, errors = run("cert", "status-list", "check", held, *trust, "--list-from", desk.site.world.housing)
    assert status == 1
    assert "STATUS_LIST_NOT_VOUCHED" in errors


def test_a_folder_of_proofs_is_verified_with_the_lists_that_are_about_them(
    desk: Desk, run: Run, tmp_path: Path
) -> None:
    kept, lost = (desk.site.world.issue(f"202500018{place}") for place in range(2))
    for identifier in (kept, lost):
        desk.prove(identifier).rename(tmp_path / f"{identifier[-8:-6]}.json")
    suspend(desk, lost)
    held = published(desk, run, desk.scope, "folder", is_signed=False)
    check = ["verify", "list", tmp_path, "--trust", desk.folder / "trust.json", "--json"]
    status, report, _ = run(*check)
    assert (status, [item["verdict"] for item in report["items"]]) == (0, ["IN_FORCE", "IN_FORCE"])
    status, report, _ = run(*check, "--status-list", held)
    assert (status, [item["verdict"] for item in report["items"]]) == (1, ["IN_FORCE", "ASK_ONLINE"])
    assert [item["findings"][0]["code"] for item in report["items"]] == ["CLEAR", "ASK_ONLINE"]
    name, _ = batch_documents(desk, 900_001, 2, "9999-12-31")
    others = published(desk, run, name, "others", is_signed=False)
    status, report, _ = run(*check, "--status-list", others)
    assert (status, {item["findings"][0]["code"] for item in report["items"]}) == (0, {"NO_STATUS_LIST"})
    status, _, errors = run(*check, "--status-list", desk.folder / "trust.json")
    assert (status, "STATUS_LIST_MALFORMED" in errors) == (1, True)
    (tmp_path / "list.csv").write_text("x")
    assert run("verify", "list", tmp_path / "list.csv", "--status-list", held)[0] == 2


def test_another_department_vouches_beside_the_issuer_and_does_not_publish(desk: Desk, run: Run) -> None:
    held = published(desk, run, desk.scope, "both")
    save_key(desk.folder / "housing.key", desk.site.world.keys["housing"], PASSWORD, iterations=1_000)
    housing = [*desk.url, "--key", desk.folder / "housing.key", "--password-file", desk.folder / "password"]
    height = desk.site.world.ledger.height
    status, _, errors = run("cert", "status-list", "publish", held, *housing)
    assert (status, desk.site.world.ledger.height) == (1, height)
    assert "OTHER_DEPARTMENT" in errors
    assert run("cert", "status-list", "anchor", held, *housing)[0] == 0
    check = ["check", held, *desk.trust, "--list-from", desk.site.world.housing, "--json"]
    status, facts, _ = run("cert", "status-list", *check)
    assert (status, facts["departments"]) == (0, [desk.site.world.land, desk.site.world.housing])
    assert run("cert", "status-list", "compare", held, *housing)[0] == 0
    # Once more changes nothing but the proof.
    assert run("cert", "status-list", "publish", held, *desk.url, *desk.key_options)[0] == 0
    assert run("cert", "status-list", *check)[1]["anchors"] == 2


def test_what_is_not_the_ledgers_word_is_not_anchored(desk: Desk, run: Run) -> None:
    made = desk.folder / "forged.json"
    run("cert", "status-list", "make", desk.scope, "--out", made, *desk.url, *desk.key_options)
    content = json.loads(made.read_text())
    made.write_text(json.dumps(content | {"block_id": "00" * 32}))
    height = desk.site.world.ledger.height
    for command in ("publish", "compare"):
        status, _, errors = run("cert", "status-list", command, made, *desk.url, *desk.key_options)
        assert status == 1
        assert "STATUS_LIST_DIFFERS" in errors
    assert desk.site.world.ledger.height == height


def test_what_is_not_there_is_told(desk: Desk, run: Run) -> None:
    out = ["--out", desk.folder / "none.json"]
    cases: list[tuple[str, list[object]]] = [
        ("NOT_FOUND", ["fetch", f"{desk.scope}.77", *out, *desk.url]),
        ("STATUS_LIST_SCOPE_MALFORMED", ["fetch", "x", *out, *desk.url]),
        ("STATUS_LIST_MALFORMED", ["check", desk.folder / "trust.json", *desk.trust]),
        ("FILE_UNREADABLE", ["check", desk.folder / "nothing.json", *desk.trust]),
    ]
    for code, arguments in cases:
        status, _, errors = run("cert", "status-list", *arguments)
        assert (status, code in errors) == (1, True), errors


def batch_documents(desk: Desk, first: int, count: int, valid_to: str) -> tuple[str, list[Path]]:
    """Issue a batch of documents on the ledger; return its name, and the files that its holders have."""
    world = desk.site.world
    drafts = []
    for serial in range(first, first + count):
        identifier = world.identifier(str(serial))
        metadata = {
            "ZZBS": identifier,
            "ZZMC": "不动产权证书",
            "ZZBFJG": "示范市自然资源和规划局",
            "ZZBFRQ": "2020-01-01",
            "ZZYXQQSRQ": "2020-01-01",
            "ZZYXQJZRQ": valid_to,
        }
        drafts.append(
            draft_document(metadata, [("坐落", f"示例路{serial}号")], [], document_secret(b"\7" * 32, identifier))
        )
    leaves = [leaf_hash(draft.content) for draft in drafts]
    name = f"{desk.scope}.{first}"
    root = merkle_root(leaves)
    _, refusal = world.call(
        "land",
        "batches",
        "issue_batch",
        type_code=desk.scope.split(".")[0],
        first=str(first),
        last=str(first + count - 1),
        count=count,
        root=root,
        manifest_digest=b"\1" * 32,
    )
    assert refusal is None, refusal
    signature = sign_batch(
        name, count, root, b"\1" * 32, Signer(world.keys["land"]), desk.chain, world.ledger.head_time_ms
    )
    paths = []
    for place, draft in enumerate(drafts):
        path = desk.folder / f"{name[-6:]}.{place}.json"
        path.write_bytes(encode_file(seal_document(draft, signature.seal(place, merkle_path(leaves, place)))))
        paths.append(path)
    content, path_to_root = drafts[1].content, merkle_path(leaves, 1)
    _, refusal = world.call("land", "batches", "admit", batch=name, position=1, content=content, path=path_to_root)
    assert refusal is None, refusal
    suspend(desk, content.identifier)
    return name, paths


def test_a_document_of_a_batch_and_a_list_need_no_proof(desk: Desk, run: Run) -> None:
    name, paths = batch_documents(desk, 700_001, 3, "9999-12-31")
    of_batch = published(desk, run, name, "batch")
    by_hash = published(desk, run, desk.scope, "by-hash")
    for path, held, expected in (
        (paths[0], of_batch, (0, "GENUINE")),
        (paths[1], of_batch, (1, "SUSPENDED")),
        (paths[0], by_hash, (0, "GENUINE")),
        (paths[1], by_hash, (1, "ASK_ONLINE")),
    ):
        arguments = ("check", held, "--document", path, *desk.trust, "--json")
        status, found, _ = run("cert", "status-list", *arguments)
        assert (status, found["code"]) == expected
    position = ("check", of_batch, desk.site.world.identifier("700002"), "--position", "1", *desk.trust)
    status, text, _ = run("cert", "status-list", *position)
    assert (status, "[SUSPENDED]" in text) == (1, True)


def test_a_document_that_is_wrong_by_itself_is_refused_whatever_the_list(desk: Desk, run: Run) -> None:
    name, paths = batch_documents(desk, 800_001, 2, "2020-12-31")
    held = published(desk, run, name, "expired")
    check = ("check", held, "--document", paths[0], "--json")
    status, found, _ = run("cert", "status-list", *check, *desk.trust)
    assert (status, found["code"]) == (1, "EXPIRED")
    changed = json.loads(paths[0].read_text())
    changed["values"][-1] = "示例路999号"
    paths[0].write_text(json.dumps(changed))
    status, found, _ = run("cert", "status-list", *check, *desk.trust)
    assert (status, found["code"]) == (1, "FIELD_CHANGED")
    status, found, _ = run("cert", "status-list", *check, "--trust", desk.folder / "trust.json")
    assert (status, found["code"]) == (1, "TRUST_MISSING")
