"""The demonstration's batch: a thousand certificates issued at once, one of them shown in part, one suspended, codes on paper."""

from __future__ import annotations

import csv
import json
import time
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from contracts.identifiers import make_identifier
from sdk.authority import certify_person
from sdk.certificate_batches.admission import after_admission
from sdk.certificate_batches.archive import BatchArchive
from sdk.certificate_batches.documents import document_of
from sdk.certificate_batches.issuing import issue_batch, known_outside_batches, load_head
from sdk.certificate_batches.preparation import BatchPreparation, open_archive
from sdk.certificates import StatusChange, change_status
from sdk.code_verification import PhotoQuestion, verify_photo
from sdk.demo_network import KEY_ITERATIONS
from sdk.demo_stage import CATCH_UP_TIMEOUT_S, PROVIDER, DemoFailed, Stage, check_final, check_verdict
from sdk.holder import present_certificate
from sdk.proofs import fetch_document_proof, verify_proof_file
from sdk.secret_files import KeyFile, make_password
from sdk.status_lists import anchor, fetch_status_list, make_status_list, publish, save_status_list
from sdk.status_lists import sign as sign_list
from sm_crypto.keystore import Signer, load_key
from sm_crypto.sm2 import PrivateKey
from verification.certificate_files.document import CertificateDocument, core_digest, encode_file
from verification.certificate_files.presentation import decode_presentation
from verification.code_image import code_png
from verification.codes import make_link, pack_presentation
from verification.days import show_day
from verification.slip import Slip, document_facts, encode_slip

BATCH_ROWS: Final = 1_000
FIRST_SERIAL: Final = 20_265_000_001
HOLDER_PLACE: Final = 500
"""The row whose holder has a key and shows the certificate; the next one is suspended."""
SHOWN: Final = ("坐落", "面积")
BANK: Final = "示例银行"
PURPOSE: Final = "办理抵押登记"
SUSPENSION: Final = "演示：法院查封，(2026) 示 1 号"
PHOTO_TILT: Final = 8
"""Degrees."""
COLUMNS: Final = (
    *("serial", "number", "holder_name", "holder_code_type", "holder_code", "holder_key", "valid_from"),
    *("field:坐落", "field:面积", "field:不动产单元号"),
)


class Kept(NamedTuple):
    """A certificate of the batch as its holder has it: the document, its file, and the proof of it as of when it was made."""

    document: CertificateDocument
    file: Path
    proof: Path

    @property
    def identifier(self) -> str:
        """The certificate's identifier."""
        return self.document.core.identifier


class BatchDemonstration:
    """Runs the steps in order; what it leaves is what an authorised fetch goes on with."""

    def __init__(self, stage: Stage, type_code: str) -> None:
        """Remember where; nothing is made yet."""
        self.stage = stage
        self.type_code = type_code
        self.department = stage.network.account(PROVIDER).department
        self.node = stage.node_of(PROVIDER)
        self.archive = stage.out / "batch.csv.govbatch"
        self.chain_file = stage.out / "land-clerk.chain.pem"
        self.holder_key = stage.out / "holder.key"
        self.holder_password = stage.out / "holder.password"
        account = stage.network.account(PROVIDER)
        self._chain = certify_person(stage.network.folder, self.department, "示例签发人", account.key, _now_ms())
        self._batch = ""

    def issue(self) -> float:
        """Issue the batch from a file of rows, and return how many seconds it took."""
        stage, account = self.stage, self.stage.network.account(PROVIDER)
        self.chain_file.write_text("".join(one.pem for one in self._chain), "ascii")
        self._make_holder_key()
        rows = stage.out / "batch.csv"
        self._write_rows(rows)
        started = time.monotonic()
        with stage.client(PROVIDER, self.node) as client:
            head = load_head(client, self.type_code, show_day(_now_ms()))
            secret = stage.secret(PROVIDER)
            with open_archive(self.archive, rows, head, secret) as archive:
                preparation = BatchPreparation(archive, secret, lambda step, done, total: None)
                faults = preparation.load(rows, partial(known_outside_batches, client))
                if faults:
                    raise DemoFailed("ROWS_FAULTY", f"{faults} 处行错误", f"{faults} faults in the rows")
                preparation.draft()
                preparation.build_tree()
                preparation.sign(stage.signer(PROVIDER), self._chain, _now_ms())
                issued = issue_batch(client, archive, is_resumed=False)
                self._batch = archive.tree.name
                self._share_manifest(archive)
        elapsed_s = time.monotonic() - started
        size = self.archive.stat().st_size / 1e6
        stage.say(
            f"整批颁发 {BATCH_ROWS:,} 份：逐行检查、逐份制证、一次签名，账本上一个根（区块 {issued.height}），用时 {elapsed_s:.1f} 秒",
            f"issued a batch of {BATCH_ROWS:,}: every row checked, a document each, one signature, one root on the ledger (block "
            f"{issued.height}), in {elapsed_s:.1f} s; archive {size:.1f} MB",
            rows,
            self.archive,
        )
        secret_file = ("--holder-secret", account.holder_secret)
        stage.offer("查看批次", "look at the batch", "cert", "archive", "show", self.archive)
        target = ("--out", stage.out / "another.cert.json")
        other = self.identifier(1)
        words = ("cert", "archive", "export", self.archive, other)
        stage.offer("从档案取出另一份", "take another document out", *words, *target, *secret_file)
        return elapsed_s

    def keep(self) -> tuple[Kept, Kept]:
        """Take the holder's document and its neighbour's out of the archive, and verify the first offline."""
        held, neighbour = (
            self._take(place, name) for place, name in ((HOLDER_PLACE, "holder"), (HOLDER_PLACE + 1, "neighbour"))
        )
        trust = self.stage.network.trust
        started = time.perf_counter()
        check_verdict(verify_proof_file(held.proof, held.file, trust), accepted=True, code="IN_FORCE")
        elapsed_ms = (time.perf_counter() - started) * 1000
        self.stage.say(
            f"从档案取出第 {HOLDER_PLACE} 份的证照文件，离线核验：有效 [IN_FORCE]，"
            f"批次证明 {held.proof.stat().st_size:,} 字节，{elapsed_ms:.1f} 毫秒",
            f"took the document of row {HOLDER_PLACE} out of the archive; offline it is in force [IN_FORCE], by a batch proof of "
            f"{held.proof.stat().st_size:,} bytes, in {elapsed_ms:.1f} ms",
            held.file,
            held.proof,
        )
        return held, neighbour

    def present(self, held: Kept) -> Path:
        """Show two fields to one recipient, who accepts them; what somebody has changed in them is refused. Return the presentation."""
        stage, trust = self.stage, self.stage.network.trust
        raw = present_certificate(held.file.read_bytes(), SHOWN, signer=self.holder(), recipient=BANK, purpose=PURPOSE)
        shown = stage.write("shown.json", raw)
        verdict = check_verdict(
            verify_proof_file(held.proof, shown, trust, recipient=BANK), accepted=True, code="IN_FORCE"
        )
        assert verdict.document is not None, "a document was given"
        values = "、".join(f"{name} {value}" for name, value in verdict.document["values"].items())
        hidden = len(verdict.document["hidden"])
        stage.say(
            f"持证人向{BANK}只出示两项（{values}），其余 {hidden} 项不可见，用持证人密钥签名：离线核验通过 [{verdict.code}]",
            f"the holder shows a bank two fields under his own signature; {hidden} others stay hidden: accepted offline [{verdict.code}]",
            shown,
        )
        given = (shown, "--recipient", BANK, "--trust", trust)
        stage.offer("离线核验出示件", "verify what was shown, offline", "verify", held.proof, "--document", *given)
        content = json.loads(raw)
        content["fields"][-1]["value"] = "998.5"
        forged = stage.write("forged.json", json.dumps(content, ensure_ascii=False).encode())
        refused = verify_proof_file(held.proof, forged, trust, recipient=BANK)
        if refused.is_accepted or refused.document is None:
            raise DemoFailed("FORGERY_ACCEPTED", "改动过的出示件未被拒绝", "what was changed was not refused")
        stage.say(
            f"把面积改成 998.5 的出示件被拒绝 [{refused.document['code']}]：{refused.document['zh']}",
            f"the same with the area changed to 998.5 is refused [{refused.document['code']}]: {refused.document['en']}",
            forged,
        )
        return shown

    def suspend(self, neighbour: Kept) -> None:
        """Suspend one certificate straight from the archive: it gets a record of its own, and then its status."""
        change = StatusChange(neighbour.identifier, SUSPENSION)
        with self.stage.client(PROVIDER, self.node) as client, BatchArchive(self.archive) as archive:
            act = partial(change_status, client, "suspend")
            check_final(after_admission(client, archive, [neighbour.identifier], [change], act))

    def list_statuses(self, held: Kept, neighbour: Kept) -> None:
        """Publish the department's signed list of the batch; who downloads it whole learns offline what became of each certificate."""
        stage, trust = self.stage, self.stage.network.trust
        with stage.client(PROVIDER, self.node) as client:
            made = make_status_list(client, self._batch)
            signed = sign_list(made, stage.signer(PROVIDER), self._chain, _now_ms())
            publish(client, anchor(client, signed))
        with stage.client(None, self.node) as anybody:
            fetched = fetch_status_list(anybody, self._batch)
        path = stage.out / "batch.status-list.json"
        save_status_list(path, fetched)
        found = verify_proof_file(neighbour.proof, neighbour.file, trust, status_list=path)
        check_verdict(found, accepted=False, code="SUSPENDED")
        other = verify_proof_file(held.proof, held.file, trust, status_list=path)
        check_verdict(other, accepted=True, code="IN_FORCE")
        block = fetched.content.block.height
        stage.say(
            f"从档案直接暂扣第 {HOLDER_PLACE + 1} 份；部门签名并锚定状态清单（{fetched.content.entry_count:,} 项，截至区块 {block}），"
            f"整份下载后离线即知：它已暂扣 [{found.code}]，第 {HOLDER_PLACE} 份仍有效 [{other.code}]，无人知道查的是哪一份",
            f"suspended row {HOLDER_PLACE + 1} straight from the archive; the department signed and anchored a status list "
            f"({fetched.content.entry_count:,} entries, as of block {block}): downloaded whole, it says offline that this one is "
            f"suspended [{found.code}] and row {HOLDER_PLACE} in force [{other.code}], and nobody learns what was looked up",
            path,
        )
        given = ("--document", neighbour.file, "--status-list", path, "--trust", trust)
        stage.offer("按状态清单核验", "verify with the status list", "verify", neighbour.proof, *given)

    def print_codes(self, held: Kept, shown: Path) -> None:
        """Leave a code to show and a slip to print, and go from a photo of the code to the verdict."""
        stage, url = self.stage, self.stage.network.nodes[self.node].url
        png = stage.write("shown.png", code_png(pack_presentation(decode_presentation(shown.read_bytes()))))
        photo = stage.write("shown-photo.jpg", _photograph(png.read_bytes()))
        question = PhotoQuestion(_now_ms(), stage.network.trust, recipient=BANK)
        with stage.client(None, self.node) as client:
            found = verify_photo(photo, client, question)
        if not found.is_accepted or found.identifier != held.identifier:
            raise DemoFailed(
                "PHOTO_VERDICT", f"照片核验为 {found.code}：{found.zh}", f"the photo gave {found.code}: {found.en}"
            )
        core = held.document.core
        link = make_link(url, core.identifier, core_digest(core)).text
        self._await_manifests(held)
        slip = stage.write("slip.pdf", encode_slip(Slip(link, document_facts(core), ())))
        stage.say(
            f"出示件做成一个二维码；倾斜 {PHOTO_TILT} 度、模糊的照片读回即得结论：有效 [{found.code}]；"
            f"另有可打印的核验单（PDF，无个人信息），其码打开 {link}",
            f"the presentation as one QR code; a photo of it, tilted by {PHOTO_TILT} degrees and blurred, leads "
            f"to the verdict [{found.code}]; "
            f"beside it a slip to print (PDF) with nothing personal, whose code opens {link}",
            png,
            photo,
            slip,
        )
        asked = ("--recipient", BANK, "--trust", stage.network.trust, "--url", url)
        stage.offer("核验照片", "verify the photo", "verify", photo, *asked)

    def holder(self) -> Signer:
        """Return what signs as the holder."""
        return load_key(self.holder_key, self.holder_password.read_bytes().strip())

    def identifier(self, place: int) -> str:
        """Return the identifier of a row, from 1."""
        return make_identifier(self.type_code, self.department, str(FIRST_SERIAL + place - 1))

    def _make_holder_key(self) -> None:
        password = make_password(self.holder_password)
        KeyFile(self.holder_key, PrivateKey.generate(), password).save(KEY_ITERATIONS)

    def _write_rows(self, path: Path) -> None:
        key, today = self.holder().public_key.hex(), show_day(_now_ms())
        path.touch(mode=0o600)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for place in range(1, BATCH_ROWS + 1):
                holder = (f"示例持证人{place:04d}", "999", f"SL-{place:06d}", key if place == HOLDER_PLACE else "")
                fields = (f"示例路{place}号", f"{60 + place % 90}.5", f"999999{place:022d}")
                number = f"示(2026)不动产权第{place:07d}号"
                writer.writerow((FIRST_SERIAL + place - 1, number, *holder, today, *fields))

    def _share_manifest(self, archive: BatchArchive) -> None:
        """Give every node the batch's manifest, in which nothing is personal: links to its certificates open on any of them."""
        manifest = b"".join(archive.encoded_contents())
        for node in self.stage.network.nodes:
            folder = self.stage.network.folder / node.name / "data" / "manifests"
            folder.mkdir(exist_ok=True)
            (folder / f"{self._batch}.manifest").write_bytes(manifest)

    def _await_manifests(self, held: Kept) -> None:
        """Return once every node, which reads the manifest when it is first asked, answers by the identifier alone."""
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        for place in range(len(self.stage.network.nodes)):
            with self.stage.client(None, place) as client:
                while (found := client.get(f"/certificates/{held.identifier}/verification")["verdict"]) != "IN_FORCE":
                    if time.monotonic() > deadline:
                        raise DemoFailed(
                            "ONLINE_VERDICT", f"在线核验为 {found}", f"expected IN_FORCE online, found {found}"
                        )
                    time.sleep(0.05)

    def _take(self, place: int, name: str) -> Kept:
        with BatchArchive(self.archive) as archive:
            document = document_of(archive, self.identifier(place), self.stage.secret(PROVIDER))
        raw = encode_file(document)
        with self.stage.client(None, self.node) as client:
            _, proof = fetch_document_proof(client, raw)
        return Kept(document, self.stage.write(f"{name}.cert.json", raw), self.stage.write(f"{name}.proof.json", proof))


def _photograph(png: bytes) -> bytes:
    """Return a picture as a telephone may take it: tilted, out of focus, in grey, as JPEG."""
    # Imported only where a picture is made.
    from PIL import Image, ImageFilter

    with Image.open(BytesIO(png)) as picture:
        tilted = picture.convert("L").rotate(PHOTO_TILT, Image.Resampling.BICUBIC, expand=True, fillcolor=235)
        out = BytesIO()
        tilted.filter(ImageFilter.GaussianBlur(1.5)).save(out, "JPEG", quality=70)
    return out.getvalue()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
