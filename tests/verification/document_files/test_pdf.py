"""What is said of a PDF file: which signatures are found and what they say they cover, none of it verified."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sdk.cli.main import main
from sm_crypto.sm3 import sm3
from verification.document_files.inspection import inspect_document
from verification.document_files.pdf import MAX_PDF_SIGNATURES, inspect_pdf
from verification.errors import InputError

HEAD = b"%PDF-1.7\n1 0 obj <</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached\n/ByteRange [%s]\n/Contents "
TAIL = b"\n>> endobj\n%%EOF\n"


def signed(value: bytes = b"<" + b"00" * 32 + b">", ranges: tuple[int, int, int, int] | None = None) -> bytes:
    width = 40
    start = len(HEAD) - 2 + width
    after = start + len(value)
    numbers = ranges or (0, start, after, len(TAIL))
    return HEAD.replace(b"%s", " ".join(map(str, numbers)).encode().ljust(width)) + value + TAIL


def codes(raw: bytes) -> list[str]:
    return [statement.code for statement in inspect_pdf(raw).statements]


def test_a_signature_over_the_whole_file_is_found_and_said_not_to_be_verified() -> None:
    report = inspect_document(signed(), 0)
    assert (report.kind, report.code, report.sm3) == ("pdf", "NOT_VERIFIED", sm3(signed()).hex())
    assert report.pdf is not None
    assert report.pdf.version == "1.7"
    assert [one.code for one in report.pdf.statements] == ["PDF_SIGNATURES_NOT_VERIFIED", "PDF_RANGE_WHOLE_FILE"]
    assert report.pdf.signatures[0].bytes_after == 0


def test_bytes_added_after_signing_are_counted() -> None:
    report = inspect_pdf(signed() + b"2 0 obj <</New true>> endobj\n")
    assert report.signatures[0].bytes_after == 29
    assert [one.code for one in report.statements] == ["PDF_SIGNATURES_NOT_VERIFIED", "PDF_BYTES_AFTER_SIGNATURE"]


@pytest.mark.parametrize(
    "raw",
    [
        signed(b"<00> /Hidden (text) <00>"),
        signed(b"<" + b"0" * 5_000_000 + b">"),
        signed(ranges=(10, len(HEAD) - 2 + 30, len(HEAD) - 2 + 106, len(TAIL))),
        signed(ranges=(0, 300, 100, 5)),
        signed(ranges=(0, 10, 999_999, 5)),
    ],
    ids=[
        "more than the value is left out",
        "a value without bounds",
        "not from the beginning",
        "overlapping",
        "beyond the end",
    ],
)
def test_ranges_that_leave_out_more_than_the_value_are_broken(raw: bytes) -> None:
    assert codes(raw)[1:] == ["PDF_RANGE_WRONG"]
    assert inspect_document(raw, 0).is_broken


def test_a_file_without_signatures_and_one_with_too_many() -> None:
    assert codes(b"%PDF-1.4\n%%EOF\n") == ["PDF_NO_SIGNATURE_FOUND"]
    assert inspect_document(b"%PDF-1.4\n%%EOF\n", 0).code == "NO_SEAL"
    for raw in (b"%PDF-1.4\n" + b"/ByteRange[0 1 2 3]" * (MAX_PDF_SIGNATURES + 1), b"no header"):
        with pytest.raises(InputError) as refused:
            inspect_pdf(raw)
        assert refused.value.code == "PDF_MALFORMED"


def test_bytes_at_random_are_told_of_or_refused() -> None:
    chance = random.Random(1)
    raw = signed()
    for _ in range(1_000):
        data = bytearray(raw)
        for _ in range(3):
            data[chance.randrange(9, len(data))] = chance.choice(b"0 [</>]\x00\xff9")
        inspect_pdf(bytes(data))
    inspect_pdf(b"%PDF-1.4 " + b"/ByteRange[" + b" " * 2_000_000)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["document", "inspect", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_the_command_tells_of_files_in_both_languages_and_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, seal_world: Any
) -> None:
    sealing = seal_world.sealing()
    (tmp_path / "a.ofd").write_bytes(sealing.make().raw)
    status, out, _ = run(capsys, str(tmp_path / "a.ofd"), "--json")
    assert json.loads(out)["ofd"]["seals"][0]["signer"] == "签章人"
    status, out, _ = run(capsys, str(tmp_path / "a.ofd"))
    assert "[DATA_HASH_MATCHES]" in out
    assert "[LEDGER_NOT_ASKED]" in out
    (tmp_path / "b.ofd").write_bytes(sealing.make().with_part("Doc_0/Attachs/a.xml", b"2").raw)
    (tmp_path / "root.pem").write_text(seal_world.root.pem + seal_world.department.pem)
    status, out, _ = run(capsys, str(tmp_path / "b.ofd"), "--json", "--trusted", str(tmp_path / "root.pem"))
    assert (status, json.loads(out)["code"]) == (1, "BROKEN")
    (tmp_path / "c.txt").write_text("text")
    status, _, err = run(capsys, str(tmp_path / "c.txt"))
    assert (status, "NOT_A_DOCUMENT" in err) == (1, True)
