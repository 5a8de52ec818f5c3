"""Files made to harm whoever reads them: each is refused in time, with the one documented error."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from verification.document_files import ofd as ofd_module
from verification.document_files import package
from verification.document_files.inspection import inspect_document
from verification.document_files.package import read_package
from verification.document_files.seal import decode_seal, decode_seal_signature
from verification.document_files.xml_part import MAX_XML_DEPTH, MAX_XML_TEXT, read_xml
from verification.errors import InputError

Zip = Callable[[dict[str, bytes]], bytes]
XMLNS = b'xmlns:ofd="http://www.ofdspec.org/2016"'


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as refused:
        call()
    return refused.value.code


@pytest.mark.parametrize(
    "name",
    ["../a", "/a", "a/../../b", "a//b", "a\\b", "C:/a", "a/./b", "a\x1bb", "a\u202eb", "x" * 257, "a/" * 17 + "b"],
)
def test_names_that_leave_the_package_or_deceive_the_eye_are_refused(zip_of: Zip, name: str) -> None:
    assert refusal(lambda: read_package(zip_of({name: b"1"}))) in ("PACKAGE_MALFORMED", "PACKAGE_TOO_LARGE")


def test_names_that_repeat_are_refused_by_case_too(zip_of: Zip) -> None:
    assert refusal(lambda: read_package(zip_of({"A.xml": b"1", "a.XML": b"2"}))) == "PACKAGE_MALFORMED"


def test_bombs_are_refused_before_they_are_unpacked(zip_of: Zip, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zip_of({"a": bytes(8 * 1024 * 1024)})
    monkeypatch.setattr(zlib, "decompressobj", lambda *_: pytest.fail("unpacked"))
    assert refusal(lambda: read_package(bomb)) == "PACKAGE_TOO_LARGE"
    many = zip_of({f"{number}": b"" for number in range(package.MAX_PARTS + 1)})
    assert refusal(lambda: read_package(many)) == "PACKAGE_TOO_LARGE"


def test_a_part_that_unpacks_to_more_than_it_says_is_cut_off_and_refused(zip_of: Zip) -> None:
    raw = bytearray(zip_of({"a": b"0" * 100_000}))
    directory = raw.rindex(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = struct.pack("<I", 10)
    assert refusal(lambda: read_package(bytes(raw))) == "PACKAGE_MALFORMED"


def test_no_more_is_unpacked_than_the_directory_says(zip_of: Zip, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Unpacker:
        eof, unused_data = True, b""

        def decompress(self, _data: bytes, most: int) -> bytes:
            asked.append(most)
            return b"1" * 50

    monkeypatch.setattr(zlib, "decompressobj", lambda *_: Unpacker())
    read_package(zip_of({"a": b"1" * 50}))
    assert asked == [51]


def stored(name: bytes, data: bytes, offset: int) -> tuple[bytes, bytes]:
    """One part without compression: what stands before the directory, and the directory's entry."""
    same = struct.pack("<4H3I2H", 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0)
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + struct.pack("<H", 20) + same + bytes(10)
    return b"PK\x03\x04" + struct.pack("<H", 20) + same + name + data, entry + struct.pack("<I", offset) + name


def archive(body: bytes, entries: list[bytes]) -> bytes:
    directory = b"".join(entries)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + end


def test_a_part_within_another_and_a_damaged_part_are_refused() -> None:
    inner, _ = stored(b"inner", b"data", 0)
    outer, outer_entry = stored(b"outer", inner, 0)
    assert read_package(archive(outer, [outer_entry])).parts == {"outer": inner}
    _, inner_entry = stored(b"inner", b"data", len(outer) - len(inner))
    assert refusal(lambda: read_package(archive(outer, [outer_entry, inner_entry]))) == "PACKAGE_MALFORMED"
    assert refusal(lambda: read_package(archive(outer[:-1] + b"X", [outer_entry]))) == "PACKAGE_MALFORMED"
    assert read_package(archive(outer + b"stray", [outer_entry])).stray_bytes == 5


def test_two_readings_of_one_archive_are_refused(zip_of: Zip) -> None:
    raw = zip_of({"a.xml": b"1" * 50, "b.xml": b"2" * 50})
    other_name = raw.replace(b"a.xml", b"c.xml", 1)
    assert refusal(lambda: read_package(other_name)) == "PACKAGE_MALFORMED"
    directory = raw.rindex(b"PK\x01\x02")
    shared = bytearray(raw)
    shared[directory + 42 : directory + 46] = bytes(4)
    assert refusal(lambda: read_package(bytes(shared))) == "PACKAGE_MALFORMED"
    assert refusal(lambda: read_package(b"PK\x03\x04junk" + raw)) == "PACKAGE_MALFORMED"
    assert refusal(lambda: read_package(raw + b"tail")) == "PACKAGE_MALFORMED"
    encrypted = raw.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    assert encrypted != raw
    assert refusal(lambda: read_package(encrypted)) == "PACKAGE_MALFORMED"
    assert read_package(raw).stray_bytes == 0


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><ofd:OFD %s>&x;</ofd:OFD>' % XMLNS,
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><ofd:OFD %s/>' % XMLNS,
        b"<ofd:OFD %s>&x;</ofd:OFD>" % XMLNS,
        b"<ofd:OFD %s>" % XMLNS + b"<ofd:a>" * MAX_XML_DEPTH + b"</ofd:a>" * MAX_XML_DEPTH + b"</ofd:OFD>",
        b"<ofd:OFD %s>" % XMLNS + b"x" * (MAX_XML_TEXT + 1) + b"</ofd:OFD>",
        b"<ofd:OFD %s>" % XMLNS + b"<ofd:a/>" * 100_000 + b"</ofd:OFD>",
        b'<?xml version="1.0" encoding="GBK"?><ofd:OFD %s/>' % XMLNS,
        "<OFD xmlns='http://www.ofdspec.org/2016'/>".encode("utf-16"),
        "<OFD xmlns='http://www.ofdspec.org/2016'/>".encode("utf-16-be"),
        b'<OFD xmlns="http://other.example/"/>',
        b"<ofd:Document %s/>" % XMLNS,
        b"<ofd:OFD %s/><ofd:OFD %s/>" % (XMLNS, XMLNS),
        b"",
    ],
    ids=[
        "entities",
        "external document type",
        "undeclared entity",
        "deep",
        "long text",
        "many elements",
        "GBK",
        "UTF-16",
        "UTF-16 without mark",
        "another namespace",
        "another root",
        "two roots",
        "empty",
    ],
)
def test_xml_that_is_more_than_elements_is_refused(xml: bytes) -> None:
    assert refusal(lambda: read_xml("OFD.xml", xml, "OFD")) == "XML_REFUSED"


def test_elements_of_other_namespaces_are_left_out_with_what_they_hold() -> None:
    root = read_xml(
        "OFD.xml", b"<ofd:OFD %s><x:a xmlns:x='u'><ofd:DocBody/></x:a><ofd:b> t </ofd:b></ofd:OFD>" % XMLNS, "OFD"
    )
    assert [child.name for child in root.children] == ["b"]
    assert root.text_at("b") == "t"


def test_too_much_xml_too_many_documents_and_seals_are_refused(
    seal_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = seal_world.sealing().make().raw
    with monkeypatch.context() as patch:
        patch.setattr(ofd_module, "MAX_XML_READ_BYTES", 1_000)
        assert refusal(lambda: inspect_document(raw, seal_world.now_ms)) == "PACKAGE_TOO_LARGE"
    monkeypatch.setattr(ofd_module, "MAX_SEALS", 0)
    assert refusal(lambda: inspect_document(raw, seal_world.now_ms)) == "OFD_MALFORMED"
    monkeypatch.setattr(ofd_module, "MAX_DOCUMENTS", 0)
    assert refusal(lambda: inspect_document(raw, seal_world.now_ms)) == "OFD_MALFORMED"


def test_locations_cannot_leave_the_package(seal_world: Any) -> None:
    ofd = seal_world.sealing().make()
    away = ofd.parts["OFD.xml"].replace(b"<ofd:DocRoot>", b"<ofd:DocRoot>../../")
    assert refusal(lambda: inspect_document(ofd.with_part("OFD.xml", away).raw, seal_world.now_ms)) == "OFD_MALFORMED"


def damaged(raw: bytes, chance: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place] = chance.choice((0, 0x7F, 0x80, 0x84, 0xFF, 0x30))
        elif kind == 2:
            del data[place : place + chance.randint(1, 8)]
        else:
            data[place:place] = chance.randbytes(chance.randint(1, 8))
    return bytes(data)


@pytest.mark.parametrize("length", [b"\x81\x05", b"\x82\x00\x05", b"\x80", b"\x85\x00\x00\x00\x00\x05", b"\x06"])
def test_lengths_that_are_not_der_are_refused(length: bytes) -> None:
    assert refusal(lambda: decode_seal(b"\x30" + length + b"\x30\x03\x02\x01\x00")) == "SEAL_MALFORMED"
    with pytest.raises(InputError, match="not DER"):
        decode_seal(b"\x30" + length + b"\x30\x03\x02\x01\x00")


@pytest.mark.parametrize("is_2014", [False, True], ids=["2020", "2014"])
def test_damaged_seals_are_read_or_refused_with_the_one_error(seal_world: Any, is_2014: bool) -> None:
    sealing = seal_world.sealing(is_2014=is_2014)
    seal = sealing.seal()
    value = sealing.sign(seal, b"xml")
    chance = random.Random(38_540)
    for decode, raw in ((decode_seal, seal), (decode_seal_signature, value)):
        decode(raw)
        codes = set()
        for _ in range(1_500):
            try:
                decode(damaged(raw, chance))
            except InputError as error:
                codes.add(error.code)
        assert codes == {"SEAL_MALFORMED"}
        for end in range(0, len(raw), 7):
            assert refusal(lambda cut=raw[:end], decode=decode: decode(cut)) == "SEAL_MALFORMED"  # type: ignore[misc]


def test_damaged_files_are_told_of_or_refused_and_never_hold(seal_world: Any) -> None:
    ofd = seal_world.sealing().make()
    chance = random.Random(33_190)
    codes = set()
    for number in range(400):
        if number % 2:
            raw = damaged(ofd.raw, chance)
        else:
            name = chance.choice([name for name in ofd.parts if not name.endswith("Signatures.xml")])
            raw = ofd.with_part(name, damaged(ofd.parts[name], chance)).raw
        try:
            report = inspect_document(raw, seal_world.now_ms)
        except InputError as error:
            codes.add(error.code)
        else:
            # What remains whole may have lost a byte that nothing signs, such as a date in the archive's headers.
            assert number % 2 or report.code != "SEALS_HOLD"
    assert codes <= {
        "PACKAGE_MALFORMED",
        "PACKAGE_TOO_LARGE",
        "XML_REFUSED",
        "OFD_MALFORMED",
        "NOT_OFD",
        "NOT_A_DOCUMENT",
    }
