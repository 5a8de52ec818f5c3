"""The pages in a real browser, where one is installed; and the browser's SM3 in node, where that is."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from explorer import pages
from explorer.offline_page import FOLDER, assemble, offline_page, verifier_script
from sm_crypto.sm3 import sm3
from verification.trust import trust_of_genesis

SCRIPT = Path(pages.__file__).parent / "static" / "sm3.js"
NODE = shutil.which("node") or shutil.which("nodejs")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

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


def open_page(url: str, folder: Path, *options: str, expected_console: str | None = None) -> str:
    """Return the page as the browser has it after its scripts have run; its console must say this only, where anything is expected."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=3000",
        "--enable-logging=stderr",
        *options,
        "--dump-dom",
        url,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    # The console goes to standard error: a script that fails or a blocked load shows there.
    console = [line for line in run.stderr.splitlines() if ":CONSOLE" in line]
    if expected_console is not None:
        assert any(expected_console in line for line in console), "a policy's violation is told on the console"
    assert [line for line in console if expected_console is None or expected_console not in line] == []
    return run.stdout


@needs_chromium
@pytest.mark.parametrize("path", ["/", "/consensus", "/catalogue", "/docs"])
def test_a_page_runs_without_an_error_on_its_console(site: Any, path: str, tmp_path: Path) -> None:
    page = open_page(site.url + path, tmp_path)
    assert 'data-choose-language="both" aria-pressed="true"' in page


@needs_chromium
def test_a_chosen_file_is_hashed_in_the_browser_and_sent_only_where_its_content_counts(
    site: Any, tmp_path: Path
) -> None:
    """A test page of the same origin cannot be added, so the scripts are run as files beside a page of their own."""
    answer = site.http.post("/verify", content=b'{"format": "govnode-certificate/1"}').text
    page = site.get(f"/verify?identifier={site.world.certificate}").text
    static = SCRIPT.parent
    for name in ("sm3.js", "verify.js", "language.js"):
        shutil.copy(static / name, tmp_path / name)
    content = "一份合成的不动产权证书\n"
    (tmp_path / "choose.js").write_text(
        "const picker = document.getElementById('document'), sent = [];"
        "const found = (id) => document.getElementById(id);"
        "const choose = (content, name) => {"
        "  const files = new DataTransfer();"
        "  files.items.add(new File([content], name));"
        "  picker.files = files.files;"
        "  picker.dispatchEvent(new Event('change'));"
        "};"
        # In the place of the node, which a page of a file's origin cannot ask.
        f"window.fetch = async (url, asked) => {{ sent.push(asked.body.name); return new Response({json.dumps(answer)}); }};"
        f"choose({json.dumps(content)}, '证书.ofd');"
        "setTimeout(() => {"
        "  document.title = `${found('document_digest').value} ${found('send-digest').checked} sent:${sent}`;"
        """  choose('{"format": "govnode-certificate/1"}', '证照.json');"""
        "}, 600);"
        "setTimeout(() => {"
        "  document.title += ` ${found('send-file').checked} ${found('why-file').hidden}`;"
        "  found('submit').click();"
        "}, 1200);"
        "setTimeout(() => { document.title += ` ${sent} ${found('verdict').className}`; }, 1800);",
        "utf-8",
    )
    page = page.replace("/static/", "").replace("</head>", '<script src="choose.js" defer></script></head>')
    (tmp_path / "page.html").write_text(page, "utf-8")
    shown = open_page((tmp_path / "page.html").as_uri(), tmp_path, "--allow-file-access-from-files")
    assert f"<title>{sm3(content.encode()).hex()} true sent: true false 证照.json verdict bad</title>" in shown
    assert "DOCUMENT_MALFORMED" in shown


def choosing(trust: bytes, proof: bytes, document: bytes, then: str) -> bytes:
    """Return the offline verifier with a script that chooses three files in it, as a person would, and then does more."""
    files = {"trust": trust, "proof": proof, "document": document}
    choose = "".join(
        f"choose({json.dumps(name)}, {json.dumps(content.decode('utf-8'))});" for name, content in files.items()
    )
    driver = (
        "const choose = (name, content) => {"
        "const files = new DataTransfer(); files.items.add(new File([content], `${name}.json`));"
        "const picker = document.getElementById(name); picker.files = files.files; picker.dispatchEvent(new Event('change'));"
        "};"
    )
    script = verifier_script() + (FOLDER / "offline" / "page.js").read_text("utf-8")
    return assemble(script + driver + choose.replace("<", "\\u003c") + then)


@needs_chromium
def test_the_offline_verifier_verifies_in_a_browser_and_can_send_nothing(site: Any, tmp_path: Path) -> None:
    world = site.world
    trust = json.dumps(msgspec.to_builtins(trust_of_genesis(world.genesis))).encode()
    proof = site.get(f"/api/v1/proofs/certificates/{world.certificate}").content
    path = tmp_path / "offline.html"
    ask = f"fetch({json.dumps(site.url + '/healthz')}).catch(() => {{}});"
    path.write_bytes(choosing(trust, proof, "一份合成的不动产权证书\n".encode(), ask))
    shown = open_page(path.as_uri(), tmp_path, expected_console=f"{site.url}/healthz")
    assert 'id="verdict" data-code="IN_FORCE"' in shown
    for step in ("signatures", "trust", "path", "document"):
        assert f'<li class="held" data-step="{step}">' in shown
    assert world.genesis.network_name in shown


def test_a_node_gives_the_offline_verifier_as_a_file(site: Any) -> None:
    answer = site.get("/offline-verifier.html")
    assert answer.headers["content-disposition"] == 'attachment; filename="offline-verifier.html"'
    assert answer.content == offline_page()
    text = answer.text
    assert "%" not in "".join(re.findall(r"%[A-Z_]+%", text)), "no mark is left"
    assert not re.search(r"(?:src|href)=", text), "nothing is loaded"
