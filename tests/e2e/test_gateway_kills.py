"""Gateways before three departments' data, and a fourth that reads: gateway and node are killed, and every read is accounted for."""

from __future__ import annotations

import base64
import contextlib
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from contracts.data_sharing.access import DENIED, SERVED
from contracts.data_sharing.conditions import MASK, Conditions, Mask
from contracts.data_sharing.refusal_reasons import DEFAULT_REASONS
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from contracts.registration import AccountRegistration
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.client import Client
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.gateway.config import load_gateway_config
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.gateway.gateway import AccessGateway
from sdk.gateway.parts import open_parts
from sdk.gateway.receipts import StatedRead, state_read
from sdk.request_signing import signed_headers
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer, save_key
from sm_crypto.merkle import leaf_hash, merkle_root
from sm_crypto.sm2 import PrivateKey
from tests.commands import run_command
from tests.disk import files_holding
from tests.ports import free_ports
from tests.served import serve
from verification.access.reads import Read, decode_read, read_digest

pytestmark = pytest.mark.e2e
__all__ = ["serve"]

BUREAU, LAND = "11990100MB0000001T", "11990100MB0000002X"
HOUSING, DISTRICT = "11990100MB00000031", "11990102MB00000041"
PURPOSE, QUOTA, READERS = "办理商品房预售核验", 90, 3
HOUR_MS = 3_600_000
ROWS = [{"姓名": "张三", "电话": "13812345678", "面积": 98.50, "内部": "不出门"}]


async def data_service(scope: Any, receive: Any, send: Any) -> None:
    """What each department has behind its gateway."""
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps({"code": 0, "rows": ROWS, "trace": "x"})})


class Office:
    """One department's gateway account and settings."""

    def __init__(self, network: Any, folder: Path, department: str, index: int, service: str) -> None:
        self.network, self.department, self.index = network, department, index
        self.folder = folder / department
        self.folder.mkdir()
        key = PrivateKey.generate()
        self.signer = Signer(key)
        add_account(network, department, key, ["recorder"])
        save_key(self.folder / "recorder.key", key, b"password", iterations=1_000)
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text("password\n")
        # Tests that share a network each publish their own.
        self.resource = f"3070990{index}/{secrets.randbelow(10**6):06d}"
        self.listen = f"127.0.0.1:{free_ports(1)[0]}"
        self.config = self.folder / "gateway.toml"
        self.config.write_text(
            f"""
listen = "{self.listen}"
service = "{service}"
node = "{network.url(index)}"
key = "recorder.key"
password_file = "password"
[policy]
anchor_after_s = 1
bodies_at = "http://{self.listen}"
[[routes]]
method = "GET"
path = "/owners/{{house}}"
resource = "{self.resource}"
rows = "rows"
envelope = ["code"]
""",
            "utf-8",
        )

    def publish(self, account: str, sharing_type: int) -> None:
        items = tuple(ResourceItem(name, "C") for name in ("姓名", "电话", "面积"))
        resource = ResourceDescription(
            code=self.resource,
            name="房屋权利人",
            summary="经网关读取",
            format="JSON",
            items=items,
            sharing_type=sharing_type,
            sharing_basis="限办理业务使用" if sharing_type == CONDITIONAL else "",
            sharing_method="接口查询",
            update_cycle=1,
            data_class=GENERAL,
        )
        with self.network.client(account, self.index) as client:
            client.call("catalogue", "publish", resource=resource, replaces=0)

    def ask(self) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        with self.network.client("housing-clerk", self.index) as client:
            asked = client.call(
                "sharing",
                "request",
                resource=self.resource,
                purpose=PURPOSE,
                legal_basis="政务数据共享条例",
                items=["姓名", "电话"],
                case_types=["预售"],
                rows_per_day=0,
                from_ms=now_ms - HOUR_MS,
                to_ms=now_ms + 100 * HOUR_MS,
            )
        return bytes(asked.transaction_id)

    def reads(self) -> list[Read]:
        """Everything that the gateway has recorded, as its own department is shown it."""
        found: list[Read] = []
        following: int | None = 1
        while following is not None:
            target = f"/gov/records?first={following}"
            signed = signed_headers(self.signer, self.network.made.chain_id, "GET", self.listen, target.encode(), b"")
            page = httpx.get(
                f"http://{self.listen}{target}", headers=signed, trust_env=False, verify=False, timeout=30
            ).json()
            assert "reads" in page, page
            found += [decode_read(base64.b64decode(one)) for one in page["reads"]]
            following = page["next"]
        return found


def add_account(network: Any, department: str, key: PrivateKey, roles: list[str]) -> None:
    with network.client() as client:
        genesis = bytes.fromhex(client.status()["genesis_hash"][2:])
    name = f"{department}-{roles[0]}-{key.public_key.hex()[:8]}"
    registration = AccountRegistration(genesis, department, key.public_key, name, roles)
    stated = {"department": department, "public_key": key.public_key, "name": name, "roles": roles}
    with network.client("data-bureau-governor") as governor:
        governor.call("members", "add_account", **stated, signature=key.sign(registration.digest))


class GatewayProcess:
    """`govnode gateway`, which may be killed and started again at the same address."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "sdk.cli.main", "gateway", "--config", str(self._config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("http://")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=30)
        return self.process.returncode


class Readers:
    """Threads that read until the grant's quota of the day is used up, through whatever happens to gateway and node."""

    def __init__(self, network: Any, office: Office, grant: bytes, signer: Signer, own: Recorder) -> None:
        self._network, self._office, self._grant, self._signer, self._own = network, office, grant, signer, own
        self.answered: list[StatedRead] = []
        self.ended: list[str] = []
        self.problems: list[str] = []
        self._threads = [threading.Thread(target=self._read, args=(number,), daemon=True) for number in range(READERS)]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert (self.problems, set(self.ended)) == ([], {"READS_USED_UP"})

    def wait_for(self, count: int) -> None:
        self._network.wait(lambda: len(self.answered) >= count or bool(self.problems), f"{count} reads answered")

    def _read(self, number: int) -> None:
        try:
            with (
                Client(self._network.url(2), self._signer) as client,
                GatewayConsumer(
                    f"http://{self._office.listen}", client, self._signer, self._grant, "预售", self._own
                ) as gate,
            ):
                while self._read_once(gate, number):
                    pass
        except Exception as error:  # noqa: BLE001 - told by the test
            self.problems.append(repr(error))

    def _read_once(self, gate: GatewayConsumer, number: int) -> bool:
        try:
            answer = gate.read(f"/owners/{number}", Case("2026-7", "预售"))
        except NodeUnreachable:
            time.sleep(0.05)
            return True
        except RequestRefused as refused:
            if refused.code != "CHAIN_UNREACHABLE":
                self.ended.append(refused.code)
                return False
            time.sleep(0.05)
            return True
        assert orjson.loads(answer.body) == {"code": 0, "rows": [{"姓名": "张三", "电话": "138****5678"}]}
        self.answered.append(answer.read)
        return True


@pytest.fixture
def start_gateway() -> Iterator[Callable[[Path], GatewayProcess]]:
    """Return what starts a gateway, which ends with the test."""
    started: list[GatewayProcess] = []

    def start(config: Path) -> GatewayProcess:
        started.append(GatewayProcess(config))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def service(serve: Callable[[Any], str]) -> str:
    return serve(data_service)


@pytest.fixture
def consumer(network: Any, tmp_path: Path) -> Iterator[tuple[Signer, Recorder]]:
    """The account of the department that reads, and the store of its own side."""
    key = PrivateKey.generate()
    add_account(network, HOUSING, key, ["requester", "recorder"])
    signer = Signer(key)
    # Nothing keeps this stream going: however slow the machine is, it is not late before the test ends.
    with Recorder(tmp_path / "own.sqlite", HOUSING, signer.address, RecordingPolicy(heartbeat_s=3_600)) as own:
        yield signer, own


def on_ledger(network: Any, department: str, reads: list[Read]) -> int:
    """Compare the reads of a stream with its batches on the ledger; return the number of the last read that the ledger has."""
    recorder = reads[0].recorder
    with network.client(index=0) as client:
        stream = client.view("access", "stream", department=department, recorder=recorder)
        for number in range(1, int(stream["batch_number"]) + 1):
            batch = client.view("access", "batch", department=department, recorder=recorder, batch_number=number)
            first, count = int(batch["first_number"]), int(batch["count"])
            leaves = [leaf_hash(read_digest(read)) for read in reads[first - 1 : first - 1 + count]]
            assert batch["root"] == "0x" + merkle_root(leaves).hex()
    return int(stream["number"])


def trace(network: Any, grant: bytes, out: Path) -> Any:
    """Trace a grant as an auditor, from the gateway's own records; the command verifies what it has written.

    Gateways of earlier tests on the network are gone: whether theirs are late or withheld depends on how long ago that was.
    """
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3_600))
    options = ["--from", today, "--grant", grant.hex(), "--recorded-by", LAND, "--basis", "审字1号", "--out", str(out)]
    trusted = ["--trust", str(network.made.trust)]
    auditor = network.account_options("data-bureau-auditor", 0)
    ended = run_command("audit", "trace", *options, *trusted, *auditor, "--json")
    found = orjson.loads(ended.stdout or ended.stderr)
    assert ended.returncode == (0 if found["is_complete"] else 3), found
    return found


def read_by_command(network: Any, url: str, grant: bytes, out: Path) -> None:
    """Read once as a clerk does; without columns in the grant's conditions, the items that were asked for come."""
    options = ["--grant", grant.hex(), "--system", "预售", "--case", "2026-9", "--case-type", "预售", "--out", str(out)]
    account = network.account_options("housing-clerk", 2)
    found = network.run("gateway", "read", url, "--target", "/owners/1", *options, *account)
    assert (found["status"], found["rows"], found["columns"]) == (200, 1, ["姓名", "电话"])
    assert orjson.loads(out.read_bytes())["rows"] == [{"姓名": "张三", "电话": "13812345678"}]
    refused = network.run(
        "gateway", "read", url, "--target", "/owners/990101199001011230", *options, *account, status=1
    )
    assert refused["error"]["code"] == "IDENTITY_NUMBER"


def test_every_read_that_was_answered_is_on_the_ledger_once(
    network: Any,
    tmp_path: Path,
    service: str,
    consumer: tuple[Signer, Recorder],
    start_gateway: Callable[[Path], GatewayProcess],
) -> None:
    signer, own = consumer
    office = Office(network, tmp_path, LAND, 1, service)
    office.publish("land-clerk", CONDITIONAL)
    grant = office.ask()
    conditions = Conditions(("姓名", "电话"), (Mask("电话", MASK, 3, 4),), max_reads_per_day=QUOTA)
    with network.client("land-clerk", 1) as client:
        end_ms = time.time_ns() // 1_000_000 + HOUR_MS
        given = client.call("sharing", "grant", request=grant, conditions=conditions, to_ms=end_ms)
    network.wait_until_level(given.height)
    checked = network.run("gateway", "check", str(office.config))
    assert (checked["findings"], checked["gateways"][0]["routes"][0]["keys"]) == ([], ["姓名", "电话", "面积"])
    gateway = start_gateway(office.config)
    readers = Readers(network, office, grant, signer, own)
    readers.run()
    for answered in (QUOTA // 5, QUOTA // 2):
        readers.wait_for(answered)
        gateway.kill()
        gateway.start()
    # A gateway knows the grants that it has served since its start, and goes on with them while its node is away.
    readers.wait_for(QUOTA * 2 // 3)
    node = network.names[1]
    network.supervisor.kill(node)
    readers.wait_for(QUOTA * 4 // 5)
    network.supervisor.resume(node)
    readers.join()
    network.wait_until_level()
    reads = office.reads()
    network.wait(lambda: on_ledger(network, LAND, reads) == reads[-1].number, "every read on the ledger")
    # With the first answer the supply has begun, which the statutory clock asks for.
    with network.client(index=1) as client:
        network.wait(lambda: Sharing(client).data_request(grant).supplied_ms > 0, "the supply to begin")
    traced = trace(network, grant, tmp_path / "trace.json")
    assert gateway.stop() == 0

    # In the trace is every read that was answered, once, and nothing is missing or withheld.
    assert (traced["is_sound"], traced["faults"]) == (True, [])
    assert office.signer.address.hex() not in {batch["recorder"] for batch in traced["withheld"]}
    assert traced["matches"] == len(reads)
    assert [read.number for read in reads] == list(range(1, len(reads) + 1))
    served = [read.details.read_id for read in reads if read.outcome == SERVED]
    assert len(served) == len(set(served)) == QUOTA
    answered_reads = {read.number: read for read in readers.answered}
    assert all(state_read(reads[number - 1]) == read for number, read in answered_reads.items())
    # Both sides have each read; where the gateway died with the answer, the consumer says that none came.
    own_reads = {read.details.read_id: read for read in map(decode_read, own.store.find_reads())}
    assert set(served) <= set(own_reads)
    lost = [own_reads[name].details.refusal for name in served if own_reads[name].outcome == DENIED]
    assert len(readers.answered) == QUOTA - len(lost)
    assert set(lost) <= {"GATEWAY_UNREACHABLE"}
    assert len(lost) <= 2 * READERS
    with Client(network.url(2), signer) as client:
        Anchorer(own, client).anchor_all()
    network.wait_until_level()
    assert on_ledger(network, HOUSING, [decode_read(one) for one in own.store.find_reads()]) == own.number
    for name in network.names:
        assert files_holding(network.made.folder / name / "data", b"13812345678") == []


def test_one_department_gives_to_all_and_another_refuses(
    network: Any,
    tmp_path: Path,
    service: str,
    serve: Callable[[Any], str],
    consumer: tuple[Signer, Recorder],
) -> None:
    signer, own = consumer
    outcomes: Counter[str] = Counter()
    for department, index, account, sharing_type in (
        (DISTRICT, 3, "district-clerk", UNCONDITIONAL),
        (BUREAU, 0, "data-bureau-clerk", CONDITIONAL),
    ):
        office = Office(network, tmp_path, department, index, service)
        office.publish(account, sharing_type)
        grant = office.ask()
        if sharing_type == CONDITIONAL:
            with network.client(account, index) as client:
                reason = DEFAULT_REASONS[0].code
                client.call("sharing", "refuse", request=grant, reason_code=reason, reason="与用途不符")
        network.wait_until_level()
        with contextlib.ExitStack() as stack:
            parts = stack.enter_context(open_parts(load_gateway_config(office.config)))
            url = serve(AccessGateway(data_service, parts))
            client = stack.enter_context(Client(network.url(2), signer))
            gate = stack.enter_context(GatewayConsumer(url, client, signer, grant, "预售", own))
            try:
                gate.read("/owners/1", Case("2026-8", "预售"))
                outcomes[""] += 1
            except RequestRefused as error:
                outcomes[error.code] += 1
            if sharing_type == UNCONDITIONAL:
                read_by_command(network, url, grant, tmp_path / "answer.json")
                with network.client("housing-clerk", index) as clerk:
                    height = clerk.call("sharing", "stop", request=grant, reason="不再需要").height
                network.wait(lambda parts=parts, height=height: parts.book.sight.height >= height, "the block seen")
                with pytest.raises(RequestRefused) as stopped:
                    gate.read("/owners/1", Case("2026-8", "预售"))
                assert stopped.value.code == "GRANT_NOT_IN_FORCE"
            network.wait(lambda parts=parts: parts.recorder.unplanned == 0, "the read in a batch")
    assert outcomes == {"": 1, "GRANT_NOT_IN_FORCE": 1}
    assert [read.outcome for read in map(decode_read, own.store.find_reads())] == [SERVED, DENIED, DENIED]
