"""No personal data, payload or key on the chain or in a log: values of every kind go in every way, and all that is kept is searched."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
import orjson
import pytest

from contracts.data_sharing.conditions import MASK, Conditions, Mask
from contracts.data_sharing.resources import CONDITIONAL
from sdk.client import Client
from sdk.data_exchange.exchange import set_encryption_key
from sdk.data_exchange.files import read_envelope
from sdk.demo_open_data import RESOURCE as OPEN_RESOURCE
from sdk.errors import RequestRefused
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.system_contracts.audits import Audits
from sdk.system_contracts.catalogue import Catalogue
from sdk.system_contracts.open_data import OpenData
from sm_crypto.keystore import Signer, load_private_key, save_key
from sm_crypto.sealing import HEADER_BYTES
from sm_crypto.sm2 import PrivateKey
from tests.commands import run_command, start_program
from tests.e2e.test_gateway_kills import BUREAU, HOUR_MS, HOUSING, LAND, Office, add_account, on_ledger
from tests.endings import end_thread
from tests.planted import (
    command_lines,
    contents,
    files_with,
    found_in,
    identity_number,
    ledger_values,
    make_mark,
    rare_name,
)
from verification.errors import InputError

pytestmark = pytest.mark.e2e

CASE_TYPE, SYSTEM = "预售", "预售系统"
MARK, ON_LEDGER = make_mark(), make_mark()
"""Digits in all planted texts, and in one that the ledger is given to keep."""
PERSON, OTHER_PERSON, NAME, PASSWORD = identity_number(MARK), identity_number(MARK), rare_name(), f"pw-{MARK}"
CASE, OTHER_KIND = f"案{MARK}", f"类{MARK}"
ROWS = [{"姓名": NAME, "电话": f"13{MARK}", "面积": 98.5, "住址": f"示例路{MARK}号", "证号": PERSON}]
FILE_NAME = f"名单{MARK}.csv"
PAYLOAD = f"{PERSON},{NAME},示例路{MARK}号\n".encode()

ALLOWED: Final = {
    f"{LAND}/reads.sqlite": (
        "mark",
        "commitment",
    ),  # the provider's own reads: auditors ask for them by case and by person
    "consumer/reads.sqlite": ("mark",),  # the consumer's own reads, likewise
    "consumer/answer.json": ("name",),  # the answer, where the consumer said that it goes
    "consumer/opened.csv": ("mark", "name"),  # the payload, likewise
    "audit/person.gvt": ("mark", "commitment"),  # an auditor's trace has the reads whole, with case and commitment
    "audit/trace.gvt": ("mark", "commitment"),
    "audit/reads.csv": ("mark", "commitment"),  # the table of them
    "logs/exchange receive": ("mark",),  # the consumer is told what the provider calls the file
    "logs/audit person": ("commitment",),  # what the auditor asked for
    "logs/audit trace": ("mark", "commitment"),  # some of the traced reads
}
"""Which planted value must be in which file that commands and services write, and why it may; no other has any, nor has a node."""


class Service(socketserver.StreamRequestHandler):
    """A data service that has the person's data in all that it answers, well-formed or not."""

    def handle(self) -> None:
        asked = self.rfile.readline().split()[1].decode()
        size = 0
        while line := self.rfile.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        self.rfile.read(size)
        path = asked.partition("?")[0]
        page = f"<h1>{PERSON} {NAME}: {asked}</h1>".encode()
        if path == "/garbage":
            self.wfile.write(
                b"HTTP/1.1 200 " + page + b"\r\n" + NAME.encode() + b"\x00" + PERSON.encode() + b"\r\n\r\n"
            )
            return
        status = {"/missing": 404, "/broken": 500}.get(path, 200)
        rows = ROWS * 3 if path == "/many" else ROWS
        kind, body = (
            ("application/json", orjson.dumps(rows)) if path in ("/owners", "/query", "/many") else ("text/html", page)
        )
        head = f"HTTP/1.1 {status} {PERSON}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nx-person: {PERSON}\r\n"
        head += f'content-disposition: attachment; filename="{PERSON}.json"\r\nconnection: close\r\n\r\n'
        self.wfile.write(head.encode() + body)


@contextmanager
def data_service() -> Iterator[str]:
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        end_thread(thread)


class Stage:
    """The departments' files and processes: what people own lies in `own`, all that the system writes in `kept`."""

    def __init__(self, network: Any, folder: Path, stack: ExitStack) -> None:
        self.network, self._stack = network, stack
        self.own, self.kept = folder / "own", folder / "kept"
        for name in ("own", "kept", "kept/consumer", "kept/audit", "kept/logs"):
            (folder / name).mkdir()
        self.secrets: dict[str, str | bytes] = {"mark": MARK, "name": NAME}
        self.put("password", PASSWORD.encode())
        self.put("person", PERSON.encode())
        self.commitment_key = self.secrets["key of commitments"] = secrets.token_bytes(32)
        self.put("person.key", self.commitment_key.hex().encode())
        self.office = Office(network, self.kept, LAND, 1, self._stack.enter_context(data_service()))
        self._keep_key("recorder", load_private_key(self.office.folder / "recorder.key", b"password"))
        for node in network.names:
            # The accounts and nodes of the network have passwords of their own; none of their keys is to be seen either.
            keys = network.made.folder / node / "keys"
            for name in ("validator", "transport"):
                key = load_private_key(keys / f"{name}.key", (keys / "password").read_bytes().strip())
                self.secrets[f"{name} key of {node}"] = key.to_bytes()
        self.reader, self.sealing, self.authority = (self.make_key(name) for name in ("reader", "sealing", "authority"))

    def put(self, name: str, content: bytes) -> Path:
        """Write a file of somebody's own, which only its owner may read."""
        path = self.own / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    def make_key(self, name: str) -> PrivateKey:
        key = PrivateKey.generate()
        self._keep_key(name, key)
        return key

    def _keep_key(self, name: str, key: PrivateKey) -> None:
        self.secrets[f"private key of {name}"] = key.to_bytes()
        save_key(self.kept / f"{name}.key", key, PASSWORD.encode(), iterations=1_000)

    def run(self, *arguments: object, status: int = 0) -> Any:
        """Run a command, keep what it prints to be searched, and return that; it ends with this status."""
        ended = run_command(*map(str, arguments), "--json", cwd=self.kept)
        with (self.kept / "logs" / f"{arguments[0]} {arguments[1]}").open("a", encoding="utf-8") as log:
            log.write(ended.stdout + ended.stderr)
        assert ended.returncode == status, (arguments, ended)
        return orjson.loads(ended.stdout or ended.stderr)

    def account(self, name: str) -> list[object]:
        """Options of one of this test's own accounts, whose password is planted."""
        return [
            "--url",
            self.network.url(2),
            "--key",
            self.kept / f"{name}.key",
            "--password-file",
            self.own / "password",
        ]

    def start(self, name: str, *arguments: object) -> str:
        """Start a command that serves until the test ends, and return the address that it prints."""
        output, errors = self.kept / "logs" / f"{name}.out", self.kept / "logs" / f"{name}.err"
        process = start_program(
            "sdk.cli.main", [str(one) for one in arguments], cwd=self.kept, output=output, errors=errors
        )

        def end() -> None:
            process.terminate()
            process.join(30)
            assert process.exitcode == 0, (name, process.exitcode, errors.read_text())

        self._stack.callback(end)
        self.network.wait(lambda: output.exists() and "\n" in output.read_text(), f"{name} to serve")
        return output.read_text().strip()

    def add_accounts(self) -> None:
        administrator = PrivateKey.generate()
        add_account(self.network, HOUSING, administrator, ["administrator"])
        add_account(self.network, HOUSING, self.reader, ["requester", "recorder"])
        with self.network.client("data-bureau-governor") as governor:
            Audits(governor).name_authority(BUREAU)
            set_encryption_key(governor, self.authority)
        with Client(self.network.url(), Signer(administrator)) as client:
            set_encryption_key(client, self.sealing)

    def share(self) -> str:
        """Publish, ask and grant; the legal basis is on the ledger for all to read. Return the grant."""
        network, code = self.network, self.office.resource
        self.office.publish("land-clerk", CONDITIONAL)
        now_ms = time.time_ns() // 1_000_000
        with network.client("housing-clerk") as client:
            stated = {"purpose": f"核验{ON_LEDGER}", "legal_basis": "政务数据共享条例", "items": ["姓名", "电话"]}
            period = {"rows_per_day": 0, "from_ms": now_ms - HOUR_MS, "to_ms": now_ms + 100 * HOUR_MS}
            asked = client.call("sharing", "request", resource=code, case_types=[CASE_TYPE], **stated, **period)
            # Nothing takes it off the ledger again, so that the command looks first, and so does whoever signs a call.
            with pytest.raises(InputError, match="身份号码"):
                client.call("sharing", "stop", request=bytes(asked.transaction_id), reason=f"{PERSON}不再需要")
        wrong = ["--purpose", f"核验{PERSON}", "--legal-basis", "条例", "--from", "2020-01-01", "--to", "2099-12-31"]
        self.run("share", "request", code, *wrong, *network.account_options("housing-clerk"), status=1)
        grant = bytes(asked.transaction_id)
        conditions = Conditions(("姓名", "电话"), (Mask("电话", MASK, 3, 4),), max_reads_per_day=8, max_rows_per_read=2)
        with network.client("land-clerk") as client:
            client.call("sharing", "grant", request=grant, conditions=conditions, to_ms=now_ms + 90 * HOUR_MS)
        network.wait_until_level()
        return grant.hex()

    def start_gateway(self, persons: str) -> str:
        """Start the provider's gateway, with a second place for what it records; return its address."""
        office, routes = self.office, [("GET", "/owners", "query:id"), ("POST", "/query", "body:id")]
        routes += [("GET", path, "") for path in ("/many", "/missing", "/broken", "/page", "/garbage")]
        text = office.config.read_text("utf-8").partition("[[routes]]")[0]
        text = text.replace('"recorder.key"', f'"{self.kept / "recorder.key"}"')
        text = text.replace('"password"', f'"{self.own / "password"}"')
        text += f'[persons]\nservice = "{persons}"\nauthority = "{BUREAU}"\n[second_place]\nfolder = "second"\n'
        for method, path, person in routes:
            text += f'[[routes]]\nmethod = "{method}"\npath = "{path}"\nresource = "{office.resource}"\nperson = "{person}"\n'
        office.config.write_text(text, "utf-8")
        return self.start("gateway", "gateway", "--config", office.config)


def read_in_every_way(stage: Stage, gateway: str, grant: str) -> None:
    """Read as a clerk does, and as a system does that is refused at each stage; its token and nonces are planted too."""
    target = stage.put("target", f"/owners?id={PERSON}&q={MARK}".encode())
    options: list[object] = ["--grant", grant, "--system", SYSTEM, "--case", CASE, "--case-type", CASE_TYPE]
    options += ["--store", stage.kept / "consumer" / "reads.sqlite", *stage.account("reader")]
    answer = stage.kept / "consumer" / "answer.json"
    stage.run("gateway", "read", gateway, "--target-file", target, "--out", answer, *options)
    assert NAME in answer.read_text("utf-8")
    nowhere = stage.kept / "consumer" / "none.json"
    for refused in (f"/owners?id={PERSON}", f"/nowhere/{MARK}"):
        stage.run("gateway", "read", gateway, "--target", refused, "--out", nowhere, *options, status=1)
    case, other, codes = Case(CASE, CASE_TYPE), Case(CASE, OTHER_KIND), Counter[str]()
    told = ""
    signer = Signer(stage.reader)
    with (
        Client(stage.network.url(2), signer) as client,
        GatewayConsumer(gateway, client, signer, bytes.fromhex(grant), SYSTEM) as gate,
    ):
        stage.secrets["nonce"] = gate.read("/query", case, method="POST", content=orjson.dumps({"id": PERSON})).nonce
        stage.secrets["token"] = gate.current_token()
        paths = [
            "/many",
            "/missing",
            "/broken",
            "/page",
            "/garbage",
            f"/{PERSON}",
            f"/a/..%2f{MARK}",
            f"/owners?id={MARK}",
        ]
        for path, said in [
            *((path, case) for path in paths),
            (f"/owners?id={OTHER_PERSON}", other),
            *[(f"/owners?id={PERSON}", case)] * 9,
        ]:
            try:
                gate.read(path, said)
            except RequestRefused as refusal:
                codes[refusal.code] += 1
                told += f"{refusal.zh} {refusal.en}\n"
    assert found_in(told.encode(), (PERSON, NAME)) == [], told
    expected = {"ROWS_PER_READ_EXCEEDED", "SERVICE_REFUSED", "ANSWER_NOT_JSON", "SERVICE_UNREACHABLE", "ROUTE_UNKNOWN"}
    assert set(codes) == expected | {"PATH_MALFORMED", "PERSON_MISSING", "CASE_TYPE_OUTSIDE", "READS_USED_UP"}


def ask_wrongly(address: str) -> None:
    """Send requests that are none to whatever serves there, with values in path, query, headers and body."""
    call = {"jsonrpc": "2.0", "id": PERSON, "method": "gov_getBlock", "params": {"height": PERSON}}
    headers = {
        "authorization": f"Bearer {MARK}",
        "gov-case": PERSON,
        "gov-account": MARK,
        "x-name": NAME,
        "user-agent": MARK,
    }
    raw_headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()]
    bodies = [
        f'{{"{PERSON}'.encode(),
        orjson.dumps(call),
        orjson.dumps({**call, "method": f"gov_{MARK}"}),
        NAME.encode("gbk"),
    ]
    with httpx.Client(base_url=address, trust_env=False, verify=False, timeout=60, headers=raw_headers) as client:
        for path in (
            f"/api/v1/{PERSON}/{NAME}",
            f"/certificates/{PERSON}",
            f"/gov/records?case={CASE}",
            f"/gov/receipts/{PERSON}",
        ):
            assert client.get(path).status_code >= 400, path
        for path in (
            "/rpc",
            "/gov/token",
            f"/api/v1/sealed-bodies?{MARK}",
            f"/persons/{PERSON}",
            "/api/v1/commitments",
        ):
            for body in bodies:
                client.post(path, content=body)
    host, _, port = address.removeprefix("http://").rpartition(":")
    for line in (
        f"GET /{PERSON} {NAME} HTTP/9",
        f"{PERSON}",
        f"POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {PERSON}",
    ):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(f"{line}\r\n\r\n".encode())
            connection.recv(1_000)


def exchange(stage: Stage, inbox: str, grant: str) -> None:
    """Send a file, receive it, and refuse a copy with other bytes; the key that it is sealed under is planted too."""
    source, sealed = stage.put(FILE_NAME, PAYLOAD), stage.kept / "sent.govx"
    clerk = stage.network.account_options("land-clerk", 1)
    stage.run("exchange", "send", source, "--grant", grant, "--rows", 1, "--out", sealed, "--to", inbox, *clerk)
    (arrived,) = (stage.kept / "inbox" / LAND).glob("*.govx")
    opening = ["--encryption-key", stage.kept / "sealing.key", "--encryption-password-file", stage.own / "password"]
    opening += stage.account("reader")
    stage.run("exchange", "receive", arrived, "--out", stage.kept / "consumer" / "opened.csv", *opening)
    raw = arrived.read_bytes()
    changed = stage.kept / "changed.govx"
    changed.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    stage.run("exchange", "receive", changed, "--out", stage.kept / "consumer" / "none.csv", *opening, status=1)
    file = BytesIO(raw)
    read_envelope(file)
    stage.secrets["content key"] = stage.sealing.decrypt(file.read(HEADER_BYTES)[21:])


def open_data(stage: Stage) -> None:
    """Release a dataset, of which the ledger is told its digest and where the public gets it."""
    code = f"3070990/{secrets.randbelow(10**6):06d}"
    with stage.network.client("land-clerk") as provider, stage.network.client("data-bureau-governor") as governor:
        Catalogue(provider).publish(resource=msgspec.structs.replace(OPEN_RESOURCE, code=code), replaces=0)
        OpenData(provider).propose(resource=code, items=[], format="CSV", terms="注明来源")
        OpenData(governor).clear(resource=code, reason="可以开放")
    stage.network.wait_until_level()
    release = [
        "--place",
        "https://data.example.org/1.csv",
        "--rows",
        1,
        *stage.network.account_options("land-clerk", 1),
    ]
    stage.run("open-data", "release", code, stage.put(f"开放{MARK}.csv", PAYLOAD), *release)


def audit(stage: Stage, persons: str, grant: str) -> None:
    """Ask for one person's reads in one case, and report on the grant's; raise what the rules find, and explain it."""
    auditor, folder = stage.network.account_options("data-bureau-auditor", 0), stage.kept / "audit"
    asked = ["--service", persons, "--person-file", stage.own / "person", "--basis", "审通1号"]
    stage.secrets["commitment"] = commitment = bytes.fromhex(stage.run("audit", "person", *asked, *auditor)["person"])
    trust = ["--trust", stage.network.made.trust]
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3_600))
    traced = ["audit", "trace", "--from", today, "--grant", grant, "--basis", "审通1号", *trust, *auditor]
    shown = stage.run(*traced, "--person", commitment.hex(), "--case", CASE, "--out", folder / "person.gvt", status=3)
    assert shown["matches"] >= 2, shown
    trace = folder / "trace.gvt"
    stage.run(*traced, "--out", trace, status=3)
    rules = stage.put("rules.toml", b"denied_per_day = 2\n")
    raised = stage.run(
        "audit", "findings", trace, "--rules", rules, "--evidence", folder / "evidence", "--raise", *trust, *auditor
    )
    letter = stage.put("letter.txt", f"{PERSON}{NAME}：误操作".encode())
    explaining = ["--letter", letter, *stage.network.account_options("housing-clerk", 2)]
    # The network's other streams, which other tests have left, may have findings of their own.
    rules_broken = {finding["subject"]["rule"]: index for index, finding in enumerate(raised["findings"])}
    stage.run("audit", "explain", raised["raised"][str(rules_broken["DENIED_OFTEN"])], *explaining)
    report = ["--pdf", folder / "report.pdf", "--csv", folder / "findings.csv", "--reads-csv", folder / "reads.csv"]
    stage.run("audit", "report", trace, *report, *trust, *auditor)


def test_the_search_finds_a_value_in_every_form() -> None:
    key = secrets.token_bytes(32)
    utf16, gbk = NAME.encode("utf-16-le"), NAME.encode("gbk")
    for content in (
        *(NAME.encode(), gbk, utf16, gbk.hex().encode(), NAME.encode().hex().upper().encode(), repr(gbk).encode()),
        *(base64.b64encode(b"x" * offset + NAME.encode() + b"yz") for offset in range(3)),
        *(json.dumps({"name": NAME}).encode(), json.dumps(json.dumps(NAME)).encode(), repr([NAME]).encode()),
        *(quote(NAME).encode(), quote(NAME).lower().encode(), quote(quote(NAME)).encode(), quote(gbk).encode()),
    ):
        assert found_in(content, (NAME, MARK, key)) == [NAME], content
    for content in (
        b"0w\x02\x01\x01\x04 " + key,
        base64.urlsafe_b64encode(b"0" + key),
        f"{int.from_bytes(key, 'big')}".encode(),
    ):
        assert found_in(content, (NAME, MARK, key)) == [key], content


def test_no_planted_value_is_on_the_chain_in_a_store_or_a_log(network: Any, tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = Stage(network, tmp_path, stack)
        stage.add_accounts()
        grant = stage.share()
        node, counts = ["--url", network.url(0)], ["--counts", stage.kept / "counts.db"]
        keys = ["--person-key", stage.own / "person.key", "--encryption-key", stage.kept / "authority.key"]
        keys += ["--encryption-password-file", stage.own / "password"]
        persons = stage.start("persons", "audit", "person-service", *keys, *counts, *node, "--port", 0)
        serving = [stage.kept / "inbox", "--department", HOUSING, "--url", network.url(2), "--port", 0]
        inbox, gateway = stage.start("inbox", "exchange", "inbox", *serving), stage.start_gateway(persons)
        read_in_every_way(stage, gateway, grant)
        exchange(stage, inbox, grant)
        open_data(stage)
        for address in (network.url(0), network.url(1), gateway, persons, inbox):
            ask_wrongly(address)
        reads = stage.office.reads()
        network.wait(lambda: on_ledger(network, LAND, reads) == reads[-1].number, "every read on the ledger")
        network.wait_until_level()
        audit(stage, persons, grant)
        network.wait_until_level()
        name = network.names[1]
        network.supervisor.kill(name)
        ledger = ledger_values(network.made.folder / name / "data" / "ledger", tmp_path / "ledger")
        network.supervisor.resume(name)
        network.wait(lambda: network.height(1) > 0, "the node to be back")

        names = {value: name for name, value in stage.secrets.items()}
        # What is known to be on the ledger is found there by the same search, so that a search that finds nothing says something.
        assert found_in(ledger, (ON_LEDGER,)) == [ON_LEDGER]
        assert [names[value] for value in found_in(ledger, names)] == []
        assert [names[value] for value in found_in(command_lines(), names)] == []
        found = files_with(network.made.folder, {**names, stage.office.resource: "resource"})
        assert {name for _, name in found} == {"resource"}, found
        for node, part in product(network.names, ("ledger", "explorer.sqlite")):
            assert any(place.startswith(f"{node}/data/{part}") for place, _ in found), (node, part, found)
    assert files_with(stage.kept, names) == {(place, name) for place, found in ALLOWED.items() for name in found}
    for place in (
        f"{LAND}/reads.sqlite",
        "consumer/reads.sqlite",
        "audit/person.gvt",
        "audit/trace.gvt",
        "audit/reads.csv",
    ):
        for content in contents(stage.kept / place):
            assert found_in(content, (MARK,), allowed=(CASE, OTHER_KIND)) == [], place
