"""The samples: what the demonstration issues is well-formed, visibly invented, and made again to the same bytes."""

import csv
import importlib.util
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contracts.identifiers import is_uscc, parse_identifier, verify_type_code
from node.config import load_network_file
from sdk.certificates import load_new_certificates, load_types
from sm_crypto.sm3 import sm3

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (SAMPLES / "certificates.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_kept_script_makes_the_kept_files(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) == 8
    for name, content in made.items():
        assert (SAMPLES / name).read_bytes() == content, name


def test_the_row_of_the_clerks_guide_is_the_sample() -> None:
    row = json.loads((SAMPLES / "one.json").read_bytes())
    for guide in ("clerk.md", "clerk.zh-CN.md"):
        text = (SAMPLES.parent / "docs" / guide).read_text("utf-8")
        assert json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0]) == row
    assert (SAMPLES / row["attachment:宗地图.pdf"]).is_file()


def test_at_least_two_hundred_rows_over_five_types(rows: list[dict[str, str]]) -> None:
    assert len(rows) >= 200
    assert len(Counter(row["type_code"] for row in rows)) == 5
    assert len({row["identifier"] for row in rows}) == len(rows)
    for type_code in {row["type_code"] for row in rows}:
        verify_type_code(type_code)


def test_identifiers_have_the_right_check_character_and_parts(rows: list[dict[str, str]]) -> None:
    for row in rows:
        identifier = parse_identifier(row["identifier"])
        assert identifier.check == identifier.expected_check
        assert (identifier.type_code, identifier.issuer_code) == (row["type_code"], row["issuer_code"])
        assert identifier.text == row["identifier"]


def test_issuers_are_departments_of_the_example_network(rows: list[dict[str, str]]) -> None:
    departments = {d.code: d.name for d in load_network_file(SAMPLES.parent / "network.toml").departments}
    assert {(row["issuer_code"], row["issuer_name"]) for row in rows} <= set(departments.items())


def test_holders_are_visibly_invented_and_their_codes_well_formed(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert row["holder_name"].startswith("示例")
        code = row["holder_code"]
        if row["holder_code_type"] == "001":
            assert code.startswith("91999999")
            assert is_uscc(code)
        else:
            assert re.fullmatch(r"999999[0-9]{11}[0-9X]", code)
            weights = [pow(2, 17 - position, 11) for position in range(17)]
            total = sum(int(digit) * weight for digit, weight in zip(code, weights, strict=False))
            assert (total + (10 if code[17] == "X" else int(code[17]))) % 11 == 1


def test_rows_load_and_their_documents_are_there() -> None:
    loaded = load_new_certificates(SAMPLES / "certificates.csv")
    documents = [row for row in loaded if row.document]
    assert {row.document.suffix for row in documents if row.document} == {".pdf", ".ofd", ".png"}
    for row in documents:
        assert row.document is not None
        assert row.digest == sm3(row.document.read_bytes())
    assert len({row.digest for row in loaded}) == len(loaded)


def test_ofd_is_a_zip_whose_parts_are_well_formed_and_linked() -> None:
    content = (SAMPLES / "files" / "property-title.ofd").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        parts = {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}
    ofd = "{http://www.ofdspec.org/2016}"
    root = parts["OFD.xml"].findtext(f"{ofd}DocBody/{ofd}DocRoot")
    assert root == "Doc_0/Document.xml"
    page = parts[root].find(f"{ofd}Pages/{ofd}Page")
    assert page is not None
    texts = [element.text for element in parts[f"Doc_0/{page.get('BaseLoc')}"].iter(f"{ofd}TextCode")]
    assert any("无法律效力" in (text or "") for text in texts)


def test_pdf_cross_reference_points_at_its_objects() -> None:
    content = (SAMPLES / "files" / "registration-proof.pdf").read_bytes()
    table = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert content[table:].startswith(b"xref\n")
    offsets = [int(line[:10]) for line in content[table:].split(b"\n") if line.endswith(b" n ")]
    assert len(offsets) == 7
    for number, offset in enumerate(offsets, start=1):
        assert content[offset:].startswith(b"%d 0 obj\n" % number)
    assert "无法律效力".encode("utf-16-be").hex().encode() in content


def test_png_chunks_check_and_hold_all_rows() -> None:
    content = (SAMPLES / "files" / "operator-card.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    position, chunks = 8, {}
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kind = content[position + 4 : position + 8]
        body = content[position + 8 : position + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(content[position + 8 + length : position + 12 + length], "big")
        chunks[kind] = body
        position += 12 + length
    width, height = int.from_bytes(chunks[b"IHDR"][:4], "big"), int.from_bytes(chunks[b"IHDR"][4:8], "big")
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + width // 4)


def test_types_to_register_are_those_of_the_rows(rows: list[dict[str, str]]) -> None:
    types = {kind["code"]: (kind["name"], kind["issuers"]) for kind in load_types(SAMPLES / "certificate-types.csv")}
    assert types == {row["type_code"]: (row["type_name"], [row["issuer_code"]]) for row in rows}
