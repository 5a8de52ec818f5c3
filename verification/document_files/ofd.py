"""An OFD file (GB/T 33190-2016, as implemented): its parts, its documents, its seals and what those cover.

A part counts as covered only by a seal of which everything that can be checked without trust was checked and holds.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate, CertificateError, parse_certificate
from verification.document_files.package import Package, read_package, too_large
from verification.document_files.seal import SM3_OID, SealSignature, decode_seal_signature
from verification.document_files.seal_checks import check_seal_signature
from verification.document_files.statements import Statement, broken, held, shown, unverified, warning
from verification.document_files.xml_part import Element, read_xml
from verification.errors import InputError

MAX_DOCUMENTS: Final = 16
MAX_SEALS: Final = 64
MAX_REFERENCES: Final = 4_096
MAX_LOCATION: Final = 512
MAX_XML_READ_BYTES: Final = 8 * 1024 * 1024
"""Of all parts that are read as XML, one that is named twice counted twice."""
MAX_SHOWN_PARTS: Final = 20
MAX_SEAL_IDENTIFIER: Final = 64
ROOT_PART: Final = "OFD.xml"
_SM3_METHODS: Final = frozenset({SM3_OID, "SM3"})
_SEAL_TYPE: Final = "SEAL"
_CODES_ABOUT_TRUST: Final = frozenset(
    {"SIGNER_TRUST_NOT_VERIFIED", "MAKER_TRUST_NOT_VERIFIED", "TIME_STAMP_NOT_VERIFIED"}
)


class Part(msgspec.Struct, frozen=True):
    """One part: `role` is content, or seal for what seals are made of; `covered_by` are the seals that hold and name it."""

    name: str
    size: int
    sm3: str
    role: str
    covered_by: tuple[str, ...]


class OfdDocument(msgspec.Struct, frozen=True):
    """One document of the file: where it begins, its title as it says itself, its pages and attachments."""

    root: str
    title: str
    pages: tuple[str, ...]
    attachments: tuple[str, ...]


class SealReport(msgspec.Struct, frozen=True):
    """One seal or signature: what it says, and what became of every check; `holds` leaves trust aside."""

    identifier: str
    kind: str
    part: str
    form: str | None
    seal_name: str | None
    seal_identifier: str | None
    signer: str | None
    maker: str | None
    sealed_ms: int | None
    covers: tuple[str, ...]
    holds: bool
    statements: tuple[Statement, ...]


class OfdReport(msgspec.Struct, frozen=True):
    """What an OFD file holds and what holds of it."""

    parts: tuple[Part, ...]
    documents: tuple[OfdDocument, ...]
    seals: tuple[SealReport, ...]
    statements: tuple[Statement, ...]


def inspect_ofd(raw: bytes, trusted: Sequence[Certificate], at_ms: int) -> OfdReport:
    """Return what an OFD file holds and what holds of it at `at_ms`; raise InputError where it cannot be read within the limits."""
    package = read_package(raw)
    return _Inspection(package, trusted, at_ms).report()


class _Inspection:
    def __init__(self, package: Package, trusted: Sequence[Certificate], at_ms: int) -> None:
        self._parts = package.parts
        self._stray_bytes = package.stray_bytes
        self._digests = {name: sm3(part) for name, part in package.parts.items()}
        self._trusted = trusted
        self._at_ms = at_ms
        self._seal_parts: set[str] = set()
        self._content: set[str] = {ROOT_PART}
        """What is content whatever a seal's description says of it."""
        self._missing: list[str] = []
        self._xml_bytes = 0
        self._covered: dict[str, list[str]] = {}

    def report(self) -> OfdReport:
        """Return everything that was found."""
        if ROOT_PART not in self._parts:
            raise InputError(
                "NOT_OFD", f"不是 OFD 文件：缺少 {ROOT_PART}", f"not an OFD file: it has no part {ROOT_PART}"
            )
        root = self._xml(ROOT_PART, "OFD")
        bodies = list(root.all("DocBody"))
        if not 1 <= len(bodies) <= MAX_DOCUMENTS:
            raise _structure(
                f"应有 1 至 {MAX_DOCUMENTS} 个文档，实为 {len(bodies)}",
                f"expected 1 to {MAX_DOCUMENTS} documents, found {len(bodies)}",
            )
        documents = tuple(self._document(body) for body in bodies)
        seals: list[SealReport] = []
        for body in bodies:
            if location := body.text_at("Signatures"):
                seals += self._seals(location, len(seals))
        parts = tuple(
            Part(
                name,
                len(data),
                self._digests[name].hex(),
                "seal" if name in self._seal_parts - self._content else "content",
                tuple(self._covered.get(name, ())),
            )
            for name, data in self._parts.items()
        )
        return OfdReport(parts, documents, tuple(seals), tuple(self._statements(parts, seals)))

    def _statements(self, parts: Sequence[Part], seals: Sequence[SealReport]) -> Iterator[Statement]:
        if not seals:
            yield unverified(
                "NO_SEAL", "文件没有签章：无从核验其来源", "the file has no seal: nothing says whose it is"
            )
        loose = [part.name for part in parts if part.role == "content" and not part.covered_by]
        if seals and loose:
            yield warning(
                "PARTS_NOT_COVERED",
                f"{len(loose)} 个部件没有成立的签章覆盖：{_list(loose)}",
                f"{len(loose)} parts are covered by no seal that holds: {_list(loose)}",
            )
        elif seals:
            yield held(
                "ALL_PARTS_COVERED",
                "内容部件均有成立的签章覆盖",
                "every part of the content is under a seal that holds",
            )
        if self._missing:
            yield warning(
                "NAMED_PART_MISSING",
                f"文件所列的 {len(self._missing)} 个页面或附件不在文件中：{_list(self._missing)}",
                f"{len(self._missing)} pages or attachments that are named are not in the file: {_list(self._missing)}",
            )
        if self._stray_bytes:
            yield warning(
                "STRAY_BYTES",
                f"文件中有 {self._stray_bytes} 字节不属于任何部件",
                f"{self._stray_bytes} bytes of the file belong to no part",
            )

    def _document(self, body: Element) -> OfdDocument:
        name = self._resolve(ROOT_PART, body.text_at("DocRoot"))
        if name is None:
            raise _structure("DocRoot 所指部件不在文件中", "DocRoot names a part that is not in the file")
        document = self._xml(name, "Document")
        pages = document.first("Pages")
        locations = [] if pages is None else [page.attributes.get("BaseLoc", "") for page in pages.all("Page")]
        attachments: list[str] = []
        if listed := document.text_at("Attachments"):
            for part in self._named(name, [listed]):
                entries = self._xml(part, "Attachments").all("Attachment")
                attachments = self._named(part, [entry.text_at("FileLoc") for entry in entries])
                self._content |= {part, *attachments}
        found = self._named(name, locations)
        self._content |= {name, *found}
        return OfdDocument(name, shown(body.text_at("DocInfo", "Title")), tuple(found), tuple(attachments))

    def _named(self, base: str, locations: Sequence[str]) -> list[str]:
        """Return the parts that locations in the part `base` mean; those that are not in the file are kept for the report."""
        found = []
        for location in locations:
            name = self._resolve(base, location)
            if name is None:
                self._missing.append(location)
            else:
                found.append(name)
        return found

    def _seals(self, location: str, already: int) -> Iterator[SealReport]:
        name = self._resolve(ROOT_PART, location)
        if name is None:
            raise _structure("Signatures 所指部件不在文件中", "Signatures names a part that is not in the file")
        self._seal_parts.add(name)
        records = list(self._xml(name, "Signatures").all("Signature"))
        if already + len(records) > MAX_SEALS:
            raise _structure(
                f"签章应不超过 {MAX_SEALS} 个，实为 {already + len(records)}",
                f"expected at most {MAX_SEALS} seals, found {already + len(records)}",
            )
        for record in records:
            part = self._resolve(name, record.attributes.get("BaseLoc", ""))
            if part is None:
                raise _structure("签章所指部件不在文件中", "a seal names a part that is not in the file")
            yield self._seal(record, part)

    def _seal(self, record: Element, part: str) -> SealReport:
        identifier = shown(record.attributes.get("ID", "")[:MAX_SEAL_IDENTIFIER])
        is_seal = record.attributes.get("Type", _SEAL_TYPE).upper() == _SEAL_TYPE
        self._seal_parts.add(part)
        description = self._xml(part, "Signature")
        statements: list[Statement] = []
        covers = self._references(description, part, statements)
        signature = self._signature(description, part, is_seal, statements)
        holds = all(one.state in ("held", "warning") or one.code in _CODES_ABOUT_TRUST for one in statements)
        if holds:
            for name in covers:
                self._covered.setdefault(name, []).append(identifier)
        seal = None if signature is None else signature.seal
        return SealReport(
            identifier=identifier,
            kind="seal" if is_seal else "signature",
            part=part,
            form=None if signature is None else signature.form,
            seal_name=None if seal is None else seal.name,
            seal_identifier=None if seal is None else seal.identifier,
            signer=None if signature is None else _common_name(signature.certificate),
            maker=None if seal is None else _common_name(seal.maker_certificate),
            sealed_ms=None if signature is None else signature.time_ms,
            covers=tuple(covers),
            holds=holds,
            statements=tuple(statements),
        )

    def _references(self, description: Element, part: str, statements: list[Statement]) -> list[str]:
        """Return the parts that a seal names, adding what holds of their digests."""
        references = description.first("SignedInfo", "References")
        entries = [] if references is None else list(references.all("Reference"))
        if references is None or not 1 <= len(entries) <= MAX_REFERENCES:
            statements.append(
                broken(
                    "REFERENCES_MISSING",
                    f"签章应覆盖 1 至 {MAX_REFERENCES} 个部件，实为 {len(entries)}",
                    f"expected a seal over 1 to {MAX_REFERENCES} parts, found {len(entries)}",
                )
            )
            return []
        method = references.attributes.get("CheckMethod", "")
        if method.upper() not in _SM3_METHODS:
            statements.append(
                unverified(
                    "CHECK_METHOD_NOT_SM3",
                    f"部件杂凑算法 {method[:40]!r} 不是 SM3（{SM3_OID}），所覆盖的部件未核验",
                    f"the parts' digests are by {method[:40]!r}, not by SM3 ({SM3_OID}): what it covers was not verified",
                )
            )
            return []
        covers: list[str] = []
        missing: list[str] = []
        changed: list[str] = []
        for entry in entries:
            location = entry.attributes.get("FileRef", "")
            name = self._resolve(part, location)
            if name is None:
                missing.append(location)
            elif _digest(entry.text_at("CheckValue")) != self._digests[name]:
                changed.append(name)
            elif name not in covers:
                covers.append(name)
        statements.extend(_about_references(covers, missing, changed))
        return covers

    def _signature(
        self, description: Element, part: str, is_seal: bool, statements: list[Statement]
    ) -> SealSignature | None:
        """Return the signature with a seal, adding what holds of it; None where it cannot be read."""
        name = self._resolve(part, description.text_at("SignedValue"))
        if name is None:
            statements.append(
                broken("SIGNED_VALUE_MISSING", "缺少签名值部件", "the part with the signature's value is missing")
            )
            return None
        self._seal_parts.add(name)
        if not is_seal:
            statements.append(
                unverified(
                    "SIGNATURE_KIND_NOT_VERIFIED",
                    "是不带印章的数字签名（Type=Sign），其签名值未核验",
                    "a digital signature without a seal (Type=Sign): its value was not verified",
                )
            )
            return None
        try:
            signature = decode_seal_signature(self._parts[name])
        except InputError as error:
            statements.append(
                unverified(error.code, f"{error.zh}；签章未核验", f"{error.en}; the seal was not verified")
            )
            return None
        seal_location = description.text_at("SignedInfo", "Seal", "BaseLoc")
        if seal_location:
            seal_part = self._resolve(part, seal_location)
            if seal_part is not None:
                self._seal_parts.add(seal_part)
            if seal_part is None or self._parts[seal_part] != signature.seal.der:
                statements.append(
                    broken(
                        "SEAL_FILE_DIFFERS",
                        "印章文件与签章数据中的印章不同，或不在文件中",
                        "the seal's own file is missing or is not the seal within the signature",
                    )
                )
        statements.extend(check_seal_signature(signature, self._parts[part], self._trusted, self._at_ms))
        return signature

    def _xml(self, name: str, root: str) -> Element:
        """Return the root element of a part; raise InputError when this and what was read before are over the limit."""
        self._xml_bytes += len(self._parts[name])
        if self._xml_bytes > MAX_XML_READ_BYTES:
            raise too_large("读作 XML 的字节数", "bytes that are read as XML", MAX_XML_READ_BYTES, self._xml_bytes)
        return read_xml(name, self._parts[name], root)

    def _resolve(self, base: str, location: str) -> str | None:
        """Return the name of the part that a location in the part `base` means, or None where there is none.

        GB/T 33190: from the root of the package with a leading slash, else from the folder of the part it stands in; some
        writers leave the slash out, so the root comes second.
        """
        if not location or len(location) > MAX_LOCATION:
            return None
        folder = base.rpartition("/")[0]
        starts = [""] if location.startswith("/") else [folder, ""]
        names = (_join(start, location) for start in starts)
        return next((name for name in names if name in self._parts), None)


def _about_references(covers: list[str], missing: list[str], changed: list[str]) -> Iterator[Statement]:
    if missing:
        yield broken(
            "COVERED_PART_MISSING",
            f"签章覆盖的 {len(missing)} 个部件不在文件中：{_list(missing)}",
            f"{len(missing)} parts that the seal covers are not in the file: {_list(missing)}",
        )
    if changed:
        yield broken(
            "COVERED_PART_CHANGED",
            f"签章覆盖的 {len(changed)} 个部件被改动：{_list(changed)}",
            f"{len(changed)} parts that the seal covers were changed: {_list(changed)}",
        )
    if covers:
        yield held(
            "COVERED_DIGESTS_MATCH",
            f"签章覆盖的 {len(covers)} 个部件的 SM3 相符",
            f"the SM3 of {len(covers)} parts is the one that the seal covers",
        )


def _join(folder: str, location: str) -> str:
    """Return the name that a location means, empty where it leaves the package."""
    segments = [one for one in folder.split("/") if one]
    for segment in location.split("/"):
        if segment == "..":
            if not segments:
                return ""
            segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    return "/".join(segments)


def _digest(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _common_name(der: bytes) -> str | None:
    try:
        return shown(parse_certificate(der).common_name)
    except CertificateError:
        return None


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:MAX_SHOWN_PARTS])
    return shown if len(names) <= MAX_SHOWN_PARTS else f"{shown}, …"


def _structure(zh: str, en: str) -> InputError:
    return InputError("OFD_MALFORMED", f"OFD 结构有误：{zh}", f"the OFD file's structure is wrong: {en}")
