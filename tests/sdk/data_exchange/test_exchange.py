"""An exchange between two departments: sealed, recorded, sent to an inbox, opened, compared and answered for."""

from __future__ import annotations

import io
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from contracts.data_sharing.deliveries import DIFFERS, NOT_TAKEN, RECEIVED, UNANSWERED
from sdk.data_exchange.exchange import (
    Waybill,
    answer_differs,
    find_delivery,
    load_waybill,
    receive_payload,
    record_delivery,
    seal_payload,
    set_encryption_key,
    waybill_path,
)
from sdk.data_exchange.files import Note, open_file, read_envelope, seal_file
from sdk.data_exchange.inbox import GIB, LEFTOVER_S, Inbox
from sdk.data_exchange.inbox_service import (
    MAX_OPEN_PIECES,
    MAX_OPEN_PIECES_OF_ONE,
    PIECE_BYTES,
    TICKET_HEADER,
    make_inbox,
)
from sdk.data_exchange.sending import send_file
from sdk.department_services.accounts import SignedCallers
from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sdk.request_signing import signed_headers
from sdk.system_contracts.deliveries import Deliveries
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.ports import free_ports
from tests.sdk.data_exchange.conftest import PAYLOAD, Exchange
from verification.errors import InputError


def sent(exchange: Exchange, name: str = "out.govx") -> tuple[Path, Waybill]:
    """A payload that was sealed and recorded."""
    target = exchange.source.with_name(name)
    waybill = seal_payload(exchange.provider, exchange.source, target, exchange.grant, 40)
    record_delivery(exchange.provider, waybill)
    return target, waybill


def code_of(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises((InputError, RequestRefused, CallRefused, NodeUnreachable)) as refused:
        call(*arguments)
    return refused.value.code


@pytest.fixture
def inbox(exchange: Exchange, serve: Callable[[Any], str], tmp_path: Path) -> tuple[str, Path]:
    """The address of the consumer's inbox, and its folder."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    callers = SignedCallers(exchange.consumer, frozenset())
    return serve(make_inbox(Inbox(exchange.consumer, CONSUMER, folder, GIB), callers)), folder


def files(folder: Path) -> list[Path]:
    """All files in an inbox, those in the making among them."""
    return [path for path in folder.rglob("*") if path.is_file()]


def send(exchange: Exchange, url: str, file: Path, waybill: Waybill) -> None:
    send_file(url, exchange.provider, exchange.recorder, file, waybill)


def put(exchange: Exchange, url: str, target: str, body: bytes, signer: Signer | None = None) -> httpx.Response:
    """A signed request of the provider's recorder with its ticket, whatever it says."""
    ticket = ask(exchange, url, "GET", target.partition("?")[0], b"", exchange.recorder).json().get("ticket", "")
    return ask(exchange, url, "PUT", target, body, signer or exchange.recorder, ticket)


def ask(
    exchange: Exchange, url: str, method: str, target: str, body: bytes, signer: Signer, ticket: str = ""
) -> httpx.Response:
    """A signed request with a ticket."""
    authority, chain_id = url.removeprefix("http://"), exchange.provider.chain_id
    headers = signed_headers(signer, chain_id, method, authority, target.encode(), body) | {TICKET_HEADER: ticket}
    return httpx.request(method, url + target, content=body, headers=headers, trust_env=False, verify=False, timeout=60)


def test_a_payload_goes_from_one_side_to_the_other(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    file, waybill = sent(exchange)
    assert PAYLOAD[:40] not in file.read_bytes()
    send(exchange, url, file, waybill)
    (arrived,) = files(folder)
    assert arrived.parent.name == DEPARTMENT
    assert arrived.read_bytes() == file.read_bytes()
    assert arrived.stat().st_mode & 0o777 == 0o600
    target = folder / "房产.csv"
    received = receive_payload(exchange.consumer, exchange.key, arrived, target)
    assert target.read_bytes() == PAYLOAD
    assert (received.note.name, received.note.rows) == ("房产.csv", 40)
    assert (received.delivery.answer, received.delivery.answerer) == (RECEIVED, exchange.consumer.address)
    head = Deliveries(exchange.consumer).deliveries(exchange.grant)
    assert (head.count, head.received, head.rows_received) == (1, 1, 40)


def test_each_step_done_again_changes_nothing(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    """What a crash leaves behind is finished by the same commands: sealed once, recorded once, answered once."""
    url, folder = inbox
    file, waybill = sent(exchange)
    content = file.read_bytes()
    again, same = sent(exchange)
    assert (again.read_bytes(), same) == (content, waybill)
    for _ in range(2):
        send(exchange, url, file, waybill)
    assert [path.read_bytes() for path in files(folder)] == [content]
    for _ in range(2):
        receive_payload(exchange.consumer, exchange.key, file, folder / "payload")
    send(exchange, url, file, waybill)
    for path in folder.glob("*/*.govx"):
        path.unlink()
    assert code_of(send, exchange, url, file, waybill) == "ANSWERED_ALREADY"
    assert Deliveries(exchange.consumer).deliveries(exchange.grant).count == 1


def test_a_sealed_file_without_its_waybill_is_not_sent(exchange: Exchange) -> None:
    file, _ = sent(exchange)
    other = sm3(b"another grant")
    assert code_of(seal_payload, exchange.provider, exchange.source, file, other, 1) == "WAYBILL_DIFFERS"
    waybill_path(file).write_bytes(b"{}")
    assert code_of(seal_payload, exchange.provider, exchange.source, file, exchange.grant, 1) == "WAYBILL_MALFORMED"
    waybill_path(file).unlink()
    assert code_of(seal_payload, exchange.provider, exchange.source, file, exchange.grant, 1) == "FILE_UNREADABLE"


def test_what_was_sealed_for_other_data_is_not_sent_instead(exchange: Exchange) -> None:
    file, waybill = sent(exchange)
    said = (exchange.provider, exchange.source, file, exchange.grant)
    assert code_of(seal_payload, *said, 41) == "WAYBILL_DIFFERS"
    exchange.source.write_bytes(PAYLOAD + b"another row")
    assert code_of(seal_payload, *said, 40) == "WAYBILL_DIFFERS"
    # Next month's, which happens to be as long.
    exchange.source.write_bytes(PAYLOAD[:-1] + b"x")
    assert code_of(seal_payload, *said, 40) == "WAYBILL_DIFFERS"
    exchange.source.unlink()
    assert seal_payload(*said, 40) == waybill


def test_a_file_whose_name_is_no_text_is_sealed(exchange: Exchange) -> None:
    odd = exchange.source.with_name("\udcff.csv")
    exchange.source.rename(odd)
    seal_payload(exchange.provider, odd, odd.with_name("odd.govx"), exchange.grant, 40)
    with odd.with_name("odd.govx").open("rb") as sealed:
        assert open_file(sealed, io.BytesIO(), exchange.key).note.name == "?.csv"


def test_a_crash_between_waybill_and_file_seals_anew(exchange: Exchange) -> None:
    file, first = sent(exchange)
    file.unlink()
    waybill = seal_payload(exchange.provider, exchange.source, file, exchange.grant, 40)
    assert waybill.envelope.number == 2
    assert load_waybill(waybill_path(file)) == waybill != first
    record_delivery(exchange.provider, waybill)


def test_what_was_sealed_before_something_else_happened_is_sealed_anew(exchange: Exchange) -> None:
    late = exchange.source.with_name("late.govx")
    waybill = seal_payload(exchange.provider, exchange.source, late, exchange.grant, 40)
    sent(exchange)
    assert code_of(record_delivery, exchange.provider, waybill) == "WAYBILL_STALE"
    late.unlink()
    waybill = seal_payload(exchange.provider, exchange.source, late, exchange.grant, 40)
    set_encryption_key(exchange.administrator, PrivateKey.generate())
    assert code_of(record_delivery, exchange.provider, waybill) == "WAYBILL_STALE"


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 3_000, b'{"format":"govnode-exchange-waybill/1"}'])
def test_a_waybill_of_another_form_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "waybill"
    path.write_bytes(raw)
    assert code_of(load_waybill, path) == "WAYBILL_MALFORMED"


def test_a_file_that_was_changed_on_its_way_is_not_taken(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    file, waybill = sent(exchange)
    content = file.read_bytes()
    target = f"/exchange/{waybill.envelope.grant}/1?offset=0"
    for raw in (content[:-1] + bytes([content[-1] ^ 1]), content + b"\0"):
        answer = put(exchange, url, target, raw)
        assert (answer.status_code, answer.json()["code"]) == (422, "FILE_DIFFERS")
        assert files(folder) == []
    for raw in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"\0", b""):
        file.write_bytes(raw)
        code = code_of(receive_payload, exchange.consumer, exchange.key, file, folder / "payload")
        assert code == ("FILE_DAMAGED" if raw else "EXCHANGE_MALFORMED")
        assert files(folder) == []
    assert find_delivery(exchange.consumer, waybill.envelope).answer == UNANSWERED


def test_a_file_goes_on_where_its_connection_broke(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    file, waybill = sent(exchange)
    content, target = file.read_bytes(), f"/exchange/{waybill.envelope.grant}/1?offset="
    assert put(exchange, url, f"{target}0", content[:100]).json()["size"] == 100
    answer = put(exchange, url, f"{target}0", content[:100])
    assert (answer.status_code, answer.json()["code"]) == (409, "OFFSET_DIFFERS")
    assert put(exchange, url, f"{target}100", content[100:150]).json()["size"] == 150
    for offset in ("", "-1", "01", "x", "9" * 19):
        answer = put(exchange, url, f"{target}{offset}", b"x")
        assert (answer.status_code, answer.json()["code"]) == (400, "PARAMETER_INVALID")
    # As after a restart of the inbox: what is on disk counts.
    restarted = Inbox(exchange.consumer, CONSUMER, folder, GIB)
    delivery = find_delivery(exchange.consumer, waybill.envelope)
    assert restarted.size_of(delivery) == 150
    assert restarted.take(delivery, 150, content[150:300]) == 300
    send(exchange, url, file, waybill)
    assert [path.read_bytes() for path in files(folder)] == [content]


def test_a_file_that_was_whole_when_its_inbox_was_killed_is_not_lost(exchange: Exchange, tmp_path: Path) -> None:
    file, waybill = sent(exchange)
    delivery = find_delivery(exchange.consumer, waybill.envelope)
    inbox = Inbox(exchange.consumer, CONSUMER, tmp_path, GIB)
    content, part = file.read_bytes(), tmp_path / DEPARTMENT / f".{waybill.envelope.grant}-1.govx.part"
    part.parent.mkdir()
    for left, size in ((b"x" * len(content), 0), (content + b"x", 0), (content, len(content))):
        part.write_bytes(left)
        assert inbox.size_of(delivery) == size
        assert not part.exists()
    assert inbox.path(delivery).read_bytes() == content


def test_pieces_are_bounded(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    _, waybill = sent(exchange)
    target = f"/exchange/{waybill.envelope.grant}/1?offset=0"
    answer = put(exchange, url, target, bytes(PIECE_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert files(folder) == []


def test_an_inbox_takes_nothing_that_the_ledger_does_not_name(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    target = exchange.source.with_name("out.govx")
    waybill = seal_payload(exchange.provider, exchange.source, target, exchange.grant, 40)
    assert code_of(send, exchange, url, target, waybill) == "DELIVERY_UNKNOWN"
    for path in ("/exchange/1/1", f"/exchange/{'2' * 64}/01", f"/exchange/{'2' * 64}/{2**64}"):
        answer = ask(exchange, url, "GET", path, b"", exchange.recorder)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOR_US")
        assert f"inbox of department {CONSUMER}" in answer.json()["en"]
        answer = put(exchange, url, f"{path}?offset=0", b"x")
        assert (answer.status_code, answer.json()["code"]) == (403, "TICKET_REQUIRED")
    assert httpx.post(f"{url}/exchange/1/1", trust_env=False, verify=False, timeout=60).status_code == 405
    assert httpx.put(f"{url}/", trust_env=False, verify=False, timeout=60).json()["code"] == "PATH_UNKNOWN"
    assert files(folder) == []


def test_nobody_but_the_provider_adds_to_its_file(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    _, waybill = sent(exchange)
    target = f"/exchange/{waybill.envelope.grant}/1?offset=0"
    for signer, status, code in (
        (Signer(exchange.node.chain.consumer), 404, "NOT_FOR_US"),
        (Signer(exchange.node.chain.clerk), 403, "ROLE_REQUIRED"),
        (Signer(exchange.key), 403, "ACCOUNT_UNKNOWN"),
    ):
        answer = put(exchange, url, target, b"x", signer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    ticket = ask(exchange, url, "GET", target.partition("?")[0], b"", exchange.recorder).json()["ticket"]
    unsigned = httpx.put(
        url + target, content=b"x", headers={TICKET_HEADER: ticket}, trust_env=False, verify=False, timeout=60
    )
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "SIGNATURE_REQUIRED")
    sent(exchange, "second.govx")
    second = ask(exchange, url, "GET", f"/exchange/{waybill.envelope.grant}/2", b"", exchange.recorder).json()["ticket"]
    for other in (second, "", "x", ticket[:-1], ticket[:-1] + "é", "." + ticket, ticket.replace(".", ".9", 1)):
        answer = httpx.put(
            url + target,
            content=b"x",
            headers={TICKET_HEADER.encode(): other.encode()},
            trust_env=False,
            verify=False,
            timeout=60,
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "TICKET_REQUIRED")
    assert files(folder) == []


@contextmanager
def begun_pieces(url: str, path: str, count: int, ticket: str = "") -> Iterator[list[socket.socket]]:
    """Connections that each announce a piece whose body does not come."""
    address = url.removeprefix("http://")
    host, _, port = address.partition(":")
    head = (
        f"PUT {path}?offset=0 HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100\r\n{TICKET_HEADER}: {ticket}\r\n\r\nx"
    )
    with ExitStack() as opened:
        found = []
        for _ in range(count):
            found.append(opened.enter_context(socket.create_connection((host, int(port)), timeout=60)))
            found[-1].sendall(head.encode())
        yield found


def test_who_is_not_known_takes_up_no_place(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    file, waybill = sent(exchange)
    with begun_pieces(url, f"/exchange/{waybill.envelope.grant}/1", MAX_OPEN_PIECES + 4) as strangers:
        assert strangers[-1].recv(12) == b"HTTP/1.1 403"
        send(exchange, url, file, waybill)
    assert len(files(folder)) == 1


def test_a_ticket_is_good_for_a_while(
    exchange: Exchange, inbox: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdk.data_exchange.inbox_service.TICKET_S", -1)
    _, waybill = sent(exchange)
    answer = put(exchange, inbox[0], f"/exchange/{waybill.envelope.grant}/1?offset=0", b"x")
    assert (answer.status_code, answer.json()["code"]) == (403, "TICKET_REQUIRED")


def test_a_provider_takes_up_its_own_places_alone(exchange: Exchange, inbox: tuple[str, Path]) -> None:
    url, folder = inbox
    _, waybill = sent(exchange)
    path = f"/exchange/{waybill.envelope.grant}/1"
    ticket = ask(exchange, url, "GET", path, b"", exchange.recorder).json()["ticket"]
    with begun_pieces(url, path, MAX_OPEN_PIECES_OF_ONE + 1, ticket) as held:
        answered, _, _ = select.select(held, [], [], 20)
        assert [connection.recv(12) for connection in answered] == [b"HTTP/1.1 503"]
    assert MAX_OPEN_PIECES_OF_ONE < MAX_OPEN_PIECES
    assert files(folder) == []


def test_a_sender_goes_on_with_an_inbox_that_was_started_anew(
    exchange: Exchange, serve: Callable[[Any], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tickets are no longer good: the sender asks for another and sends the piece again."""
    monkeypatch.setattr("sdk.data_exchange.sending.PIECE_BYTES", 500)
    folder = tmp_path / "inbox"
    folder.mkdir()
    callers = SignedCallers(exchange.consumer, frozenset())

    def started() -> Any:
        return make_inbox(Inbox(exchange.consumer, CONSUMER, folder, GIB), callers)

    running = [started()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await running[0](scope, receive, send)

    file, waybill = sent(exchange)
    seen: list[int] = []

    def restart(size: int) -> None:
        seen.append(size)
        running[0] = started()

    send_file(serve(app), exchange.provider, exchange.recorder, file, waybill, restart)
    assert seen == [*range(0, waybill.sealed_size, 500), waybill.sealed_size]
    assert files(folder)[0].read_bytes() == file.read_bytes()


def test_what_nobody_goes_on_with_is_removed(exchange: Exchange, tmp_path: Path) -> None:
    inbox = Inbox(exchange.consumer, CONSUMER, tmp_path, GIB)
    deliveries = []
    for name in ("old.govx", "answered.govx", "waiting.govx"):
        file, waybill = sent(exchange, name)
        deliveries.append(find_delivery(exchange.consumer, waybill.envelope))
        assert inbox.take(deliveries[-1], 0, file.read_bytes()[:100]) == 100
    old = next((tmp_path / DEPARTMENT).glob("*-1.govx.part"))
    os.utime(old, (old.stat().st_atime, old.stat().st_mtime - LEFTOVER_S - 60))
    ledger = Deliveries(exchange.consumer)
    ledger.answer(grant=exchange.grant, number=2, answer=NOT_TAKEN, received=bytes(32), note="缺列")
    inbox.remove_leftovers()
    assert [path.name for path in (tmp_path / DEPARTMENT).iterdir()] == [f".{exchange.grant.hex()}-3.govx.part"]
    assert [inbox.size_of(one) for one in deliveries] == [0, 0, 100]


def test_a_provider_has_a_share_of_the_disk(exchange: Exchange, tmp_path: Path) -> None:
    first, waybill = sent(exchange)
    inbox = Inbox(exchange.consumer, CONSUMER, tmp_path, waybill.sealed_size + 100)
    inbox.take(find_delivery(exchange.consumer, waybill.envelope), 0, first.read_bytes())
    second, waybill = sent(exchange, "second.govx")
    delivery = find_delivery(exchange.consumer, waybill.envelope)
    assert code_of(inbox.take, delivery, 0, second.read_bytes()[:10]) == "SHARE_USED_UP"
    for path in files(tmp_path / DEPARTMENT):
        path.unlink()
    assert inbox.take(delivery, 0, second.read_bytes()) == waybill.sealed_size


def test_an_address_without_an_inbox_is_told(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.data_exchange.sending.PAUSE_S", 0.0)
    file, waybill = sent(exchange)
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert code_of(send, exchange, url, file, waybill) == "SERVICE_UNREACHABLE"
    for address in ("", "ftp://host", "http://"):
        assert code_of(send, exchange, address, file, waybill) == "URL_INVALID"


@pytest.mark.parametrize("ticket", ["票", "a" * 5_000])
def test_a_ticket_that_fits_no_header_is_no_inboxs(
    exchange: Exchange, serve: Callable[[Any], str], ticket: str
) -> None:
    def answer(request: Request) -> JSONResponse:
        return JSONResponse({"size": 0, "ticket": ticket})

    url = serve(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "PUT"])]))
    assert code_of(send, exchange, url, *sent(exchange)) == "NOT_AN_INBOX"


def test_the_key_has_to_be_the_one_of_the_envelope(exchange: Exchange, tmp_path: Path) -> None:
    file, _ = sent(exchange)
    other = PrivateKey.generate()
    target = tmp_path / "payload"
    assert code_of(receive_payload, exchange.consumer, other, file, target) == "KEY_NOT_OF_ENVELOPE"
    renewed = set_encryption_key(exchange.administrator, other)
    assert (renewed.number, renewed.public_key) == (2, other.public_key)
    assert code_of(receive_payload, exchange.consumer, other, file, target) == "KEY_NOT_OF_ENVELOPE"
    receive_payload(exchange.consumer, exchange.key, file, target)
    assert target.read_bytes() == PAYLOAD


def test_an_envelope_is_compared_with_the_ledger(exchange: Exchange) -> None:
    _, waybill = sent(exchange)
    for changes, code in (
        ({"genesis": "00" * 32}, "OTHER_NETWORK"),
        ({"number": 2}, "DELIVERY_UNKNOWN"),
        ({"consumer": waybill.envelope.provider}, "ENVELOPE_DIFFERS"),
        ({"key_number": 2}, "ENVELOPE_DIFFERS"),
    ):
        envelope = msgspec.structs.replace(waybill.envelope, **changes)
        assert code_of(find_delivery, exchange.consumer, envelope) == code


@pytest.mark.parametrize("stated", [{"rows": 41}, {"size": 1}])
def test_a_provider_that_records_other_rows_or_another_size_is_found(
    exchange: Exchange, tmp_path: Path, stated: dict[str, int]
) -> None:
    file = exchange.source.with_name("out.govx")
    waybill = seal_payload(exchange.provider, exchange.source, file, exchange.grant, 40)
    record_delivery(exchange.provider, msgspec.structs.replace(waybill, **stated))
    target = tmp_path / "payload"
    assert code_of(receive_payload, exchange.consumer, exchange.key, file, target) == "PARCEL_DIFFERS"
    assert not target.exists()
    # Its digest is that of the ledger, which takes no word that something else came: it says why it is not taken.
    delivery = find_delivery(exchange.consumer, waybill.envelope)
    with pytest.raises(CallRefused) as refused:
        answer_differs(exchange.consumer, delivery, bytes.fromhex(waybill.payload), "行数不符")
    assert refused.value.code == "DELIVERY_IS_THE_SAME"


def test_a_provider_that_records_something_else_is_found_and_answered(exchange: Exchange, tmp_path: Path) -> None:
    """The file is the recorded one, and opens to another payload than was recorded."""
    file = exchange.source.with_name("out.govx")
    waybill = seal_payload(exchange.provider, exchange.source, file, exchange.grant, 40)
    record_delivery(exchange.provider, msgspec.structs.replace(waybill, payload="77" * 32))
    target = tmp_path / "payload"
    assert code_of(receive_payload, exchange.consumer, exchange.key, file, target) == "PAYLOAD_DIFFERS"
    assert not target.exists()
    delivery = find_delivery(exchange.consumer, waybill.envelope)
    answer_differs(exchange.consumer, delivery, bytes.fromhex(waybill.payload), "摘要不符")
    answered = find_delivery(exchange.consumer, waybill.envelope)
    assert (answered.answer, answered.received.hex()) == (DIFFERS, waybill.payload)


def test_a_file_that_is_not_the_recorded_one_is_not_kept(exchange: Exchange, tmp_path: Path) -> None:
    """The same payload sealed twice: both open, one is recorded."""
    _, waybill = sent(exchange)
    twin = exchange.source.with_name("twin.govx")
    sealed = seal_payload(exchange.provider, exchange.source, twin, exchange.grant, 40)
    assert sealed.envelope.number == 2
    with exchange.source.open("rb") as source, twin.open("wb") as target:
        seal_file(source, target, waybill.envelope, Note("a", 40, "00" * 32), exchange.key.public_key)
    assert code_of(receive_payload, exchange.consumer, exchange.key, twin, tmp_path / "payload") == "FILE_DAMAGED"
    assert not (tmp_path / "payload").exists()


def test_a_file_that_its_provider_sealed_wrongly_is_told_apart(exchange: Exchange, tmp_path: Path) -> None:
    file = exchange.source.with_name("out.govx")
    waybill = seal_payload(exchange.provider, exchange.source, file, exchange.grant, 40)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    record_delivery(exchange.provider, msgspec.structs.replace(waybill, sealed=sm3(bytes(raw)).hex()))
    assert code_of(receive_payload, exchange.consumer, exchange.key, file, tmp_path / "x") == "SEALED_WRONGLY"
    assert not (tmp_path / "x").exists()


def test_nothing_of_a_payload_or_key_is_on_the_chain(exchange: Exchange, tmp_path: Path) -> None:
    file, waybill = sent(exchange)
    receive_payload(exchange.consumer, exchange.key, file, tmp_path / "payload")
    state = b"".join(key + value for key, value in exchange.node.chain.state.items())
    for planted in (PAYLOAD[:30], sm3(PAYLOAD), exchange.key.to_bytes(), "房产.csv".encode()):
        assert planted not in state
    assert waybill.parcel.payload in state
    with file.open("rb") as raw:
        assert read_envelope(raw) == waybill.envelope
