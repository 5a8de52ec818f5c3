"""Write the samples, the same bytes at every run: certificate types, 220 certificates of them with three document files, single rows.

The rows, with the map that they attach, are those that docs/clerk.md issues one by one.
Holders are invented and look it: names begin with 示例, codes carry the region 999999, which no place has.
Type codes and names are those of national certificate types; issuers are the departments of network.toml.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
import zipfile
import zlib
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from contracts.identifiers import make_identifier, uscc_check_character

ROWS_PER_TYPE = 44
COLUMNS = (
    "identifier",
    "type_code",
    "type_name",
    "issuer_code",
    "issuer_name",
    "holder_name",
    "holder_code_type",
    "holder_code",
    "valid_from",
    "valid_to",
    "document",
)
HOLDER_USCC = "001"
HOLDER_CITIZEN_NUMBER = "111"
SINGLE_SERIAL = "20269000001"
MAP_LINES = ["宗地图", "样本 SAMPLE · 无法律效力", "坐落 示例路9号", "面积 98.5 平方米"]


class CertificateType(NamedTuple):
    """One sample type: its 21-character code, name, issuer (code and name), kind of holder, and years of validity (0: no end)."""

    code: str
    name: str
    issuer_code: str
    issuer_name: str
    issuing_level: str
    defining_body: str
    certificate_class: str
    holder_code_type: str
    validity_years: int
    document: str


LAND = ("11990100MB0000002X", "示范市自然资源和规划局", "city", "自然资源部")
HOUSING = ("11990100MB00000031", "示范市住房和城乡建设局", "city", "住房和城乡建设部")
DISTRICT = ("11990102MB00000041", "示范市示范区行政审批局", "county", "住房和城乡建设部")
PERSON, COMPANY = HOLDER_CITIZEN_NUMBER, HOLDER_USCC
TYPES = (
    CertificateType(
        "11100000MB03271699001", "不动产权证书", *LAND, "certificate", PERSON, 0, "files/property-title.ofd"
    ),
    CertificateType(
        "11100000MB03271699022", "不动产登记证明", *LAND, "proof", COMPANY, 0, "files/registration-proof.pdf"
    ),
    CertificateType("11100000000013338W001", "二级建造师注册证书", *HOUSING, "certificate", PERSON, 3, ""),
    CertificateType(
        "11100000000013338W011", "建筑施工企业安全生产管理人员考核合格证书", *HOUSING, "certificate", PERSON, 3, ""
    ),
    CertificateType(
        "11100000000013338W032",
        "建筑施工特种作业操作资格证书",
        *DISTRICT,
        "certificate",
        PERSON,
        2,
        "files/operator-card.png",
    ),
)


def citizen_number(birth: date, sequence: int) -> str:
    """Return an 18-character citizen number of the region 999999 with its check character (GB 11643, MOD 11-2)."""
    stem = f"999999{birth:%Y%m%d}{sequence:03d}"
    total = sum(int(digit) * pow(2, 17 - position, 11) for position, digit in enumerate(stem))
    return stem + "10X98765432"[total % 11]


def company_code(sequence: int) -> str:
    """Return an 18-character unified social credit code of the region 999999 with its check character."""
    stem = f"91999999MA{sequence:07d}"
    return stem + uscc_check_character(stem)


def certificate_rows() -> list[dict[str, str]]:
    """Return all rows in the order of the file; the first row of a type that has a document names it."""
    rows = []
    for type_index, kind in enumerate(TYPES):
        for number in range(1, ROWS_PER_TYPE + 1):
            sequence = type_index * ROWS_PER_TYPE + number
            valid_from = date(2025, 1, 6) + timedelta(days=3 * number + type_index)
            valid_to = valid_from.replace(year=valid_from.year + kind.validity_years) - timedelta(days=1)
            if kind.holder_code_type == HOLDER_USCC:
                holder_name, holder_code = f"示例置业有限公司{sequence:04d}", company_code(sequence)
            else:
                birth = date(1970, 1, 1) + timedelta(days=37 * sequence)
                holder_name, holder_code = f"示例持证人{sequence:04d}", citizen_number(birth, sequence)
            values = (
                make_identifier(kind.code, kind.issuer_code, f"2025{number:07d}"),
                kind.code,
                kind.name,
                kind.issuer_code,
                kind.issuer_name,
                holder_name,
                kind.holder_code_type,
                holder_code,
                valid_from.isoformat(),
                valid_to.isoformat() if kind.validity_years else "",
                kind.document if number == 1 else "",
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def type_rows() -> list[dict[str, str]]:
    """Return what a governor registers before the first certificate: the five types and who may issue them."""
    return [
        {
            "code": kind.code,
            "name": kind.name,
            "defining_body": kind.defining_body,
            "defining_level": "national",
            "holder_category": "organisation" if kind.holder_code_type == HOLDER_USCC else "person",
            "validity_range": f"{kind.validity_years} 年" if kind.validity_years else "长期",
            "issuing_level": kind.issuing_level,
            "certificate_class": kind.certificate_class,
            "code_table": "default",
            "issuers": kind.issuer_code,
        }
        for kind in TYPES
    ]


def csv_bytes(rows: list[dict[str, str]]) -> bytes:
    """Return the rows as UTF-8 CSV with a header line; lines end in a single line feed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def single_row(**differing: str) -> bytes:
    """Return the row of one certificate at the counter, as JSON."""
    row = {
        "serial": SINGLE_SERIAL,
        "number": "示(2026)不动产权第9000001号",
        "holder_name": "示例持证人甲",
        "holder_code_type": HOLDER_CITIZEN_NUMBER,
        "holder_code": citizen_number(date(1970, 2, 7), 1),
        "valid_from": "2026-11-22",
        "field:坐落": "示例路9号",
        "field:面积": "98.5",
        "attachment:宗地图.pdf": "map.pdf",
    }
    return (json.dumps(row | differing, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def document_lines(row: dict[str, str]) -> list[str]:
    """Return what a sample document shows, line by line."""
    return [
        row["type_name"],
        "样本 SAMPLE · 无法律效力",
        f"证照标识 {row['identifier']}",
        f"持证主体 {row['holder_name']}",
        f"持证主体代码 {row['holder_code']}",
        f"颁发机构 {row['issuer_name']}",
        f"有效期 {row['valid_from']} 至 {row['valid_to'] or '长期'}",
    ]


def pdf_bytes(lines: list[str]) -> bytes:
    """Return a one-page A4 PDF 1.4 with the lines in a Chinese standard font that viewers supply."""
    drawing = ["0.75 0.1 0.1 RG 2 w 40 40 515 762 re S BT /F1 22 Tf 70 740 Td"]
    for position, line in enumerate(lines):
        drawing.append(f"<{line.encode('utf-16-be').hex()}> Tj 0 -40 Td" + (" /F1 11 Tf" if position == 0 else ""))
    stream = (" ".join(drawing) + " ET").encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /FontDescriptor 7 0 R"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /DW 1000 >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0"
        b" /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def ofd_bytes(lines: list[str]) -> bytes:
    """Return a one-page OFD: a zip with the parts and names of GB/T 33190, dates fixed, members stored as they are."""
    namespace = 'xmlns:ofd="http://www.ofdspec.org/2016"'
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    texts = []
    for position, line in enumerate(lines):
        size = 8 if position == 0 else 4
        texts.append(
            f'<ofd:TextObject ID="{10 + position}" Boundary="20 {25 + 15 * position} 170 12" Font="3" Size="{size}">'
            f'<ofd:TextCode X="0" Y="{size}" DeltaX="g {len(line) - 1} {size}">{line}</ofd:TextCode></ofd:TextObject>'
        )
    parts = {
        "OFD.xml": f'<ofd:OFD {namespace} Version="1.0" DocType="OFD"><ofd:DocBody><ofd:DocInfo>'
        "<ofd:DocID>00000000000000000000000000000001</ofd:DocID><ofd:CreationDate>2025-01-06</ofd:CreationDate>"
        "</ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>",
        "Doc_0/Document.xml": f"<ofd:Document {namespace}><ofd:CommonData><ofd:MaxUnitID>99</ofd:MaxUnitID>"
        "<ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea>"
        "<ofd:PublicRes>PublicRes.xml</ofd:PublicRes></ofd:CommonData>"
        '<ofd:Pages><ofd:Page ID="1" BaseLoc="Pages/Page_0/Content.xml"/></ofd:Pages></ofd:Document>',
        "Doc_0/PublicRes.xml": f'<ofd:Res {namespace} BaseLoc="Res"><ofd:Fonts>'
        '<ofd:Font ID="3" FontName="宋体" FamilyName="宋体" Charset="unicode"/></ofd:Fonts></ofd:Res>',
        "Doc_0/Pages/Page_0/Content.xml": f'<ofd:Page {namespace}><ofd:Content><ofd:Layer ID="2" Type="Body">'
        f"{''.join(texts)}</ofd:Layer></ofd:Content></ofd:Page>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, body in parts.items():
            member = zipfile.ZipInfo(name, date_time=(2025, 1, 6, 0, 0, 0))
            member.create_system = 3
            archive.writestr(member, (head + body).encode("utf-8"))
    return out.getvalue()


# Seven rows of five dots a letter, for the one word that the image shows.
LETTERS = {
    "S": (0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110),
    "A": (0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "M": (0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001),
    "P": (0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000),
    "L": (0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
}
IMAGE_WIDTH, IMAGE_HEIGHT, DOT = 480, 300, 10
PALETTE = bytes((0xFB, 0xF8, 0xF0, 0xC8, 0x10, 0x2E, 0x1F, 0x3A, 0x5F, 0xE3, 0xD5, 0xB8))


def image_colour(x: int, y: int) -> int:
    """Return the palette index of one pixel: paper, a red seal ring, the blue word SAMPLE, a fine pattern."""
    column, row = (x - 60) // DOT, (y - 120) // DOT
    letter, dot = divmod(column, 6)
    if 0 <= letter < 6 and 0 <= row < 7 and dot < 5 and LETTERS["SAMPLE"[letter]][row] >> (4 - dot) & 1:
        return 2
    distance = (x - 410) ** 2 + (y - 244) ** 2
    if 41**2 <= distance <= 46**2 or distance <= 11**2:
        return 1
    if x < 6 or y < 6 or x >= IMAGE_WIDTH - 6 or y >= IMAGE_HEIGHT - 6:
        return 1
    return 3 if (x * 3 + y * 5) % 31 == 0 else 0


def png_bytes(text: str) -> bytes:
    """Return a PNG in four colours, stored without compression, that carries `text` as its comment."""
    rows = bytearray()
    for y in range(IMAGE_HEIGHT):
        rows.append(0)
        for x in range(0, IMAGE_WIDTH, 4):
            byte = 0
            for step in range(4):
                byte = byte << 2 | image_colour(x + step, y)
            rows.append(byte)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", IMAGE_WIDTH, IMAGE_HEIGHT, 2, 3, 0, 0, 0))
        + chunk(b"PLTE", PALETTE)
        + chunk(b"iTXt", b"Comment\0\0\0\0\0" + text.encode("utf-8"))
        + chunk(b"IDAT", zlib.compress(bytes(rows), 0))
        + chunk(b"IEND", b"")
    )


def sample_files() -> dict[str, bytes]:
    """Return every file by its path relative to the samples folder."""
    rows = certificate_rows()
    by_document = {row["document"]: document_lines(row) for row in rows if row["document"]}
    return {
        "certificate-types.csv": csv_bytes(type_rows()),
        "certificates.csv": csv_bytes(rows),
        "one.json": single_row(),
        "later.json": single_row(
            version="002",
            valid_from="2026-11-23",
            predecessor=make_identifier(TYPES[0].code, TYPES[0].issuer_code, SINGLE_SERIAL),
        ),
        "map.pdf": pdf_bytes(MAP_LINES),
        "files/property-title.ofd": ofd_bytes(by_document["files/property-title.ofd"]),
        "files/registration-proof.pdf": pdf_bytes(by_document["files/registration-proof.pdf"]),
        "files/operator-card.png": png_bytes("\n".join(by_document["files/operator-card.png"])),
    }


def main(folder: Path) -> None:
    """Write all files into `folder`."""
    for name, content in sample_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
