"""The pages in a real browser, where one is installed; and the browser's SM3 in node, where that is."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from explorer import pages
from explorer.offline_page import offline_page
from sm_crypto.sm3 import sm3
from tests.browser import CHROMIUM, Browser, run_browser
from verification.deposits import encode_key, seal_deposit
from verification.trust import trust_of_genesis

SCRIPT = Path(pages.__file__).parent / "static" / "sm3.js"
NODE = shutil.which("node") or shutil.which("nodejs")
DOCUMENT = "一份合成的不动产权证书\n".encode()
PASSED_MS = 4_000
"""Of a page's own time, in which its console must stay empty: longer than a page waits before it asks the node again."""

needs_node = pytest.mark.skipif(
    NODE is None, reason="node is not installed: the browser's SM3 is not run outside a browser"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the pages are not opened in a browser"
)

# GB/T 32905-2016, appendix A: examples 1 and 2.
VECTORS = {
    b"abc": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
    b"abcd" * 16: "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
}

DRIVER = """
const { Sm3 } = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(([hex, cut]) => {
  const data = Uint8Array.from(Buffer.from(hex, "hex"));
  return new Sm3().update(data.subarray(0, cut)).update(data.subarray(cut)).digestHex();
})));
"""


@needs_node
def test_the_browsers_sm3_is_ours() -> None:
    source = random.Random(1)
    messages = [*VECTORS, *(source.randbytes(length) for length in (*range(200), 4096, 100_001))]
    cases = [(message.hex(), source.randint(0, len(message))) for message in messages]
    assert NODE is not None
    run = subprocess.run(
        [NODE, "-e", DRIVER, str(SCRIPT)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    digests = json.loads(run.stdout)
    assert digests[: len(VECTORS)] == list(VECTORS.values())
    assert digests == [sm3(message).hex() for message in messages]


LIST_DRIVER = """
const elements = {};
const made = () => ({ hidden: true, addEventListener(event, listener) { this[event] = listener; } });
globalThis.document = { getElementById: (id) => (elements[id] ??= made()) };
require(process.argv[1]);
const content = require("fs").readFileSync(0);
elements.file.files = [{ name: "list.csv", size: content.length, arrayBuffer: async () => content }];
elements.file.change().then(() => console.log(JSON.stringify([
  elements.list.value, elements["left-out"].hidden, elements["left-out-lines"].textContent, elements["file-failed"].hidden,
])));
"""


@needs_node
def test_a_chosen_list_leaves_only_identifiers_and_digests_to_be_sent() -> None:
    identifier = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
    rows = [
        "姓名,证照标识,sm3",
        f"张三,{identifier},{'AB' * 32}",
        f"李四,{identifier.removeprefix('1.2.156.3005.2.')},",
        f'"王五,{identifier}"',
        f"赵六,x{identifier}",
        "",
        f"{identifier}.9",
    ]
    assert NODE is not None

    def choose(content: bytes) -> list[Any]:
        command = [NODE or "", "-e", LIST_DRIVER, str(SCRIPT.parent / "verify_list.js")]
        run = subprocess.run(command, input=content, capture_output=True, timeout=60, check=True)
        found: list[Any] = json.loads(run.stdout)
        return found

    taken, is_whole, left_out, is_read = choose("\r\n".join(rows).encode())
    assert taken.split("\n") == [
        "",
        f"{identifier},{'ab' * 32}",
        identifier.removeprefix("1.2.156.3005.2."),
        identifier,
    ], "each in the line of the file that names it"
    assert (is_whole, left_out, is_read) == (False, "1, 5, 7", True)
    assert choose(b"\xff\xfe")[3] is False, "another encoding is told"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with run_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@needs_chromium
@pytest.mark.parametrize("path", ["/", "/consensus", "/catalogue", "/docs"])
def test_a_page_runs_without_an_error_on_its_console(site: Any, path: str, browser: Browser) -> None:
    with browser.page() as page:
        page.open(site.url + path)
        page.pass_time(PASSED_MS)
        assert page.console == []
        assert 'data-choose-language="both" aria-pressed="true"' in page.text()


@needs_chromium
def test_a_chosen_file_is_hashed_in_the_browser_and_sent_only_where_its_content_counts(
    site: Any, browser: Browser, tmp_path: Path
) -> None:
    document, ours = tmp_path / "证书.ofd", tmp_path / "证照.json"
    document.write_bytes(DOCUMENT)
    ours.write_text('{"format": "govnode-certificate/1"}', "utf-8")

    def wait_for_digest(of: Path) -> None:
        page.wait_for(f"document.getElementById('document_digest').value === '{sm3(of.read_bytes()).hex()}'")

    with browser.page() as page:
        page.open(f"{site.url}/verify?identifier={site.world.certificate}")
        page.evaluate(
            "globalThis.found = (id) => document.getElementById(id); globalThis.sent = [];"
            "const ask = window.fetch;"
            "window.fetch = (url, asked) => { sent.push([asked.body.name, url]); return ask(url, asked); }; null"
        )
        page.choose_file("document", document)
        wait_for_digest(document)
        assert page.evaluate("[found('send-digest').checked, found('why-file').hidden]") == [True, True]
        assert page.evaluate("sent") == []
        page.choose_file("document", ours)
        wait_for_digest(ours)
        assert page.evaluate("[found('send-file').checked, found('why-file').hidden]") == [True, False]
        assert page.evaluate("sent") == [], "nothing is sent before the user says so"
        page.evaluate("found('submit').click()")
        page.wait_for("document.body.textContent.includes('DOCUMENT_MALFORMED')")
        asked = f"/verify?identifier={site.world.certificate}"
        assert page.evaluate("[sent, found('verdict').className]") == [[["证照.json", asked]], "verdict bad"]
        page.evaluate(f"found('identifier').value = 'GN1:{'A' * 40}'; found('submit').click()")
        assert page.evaluate("[sent.length, found('both-given').hidden]") == [1, False], "one of two would be ignored"
        page.choose_file("document", document)
        wait_for_digest(document)
        assert page.evaluate("found('verdict')") is None, "what was said of another file goes at once"
        page.pass_time(PASSED_MS)
        assert page.console == []


@needs_chromium
def test_the_key_of_a_deposit_goes_from_the_address_into_the_body_of_a_request(site: Any, browser: Browser) -> None:
    key = bytes(range(16))
    sealed = base64.b64encode(seal_deposit(b'{"format": "govnode-presentation/1"}', key)).decode()
    body = json.dumps({"sealed": sealed, "expires_ms": site.world.view.start_ms + 3_600_000}).encode()
    headers = site.signed_headers("land", "/api/v1/deposits", "POST", body)
    kept = site.http.post("/api/v1/deposits", content=body, headers=headers).json()
    link = f"{site.url}/P/{kept['id']}#{encode_key(key)}"
    opened = "document.getElementById('verdict')?.textContent.includes('DOCUMENT_MALFORMED')"
    with browser.page() as page:
        page.open(link)
        page.wait_for(opened)
        assert page.evaluate("document.getElementById('key-form').hidden") is True
        page.evaluate("location.hash = 'A'.repeat(26); null")
        page.wait_for("document.getElementById('verdict').textContent.includes('KEY_WRONG')")
        assert page.evaluate("document.getElementById('key-form').hidden") is False
        # As a scanner types it into the form, which would put an identifier into the address.
        page.open(f"{site.url}/verify")
        page.evaluate(f"document.getElementById('identifier').value = {json.dumps(link)}; null")
        page.evaluate("document.getElementById('submit').click()")
        page.wait_for(opened)
        assert page.evaluate("location.href") == f"{site.url}/verify"
        addresses = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        assert not any(encode_key(key) in address for address in addresses)


@needs_chromium
def test_the_offline_verifier_verifies_in_a_browser_and_can_send_nothing(
    site: Any, browser: Browser, tmp_path: Path
) -> None:
    world = site.world
    files = {
        "offline.html": offline_page(),
        "trust.json": json.dumps(msgspec.to_builtins(trust_of_genesis(world.genesis))).encode(),
        "proof.json": site.get(f"/api/v1/proofs/certificates/{world.certificate}").content,
        "document.ofd": DOCUMENT,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with browser.page() as page:
        page.open((tmp_path / "offline.html").as_uri())
        for name in ("trust.json", "proof.json", "document.ofd"):
            page.choose_file(name.partition(".")[0], tmp_path / name)
        page.wait_for("document.querySelector('.held[data-step=document]')")
        shown = page.text()
        assert 'id="verdict" data-code="IN_FORCE"' in shown
        for step in ("signatures", "trust", "path", "document"):
            assert f'<li class="held" data-step="{step}">' in shown
        assert world.genesis.network_name in shown
        assert page.evaluate("WORDS.field_names.CZZT.join()") == "持证主体,Holder"
        broken = json.loads(files["proof.json"])
        (tmp_path / "broken.json").write_text(json.dumps(broken | {"header": {}}))
        page.choose_file("proof", tmp_path / "broken.json")
        page.wait_for("document.querySelector('.not-reached')")
        skipped = page.evaluate("[...document.querySelectorAll('.not-reached')].map((one) => one.textContent)")
        assert all("未核对到这一步：" in text and "not reached: " in text for text in skipped), skipped
        page.pass_time(PASSED_MS)
        assert page.console == []
        address = f"{site.url}/healthz"
        assert page.evaluate(f"fetch({json.dumps(address)}).then(() => 'sent', () => 'not sent')") == "not sent"
        page.wait_for_console(address)
        assert all(address in line for line in page.console), "its policy's violation is told, and nothing else"


@needs_chromium
def test_the_offline_verifier_gives_no_verdict_about_a_file_that_it_has_not_looked_at(
    site: Any, browser: Browser, tmp_path: Path
) -> None:
    files = {
        "offline.html": offline_page(),
        "trust.json": json.dumps(msgspec.to_builtins(trust_of_genesis(site.world.genesis))).encode(),
        "proof.json": site.get(f"/api/v1/proofs/certificates/{site.world.certificate}").content,
        "document.ofd": DOCUMENT,
        "late.ofd": b"another document",
        "torn.ofd": b"",
        "huge.ofd": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / "huge.ofd", 256 * 1024 * 1024 + 1)

    def choose(name: str) -> None:
        page.choose_file("document", tmp_path / name)

    def wait_for(code: str, label: str) -> None:
        page.wait_for(f"document.getElementById('verdict')?.dataset.code === '{code}'")
        assert label in page.evaluate("document.getElementById('document-facts').textContent")

    with browser.page() as page:
        page.open((tmp_path / "offline.html").as_uri())
        for name in ("trust.json", "proof.json"):
            page.choose_file(name.partition(".")[0], tmp_path / name)
        page.evaluate(
            "const read = Blob.prototype.arrayBuffer;"
            "Blob.prototype.arrayBuffer = function () {"
            "  if (this.name === 'torn.ofd') return Promise.reject(new DOMException('', 'NotReadableError'));"
            "  if (this.name !== 'late.ofd') return read.call(this);"
            "  return new Promise((done) => { globalThis.release = () => done(read.call(this)); });"
            "}; null"
        )
        for refused in ("torn.ofd", "huge.ofd"):
            choose("document.ofd")
            wait_for("IN_FORCE", "document.ofd")
            choose(refused)
            wait_for("FILE_UNUSABLE", f"✕ {refused}")
            assert "✓" not in page.evaluate("document.getElementById('result').textContent")
        choose("late.ofd")
        page.wait_for("document.getElementById('document-facts').textContent === 'late.ofd'")
        assert page.evaluate("document.getElementById('result').textContent") == "", "while a file is being read"
        choose("document.ofd")
        wait_for("IN_FORCE", "document.ofd")
        assert (
            page.evaluate(
                "release(), new Promise((done) => setTimeout(() => done(document.getElementById('verdict').dataset.code), 50))"
            )
            == "IN_FORCE"
        )
        wait_for("IN_FORCE", "document.ofd")
        page.evaluate("document.getElementById('document-clear').click()")
        wait_for("IN_FORCE", "")
        assert page.evaluate("document.querySelector('[data-step=document]').className") == "not-asked"
        page.evaluate(
            "const pasted = document.getElementById('trust-text');"
            "pasted.value = '{}'; pasted.dispatchEvent(new Event('input')); null"
        )
        wait_for("FILE_UNUSABLE", "")
        assert page.console == []


def test_a_node_gives_the_offline_verifier_as_a_file(site: Any) -> None:
    answer = site.get("/offline-verifier.html")
    assert answer.headers["content-disposition"] == 'attachment; filename="offline-verifier.html"'
    assert answer.content == offline_page()
    text = answer.text
    assert "%" not in "".join(re.findall(r"%[A-Z_]+%", text)), "no mark is left"
    assert not re.search(r"(?:src|href)=", text), "nothing is loaded"
