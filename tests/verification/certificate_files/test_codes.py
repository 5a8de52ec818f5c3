"""What codes carry: links and compact presentations are what they were made of, and nothing else is taken for one."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.identifiers import ROOT_OID
from sm_crypto.sm3 import sm3
from verification import codes
from verification.certificate_files.document import CertificateDocument, core_digest, encode_file
from verification.certificate_files.file_verification import verify_presentation
from verification.certificate_files.presentation import Presentation, bind_presentation, present
from verification.certificate_files.seals import sign_batch
from verification.codes import (
    MAX_CODE_CHARACTERS,
    MAX_PACKED_BYTES,
    VerificationLink,
    decode_base45,
    encode_base45,
    make_link,
    pack_presentation,
    read_code,
    read_link,
    unpack_presentation,
)
from verification.errors import InputError

ALPHANUMERIC = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
"""ISO/IEC 18004, table 5."""
BASE = "https://verify.example.cn"


@pytest.fixture(scope="module")
def presentation(world: Any, document: CertificateDocument) -> Presentation:
    shown = present(document, ["面积", "坐落"], ["产权证.pdf"])
    return bind_presentation(shown, world.holder, "示例银行", "办理抵押", world.now_ms, world.now_ms + 86_400_000)


def code_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_code(text)
    return caught.value.code


def test_a_link_is_short_alphanumeric_and_says_which_document(document: CertificateDocument) -> None:
    digest = core_digest(document.core)
    link = make_link(BASE + "/", document.core.identifier, digest)
    assert set(link.text) <= ALPHANUMERIC
    assert link.text == (
        f"HTTPS://VERIFY.EXAMPLE.CN/V/{document.core.identifier.removeprefix(ROOT_OID)}/{digest.hex().upper()[:20]}"
    )
    assert read_code(link.text) == link
    assert link.is_of(digest)
    assert not link.is_of(sm3(b"another"))
    plain = make_link(BASE, document.core.identifier)
    assert read_code(plain.text) == plain
    assert plain.is_of(sm3(b"another"))


def test_what_browsers_do_to_scheme_and_host_changes_nothing(document: CertificateDocument) -> None:
    link = make_link("http://127.0.0.1:8551/CHAIN", document.core.identifier, bytes(32))
    assert read_link(link.text.replace("HTTP", "http")) == link
    assert read_link(make_link(BASE, document.core.identifier).text.replace("VERIFY.EXAMPLE.CN", "verify.example.cn"))


@pytest.mark.parametrize(
    "base",
    ["", "ftp://host", "https://", "https://主机", "https://host/path", "https://host?x", "https://h/V/X", "h" * 300],
)
def test_a_base_that_a_code_cannot_carry_is_refused(document: CertificateDocument, base: str) -> None:
    with pytest.raises(InputError) as caught:
        make_link(base, document.core.identifier)
    assert caught.value.code == "LINK_BASE_INVALID"


def test_a_link_to_what_is_no_identifier_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        make_link(BASE, "1234")
    assert caught.value.code == "IDENTIFIER_MALFORMED"


def test_codes_of_others_are_not_ours(document: CertificateDocument) -> None:
    link = make_link(BASE, document.core.identifier, bytes(32)).text
    others = [
        "",
        "HELLO",
        "https://example.cn/",
        link.lower(),
        link[:-1],
        link + "0",
        link + "/",
        link[:-20] + "g" * 20,
    ]
    others += [link.replace("/V/", "/W/"), link.replace("/V/", f"/V/{ROOT_OID}"), "X" + link, link + "\n", "0" * 7_089]
    for text in others:
        assert code_of(text) == "CODE_UNKNOWN", text


def test_a_presentation_comes_back_whole_and_is_verified_as_its_file_is(world: Any, presentation: Presentation) -> None:
    text = pack_presentation(presentation)
    assert set(text) <= ALPHANUMERIC
    assert len(text) <= MAX_CODE_CHARACTERS
    found = read_code(text)
    assert found == presentation
    assert verify_presentation(encode_file(found), world.expect()).code == "GENUINE"


def test_a_presentation_of_a_batch_carries_its_way_to_the_root(world: Any) -> None:
    draft = world.draft(holder_key=False)
    batch = ".".join(draft.core.identifier.removeprefix(ROOT_OID).split(".")[:3])
    signed = sign_batch(batch, 2**20, sm3(b"r"), sm3(b"m"), world.issuer.signer, world.issuer.chain, world.now_ms)
    path = [sm3(bytes([place])) for place in range(20)]
    document = codes.unpack_presentation(
        pack_presentation(present(_sealed(draft, signed.seal(77, path)), ["CZZT", "坐落"]))
    )
    assert document == present(_sealed(draft, signed.seal(77, path)), ["CZZT", "坐落"])


def _sealed(draft: Any, seal: Any) -> CertificateDocument:
    from verification.certificate_files.document import seal_document

    return seal_document(draft, seal)


def test_what_does_not_fit_is_refused_and_what_would_fit_is_named(world: Any) -> None:
    document = world.seal(world.draft(CZZT="".join(chr(0x4E00 + at * 37 % 20_000) for at in range(1_500))))
    with pytest.raises(InputError) as caught:
        pack_presentation(present(document, ["CZZT", "面积", "用途"]))
    assert caught.value.code == "CODE_TOO_SMALL"
    assert str(MAX_PACKED_BYTES) in caught.value.en
    assert "these fields would fit: 面积、用途" in caught.value.en
    assert pack_presentation(present(document, ["面积", "用途"]))


def test_every_changed_character_is_noticed(presentation: Presentation) -> None:
    text = pack_presentation(presentation)
    for place in range(4, len(text), 97):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert code_of(changed) == "CODE_MALFORMED"


def test_a_code_that_unfolds_without_bound_is_refused() -> None:
    for raw in (bytes(10_000_000), b"\xc0" + bytes(100_000)):
        packed = zlib.compress(raw, 9)[: MAX_PACKED_BYTES - 1]
        assert code_of("GN1:" + encode_base45(packed)) == "CODE_MALFORMED"


def test_only_the_one_encoding_is_taken(presentation: Presentation) -> None:
    raw = zlib.decompress(decode_base45(pack_presentation(presentation)[4:]))
    for other in (raw + b"\0", raw[:-1], b"\xdc\x00\x05" + raw[1:], b"\xc0", msgspec.msgpack.encode([1, 2])):
        assert code_of("GN1:" + encode_base45(zlib.compress(other))) == "CODE_MALFORMED"
    assert code_of("GN1:" + encode_base45(zlib.compress(raw) + b"\0")) == "CODE_MALFORMED"
    assert code_of("GN2:") == "CODE_UNKNOWN"
    # Another compressor gives other bytes of the same content.
    assert read_code("GN1:" + encode_base45(zlib.compress(raw, 1))) == presentation


def test_base45_gives_the_examples_of_its_standard() -> None:
    """RFC 9285, section 4.3 and 4.4."""
    for raw, text in ((b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")):
        assert encode_base45(raw) == text
        assert decode_base45(text) == raw
    for text in ("GGW", ":::", "A", "BB8A", "::", "bb8", "BB\n"):
        with pytest.raises(InputError):
            decode_base45(text)


@given(st.binary(max_size=64))
@settings(max_examples=60, deadline=None)
def test_base45_is_undone(raw: bytes) -> None:
    text = encode_base45(raw)
    assert set(text) <= ALPHANUMERIC
    assert decode_base45(text) == raw


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_reading_any_text_ends_in_content_or_a_named_refusal(presentation: Presentation, data: st.DataObject) -> None:
    raw = zlib.decompress(decode_base45(pack_presentation(presentation)[4:]))
    place = data.draw(st.integers(0, len(raw) - 1))
    with_change = raw[:place] + data.draw(st.binary(max_size=3)) + raw[place + data.draw(st.integers(0, 3)) :]
    text = data.draw(
        st.one_of(
            st.text(max_size=80),
            st.text(alphabet=sorted(ALPHANUMERIC), max_size=200).map("GN1:".__add__),
            st.just("GN1:" + encode_base45(zlib.compress(with_change))),
            st.text(alphabet=sorted(ALPHANUMERIC), max_size=90).map("HTTPS://A/V/".__add__),
        )
    )
    outcome: Any
    try:
        outcome = read_code(text)
    except InputError as error:
        outcome = error.code
    if isinstance(outcome, str):
        assert outcome in {"CODE_UNKNOWN", "CODE_MALFORMED", "DOCUMENT_MALFORMED", "CHECK_CHARACTER_MISMATCH"}
    else:
        again = outcome.text if isinstance(outcome, VerificationLink) else pack_presentation(outcome)
        assert read_code(again) == outcome


def test_unpacking_asks_for_the_prefix(presentation: Presentation) -> None:
    with pytest.raises(InputError):
        unpack_presentation(pack_presentation(presentation)[4:])
