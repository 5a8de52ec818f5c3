"""What a network of four drivers does when nothing is wrong, and what it does with bad input."""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.round import Step
from node.chain.block import BLOCK_VERSION, Header, block_id, evidence_root, transactions_root
from node.chain.codec import decode, encode
from node.chain.transaction import Transaction, transaction_hash, transaction_id
from node.driver.txpool import RejectionCode
from node.ledger.ledger import InvalidBlock
from node.wire.frames import (
    BodyRequest,
    BodyResponse,
    Frame,
    ProposalFrame,
    StatusFrame,
    TransactionsFrame,
    VotesFrame,
)

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node

MakeNet = Callable[..., "Net"]


def test_one_transaction_on_an_idle_network_is_final_within_a_few_hops(net: Net) -> None:
    started_ms = net.now_ms
    raw = net.transaction()
    assert net.nodes[2].submit(raw) == [None]
    net.reach(1, 1_000)
    # Gossip, verification, proposal, prevotes, precommits: four hops of at most 3 ms, and the verifier's 1 ms.
    assert net.now_ms - started_ms <= 14
    assert [net.heights_holding([raw], node) for node in net.nodes] == [[1]] * 4
    net.check()


def test_transactions_given_to_any_node_become_final_once_on_all(net: Net) -> None:
    raws = []
    for number in range(60):
        raws.append(net.transaction())
        assert net.nodes[number % 4].submit(raws[-1]) == [None]
        net.run(3)
    net.run(200)
    for node in net.nodes:
        assert min(net.heights_holding(raws, node)) >= 1
        assert len(node.pool) == 0
    # The proposers' blocks hold what came in the meantime: no block for each transaction, none that is empty.
    assert net.nodes[0].ledger.height < 60
    assert all(net.nodes[0].ledger.sealed_block(h).body.transactions for h in range(1, net.nodes[0].ledger.height + 1))
    net.check()


def test_each_body_travels_once_to_each_node(net: Net) -> None:
    raws = [net.transaction() for _ in range(30)]
    net.nodes[0].submit(*raws)
    net.reach(1, 1_000)
    carried = Counter(
        (target, raw)
        for _, _, target, frame in net.frames
        if isinstance(frame, TransactionsFrame | BodyResponse)
        for raw in frame.transactions
    )
    assert len(carried) == 3 * 30
    assert set(carried.values()) == {1}


def test_transactions_that_come_close_together_travel_together(net: Net) -> None:
    for _ in range(10):
        net.nodes[0].submit(net.transaction())
    net.run(50)
    frames = [f for _, _, target, f in net.frames if isinstance(f, TransactionsFrame) and target == "node1"]
    assert [len(frame.transactions) for frame in frames] == [1, 9]


def test_an_idle_network_makes_a_heartbeat_block_at_its_interval_and_no_other(net: Net) -> None:
    net.run(23_000)
    assert {node.ledger.height for node in net.nodes} == {4}
    times = [net.nodes[0].ledger.header(height).time_ms for height in range(1, 5)]
    assert all(5_000 <= later - earlier <= 5_100 for earlier, later in itertools.pairwise(times))


def test_a_transaction_that_no_block_can_take_makes_no_endless_blocks(net: Net) -> None:
    # A proposer whose clock is behind sees this one as too far ahead, and lets go of it.
    for node in net.nodes:
        node.clock_offset_ms = 30_000 if node is net.nodes[0] else 0
    net.nodes[0].submit(net.transaction(valid_until_ms=net.nodes[0].now_ms() + 600_000))
    net.run(4_000)
    assert net.nodes[1].ledger.height <= 4


def test_the_same_events_have_the_same_outcome(make_net: MakeNet) -> None:
    def shape(seed: int) -> list[tuple[int, str, str, str]]:
        net = make_net(seed=seed)
        net.loss = 0.1
        net.start()
        for number in range(5):
            net.nodes[number % 4].submit(net.transaction())
            net.run(400)
        net.check()
        return [(at_ms, source, target, type(frame).__name__) for at_ms, source, target, frame in net.frames]

    first = shape(5)
    assert first == shape(5)
    assert first != shape(6)


# Bodies


def test_a_node_that_lacks_bodies_asks_the_one_that_proposed_them(net: Net) -> None:
    net.filter = lambda source, target, frame: not (isinstance(frame, TransactionsFrame) and target is net.nodes[3])
    raws = [net.transaction() for _ in range(20)]
    net.nodes[1].submit(*raws)
    net.reach(1, 250)
    assert net.nodes[3].ledger.header(1).transactions_root == transactions_root(raws)
    requests = [(s, t, len(f.transaction_hashes)) for _, s, t, f in net.frames if isinstance(f, BodyRequest)]
    assert requests == [("node3", "node1", 20)]


def test_a_request_without_an_answer_is_repeated(net: Net) -> None:
    lost: list[Frame] = []

    def keep(source: Node, target: Node, frame: Frame) -> bool:
        if isinstance(frame, TransactionsFrame) and target is net.nodes[3]:
            return False
        if isinstance(frame, BodyRequest) and not lost:
            lost.append(frame)
            return False
        return True

    net.filter = keep
    net.nodes[1].submit(net.transaction())
    net.reach(1, 3_000)
    assert lost
    net.check()


@pytest.mark.parametrize("source", ["node1", "node2"])
def test_bodies_that_were_not_asked_for_make_no_block_invalid(net: Net, source: str) -> None:
    node = net.nodes[3]
    raw = net.transaction()

    def keep(sender: Node, target: Node, frame: Frame) -> bool:
        if target is not node or not isinstance(frame, TransactionsFrame | BodyResponse):
            return True
        if isinstance(frame, BodyResponse):
            for bodies in ([b"junk"], [net.transaction()], [], [b"junk"] * 50):
                response = BodyResponse(frame.block_id, bodies)
                net.later(1, node, lambda response=response: node.driver.on_frame(source, response))  # type: ignore[misc]
        return isinstance(frame, BodyResponse)

    net.filter = keep
    for unknown in (BodyResponse(bytes(32), [raw]), BodyRequest(bytes(32), [bytes(32)])):
        net.run_in(node, lambda unknown=unknown: node.driver.on_frame(source, unknown))  # type: ignore[misc]
    net.nodes[1].submit(raw)
    net.reach(1, 2_000)
    assert node.stop_reason is None
    assert node.ledger.certificate(1).round == 0
    net.check()


def test_transactions_that_never_reached_the_proposer_are_told_again(net: Net) -> None:
    net.filter = lambda source, target, frame: not isinstance(frame, TransactionsFrame)
    raw = net.transaction()
    net.nodes[0].submit(raw)
    net.run(1_200)
    net.filter = lambda source, target, frame: True
    net.settle([raw], 6_000)
    net.check()


# Blocks that break a rule


class Forger:
    """The validator that proposes height 1, in bad hands: it signs whatever the test makes of a block."""

    def __init__(self, net: Net, **changes: Any) -> None:
        self.net = net
        self.node = net.nodes[1]
        raws = changes.pop("transactions", [])
        ledger = net.nodes[0].ledger
        built = ledger.build_block([], net.nodes[0].now_ms(), self.node.signer.address)
        header = msgspec.structs.replace(built.header, transactions_root=transactions_root(raws), **changes)
        self.id = block_id(header)
        digest = proposal_sign_digest(net.genesis.hash, 1, 0, self.id, NO_ROUND, 1)
        proposal = Proposal(1, 0, self.id, NO_ROUND, 1, self.node.signer.sign(digest))
        self.frame = ProposalFrame(proposal, encode(header), [transaction_hash(raw) for raw in raws], [])
        self.raws = raws

    def play(self) -> None:
        """The real node 1 is down; its key proposes, and answers requests for bodies."""
        net, node = self.net, self.node
        node.kill()
        for target in (net.nodes[0], net.nodes[2], net.nodes[3]):
            net.run_in(target, lambda target=target: target.driver.on_frame("node1", self.frame))  # type: ignore[misc]
            original = target.send

            def send(peer: str, frame: Frame, target: Node = target, original: Any = original) -> None:
                if peer == "node1" and isinstance(frame, BodyRequest):
                    response = BodyResponse(frame.block_id, self.raws)
                    net.later(2, target, lambda: target.driver.on_frame("node1", response))
                else:
                    original(peer, frame)

            target.send = send  # type: ignore[method-assign]

    def check_refused(self) -> None:
        """Everybody prevotes nil, and the next proposer's block becomes final."""
        net = self.net
        net.reach(1, 3_000)
        votes = [v for _, _, _, f in net.frames if isinstance(f, VotesFrame) for v in f.votes]
        cast = {(v.validator_index, v.block_id) for v in votes if v.kind is VoteKind.PREVOTE and v.round == 0}
        assert {block for _, block in cast} == {None}
        assert {index for index, _ in cast} == {0, 2, 3}
        assert all(node.ledger.head_id != self.id for node in net.nodes if node.is_up)
        assert all(node.stop_reason is None for node in net.nodes)
        net.check()


def test_a_forged_signature_inside_a_block_makes_it_invalid(net: Net) -> None:
    transaction = decode(net.transaction(), Transaction)
    forged = encode(Transaction(msgspec.structs.replace(transaction.body, gas_limit=5), transaction.signature))
    forger = Forger(net, transactions=[net.transaction(), forged])
    forger.play()
    forger.check_refused()


@pytest.mark.parametrize("raw", [b"", b"junk", b"\xc1" * 200])
def test_bytes_that_are_no_transaction_make_a_block_invalid(net: Net, raw: bytes) -> None:
    forger = Forger(net, transactions=[raw])
    forger.play()
    forger.check_refused()


def test_one_transaction_twice_makes_a_block_invalid(net: Net) -> None:
    raw = net.transaction()
    forger = Forger(net, transactions=[raw, raw])
    forger.play()
    forger.check_refused()


@pytest.mark.parametrize(
    "changes",
    [
        {"state_root": b"\x01" * 32},
        {"receipts_root": b"\x01" * 32},
        {"parent_id": b"\x01" * 32},
        {"proposer": b"\x01" * 20},
        {"height": 2},
        {"time_ms": 1},
        {"next_validators_hash": b"\x01" * 32},
    ],
)
def test_a_header_that_states_something_else_makes_a_block_invalid(net: Net, changes: dict[str, Any]) -> None:
    forger = Forger(net, **changes)
    forger.play()
    forger.check_refused()


@pytest.mark.parametrize("offset_ms", [-5_000, 5_000])
def test_a_block_from_another_time_is_not_prevoted(make_net: MakeNet, offset_ms: int) -> None:
    net = make_net()
    net.start()
    # Long enough after the last block that even the least time above it is too old.
    net.run(13_000)
    height = net.nodes[0].ledger.height
    proposer = net.nodes[(height + 1) % 4]
    proposer.clock_offset_ms = offset_ms
    net.run(20)
    net.nodes[0].submit(net.transaction())
    net.reach(height + 1, 3_000)
    assert net.nodes[0].ledger.header(height + 1).proposer != proposer.signer.address
    net.check()


def test_parts_that_do_not_belong_together_cost_the_sender_its_connection(net: Net) -> None:
    forger = Forger(net, transactions=[net.transaction()])
    header = msgspec.msgpack.decode(forger.frame.header, type=Header)
    frames = [
        msgspec.structs.replace(forger.frame, header=b"junk"),
        msgspec.structs.replace(forger.frame, header=encode(msgspec.structs.replace(header, time_ms=5))),
        msgspec.structs.replace(forger.frame, transaction_hashes=[]),
        msgspec.structs.replace(forger.frame, transaction_hashes=[bytes(32)]),
        msgspec.structs.replace(forger.frame, evidence=[b"piece"]),
        msgspec.structs.replace(
            forger.frame, proposal=msgspec.structs.replace(forger.frame.proposal, signature=bytes(64))
        ),
        msgspec.structs.replace(
            forger.frame, proposal=msgspec.structs.replace(forger.frame.proposal, validator_index=2)
        ),
    ]
    for frame in frames:
        net.run_in(net.nodes[0], lambda frame=frame: net.nodes[0].driver.on_frame("node1", frame))  # type: ignore[misc]
    assert [peer for peer, _ in net.nodes[0].dropped] == ["node1"] * len(frames)
    assert evidence_root([]) == header.evidence_root
    assert header.version == BLOCK_VERSION
    net.run(500)
    net.nodes[0].submit(net.transaction())
    net.reach(1, 3_000)


# Other bad input


def _vote(net: Net, index: int, **changes: Any) -> Vote:
    fields: dict[str, Any] = {"kind": VoteKind.PREVOTE, "height": 1, "round": 0, "block_id": None, **changes}
    digest = vote_sign_digest(net.genesis.hash, **{("round_" if k == "round" else k): v for k, v in fields.items()})
    return Vote(**fields, validator_index=index, signature=net.nodes[index].signer.sign(digest))


@pytest.mark.parametrize(
    "spoil", [{"signature": bytes(64)}, {"validator_index": 9}, {"round": 1}, {"block_id": b"x" * 32}]
)
def test_a_vote_that_its_validator_did_not_sign_costs_the_sender_its_connection(
    net: Net, spoil: dict[str, Any]
) -> None:
    bad = msgspec.structs.replace(_vote(net, 2), **spoil)
    net.run_in(net.nodes[0], lambda: net.nodes[0].driver.on_frame("node2", VotesFrame([bad])))
    assert [peer for peer, _ in net.nodes[0].dropped] == ["node2"]
    net.nodes[0].submit(net.transaction())
    net.reach(1, 3_000)


@pytest.mark.parametrize("place", [{"height": 2**61}, {"height": 2}, {"round": 2**31 - 1}, {"round": 77}])
def test_votes_from_far_away_change_nothing(net: Net, place: dict[str, Any]) -> None:
    for round_step in range(50):
        vote = _vote(net, 2, **{**place, "round": max(0, place.get("round", 60) - round_step)})
        net.run_in(net.nodes[0], lambda vote=vote: net.nodes[0].driver.on_frame("node2", VotesFrame([vote])))  # type: ignore[misc]
    net.nodes[0].submit(net.transaction())
    net.reach(1, 1_000)
    assert net.nodes[0].ledger.certificate(1).round == 0


def test_a_flood_of_votes_ends_with_the_connection(net: Net) -> None:
    node = net.nodes[0]
    votes = [_vote(net, 2)] * 1_000
    for _ in range(9):
        net.run_in(node, lambda: node.driver.on_frame("node2", VotesFrame(votes)))
    assert len(node.dropped) == 1
    assert "votes" in node.dropped[0][1]


def test_a_peer_that_passes_on_a_forged_transaction_is_dropped(net: Net) -> None:
    node = net.nodes[0]
    good = net.transaction()
    net.run_in(node, lambda: node.driver.on_frame("node2", TransactionsFrame([b"junk", good])))
    net.run(20)
    assert [peer for peer, _ in node.dropped] == ["node2"]
    net.reach(1, 1_000)


def test_a_height_that_goes_down_costs_the_connection(net: Net) -> None:
    node = net.nodes[0]
    for height in (3, 2):
        status = StatusFrame(height, 0, Step.PROPOSE, 0, b"", b"")
        net.run_in(node, lambda status=status: node.driver.on_frame("node2", status))  # type: ignore[misc]
    assert [peer for peer, _ in node.dropped] == ["node2"]


def test_each_refusal_of_the_pool_reaches_the_client(net: Net) -> None:
    raw = net.transaction()
    far, other = net.transaction(valid_until_ms=2**60), net.transaction(chain_id=5)
    answers = net.nodes[0].submit(raw, far, other, raw)
    assert [answer.code if answer else None for answer in answers] == [
        None,
        RejectionCode.TOO_FAR_AHEAD,
        RejectionCode.WRONG_CHAIN,
        RejectionCode.REPEATED,
    ]
    net.reach(1, 1_000)
    (again,) = net.nodes[2].submit(raw)
    assert again is not None
    assert again.code is RejectionCode.REPEATED


def test_an_equivocation_is_kept_as_evidence_and_counts_once(net: Net) -> None:
    for block in (None, b"x" * 32):
        vote = _vote(net, 2, block_id=block)
        net.run_in(net.nodes[0], lambda vote=vote: net.nodes[0].driver.on_frame("node2", VotesFrame([vote])))  # type: ignore[misc]
    assert net.nodes[0].driver.status().equivocations == 1


# What ends a node


def test_a_second_node_with_the_same_key_stops_both_or_one(net: Net) -> None:
    stranger = _vote(net, 0, block_id=b"x" * 32)
    net.run_in(net.nodes[0], lambda: net.nodes[0].driver.on_frame("node2", VotesFrame([stranger])))
    assert net.nodes[0].stop_reason is not None
    assert "in use elsewhere" in net.nodes[0].stop_reason
    net.nodes[1].submit(net.transaction())
    net.reach(1, 3_000, net.nodes[1:])


def test_a_second_signature_over_our_own_vote_gives_the_clone_away(net: Net) -> None:
    net.nodes[3].kill()
    net.nodes[2].kill()
    net.nodes[0].submit(net.transaction())
    net.run(100)
    cast = next(f.votes[0] for _, source, _, f in net.frames if isinstance(f, VotesFrame) and source == "node0")
    node = net.nodes[0]
    net.run_in(node, lambda: node.driver.on_frame("node1", VotesFrame([cast])))
    assert node.is_up
    clone = _vote(net, 0, block_id=cast.block_id)
    net.run_in(node, lambda: node.driver.on_frame("node1", VotesFrame([clone])))
    assert node.stop_reason is not None


def test_a_node_that_executes_differently_stops_and_says_where_while_others_go_on(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = net.nodes[3]

    def refuse(*arguments: object) -> None:
        raise InvalidBlock("expected state_root 00, found 01")

    monkeypatch.setattr(odd.ledger, "execute_block", refuse)
    for _ in range(3):
        net.nodes[0].submit(net.transaction())
        net.run(500)
    assert odd.stop_reason is not None
    assert "height 1" in odd.stop_reason
    assert "expected state_root 00, found 01" in odd.stop_reason
    assert net.nodes[0].ledger.height == 3
    net.check()


def test_a_full_disk_stops_the_node_with_a_reason_and_nothing_is_lost(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = net.nodes[2]
    with monkeypatch.context() as patch:

        def refuse(record: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(full.wal, "append", refuse)
        net.nodes[0].submit(net.transaction())
        net.run(500)
        assert full.stop_reason is not None
        assert "No space left on device" in full.stop_reason
        assert not full.is_up
    assert net.nodes[0].ledger.height == 1
    full.start()
    net.reach(1, 2_000)
    net.nodes[full is net.nodes[0]].submit(net.transaction())
    net.reach(2, 2_000)
    net.check()


def test_a_fault_of_the_program_ends_the_node_and_a_replay_brings_it_back(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = net.nodes[2]
    with monkeypatch.context() as patch:

        def fail(*arguments: object) -> None:
            raise KeyError("a fault of the test")

        patch.setattr(odd.pool, "on_final", fail)
        net.nodes[0].submit(net.transaction())
        net.run(300)
    assert odd.stop_reason is not None
    assert "a fault of the program" in odd.stop_reason
    odd.start()
    net.reach(1, 2_000)
    net.check()


def test_the_status_says_where_the_node_stands(net: Net) -> None:
    net.nodes[0].submit(net.transaction())
    net.reach(1, 1_000)
    net.run(100)
    status = net.nodes[0].driver.status()
    assert (status.height, status.round, status.step) == (1, 0, "new_height")
    assert (status.is_validator, status.is_voting, status.abstention) == (True, True, "")
    assert status.target_height == 1


def test_a_contract_that_fails_in_an_undeclared_way_is_told_to_the_operator(
    net: Net, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(state: object, call: object, block: object) -> None:
        raise KeyError("not declared")

    monkeypatch.setattr("node.chain.execution.execute_call", fail)
    raw = net.transaction()
    net.nodes[0].submit(raw)
    with caplog.at_level("WARNING", logger="govnode.agreement"):
        net.settle([raw], 2_000)
    told = [record.fields for record in caplog.records if record.msg == "contract_fault"]  # type: ignore[attr-defined]
    identifier = transaction_id(decode(raw, Transaction).body)
    assert told == [{"height": 1, "transaction_id": identifier, "error": "KeyError: 'not declared'"}] * len(net.nodes)
