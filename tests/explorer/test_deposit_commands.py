"""A counter leaves a holder's presentation at a node and prints its link; a bank verifies it, until it is withdrawn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from explorer.code_reading_process import find_codes
from sdk.trust import save_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import run
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import document_secret, draft_document, encode_file, seal_document
from verification.certificate_files.presentation import bind_presentation, present
from verification.certificate_files.seals import sign_document
from verification.days import show_day
from verification.trust import trust_of_genesis

__all__ = ["run"]

PASSWORD = b"a password of a test"
DAY_MS = 86_400_000
BANK = "示例银行"
Run = Callable[..., tuple[int, Any, str]]


@dataclass(frozen=True)
class Counter:
    """A department's counter with a presentation and a copy for the same bank, both good for a week and a day."""

    site: Any
    folder: Path
    trust: tuple[object, ...]

    @property
    def account(self) -> tuple[object, ...]:
        return "--url", self.site.url, "--key", self.folder / "land.key", "--password-file", self.folder / "password"


def day_in(days: int) -> str:
    return show_day(time.time_ns() // 1_000_000 + days * DAY_MS)


@pytest.fixture(scope="module")
def counter(
    make_world: Callable[[], Any],
    fill: Callable[[Any], None],
    serve: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Counter:
    world, folder, now_ms = make_world(), tmp_path_factory.mktemp("counter"), time.time_ns() // 1_000_000 - 1_000
    fill(world)
    key, holder = world.keys["land"], Signer(PrivateKey.generate())
    department = x509.issue_department(world.root, world.land, "示范市自然资源和规划局", now_ms=world.genesis.time_ms)
    person = x509.issue_person(department, "签章人", key.public_key, now_ms=world.genesis.time_ms)
    chain = (person, department.certificate)
    identifier = world.identifier("2025300001")
    metadata = {
        "ZZBS": identifier,
        "ZZMC": "不动产权证书",
        "ZZBFJG": "示范市自然资源和规划局",
        "ZZBFRQ": "2025-01-01",
        "ZZYXQQSRQ": "2025-01-01",
        "CZZT": "张三",
        "CZZTDM": "990101199001011234",
        "CZZTDMLXDM": "111",
    }
    secret = document_secret(b"\7" * 32, identifier)
    draft = draft_document(metadata, [("坐落", "示例路1号")], [], secret, holder_key=holder.public_key)
    assert world.call("land", "certificates", "issue", **msgspec.structs.asdict(draft.content))[1] is None
    document = seal_document(draft, sign_document(draft.digest, Signer(key), chain, now_ms))
    end_ms = now_ms + 8 * DAY_MS
    shown = bind_presentation(present(document, ["坐落"]), holder, BANK, "贷款", now_ms, end_ms)
    to_maker = bind_presentation(
        present(document, ["坐落"]), holder, "示范市自然资源和规划局", "制作加注件", now_ms, end_ms
    )
    copy = make_annotated_copy(
        to_maker, Signer(key), chain, made_ms=now_ms, reason="办理贷款", recipient=BANK, expires_ms=end_ms
    )
    for name, file in (("document", document), ("shown", shown), ("copy", copy)):
        (folder / f"{name}.json").write_bytes(encode_file(file))
    save_key(folder / "land.key", key, PASSWORD, iterations=1_000)
    (folder / "password").write_bytes(PASSWORD)
    (folder / "password").chmod(0o600)
    save_trust(folder / "trust.json", trust_of_genesis(world.genesis))
    return Counter(serve(world), folder, ("--trust", folder / "trust.json", "--recipient", BANK, "--json"))


def ids_of(listed: dict[str, Any]) -> set[str]:
    return {one["id"] for one in listed["items"]}


def test_a_deposit_is_made_verified_and_withdrawn(
    run: Run, counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That photos are read in a process of their own is tested elsewhere.
    monkeypatch.setattr("explorer.code_reader.read_texts", lambda raw: find_codes(raw).texts)
    out, until = tmp_path / "link.png", day_in(7)
    others = ids_of(run("cert", "deposits", *counter.account, "--json")[1])
    made = ("cert", "deposit", counter.folder / "shown.json", "--until", until, *counter.account, "--json")
    status, result, errors = run(*made, "--link", "https://verify.example.cn", "--out", out)
    assert status == 0, errors
    link = result["link"]
    assert link.startswith(f"HTTPS://VERIFY.EXAMPLE.CN/P/{result['id']}#")
    assert find_codes(out.read_bytes()).texts == (link,)
    assert result["print_mm"] < 30
    # By the link, by a file of it and by a photo of its code, from any node that has it, whatever the link says.
    (tmp_path / "link.txt").write_text(link + "\n")
    for given in (link, tmp_path / "link.txt", out):
        status, verdict, errors = run("verify", given, "--url", counter.site.url, *counter.trust)
        assert (status, verdict["code"], verdict["carries"]) == (0, "IN_FORCE", "presentation"), errors
        assert verdict["proof"]["document"]["values"] == {"坐落": "示例路1号"}
    asked = ("verify", link, "--url", counter.site.url, "--trust", counter.folder / "trust.json", "--json")
    assert run(*asked, "--recipient", "别家")[1]["code"] == "ANOTHERS_COPY"
    status, listed, _ = run("cert", "deposits", *counter.account, "--json")
    assert ids_of(listed) - others == {result["id"]}
    assert run("cert", "withdraw-deposit", result["id"], *counter.account, "--json")[1] == {"id": result["id"]}
    assert "DEPOSIT_WITHDRAWN" in run(*asked)[2]


def test_an_annotated_copy_is_deposited_too(run: Run, counter: Counter) -> None:
    made = ("cert", "deposit", counter.folder / "copy.json", "--until", day_in(3), *counter.account, "--json")
    status, result, errors = run(*made)
    assert status == 0, errors
    assert result["link"].startswith(f"{counter.site.url.upper()}/P/")
    status, verdict, errors = run("verify", result["link"], "--url", counter.site.url, *counter.trust)
    assert (status, verdict["code"], verdict["carries"]) == (0, "IN_FORCE", "annotated-copy"), errors


def test_what_cannot_be_deposited_leaves_nothing_behind(run: Run, counter: Counter, tmp_path: Path) -> None:
    def refused(file: Path, until: str, *more: object) -> str:
        status, _, errors = run("cert", "deposit", file, "--until", until, *counter.account, *more)
        assert status in {1, 2}
        return errors

    before = run("cert", "deposits", *counter.account, "--json")[1]["items"]
    folder, soon = counter.folder, day_in(1)
    (tmp_path / "code.svg").write_text("")
    unbound = json.loads((folder / "shown.json").read_text()) | {"fields": 7}
    (tmp_path / "damaged.json").write_text(json.dumps(unbound))
    assert "DEPOSIT_REFUSED" in refused(folder / "document.json", soon)
    assert "DEPOSIT_REFUSED" in refused(folder / "password", soon)
    assert "DOCUMENT_MALFORMED" in refused(tmp_path / "damaged.json", soon)
    assert "UNTIL_TOO_LATE" in refused(folder / "shown.json", day_in(9))
    assert "UNTIL_TOO_LATE" in refused(folder / "copy.json", day_in(9))
    assert "UNTIL_OUT_OF_RANGE" in refused(folder / "shown.json", day_in(-2))
    assert "UNTIL_OUT_OF_RANGE" in refused(folder / "shown.json", day_in(92))
    assert "DATE_MALFORMED" in refused(folder / "shown.json", "tomorrow")
    assert "LINK_BASE_INVALID" in refused(folder / "shown.json", soon, "--link", "x")
    assert "FILE_EXISTS" in refused(folder / "shown.json", soon, "--out", tmp_path / "code.svg")
    assert "--out" in refused(folder / "shown.json", soon, "--out", tmp_path / "code.gif")
    assert run("cert", "deposits", *counter.account, "--json")[1]["items"] == before
    assert "DEPOSIT_ID_MALFORMED" in run("cert", "withdraw-deposit", "x", *counter.account)[2]


def test_links_that_lead_nowhere_say_why(run: Run, counter: Counter) -> None:
    url, key = ("--url", counter.site.url), "A" * 26
    link = f"https://x/P/{'A' * 16}#{key}"
    assert "DEPOSIT_UNKNOWN" in run("verify", link, *url, *counter.trust)[2]
    assert "NODE_NEEDED" in run("verify", link, *counter.trust)[2]
    cut = run("verify", link[:-1], *url, *counter.trust)[2]
    assert "KEY_MALFORMED" in cut
    assert key[:-1] not in cut
    assert "LINK_UNKNOWN" in run("verify", "https://x/V/y", *url, *counter.trust)[2]
    made = ("cert", "deposit", counter.folder / "copy.json", "--until", day_in(3), *counter.account, "--json")
    other = run(*made)[1]["link"].partition("#")[0] + "#" + key
    assert "KEY_WRONG" in run("verify", other, *url, *counter.trust)[2]
