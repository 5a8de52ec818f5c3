"""Presentations and annotated copies: what shows, what stays hidden, for whom and until when."""

from typing import Any

import msgspec
import pytest

from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from verification.certificate_files.annotated_copy import copy_message, decode_annotated_copy, make_annotated_copy
from verification.certificate_files.document import CertificateDocument, encode_file, file_digest
from verification.certificate_files.file_verification import STEPS_OF, verify_annotated_copy, verify_presentation
from verification.certificate_files.presentation import (
    OpenField,
    Presentation,
    bind_presentation,
    decode_presentation,
    present,
)
from verification.errors import InputError

DAY_MS = 86_400_000
BANK = "示例银行"


@pytest.fixture
def bound(world: Any, document: CertificateDocument) -> Presentation:
    shown = present(document, ["面积", "坐落"], ["产权证.pdf"])
    return bind_presentation(shown, world.holder, BANK, "办理抵押", world.now_ms, world.now_ms + DAY_MS)


def test_chosen_fields_show_and_the_others_stay_hidden_but_named(world: Any, bound: Presentation, pdf: bytes) -> None:
    raw = encode_file(bound)
    verdict = verify_presentation(
        raw,
        world.expect(recipient=BANK, attachments={"产权证.pdf": file_digest(pdf)}, ledger=world.draft().content),
    )
    assert verdict.is_accepted, verdict
    assert tuple(step.step for step in verdict.steps) == STEPS_OF["presentation"]
    assert verdict.values == {"坐落": "示例路1号\n2栋", "面积": "98.5"}
    assert verdict.hidden == ("ZZBH", "CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM", "用途")
    assert (verdict.recipient, verdict.purpose, verdict.expires_ms) == (BANK, "办理抵押", world.now_ms + DAY_MS)
    for secret in ("张三", "990101199001011234", "住宅"):
        assert secret not in raw.decode()
    assert decode_presentation(raw) == bound


def test_the_secret_of_the_document_and_hidden_salts_are_not_in_a_presentation(
    document: CertificateDocument, bound: Presentation
) -> None:
    everything = present(document, [field.name for field in document.core.fields])
    raw = encode_file(bound).decode()
    assert document.secret not in encode_file(everything).decode()
    shown = {one.position for one in bound.fields}
    assert len({one.salt for one in everything.fields}) == len(everything.fields)
    assert all((one.salt in raw) == (one.position in shown) for one in everything.fields)


def test_it_is_for_one_recipient_and_time(world: Any, bound: Presentation) -> None:
    raw = encode_file(bound)
    assert verify_presentation(raw, world.expect(recipient="别家")).code == "ANOTHERS_COPY"
    assert verify_presentation(raw, world.expect(now_ms=world.now_ms + DAY_MS + 1)).code == "COPY_EXPIRED"
    assert verify_presentation(raw, world.expect(now_ms=world.now_ms + DAY_MS)).is_accepted
    early = bind_presentation(bound, world.holder, BANK, "x", world.now_ms + DAY_MS, world.now_ms + 2 * DAY_MS)
    assert verify_presentation(encode_file(early), world.expect()).code == "SIGNED_IN_FUTURE"
    unasked = verify_presentation(raw, world.expect())
    assert {step.step: step.state for step in unasked.steps}["recipient"] == "not-asked"


def test_a_document_with_a_holder_key_is_presented_by_the_holder_only(
    world: Any, document: CertificateDocument
) -> None:
    shown = present(document, ["面积"])
    assert verify_presentation(encode_file(shown), world.expect()).code == "HOLDER_SIGNATURE_MISSING"
    thief = Signer(PrivateKey.generate())
    with pytest.raises(InputError) as caught:
        bind_presentation(shown, thief, BANK, "x", world.now_ms, world.now_ms + 1)
    assert caught.value.code == "HOLDER_KEY_DIFFERS"
    bearer = present(world.seal(world.draft(holder_key=False)), [])
    verdict = verify_presentation(encode_file(bearer), world.expect(recipient=BANK))
    assert verdict.is_accepted
    assert {step.step for step in verdict.steps if step.state == "not-asked"} == {
        *("ledger", "batch", "fields", "attachments", "binding", "recipient", "expiry")
    }


def test_a_thief_cannot_put_a_key_of_its_own_into_the_document(world: Any, bound: Presentation) -> None:
    thief = Signer(PrivateKey.generate())
    core = msgspec.structs.replace(bound.core, holder_key=thief.public_key.hex())
    stolen = bind_presentation(
        msgspec.structs.replace(bound, core=core), thief, BANK, "x", world.now_ms, world.now_ms + 1
    )
    assert verify_presentation(encode_file(stolen), world.expect()).code == "SIGNATURE_INVALID"
    without = msgspec.structs.replace(bound, core=msgspec.structs.replace(bound.core, holder_key=""), binding=None)
    assert verify_presentation(encode_file(without), world.expect()).code == "SIGNATURE_INVALID"


def test_what_the_holder_chose_cannot_be_widened_or_narrowed(
    world: Any, document: CertificateDocument, bound: Presentation
) -> None:
    everything = present(document, [field.name for field in document.core.fields])
    for fields in (bound.fields[:1], everything.fields, ()):
        other = msgspec.structs.replace(bound, fields=fields)
        assert verify_presentation(encode_file(other), world.expect()).code == "HOLDER_SIGNATURE_INVALID"
    no_file = msgspec.structs.replace(bound, attachments=())
    assert verify_presentation(encode_file(no_file), world.expect()).code == "HOLDER_SIGNATURE_INVALID"


@pytest.mark.parametrize("change", ["drop", "rename", "swap", "add", "commitment"])
def test_hidden_fields_cannot_be_dropped_renamed_reordered_or_replaced(
    world: Any, bound: Presentation, change: str
) -> None:
    fields = list(bound.core.fields)
    hidden = len(fields) - 1
    if change == "drop":
        fields.pop()
    elif change == "rename":
        fields[hidden] = msgspec.structs.replace(fields[hidden], name="用途2")
    elif change == "swap":
        fields[1], fields[2] = (
            msgspec.structs.replace(fields[1], commitment=fields[2].commitment),
            msgspec.structs.replace(fields[2], commitment=fields[1].commitment),
        )
    elif change == "add":
        fields.append(msgspec.structs.replace(fields[hidden], name="新"))
    else:
        fields[hidden] = msgspec.structs.replace(fields[hidden], commitment="00" * 32)
    core = msgspec.structs.replace(bound.core, fields=tuple(fields))
    raw = encode_file(msgspec.structs.replace(bound, core=core))
    assert verify_presentation(raw, world.expect()).code == "SIGNATURE_INVALID"
    assert verify_presentation(raw, world.expect(ledger=world.draft().content)).code == "DOCUMENT_CHANGED"


def test_values_that_were_not_issued_are_found(world: Any, document: CertificateDocument, bound: Presentation) -> None:
    first, second = bound.fields
    for fields in (
        (msgspec.structs.replace(first, value="别处"), second),
        (msgspec.structs.replace(first, salt="00" * 16), second),
        (msgspec.structs.replace(first, value=second.value, salt=second.salt), second),
        (OpenField(0, first.value, first.salt), second),
    ):
        raw = encode_file(msgspec.structs.replace(bound, fields=fields))
        assert verify_presentation(raw, world.expect()).code == "FIELD_CHANGED"
    other = present(world.seal(world.draft("20260000009")), ["面积", "坐落"])
    swapped = msgspec.structs.replace(bound, fields=other.fields)
    assert verify_presentation(encode_file(swapped), world.expect()).code == "FIELD_CHANGED"


def test_swapped_attachments_are_found(world: Any, bound: Presentation) -> None:
    raw = encode_file(bound)
    other = file_digest(b"%PDF another")
    code = verify_presentation(raw, world.expect(attachments={"产权证.pdf": other})).code
    assert code == "ATTACHMENT_CHANGED"
    assert verify_presentation(raw, world.expect(attachments={"x.pdf": other})).code == "ATTACHMENT_UNKNOWN"
    lied = msgspec.structs.replace(bound.attachments[0], size=other.size, sm3=other.sm3)
    raw = encode_file(msgspec.structs.replace(bound, attachments=(lied,)))
    assert verify_presentation(raw, world.expect(attachments={"产权证.pdf": other})).code == "ATTACHMENT_CHANGED"


def test_positions_ascend_and_exist(bound: Presentation) -> None:
    first, second = bound.fields
    beyond = msgspec.structs.replace(second, position=len(bound.core.fields))
    for fields in ((second, first), (first, first), (first, beyond)):
        with pytest.raises(InputError, match="ascending positions"):
            decode_presentation(encode_file(msgspec.structs.replace(bound, fields=fields)))


def test_unknown_names_are_not_presented(document: CertificateDocument) -> None:
    for names, files in ((["没有"], []), ([], ["没有"])):
        with pytest.raises(InputError) as caught:
            present(document, names, files)
        assert caught.value.code == "FIELD_UNKNOWN"


def _copy(world: Any, original: Presentation, **changes: Any) -> Any:
    content = {
        "reason": "存档",
        "recipient": BANK,
        "made_ms": world.now_ms,
        "expires_ms": world.now_ms + DAY_MS,
        **changes,
    }
    return make_annotated_copy(original, world.copier.signer, world.copier.chain, **content)


def test_an_annotated_copy_says_who_made_it_for_whom_and_until_when(world: Any, document: CertificateDocument) -> None:
    copy = _copy(world, present(document, ["面积"]))
    raw = encode_file(copy)
    for name in ("JZJZZSJ", "JZJZZZ", "JZJZZSY", "JZJYXQJZSJ"):
        assert f'"{name}"' in raw.decode()
    verdict = verify_annotated_copy(raw, world.expect(recipient=BANK))
    assert verdict.is_accepted, verdict
    assert tuple(step.step for step in verdict.steps) == STEPS_OF["annotated-copy"]
    assert (verdict.values, verdict.purpose, verdict.recipient) == ({"面积": "98.5"}, "存档", BANK)
    assert copy.annotation.maker == "示例市市场监管局"
    assert copy.annotation.maker_code == world.copier_code
    assert decode_annotated_copy(raw) == copy
    assert verify_annotated_copy(raw, world.expect(recipient="别家")).code == "ANOTHERS_COPY"
    assert verify_annotated_copy(raw, world.expect(now_ms=world.now_ms + 2 * DAY_MS)).code == "COPY_EXPIRED"
    ledger_only = world.expect(roots=None, ledger=world.draft().content)
    assert verify_annotated_copy(raw, ledger_only).code == "TRUST_MISSING"


def test_a_copy_that_the_holder_did_not_sign_says_so(world: Any, document: CertificateDocument) -> None:
    """Whoever strips the holder's signature off a presentation has its maker's word left, and the verdict says no more."""
    shown = present(document, ["面积"])
    bound = bind_presentation(shown, world.holder, world.copier_code, "x", world.now_ms, world.now_ms + DAY_MS)
    keyless = world.seal(world.draft(holder_key=False))
    said = {}
    for name, original in (("stripped", shown), ("bound", bound), ("keyless", present(keyless, ["面积"]))):
        verdict = verify_annotated_copy(encode_file(_copy(world, original)), world.expect())
        assert verdict.is_accepted, verdict
        said[name] = (verdict.is_on_makers_word, "持证人没有签名" in verdict.zh, "did not sign" in verdict.en)
    assert said == {"stripped": (True,) * 3, "bound": (False,) * 3, "keyless": (False,) * 3}


def test_a_copy_is_bound_to_its_original_and_annotation(world: Any, document: CertificateDocument) -> None:
    copy = _copy(world, present(document, ["面积"]))
    annotation = copy.annotation
    changes: list[dict[str, Any]] = [
        {"annotation": msgspec.structs.replace(annotation, reason="贷款")},
        {"annotation": msgspec.structs.replace(annotation, recipient="别家")},
        {"annotation": msgspec.structs.replace(annotation, expires_ms=annotation.expires_ms + 1)},
        {"annotation": msgspec.structs.replace(annotation, made_ms=annotation.made_ms - 1)},
        {"annotation": msgspec.structs.replace(annotation, maker="示例市自然资源局")},
        {"annotation": msgspec.structs.replace(annotation, maker_code=world.issuer_code)},
        {"original": present(document, ["面积", "坐落"])},
        {"original": present(world.seal(world.draft("20260000009")), ["面积"])},
    ]
    for change in changes:
        raw = encode_file(msgspec.structs.replace(copy, **change))
        assert verify_annotated_copy(raw, world.expect()).code == "MAKER_SIGNATURE_INVALID"


def test_a_copy_is_made_in_the_name_of_the_signers_department_only(world: Any, document: CertificateDocument) -> None:
    copy = _copy(world, present(document, ["面积"]))
    issuer = [one.der.hex() for one in world.issuer.chain]
    raw = encode_file(msgspec.structs.replace(copy, chain=tuple(issuer)))
    assert verify_annotated_copy(raw, world.expect()).code == "MAKER_SIGNATURE_INVALID"
    raw = encode_file(msgspec.structs.replace(copy, chain=(copy.chain[0], issuer[1])))
    assert verify_annotated_copy(raw, world.expect()).code == "SIGNER_NOT_TRUSTED"


def test_what_the_holder_showed_to_one_is_not_copied_by_another(world: Any, document: CertificateDocument) -> None:
    shown = present(document, ["面积"])

    def code(recipient: str, made_ms: int) -> str:
        bound = bind_presentation(shown, world.holder, recipient, "x", made_ms, made_ms + DAY_MS)
        return verify_annotated_copy(encode_file(_copy(world, bound)), world.expect()).code

    assert code(world.copier_code, world.now_ms) == "GENUINE"
    assert code("示例市市场监管局", world.now_ms) == "GENUINE"
    assert code(BANK, world.now_ms) == "ANOTHERS_COPY"
    assert code(world.copier_code, world.now_ms - 2 * DAY_MS) == "COPY_EXPIRED"


def test_a_copy_names_its_maker_as_the_certificate_does(world: Any, document: CertificateDocument) -> None:
    copy = _copy(world, present(document, ["面积"]))
    annotation = msgspec.structs.replace(copy.annotation, maker="示例市公安局")
    signature = world.copier.signer.sign(copy_message(copy.original, annotation)).hex()
    lied = msgspec.structs.replace(copy, annotation=annotation, signature=signature)
    assert verify_annotated_copy(encode_file(lied), world.expect()).code == "SIGNER_NOT_OF_DEPARTMENT"


def test_a_copy_keeps_the_very_signature_that_the_holder_gave(world: Any, document: CertificateDocument) -> None:
    terms = (world.holder, world.copier_code, "x", world.now_ms, world.now_ms + DAY_MS)
    shown = present(document, ["面积"])
    copy = _copy(world, bind_presentation(shown, *terms))
    other = msgspec.structs.replace(copy, original=bind_presentation(shown, *terms))
    assert verify_annotated_copy(encode_file(copy), world.expect()).is_accepted
    assert verify_annotated_copy(encode_file(other), world.expect()).code == "MAKER_SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "changes",
    [{"reason": ""}, {"reason": "x" * 201}, {"recipient": " x"}, {"recipient": ""}, {"expires_ms": 0}],
)
def test_annotations_are_plain_and_end_after_they_begin(
    world: Any, document: CertificateDocument, changes: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as caught:
        _copy(world, present(document, []), **changes)
    assert caught.value.code == "DOCUMENT_MALFORMED"
