"""The gateway's settings and routes: what they mean, and that a mistake is named."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import ConfigError
from sdk.gateway.body import BodyShape
from sdk.gateway.config import GatewayConfig, load_gateway_config
from sdk.gateway.denials import Denied
from sdk.gateway.routes import Content, make_route, match_route, parse_person_place, person_number

FILE = """
listen = "127.0.0.1:8590"
service = "http://127.0.0.1:9000"
node = "http://127.0.0.1:8551"
key = "recorder.key"
password_file = "password"
[places]
"大厅" = ["10.1.0.0/16"]
[limits]
answer_bytes = 1000
[persons]
service = "http://127.0.0.1:8585"
authority = "11990100MB00000007"
[policy]
on_outage = "stop"
stop_after_s = 120
[[routes]]
method = "GET"
path = "/houses/{certificate}"
resource = "307013301/000001"
rows = "data.list"
envelope = ["code"]
fields = { price = "成交价" }
person = "query:id"
"""


def load(folder: Path, text: str) -> GatewayConfig:
    path = folder / "gateway.toml"
    path.write_text(text, "utf-8")
    return load_gateway_config(path)


def test_a_whole_file(tmp_path: Path) -> None:
    config = load(tmp_path, FILE)
    assert (config.key, config.store) == (str(tmp_path / "recorder.key"), str(tmp_path / "reads.sqlite"))
    assert config.limits.answer_bytes == 1000
    route = config.make_routes()[0]
    assert route.operation == "GET /houses/{certificate}"
    assert route.shape == BodyShape(("data", "list"), frozenset({"code"}), {"price": "成交价"})
    assert "大厅" in config.make_places()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('listen = "127.0.0.1:8590"', 'listen = "8590"', "listen"),
        ('"http://127.0.0.1:9000"', '"127.0.0.1:9000"', "service"),
        ('"http://127.0.0.1:9000"', '"http://u:p@127.0.0.1"', "service"),
        ('"http://127.0.0.1:8551"', '"http://127.0.0.1:99999"', "node"),
        ('person = "query:id"', 'person = "header:id"', "routes"),
        ('person = "query:id"', 'person = "path:id"', "routes"),
        ('"/houses/{certificate}"', '"/houses/../x"', "routes"),
        ('"/houses/{certificate}"', '"/gov/{certificate}"', "the gateway's own"),
        ('"/houses/{certificate}"', '"/houses/{a}/{a}"', "routes"),
        ('"/houses/{certificate}"', '"/houses/{a-b}"', "routes"),
        ('"10.1.0.0/16"', '"10.1.0.0/99"', "places"),
        (
            'password_file = "password"',
            'password_file = "password"\nforward_headers = ["Gov-Consumer"]',
            "forward_headers[0]",
        ),
        (
            'password_file = "password"',
            'password_file = "password"\nforward_headers = ["Content-Length"]',
            "forward_headers[0]",
        ),
        *(
            (
                'password_file = "password"',
                f'password_file = "password"\nforward_headers = ["{name}"]',
                "forward_headers[0]",
            )
            for name in ("Range", "If-None-Match", "X-HTTP-Method-Override", "X-Original-URL", "gov_consumer", " Host")
        ),
        ('password_file = "password"', 'password_file = "password"\nservice_ca = "gateway.toml"', "service_ca"),
        ('password_file = "password"', 'password_file = "password"\nservice_ca = "nothing.pem"', "service_ca"),
        ('password_file = "password"', 'password_file = "password"\nquota_part = "3/2"', "quota_part"),
        ('password_file = "password"', 'password_file = "password"\nquota_part = "0/2"', "quota_part"),
        ("answer_bytes", "answer_byte", "answer_bytes"),
        ("answer_bytes = 1000", "answer_bytes = 0", "limits.answer_bytes"),
        ("stop_after_s = 120", "stop_after_s = 1", "policy"),
        ('on_outage = "stop"', 'on_outage = "wait"', "policy.on_outage"),
        ('authority = "11990100MB00000007"', "", "persons"),
        ('person = "query:id"', 'person = "query:id"\nperson_type = "001"', "person_type"),
        ('method = "GET"', 'method = "DELETE"', "routes[0].method"),
        ('service = "http://127.0.0.1:9000"', "", "service"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as error:
        load(tmp_path, FILE.replace(old, new))
    assert named in str(error.value)


ROUTES = (
    make_route("GET", "/houses/{id}", "1", BodyShape(), parse_person_place("path:id")),
    make_route("POST", "/houses/query", "2", BodyShape(), parse_person_place("body:who.number")),
    make_route("GET", "/owners", "3", BodyShape(), parse_person_place("query:number")),
    make_route("GET", "/people", "4", BodyShape(), parse_person_place("query:id_no")),
)


JSON = (b"application/json",)


def asked(method: str, target: str, body: bytes = b"", types: tuple[bytes, ...] = JSON) -> str:
    path, _, query = target.partition("?")
    matched = match_route(ROUTES, method, unquote(path), path.encode())
    return f"{matched.route.resource} {person_number(matched, Content(query.encode(), body, types))}"


def test_requests_find_their_route_and_person() -> None:
    assert asked("GET", "/houses/99") == "1 99"
    assert asked("POST", "/houses/query", b'{"who":{"number":" 99 "}}') == "2 99"
    assert asked("GET", "/houses/3%23.a%20%E6%88%BF") == "1 3#.a 房"
    assert asked("GET", "/owners?x=1&number=99") == "3 99"
    assert asked("GET", "/people?page.size=1&name+of=x&id_no=99&%E5%90%8D%5B%5D=50%25&id=7") == "4 99"


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/houses/", b"", "ROUTE_UNKNOWN"),
        ("GET", "/houses/1/2", b"", "ROUTE_UNKNOWN"),
        ("POST", "/owners", b"", "ROUTE_UNKNOWN"),
        ("GET", "/houses/..", b"", "PATH_MALFORMED"),
        ("GET", "/houses//1", b"", "PATH_MALFORMED"),
        ("GET", "/houses/1;x", b"", "PATH_MALFORMED"),
        ("GET", "/houses/%2e%2e", b"", "PATH_MALFORMED"),
        ("GET", "/houses/..%20", b"", "PATH_MALFORMED"),
        ("GET", "/houses/...", b"", "PATH_MALFORMED"),
        ("GET", "/houses/%u002e%u002e", b"", "PATH_MALFORMED"),
        ("GET", "/houses/1%3fx=1", b"", "PATH_MALFORMED"),
        ("GET", "/houses/%c0%ae%c0%ae%c0%afx", b"", "PATH_MALFORMED"),
        ("GET", "/houses/1#", b"", "PATH_MALFORMED"),
        ("GET", "/houses/1%", b"", "PATH_MALFORMED"),
        ("GET", "/owners", b"", "PERSON_MISSING"),
        ("GET", "/owners?number=", b"", "PERSON_MISSING"),
        ("GET", "/owners?number=1&number=2", b"", "PERSON_MISSING"),
        ("GET", "/owners?number=" + "9" * 65, b"", "PERSON_MISSING"),
        ("POST", "/houses/query", b"", "PERSON_MISSING"),
        ("POST", "/houses/query", b'{"who":{"number":99}}', "PERSON_MISSING"),
        ("POST", "/houses/query", b'{"who":[]}', "PERSON_MISSING"),
    ],
)
def test_requests_without_route_or_person(method: str, target: str, body: bytes, code: str) -> None:
    with pytest.raises(Denied) as denied:
        asked(method, target, body)
    assert denied.value.code == code


@pytest.mark.parametrize(
    ("target", "body", "types"),
    [
        ("/houses/query", '{"who":{"number":"1","number":"2"}}', JSON),
        ("/houses/query", '{"who":{"number":"1"},"who":{"number":"2"}}', JSON),
        ("/houses/query", '{"who":{"number":"1","Number":"2"}}', JSON),
        ("/houses/query", '{"x":"&who=2&","who":{"number":"1"}}', (b"application/x-www-form-urlencoded",)),
        ("/houses/query", '{"who":{"number":"1"}}', (b"application/json", b"application/x-www-form-urlencoded")),
        ("/houses/query", '{"who":{"number":"1"}}', (b"application/json; charset=utf-7",)),
        ("/houses/query", '{"who":{"number":"1"}}', (b"text/plain",)),
        ("/houses/query", '{"who":{"number":"1"}}', ()),
        ("/owners?number=1&Number=2", "", ()),
        ("/owners?number=1&number[]=2", "", ()),
        ("/owners?number=1&number=", "", ()),
        ("/owners?x=1;number=2&number=1", "", ()),
        ("/people?id_no=1&id.no=2", "", ()),
        ("/people?id_no=1&id+no=2", "", ()),
        ("/people?id_no=1&id%5Bno=2", "", ()),
        ("/people?id_no=1&+ID.No[x]=2", "", ()),
        ("/people?id_no=1&id_no%00x=2", "", ()),
        ("/people?id_no=1&%01id_no=2", "", ()),
        ("/people?id_no=1&id%255Fno=2", "", ()),
        ("/people?id_no=1&%u0069d_no=2", "", ()),
        ("/people?id_no=1&%C1%A9d_no=2", "", ()),
        ("/people?id.no=1", "", ()),
        ("/houses/query", '{"who":{"number":"1","number\\u0000":"2"}}', JSON),
        ("/owners?number=1", "number=2", (b"Application/X-WWW-Form-Urlencoded",)),
    ],
)
def test_a_person_whom_a_service_might_read_otherwise_is_none(target: str, body: str, types: tuple[bytes, ...]) -> None:
    with pytest.raises(Denied) as denied:
        asked("POST" if target.startswith("/houses") else "GET", target, body.encode(), types)
    assert denied.value.code == "PERSON_MISSING"


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; Charset=UTF-8", b'application/json;charset="utf-8"']
)
def test_a_person_is_found_in_json_of_utf_8(kind: bytes) -> None:
    assert asked("POST", "/houses/query", '{"x":"张三","who":{"number":"99"}}'.encode(), (kind,)) == "2 99"


@given(st.text(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_any_request_is_matched_or_refused(path: str, query: bytes, body: bytes) -> None:
    for method, start in (("GET", "/houses/"), ("POST", "/houses/query"), ("GET", "/owners")):
        try:
            matched = match_route(ROUTES, method, start + path, b"")
            assert person_number(matched, Content(query, body, JSON))
        except Denied:
            continue
