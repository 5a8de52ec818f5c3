"""What of a JSON answer leaves under a grant: columns, masks and rows, with the bytes of what is kept untouched."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.conditions import MASK, TRUNCATE, Mask
from sdk.gateway.body import BodyShape, Cut, cut_answer, mask_text
from sdk.gateway.denials import Denied

WHOLE = Cut(None, ())
LIST = BodyShape()


def only(*columns: str) -> Cut:
    return Cut(frozenset(columns), ())


def test_an_answer_that_is_not_cut_is_the_same_bytes() -> None:
    body = b' [ {"a" : 1.50, "b":"\\u5f20"} ,{"a":1E400,"b":null,"a":3} ] '
    answer = cut_answer(body, LIST, WHOLE)
    assert answer.body is body
    assert (answer.rows, answer.columns) == (2, ("a", "b"))


def test_values_that_stay_keep_their_bytes() -> None:
    body = b'[{"area": 98.50, "id":12345678901234567890123, "e":1E-7, "name":"\\u5f20\\/", "x":[1, {"y":2.0}]}]'
    answer = cut_answer(body, LIST, only("area", "id", "e", "x", "name"))
    assert (
        answer.body == b'[{"area":98.50,"id":12345678901234567890123,"e":1E-7,"name":"\\u5f20\\/","x":[1, {"y":2.0}]}]'
    )
    assert cut_answer(body, LIST, only("id")).body == b'[{"id":12345678901234567890123}]'


def test_rows_are_found_inside_and_only_named_members_around_them_leave() -> None:
    body = '{"code":0,"data":{"total":2,"sum":9,"list":[{"姓名":"张三","价":1.0},{"姓名":"李四","价":2}]},"debug":"秘"}'.encode()
    shape = BodyShape(("data", "list"), frozenset({"code", "total"}), {"价": "成交价"})
    answer = cut_answer(body, shape, only("成交价"))
    assert json.loads(answer.body) == {"code": 0, "data": {"total": 2, "list": [{"价": 1.0}, {"价": 2}]}}
    assert (answer.rows, answer.columns) == (2, ("成交价",))
    assert cut_answer(body, shape, WHOLE) == (body, 2, ("姓名", "成交价"))


@pytest.mark.parametrize(
    ("body", "rows", "left"),
    [
        (b'{"data":null,"code":1,"x":2}', 0, b'{"data":null,"code":1}'),
        (b'{"code":1,"x":2}', 0, b'{"code":1}'),
        (b'{"data":[],"x":2}', 0, b'{"data":[]}'),
        (b'{"data":{"a":1,"b":2}}', 1, b'{"data":{"a":1}}'),
    ],
)
def test_answers_without_rows(body: bytes, rows: int, left: bytes) -> None:
    answer = cut_answer(body, BodyShape(("data",), frozenset({"code"})), only("a"))
    assert (answer.body, answer.rows) == (left, rows)


COUNTED = Cut(None, (), is_counted=True)
DATA_LIST = BodyShape(("data", "list"))


@pytest.mark.parametrize("body", [b'{"_embedded":{"list":[{"a":1},{"a":2}]}}', b'{"data":{"items":[{"a":1}]}}', b"{}"])
def test_rows_that_are_counted_have_to_be_where_the_route_says(body: bytes) -> None:
    with pytest.raises(Denied) as denied:
        cut_answer(body, DATA_LIST, COUNTED)
    assert denied.value.code == "ANSWER_NOT_JSON"
    assert cut_answer(body, DATA_LIST, WHOLE).body is body


@pytest.mark.parametrize(
    ("body", "rows", "left"),
    [
        (b'{"data":{"list":[{"a":1},{"a":2}]},"data":{"list":[]},"n":1.50}', 0, b'{"data":{"list":[]},"n":1.50}'),
        (b'{"data":{"list":[{"a":1}],"list":[ {"a":2} ]}}', 1, b'{"data":{"list":[ {"a":2} ]}}'),
        (b'{"data":null,"n":1}', 0, b'{"data":null,"n":1}'),
        (b'{"data":{"list":null}}', 0, b'{"data":{"list":null}}'),
    ],
)
def test_rows_that_were_not_counted_do_not_leave(body: bytes, rows: int, left: bytes) -> None:
    answer = cut_answer(body, DATA_LIST, COUNTED)
    assert (answer.rows, answer.body) == (rows, left)


def test_keys_that_are_numbers_are_no_columns() -> None:
    body = '{"990101199001011230":{"x":1},"９９０１０１１９９００１０１１２３０":1,"990101 19900101 1249":1,"E12345678":1,"2020年面积":1}'
    assert cut_answer(body.encode(), LIST, WHOLE).columns == ("-", "2020年面积")
    assert cut_answer(b'{"1234567":1}', BodyShape(fields={"1234567": "编号"}), WHOLE).columns == ("编号",)


def test_a_key_that_comes_twice_leaves_once() -> None:
    body = b'{"data":[{"a":1,"b":2}],"data":[{"a":3,"a":4,"b":5}]}'
    assert cut_answer(body, BodyShape(("data",)), only("a")).body == b'{"data":[{"a":4}]}'


def test_a_key_written_with_escapes_is_the_same_key() -> None:
    assert cut_answer(b'[{"\\u0061":1,"b":2}]', LIST, only("b")).body == b'[{"b":2}]'


@pytest.mark.parametrize(
    ("mask", "text", "masked"),
    [
        (Mask("x", MASK, 3, 4), "13812345678", "138****5678"),
        (Mask("x", MASK, 0, 1), "张三", "*三"),
        (Mask("x", MASK, 1, 10), "张三丰", "张**"),
        (Mask("x", MASK, 5, 2), "张三", "张三"),
        (Mask("x", TRUNCATE, 0, 6), "990101199001011234", "990101"),
        (Mask("x", TRUNCATE, 14, 4), "990101199001011234", "1234"),
    ],
)
def test_masks(mask: Mask, text: str, masked: str) -> None:
    assert mask_text(text, mask) == masked


def test_masked_values_of_every_type() -> None:
    cut = Cut(None, (Mask("手机", MASK, 3, 4), Mask("手机", TRUNCATE, 0, 7)))
    rows = [{"p": "13812345678", "n": 1.0}, {"p": 13812345678}, {"p": None}, {"p": ["13812345678"]}, {"p": True}, {}]
    answer = cut_answer(json.dumps(rows).encode(), BodyShape(fields={"p": "手机"}), cut)
    assert json.loads(answer.body) == [
        {"p": "138****", "n": 1.0},
        {"p": "138****"},
        {"p": None},
        {"p": None},
        {"p": None},
        {},
    ]
    assert answer.columns == ("手机", "n")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"[1,2]",
        b'[{"a":1}',
        b'[{"a":01}]',
        b'"x"',
        b'[{"a":1}] x',
        b"[" * 100_000,
        b'[{"\xff":1}]',
        b"7",
    ],
)
def test_what_is_no_list_of_rows_is_not_let_out(body: bytes) -> None:
    for cut in (WHOLE, only("a")):
        with pytest.raises(Denied) as denied:
            cut_answer(body, LIST, cut)
        assert denied.value.code == "ANSWER_NOT_JSON"


@given(st.binary(max_size=200), st.sampled_from([(), ("a",), ("a", "b")]))
def test_any_bytes_are_cut_or_refused(body: bytes, path: tuple[str, ...]) -> None:
    try:
        answer = cut_answer(body, BodyShape(path), only("x"))
    except Denied:
        return
    msgspec.json.decode(answer.body)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False)
)
ROWS = st.lists(st.dictionaries(st.text(max_size=4), SCALARS | st.lists(SCALARS, max_size=3), max_size=6), max_size=6)


@given(ROWS, st.frozensets(st.text(max_size=4), max_size=4))
def test_a_cut_answer_is_what_a_naive_projection_gives(rows: list[dict[str, object]], columns: frozenset[str]) -> None:
    body = msgspec.json.encode(rows)
    answer = cut_answer(body, LIST, Cut(columns, ()))
    assert msgspec.json.decode(answer.body) == msgspec.json.decode(
        msgspec.json.encode([{key: value for key, value in row.items() if key in columns} for row in rows])
    )
    assert answer.rows == len(rows)


def test_a_text_that_cannot_be_masked_does_not_leave() -> None:
    masked = Cut(None, (Mask("a", MASK, 1, 1),))
    for body in (b'[{"a":"\xff\xfe123"}]', b'[{"a":"\xed\xa0\x80"}]', b'[{"a":"\\ud800"}]'):
        with pytest.raises(Denied) as denied:
            cut_answer(body, LIST, masked)
        assert denied.value.code == "ANSWER_NOT_JSON"


def test_an_answer_of_too_many_objects_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.gateway.body.MAX_OBJECTS", 3)
    assert cut_answer(b"[{},{},{}]", LIST, WHOLE).rows == 3
    with pytest.raises(Denied) as denied:
        cut_answer(b"[{},{},{},{}]", LIST, WHOLE)
    assert denied.value.code == "ANSWER_TOO_LARGE"
