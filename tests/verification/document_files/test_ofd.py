"""What is said of an OFD file and its seals: held, broken and not verified, each for the right reason."""

from __future__ import annotations

from typing import Any

import pytest

from sm_crypto.sm3 import sm3
from verification.document_files.inspection import DocumentReport, inspect_document
from verification.document_files.seal import decode_seal_signature
from verification.errors import InputError

PAGE = "Doc_0/Pages/Page_0/Content.xml"
SIGN = "Doc_0/Signs/Sign_0/"
SEAL_PARTS = {"Doc_0/Signs/Signatures.xml", SIGN + "Signature.xml", SIGN + "Seal.esl", SIGN + "SignedValue.dat"}


def look(world: Any, raw: bytes, *trusted: Any, later_ms: int = 0) -> DocumentReport:
    return inspect_document(raw, world.now_ms + later_ms, trusted)


def codes(report: DocumentReport, *states: str) -> set[str]:
    assert report.ofd is not None
    found = [*report.ofd.statements, *(one for seal in report.ofd.seals for one in seal.statements)]
    assert all(one.zh and one.en for one in found)
    return {one.code for one in found if not states or one.state in states}


@pytest.mark.parametrize("form", ["2020", "2014"])
def test_a_sealed_file_holds_in_both_forms_and_trust_is_judged_only_when_certificates_are_given(
    seal_world: Any, form: str
) -> None:
    ofd = seal_world.sealing(is_2014=form == "2014").make()
    report = look(seal_world, ofd.raw)
    assert (report.kind, report.code, report.sm3) == ("ofd", "SEALS_HOLD", sm3(ofd.raw).hex())
    assert codes(report, "unverified") == {"SIGNER_TRUST_NOT_VERIFIED", "MAKER_TRUST_NOT_VERIFIED"}
    assert {one.code for one in report.not_verified} >= {
        "LEDGER_NOT_ASKED",
        "REVOCATION_NOT_CHECKED",
        "SEALING_TIME_CLAIMED",
    }
    assert report.ofd is not None
    seal = report.ofd.seals[0]
    assert seal.form is not None
    assert form in seal.form
    assert (seal.signer, seal.maker, seal.seal_name) == ("签章人", "制章人", "示例市自然资源局印章")
    assert (seal.holds, seal.sealed_ms, set(seal.covers)) == (True, 1_785_000_000_000, set(ofd.parts) - SEAL_PARTS)
    assert report.ofd.documents[0].title == "证照"
    assert report.ofd.documents[0].pages == (PAGE,)
    assert report.ofd.documents[0].attachments == ("Doc_0/Attachs/a.xml",)
    assert {part.name: part.sm3 for part in report.ofd.parts} == {
        name: sm3(data).hex() for name, data in ofd.parts.items()
    }
    assert {part.name for part in report.ofd.parts if part.role == "seal"} == SEAL_PARTS

    trusted = look(seal_world, ofd.raw, seal_world.root, seal_world.department)
    assert trusted.code == "SEALS_HOLD_TRUSTED"
    assert (
        look(seal_world, ofd.raw, seal_world.signer.certificate, seal_world.maker.certificate).code
        == "SEALS_HOLD_TRUSTED"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_to_ms": 253_402_300_799_000},
        {"lists_digests": True},
        {"is_plain_signature": True},
        {"maker_signs_all": True},
        {"check_method": "SM3"},
    ],
    ids=[
        "a seal until the end of 9999",
        "digests of signers",
        "r and s side by side",
        "maker signs certificate too",
        "SM3 by name",
    ],
)
def test_other_ways_of_writing_the_same_hold_too(seal_world: Any, changes: dict[str, Any]) -> None:
    assert look(seal_world, seal_world.sealing(**changes).make().raw).code == "SEALS_HOLD"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signer": "expired"}, "SIGNER_CERTIFICATE_NOT_VALID"),
        ({"listed": (b"another",)}, "SIGNER_NOT_IN_SEAL"),
        ({"valid_to_ms": 1_784_999_000_000}, "SEAL_NOT_VALID_WHEN_USED"),
    ],
    ids=["expired signer", "signer whom the seal does not list", "expired seal"],
)
def test_a_seal_used_against_its_rules_is_broken_for_that_reason(
    seal_world: Any, changes: dict[str, Any], code: str
) -> None:
    if "signer" in changes:
        changes = {"signer": seal_world.expired}
    report = look(seal_world, seal_world.sealing(**changes).make().raw)
    assert report.code == "BROKEN"
    assert codes(report, "broken") == {code}
    assert report.ofd is not None
    assert not any(part.covered_by for part in report.ofd.parts)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"algorithm": "1.2.840.113549.1.1.11"}, "SIGNATURE_ALGORITHM_NOT_SM2"),
        ({"check_method": "MD5"}, "CHECK_METHOD_NOT_SM3"),
        ({"check_method": "SHA1"}, "CHECK_METHOD_NOT_SM3"),
        ({"kind": "Sign"}, "SIGNATURE_KIND_NOT_VERIFIED"),
    ],
)
def test_what_is_not_verified_is_said_and_covers_nothing(seal_world: Any, changes: dict[str, Any], code: str) -> None:
    report = look(seal_world, seal_world.sealing(**changes).make().raw)
    assert report.code == "NOT_VERIFIED"
    assert code in codes(report, "unverified")
    assert "PARTS_NOT_COVERED" in codes(report, "warning")


def test_every_part_that_was_tampered_with_is_noticed(seal_world: Any) -> None:
    ofd = seal_world.sealing().make()
    expected = {
        SIGN + "Signature.xml": "DATA_HASH_DIFFERS",
        SIGN + "Seal.esl": "SEAL_FILE_DIFFERS",
        SIGN + "SignedValue.dat": "SIGNATURE_INVALID",
    }
    for name, data in ofd.parts.items():
        if name == "Doc_0/Signs/Signatures.xml":
            continue
        # A space more in XML; the last byte of DER, which is the signature's.
        changed = data + b" " if name.endswith(".xml") else data[:-1] + bytes((data[-1] ^ 1,))
        report = look(seal_world, ofd.with_part(name, changed).raw)
        assert report.code == "BROKEN", name
        assert codes(report, "broken") == {expected.get(name, "COVERED_PART_CHANGED")}, name


def test_a_signer_below_no_trusted_certificate_and_a_seal_with_another_picture_are_broken(
    seal_world: Any,
) -> None:
    ofd = seal_world.sealing().make()
    report = look(seal_world, ofd.raw, seal_world.expired.certificate)
    assert report.code == "BROKEN"
    assert codes(report, "broken") == {"SIGNER_NOT_TRUSTED", "MAKER_NOT_TRUSTED"}

    forged = seal_world.sealing()
    seal = forged.seal().replace(b"picture", b"another")
    again = ofd.with_part(SIGN + "Seal.esl", seal).with_part(
        SIGN + "SignedValue.dat", forged.sign(seal, ofd.parts[SIGN + "Signature.xml"])
    )
    assert codes(look(seal_world, again.raw), "broken") == {"MAKER_SIGNATURE_INVALID"}


def test_parts_that_no_seal_covers_are_named(seal_world: Any) -> None:
    report = look(seal_world, seal_world.sealing(uncovered=(PAGE,)).make().raw)
    assert report.code == "PARTS_NOT_COVERED"
    assert report.ofd is not None
    assert PAGE in report.ofd.statements[0].zh
    added = look(seal_world, seal_world.sealing().make().with_part("Doc_0/Res/added.png", b"1").raw)
    assert added.code == "PARTS_NOT_COVERED"


def test_a_page_cannot_be_passed_off_as_part_of_a_seal(seal_world: Any) -> None:
    ofd = seal_world.sealing(uncovered=(PAGE,)).make()
    listed = ofd.parts["Doc_0/Signs/Signatures.xml"].replace(
        b"</ofd:Signatures>", f'<ofd:Signature ID="2" BaseLoc="/{SIGN}Two.xml"/></ofd:Signatures>'.encode()
    )
    two = ofd.parts[SIGN + "Signature.xml"].replace(b"/Doc_0/Signs/Sign_0/SignedValue.dat", b"/" + PAGE.encode())
    report = look(seal_world, ofd.with_part("Doc_0/Signs/Signatures.xml", listed).with_part(SIGN + "Two.xml", two).raw)
    assert report.code != "SEALS_HOLD"
    assert report.ofd is not None
    assert next(part for part in report.ofd.parts if part.name == PAGE).role == "content"


def test_missing_parts_are_said(seal_world: Any) -> None:
    ofd = seal_world.sealing().make()
    assert {"COVERED_PART_MISSING"} <= codes(look(seal_world, ofd.without("Doc_0/Attachs/a.xml").raw), "broken")
    assert {"NAMED_PART_MISSING"} <= codes(look(seal_world, ofd.without(PAGE).raw), "warning")
    assert codes(look(seal_world, ofd.without(SIGN + "SignedValue.dat").raw), "broken") == {"SIGNED_VALUE_MISSING"}
    assert codes(look(seal_world, ofd.without(SIGN + "Seal.esl").raw), "broken") == {"SEAL_FILE_DIFFERS"}
    for name, code in (
        ("OFD.xml", "NOT_OFD"),
        ("Doc_0/Document.xml", "OFD_MALFORMED"),
        (SIGN + "Signature.xml", "OFD_MALFORMED"),
    ):
        with pytest.raises(InputError) as refused:
            look(seal_world, ofd.without(name).raw)
        assert refused.value.code == code


@pytest.mark.parametrize("is_2014", [False, True], ids=["2020", "2014"])
def test_a_time_stamp_is_said_not_to_be_verified(seal_world: Any, is_2014: bool) -> None:
    stamped = look(seal_world, seal_world.sealing(is_2014=is_2014, has_time_stamp=True).make().raw)
    assert stamped.code == "SEALS_HOLD"
    assert "TIME_STAMP_NOT_VERIFIED" in codes(stamped, "unverified")
    assert stamped.ofd is not None
    assert stamped.ofd.seals[0].sealed_ms == (None if is_2014 else 1_785_000_000_000)


def test_a_file_without_a_seal_is_said_to_have_none(seal_world: Any) -> None:
    ofd = seal_world.sealing().make()
    plain = ofd.with_part(
        "OFD.xml", ofd.parts["OFD.xml"].replace(b"<ofd:Signatures>/Doc_0/Signs/Signatures.xml</ofd:Signatures>", b"")
    )
    assert look(seal_world, plain.raw).code == "NO_SEAL"


def test_a_certificate_that_expired_after_sealing_is_a_warning(seal_world: Any) -> None:
    report = look(seal_world, seal_world.sealing().make().raw, later_ms=4 * 366 * 86_400_000)
    assert report.code == "SEALS_HOLD"
    assert codes(report, "warning") == {"SIGNER_CERTIFICATE_EXPIRED_SINCE"}


@pytest.mark.parametrize("written", [b"20260725172000.5Z", b"20260726012000+0800"], ids=["fraction", "zone"])
def test_times_with_fraction_or_zone_are_read(seal_world: Any, written: bytes) -> None:
    sealing = seal_world.sealing()
    seal = sealing.seal()
    xml = sealing.make().parts[SIGN + "Signature.xml"]
    changed = decode_seal_signature(sealing.sign(seal, xml, when=b"\x18" + bytes((len(written),)) + written))
    assert changed.time_ms == 1_785_000_000_000
