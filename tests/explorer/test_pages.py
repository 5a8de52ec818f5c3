"""The web pages: what they say in both languages, what they escape, and that nothing in them comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from contracts.registry import CONTRACTS
from explorer import pages
from explorer.documentation import describe_operations
from sm_crypto.sm3 import sm3
from tests.clocks import set_clock
from verification.days import show_age

PAGES = ("/", "/consensus", "/blocks/1", "/verify", "/catalogue", "/contracts", "/docs")
FOLDER = Path(pages.__file__).parent
DOCUMENT = "一份合成的不动产权证书\n".encode()


class Reader(HTMLParser):
    """Collects tags, attributes and text of a page, and that every tag is closed."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_well_formed_and_in_both_languages(site: Any, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    reader = Reader(answer.text)
    assert "示范市政务区块链服务网络" in reader.text
    assert ("span", "lang", "zh") in reader.attributes
    assert ("span", "lang", "en") in reader.attributes


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/", ("/", "page")),
        ("/due", ("/due", "page")),
        ("/contracts", ("/contracts", "page")),
        ("/catalogue/waiting", ("/catalogue", "true")),
    ],
)
def test_the_navigation_marks_the_page_or_the_section_that_is_shown(
    site: Any, path: str, marked: tuple[str, str]
) -> None:
    links = re.findall(r'<a href="([^"]+)" aria-current="([^"]+)">', site.get(path).text)
    assert links == [marked]


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/static/style.css", "/api/v1/status", "/openapi.json"])
def test_every_answer_carries_a_strict_policy(site: Any, path: str) -> None:
    headers = site.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_holds_no_inline_code(site: Any, path: str) -> None:
    page = site.get(path).text
    reader = Reader(page)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style"
        if name in {"src", "href", "action"}:
            assert value is not None
            assert value.startswith("/")
            assert not value.startswith("//")
            if tag in {"script", "link"}:
                assert site.get(value).status_code == 200
    assert "<style" not in page
    assert re.findall(r"<script[^>]*>[^<]", page) == []


def test_static_files_name_no_other_host() -> None:
    files = [path for name in ("static", "templates") for path in (FOLDER / name).rglob("*") if path.is_file()]
    for path in files:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), path


def test_the_overview_shows_figures_validators_and_transactions(
    make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any]
) -> None:
    # A world of its own: it shows the latest transactions, and other tests add theirs to the shared one.
    world = make_world()
    fill(world)
    site = serve(world)
    text = Reader(site.get("/").text).text
    for shown in ("node1", "已签名", "提议", "同意共享", "Grant a request", "示范市住房和城乡建设局", "区县级"):
        assert shown in text
    assert f"区块 {site.world.ledger.height} 由其中 3 个节点签名，需要 3 个" in text


def test_the_overview_of_an_empty_ledger(make_world: Callable[[], Any], serve: Callable[..., Any]) -> None:
    text = Reader(serve(make_world()).get("/").text).text
    assert "还没有交易。" in text
    assert "还没有区块。" in text


def test_a_certificate_in_force(site: Any) -> None:
    query = {"identifier": site.world.certificate, "document_digest": sm3(DOCUMENT).hex()}
    page = site.get("/verify", params=query).text
    assert 'class="verdict good"' in page
    text = Reader(page).text
    assert "文件与颁发时登记的一字不差" in text
    assert "依据：4 个共识节点中 3 个的 SM2 签名（" in text
    assert f"/api/v1/proofs/certificates/{site.world.certificate}" in page


def test_a_revoked_certificate(site: Any) -> None:
    page = site.get("/verify", params={"identifier": site.world.revoked}).text
    assert 'class="verdict bad"' in page
    text = Reader(page).text
    for shown in ("已撤销", "Revoked", "登记错误", "权属争议"):
        assert shown in text


def test_a_changed_document_and_one_that_nobody_knows(site: Any) -> None:
    changed = site.get("/verify", params={"identifier": site.world.certificate, "document_digest": "11" * 32}).text
    assert "文件与账本登记的不符" in Reader(changed).text
    unknown = site.get("/verify", params={"document_digest": "22" * 32}).text
    assert "账本上没有此证照" in Reader(unknown).text
    found = site.get("/verify", params={"document_digest": "0x" + sm3(DOCUMENT).hex()}).text
    assert site.world.certificate in Reader(found).text


def test_what_was_typed_wrongly_is_explained_beside_the_form(site: Any) -> None:
    answer = site.get("/verify", params={"identifier": "不是标识"})
    assert answer.status_code == 200
    text = Reader(answer.text).text
    assert "无法核验" in text
    assert "证照标识应为" in text
    assert "64 位十六进制" in Reader(site.get("/verify", params={"document_digest": "12"}).text).text


MARKUP = '"><script>alert(1)</script><b onload=x>'


@pytest.mark.parametrize(
    "target",
    ["/verify?identifier={}", "/verify?document_digest={}", "/catalogue?q={}", "/catalogue?department={}", "/{}"],
)
def test_what_callers_send_is_escaped(site: Any, target: str) -> None:
    answer = site.get(
        target.replace("{}", "".join(f"%{b:02X}" for b in MARKUP.encode())), headers={"accept": "text/html"}
    )
    assert "<script>alert" not in answer.text
    assert "<b " not in answer.text


def test_what_the_ledger_holds_is_escaped(make_world: Callable[[], Any], serve: Callable[..., Any], fill: Any) -> None:
    world = make_world()
    fill(world)
    site = serve(world)
    world.publish("330000009/000001", MARKUP)
    identifier = world.issue("2025000400")
    _, refusal = world.call("land", "certificates", "suspend", identifier=identifier, reason=MARKUP)
    assert refusal is None
    for page in (site.get("/catalogue").text, site.get("/verify", params={"identifier": identifier}).text):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_the_catalogue_is_searched_filtered_and_paged(make_world: Callable[[], Any], serve: Callable[..., Any]) -> None:
    world = make_world()
    site = serve(world)
    for number in range(1, 26):
        world.publish(f"330000001/{number:06d}", f"资源 {number:02d}")
    first = site.get("/catalogue", params={"q": "资源"}).text
    assert "资源 25" in first
    assert "资源 05" not in first
    following = re.search(r'href="(/catalogue\?[^"]+)">', first)
    assert following is not None
    second = site.get(following[1].replace("&amp;", "&")).text
    assert "资源 05" in second
    assert "资源 06" not in second
    assert "没有符合条件的资源" in site.get("/catalogue", params={"q": "nothing"}).text
    assert "参数 sharing" in site.get("/catalogue", params={"sharing": "9"}).text
    assert "参数 cursor" in site.get("/catalogue", params={"cursor": "x"}).text


def test_a_browser_gets_a_page_for_an_error_and_a_program_a_problem(site: Any) -> None:
    page = site.get("/nothing", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "没有这个地址" in Reader(page.text).text
    assert site.get("/nothing").json()["code"] == "PATH_UNKNOWN"
    assert site.get("/api/v1/nothing", headers={"accept": "text/html"}).json()["code"] == "PATH_UNKNOWN"
    assert site.get("/catalogue?q=" + "x" * 200, headers={"accept": "text/html"}).status_code == 400


def test_a_node_that_lost_the_network_says_so(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    head_ms = site.world.ledger.head_time_ms
    set_clock(monkeypatch, "explorer.pages", time_ns=lambda: (head_ms + 1_000) * 1_000_000)
    assert "old-head" not in site.get("/verify").text
    set_clock(monkeypatch, "explorer.pages", time_ns=lambda: (head_ms + 3_600_000) * 1_000_000)
    assert "本节点的最新区块已是 60 分钟前的" in site.get("/verify").text


def test_ages_are_shown_in_their_largest_unit() -> None:
    shown = [show_age(age_ms)[1] for age_ms in (0, 119_000, 120_000, 7_200_000, 200_000_000)]
    assert shown == ["0 s", "119 s", "2 min", "2 h", "2 d"]


def test_the_documentation_lists_every_operation(site: Any) -> None:
    document = site.get("/openapi.json").json()
    text = Reader(site.get("/docs").text).text
    for path in document["paths"]:
        assert path in text
    operations = [operation for group in describe_operations(document) for operation in group["operations"]]
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    assert all(operation["example"] for operation in operations)


def test_every_writing_method_has_words_for_the_overview() -> None:
    methods = {
        (contract.name, method.name)
        for contract in CONTRACTS.values()
        for method in contract.methods.values()
        if not method.is_view
    }
    assert methods <= set(pages.OPERATIONS)
