"""A presentation under a key that stands in a link: what it was is what comes out, and nothing else opens it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.code_reading_process import find_codes
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.presentation import bind_presentation, present
from verification.code_image import code_modules, code_png
from verification.codes import make_link
from verification.deposits import (
    MAX_DEPOSIT_LINK,
    MAX_DEPOSITED_FILE_BYTES,
    PADDING_BYTES,
    DepositLink,
    decode_key,
    encode_id,
    encode_key,
    make_deposit_link,
    open_deposit,
    read_code_content,
    read_deposit_link,
    seal_deposit,
)
from verification.errors import InputError

KEY = bytes(range(16))
ID = encode_id(bytes(range(10)))


@pytest.fixture(scope="module")
def shown(world: Any, document: CertificateDocument) -> bytes:
    end_ms = world.now_ms + 86_400_000
    return encode_file(
        bind_presentation(present(document, ["面积"]), world.holder, "示例银行", "抵押", world.now_ms, end_ms)
    )


def code_of(text: str) -> str:
    with pytest.raises(InputError) as raised:
        read_code_content(text)
    return raised.value.code


def test_what_is_sealed_comes_back_and_its_length_tells_little(shown: bytes) -> None:
    sealed = seal_deposit(shown, KEY)
    assert open_deposit(sealed, KEY) == (shown, "presentation")
    assert len(sealed) % PADDING_BYTES == 0
    assert b"98.5" not in sealed
    with pytest.raises(InputError) as raised:
        open_deposit(sealed, bytes(16))
    assert raised.value.code == "KEY_WRONG"


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 4_095), bit=st.integers(0, 7), cut=st.integers(0, 40))
def test_a_changed_deposit_does_not_open(shown: bytes, place: int, bit: int, cut: int) -> None:
    sealed = bytearray(seal_deposit(shown, KEY))
    sealed[place] ^= 1 << bit
    for raw in (bytes(sealed), bytes(sealed[:cut])):
        with pytest.raises(InputError) as raised:
            open_deposit(raw, KEY)
        assert raised.value.code == "KEY_WRONG"


def test_documents_other_files_and_large_ones_are_not_deposited(shown: bytes, document: CertificateDocument) -> None:
    for raw in (encode_file(document), b"", b"{}", b"\xff" * 100, shown[:-2] + b" " * MAX_DEPOSITED_FILE_BYTES + b"}}"):
        with pytest.raises(InputError) as raised:
            seal_deposit(raw, KEY)
        assert raised.value.code == "DEPOSIT_REFUSED"


def test_the_link_is_read_from_its_code_and_from_an_address_bar() -> None:
    link = make_deposit_link("https://chain.example", ID, KEY)
    assert link.text == "HTTPS://CHAIN.EXAMPLE/P/AAAQEAYEAUDAOCAJ#AAAQEAYEAUDAOCAJBIFQYDIOB4"
    assert read_code_content(link.text) == link
    assert read_code_content(link.text.replace("HTTPS://CHAIN.EXAMPLE", "https://chain.example")) == link
    assert find_codes(code_png(link.text)).texts == (link.text,)
    # 41 modules: 25 mm on paper, where the presentation itself takes seven centimetres.
    assert len(code_modules(link.text)) == 41
    assert "AAAQEAYEAUDAOCAJBIFQ" not in repr(link)


def test_what_is_no_whole_link_says_so(identifier: str) -> None:
    link = make_deposit_link("https://chain.example", ID, KEY).text
    assert code_of(link[:-1]) == code_of(link.partition("#")[0]) == "KEY_MALFORMED"
    assert code_of(link[:-1] + "5") == "KEY_MALFORMED"  # bits that no key has
    assert code_of(link.replace(ID, ID[:-1])) == code_of(link.replace("/P/", "/Q/")) == "CODE_UNKNOWN"
    assert code_of("x" * MAX_DEPOSIT_LINK + link) == "CODE_UNKNOWN"
    assert read_deposit_link(make_link("https://chain.example/P", identifier).text) is None


@pytest.fixture(scope="module")
def identifier(document: CertificateDocument) -> str:
    return document.core.identifier


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=120) | st.text("ABP2#/:HTS.", max_size=300))
def test_any_text_is_a_link_or_none(text: str) -> None:
    link = None
    with contextlib.suppress(InputError):
        link = read_deposit_link(text)
    assert link is None or read_deposit_link(link.text) == link


@given(key=st.binary(min_size=16, max_size=16))
def test_a_key_has_one_form(key: bytes) -> None:
    assert decode_key(encode_key(key)) == key
    assert read_deposit_link(DepositLink("HTTPS://A", ID, key).text) == DepositLink("HTTPS://A", ID, key)
