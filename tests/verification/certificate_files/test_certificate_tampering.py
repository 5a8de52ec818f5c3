"""Every single change of a document, presentation or copy is refused for the right reason, and no bytes crash a decoder."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verification.certificate_files.annotated_copy import decode_annotated_copy, make_annotated_copy
from verification.certificate_files.document import CertificateDocument, decode_document, encode_file
from verification.certificate_files.file_verification import (
    DocumentVerdict,
    Expectations,
    verify_annotated_copy,
    verify_document,
    verify_presentation,
)
from verification.certificate_files.presentation import bind_presentation, decode_presentation, present
from verification.errors import InputError

DAY_MS = 86_400_000
MALFORMED = {"DOCUMENT_MALFORMED"}
SEAL = {"SIGNATURE_INVALID", "SIGNER_NOT_TRUSTED", "SIGNER_NOT_OF_DEPARTMENT"}

# Where a value stands, and for what reasons a file is refused that has another one there.
REASONS: dict[str, set[str]] = {
    "format": set(),
    "core": {"DOCUMENT_CHANGED", "CHECK_CHARACTER_MISMATCH"},
    "values": {"FIELD_CHANGED"},
    "files": {"ATTACHMENT_CHANGED"},
    "secret": {"SALT_WRONG"},
    "seal": SEAL,
    "fields": {"FIELD_CHANGED", "HOLDER_SIGNATURE_INVALID", "MAKER_SIGNATURE_INVALID"},
    "attachments": {"ATTACHMENT_CHANGED", "HOLDER_SIGNATURE_INVALID", "MAKER_SIGNATURE_INVALID"},
    "binding": {"HOLDER_SIGNATURE_INVALID", "HOLDER_SIGNATURE_MISSING", "MAKER_SIGNATURE_INVALID"},
    "annotation": {"MAKER_SIGNATURE_INVALID", "ANOTHERS_COPY", "COPY_EXPIRED"},
    "signature": {"MAKER_SIGNATURE_INVALID"},
    "chain": {"MAKER_SIGNATURE_INVALID", "SIGNER_NOT_TRUSTED", "SIGNER_NOT_OF_DEPARTMENT"},
}

Verify = Callable[[bytes, Expectations], DocumentVerdict]
Case = tuple[bytes, Verify]


@pytest.fixture(scope="session")
def cases(world: Any, document: CertificateDocument) -> dict[str, Case]:
    until = world.now_ms + DAY_MS
    shown = present(document, ["面积", "坐落"], ["产权证.pdf"])
    bound = bind_presentation(shown, world.holder, world.copier_code, "办理抵押", world.now_ms, until)
    copy = make_annotated_copy(
        bound,
        world.copier.signer,
        world.copier.chain,
        reason="存档",
        recipient="示例银行",
        made_ms=world.now_ms,
        expires_ms=until,
    )
    return {
        "document": (encode_file(document), verify_document),
        "presentation": (encode_file(bound), verify_presentation),
        "copy": (encode_file(copy), verify_annotated_copy),
    }


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a file where a value stands, objects and lists included."""
    if path:
        yield path
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    for name, value in items:
        yield from leaves(value, (*path, name))


def changed_values(value: Any) -> list[Any]:
    """Values near one: another digit or character, longer, shorter, of another kind."""
    if isinstance(value, str):
        flipped = [
            value[:place] + ("1" if value[place] != "1" else "2") + value[place + 1 :] for place in (0, -1) if value
        ]
        middle = len(value) // 2
        if middle:
            flipped.append(value[:middle] + ("a" if value[middle] != "a" else "b") + value[middle + 1 :])
        return [*flipped, value + "0", value[:-1] if value else "x", None]
    if isinstance(value, int):
        return [value + 1, value - 1, str(value)]
    if isinstance(value, list):
        return [value[:-1], value + value[-1:], value[::-1], {}]
    if isinstance(value, dict):
        name = next(iter(value))
        return [{other: value[other] for other in value if other != name}, {**value, "more": 1}, []]
    return [0]


def with_value(content: Any, path: tuple[Any, ...], value: Any) -> bytes:
    turned = json.loads(json.dumps(content))
    place = turned
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(turned, ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", ["document", "presentation", "copy"])
def test_any_changed_value_is_refused_for_the_right_reason(world: Any, cases: dict[str, Case], kind: str) -> None:
    raw, verify = cases[kind]
    content = json.loads(raw)
    expected = world.expect(ledger=world.draft().content)
    assert verify(raw, expected).is_accepted
    found: dict[str, set[str]] = {}
    for path in leaves(content):
        value = content
        for name in path:
            value = value[name]
        part = path[1] if path[0] == "original" and len(path) > 1 else path[0]
        for other in changed_values(value):
            if other == value:
                continue  # a list of one, turned around
            verdict = verify(with_value(content, path, other), expected)
            assert not verdict.is_accepted, (path, other)
            if part != "original":
                assert verdict.code in REASONS[part] | MALFORMED, (path, other, verdict)
                found.setdefault(part, set()).add(verdict.code)
    # What each part was refused for includes more than its form.
    assert all(codes - MALFORMED for part, codes in found.items() if part != "format")


@pytest.mark.parametrize("kind", ["document", "presentation", "copy"])
def test_any_changed_byte_is_refused_or_means_the_same(world: Any, cases: dict[str, Case], kind: str) -> None:
    raw, verify = cases[kind]
    content = json.loads(raw)
    expected = world.expect(ledger=world.draft().content)
    draw = random.Random(7)
    for _ in range(400):
        place = draw.randrange(len(raw))
        changed = raw[:place] + bytes([draw.randrange(256)]) + raw[place + 1 :]
        if verify(changed, expected).is_accepted:
            assert json.loads(changed) == content


@pytest.mark.parametrize("kind", ["document", "presentation", "copy"])
def test_cut_and_doubled_files_are_refused(world: Any, cases: dict[str, Case], kind: str) -> None:
    raw, verify = cases[kind]
    for changed in (*(raw[:length] for length in range(0, len(raw) - 1, 97)), raw + raw):
        assert verify(changed, world.expect()).code == "DOCUMENT_MALFORMED"


@pytest.mark.parametrize("kind", ["document", "presentation", "copy"])
def test_one_kind_is_not_taken_for_another(world: Any, cases: dict[str, Case], kind: str) -> None:
    raw, own = cases[kind]
    for _, verify in cases.values():
        assert verify(raw, world.expect()).is_accepted == (verify is own)


def refusal(decode: Callable[[bytes], Any], raw: bytes) -> InputError | None:
    try:
        decode(raw)
    except InputError as error:
        return error
    return None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_decoders_accept_or_give_their_one_error(cases: dict[str, Case], data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from([case[0] for case in cases.values()]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = start + data.draw(st.integers(0, 40))
        raw = raw[:start] + data.draw(st.one_of(st.binary(max_size=8), st.just(raw[:30]))) + raw[end:]
    for decode in (decode_document, decode_presentation, decode_annotated_copy):
        error = refusal(decode, raw)
        assert error is None or error.code in {"DOCUMENT_MALFORMED", "CHECK_CHARACTER_MISMATCH"}
        assert len(str(error)) < 1_000


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["format", "core", "values", "seal", "kind", "fields"]), inner, max_size=6
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_refused_by_its_one_error(content: Any) -> None:
    for decode in (decode_document, decode_presentation, decode_annotated_copy):
        with pytest.raises(InputError):
            decode(json.dumps(content).encode())


def test_changed_certificates_in_a_chain_are_refused_and_crash_nothing(world: Any, cases: dict[str, Case]) -> None:
    raw, verify = cases["document"]
    content = json.loads(raw)
    draw = random.Random(11)
    for _ in range(150):
        chain = [bytearray.fromhex(der) for der in content["seal"]["chain"]]
        der = chain[draw.randrange(len(chain))]
        der[draw.randrange(len(der))] ^= 1 << draw.randrange(8)
        changed = with_value(content, ("seal", "chain"), [bytes(one).hex() for one in chain])
        assert verify(changed, world.expect()).code in SEAL
