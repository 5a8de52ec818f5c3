"""A department prints codes and slips of what it issued, and whoever photographs them has the certificate's link or its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from explorer.code_reading_process import find_codes
from verification.certificate_files.document import CertificateDocument, core_digest, encode_file
from verification.certificate_files.presentation import bind_presentation, present
from verification.code_image import code_modules, code_svg, print_size_mm
from verification.codes import make_link, pack_presentation, read_code
from verification.errors import InputError
from verification.report import TEXT_FONT, wrap_text
from verification.slip import Slip, encode_slip

Run = Callable[..., tuple[int, Any, str]]
BASE = "https://verify.example.cn"


@pytest.fixture
def files(world: Any, document: CertificateDocument, tmp_path: Path) -> Path:
    (tmp_path / "document.json").write_bytes(encode_file(document))
    shown = bind_presentation(
        present(document, ["坐落", "面积"]), world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + 1_000
    )
    (tmp_path / "shown.json").write_bytes(encode_file(shown))
    return tmp_path


def words(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    return str(document[0].get_textpage().get_text_bounded()).replace("\r\n", "")


def test_a_link_to_an_identifier_or_a_document(run: Run, files: Path, document: CertificateDocument) -> None:
    core = document.core
    for source, digest in ((core.identifier, None), (files / "document.json", core_digest(core))):
        out = files / f"{'plain' if digest is None else 'whole'}.png"
        status, result, errors = run("cert", "code", source, "--link", BASE, "--out", out, "--json")
        assert status == 0, errors
        link = make_link(BASE, core.identifier, digest)
        assert result["text"] == link.text
        assert find_codes(out.read_bytes()).texts == (link.text,)
    assert run("cert", "code", core.identifier, "--link", BASE, "--out", files / "plain.png")[0] == 1
    assert run("cert", "code", core.identifier, "--out", files / "new.png")[0] == 2
    assert run("cert", "code", core.identifier, "--link", BASE, "--out", files / "new.gif")[0] == 2
    assert "LINK_BASE_INVALID" in run("cert", "code", core.identifier, "--link", "x", "--out", files / "new.png")[2]
    assert "SOURCE_UNKNOWN" in run("cert", "code", "nothing.json", "--link", BASE, "--out", files / "new.png")[2]


def test_a_presentation_without_a_link_is_in_its_code(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a clerk's environment says is for codes that need an address.
    monkeypatch.setenv("GOVNODE_LINK_BASE", BASE)
    status, result, errors = run("cert", "code", files / "shown.json", "--out", files / "shown.svg", "--json")
    assert status == 0, errors
    assert encode_file(read_code(result["text"])) == (files / "shown.json").read_bytes()
    assert result["print_mm"] == print_size_mm(result["text"])
    assert (files / "shown.svg").read_bytes() == code_svg(result["text"])
    status, result, _ = run("cert", "code", files / "shown.json", "--link", BASE, "--out", files / "link.svg", "--json")
    assert result["text"].startswith("HTTPS://VERIFY.EXAMPLE.CN/V/")


def test_a_slip_shows_no_value_that_was_not_asked_for(run: Run, files: Path, document: CertificateDocument) -> None:
    source = files / "document.json"
    status, _, errors = run("cert", "slip", source, "--link", BASE, "--out", files / "slip.pdf", "--json")
    assert status == 0, errors
    pdf = (files / "slip.pdf").read_bytes()
    assert find_codes(pdf).texts == (make_link(BASE, document.core.identifier, core_digest(document.core)).text,)
    text = words(pdf)
    for shown in (document.core.identifier, "不动产权证书", "示例市自然资源局", "2026-07-01 ~ 2031-06-30", BASE):
        assert shown in text
    for name, value in zip(document.core.fields, document.values, strict=True):
        # A kind of code is three digits, which stand in the identifier too.
        assert name.name == "CZZTDMLXDM" or value not in text
    status, result, _ = run(
        "cert", "slip", source, "--link", BASE, "--show", "面积", "--out", files / "b.pdf", "--json"
    )
    assert result["values"] == {"面积": "98.5"}
    text = words((files / "b.pdf").read_bytes())
    assert "98.5" in text
    assert "不在码里" in text, "whoever scans the link's code cannot check it"
    slip = Slip(result["text"], (), (("CZZT", "张三"),))
    assert "持证主体 / Holder" in words(encode_slip(slip))
    status, _, errors = run("cert", "slip", files / "shown.json", "--show", "CZZT", "--out", files / "c.pdf")
    assert status == 1
    assert "FIELD_UNKNOWN" in errors


def test_a_slip_of_a_presentation_is_read_from_the_page(run: Run, files: Path) -> None:
    status, _, errors = run("cert", "slip", files / "shown.json", "--out", files / "slip.pdf")
    assert status == 0, errors
    (text,) = find_codes((files / "slip.pdf").read_bytes()).texts
    assert encode_file(read_code(text)) == (files / "shown.json").read_bytes()


def test_a_slip_is_the_same_each_time_and_never_runs_over(world: Any, document: CertificateDocument) -> None:
    text = pack_presentation(present(document, ["面积"]))
    slip = Slip(text, (("证照标识", "Identifier", document.core.identifier),))
    assert encode_slip(slip) == encode_slip(slip)
    with pytest.raises(InputError, match="放不下"):
        encode_slip(Slip(text, slip.facts, (("名称", "很长的值" * 1_000),)))


def test_an_identifier_breaks_between_its_parts(document: CertificateDocument) -> None:
    identifier = document.core.identifier
    lines = wrap_text(identifier, TEXT_FONT, 8.5, 250)
    assert len(lines) > 1
    assert "".join(lines) == identifier
    assert all(line.endswith(".") for line in lines[:-1]), lines


def test_the_largest_code_is_drawn(document: CertificateDocument) -> None:
    modules = code_modules("GN1:" + "A" * 4_292)
    assert (len(modules), len(modules[0])) == (177, 177)


def test_a_slip_of_an_identifier_takes_its_days_from_the_node(
    run: Run, node: Any, identifier: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip = ("cert", "slip", identifier, "--link", BASE, "--url", node.url, "--out", files / "slip.pdf")
    record = {
        "identifier": identifier,
        "type_name": "不动产权证书",
        "type_code": "11100000MB03271699001",
        "issuer_name": "示范局",
        "issuer": "11990100MB0000002X",
        "valid_from_ms": 1_780_000_000_000,
        "valid_to_ms": 253_402_300_799_999,
    }
    monkeypatch.setattr(node, "get", lambda target, headers: (200, record))
    status, _, errors = run(*slip)
    assert status == 0, errors
    assert "2026-05-29 ~ 长期 / without end" in words((files / "slip.pdf").read_bytes())
    assert run("cert", "slip", identifier, "--link", BASE, "--show", "面积", "--out", files / "b.pdf")[0] == 2
    assert run("cert", "slip", identifier, "--link", BASE, "--out", files / "b.png")[0] == 2
