"""Evidence of equivocation on its way into a block: kept, relayed, proposed once, and never in a node's way."""

from pathlib import Path
from typing import Any

import pytest

from consensus.evidence import InvalidEvidence, decode_evidence, double_vote, encode_evidence
from consensus.messages import Vote, VoteKind, vote_sign_digest
from node.driver.evidence_pool import FILE_NAME, MAX_PENDING_PER_VALIDATOR, EvidencePool
from node.wire.frames import BlockResponse, EvidenceFrame, VotesFrame

X, Y = b"x" * 32, b"y" * 32


def _vote(net: Any, name: str, value: bytes | None, *, round_: int = 0, height: int = 1, forged: bool = False) -> Vote:
    node = net.by_name[name]
    genesis_hash = net.nodes[0].ledger.genesis.hash
    index = net.nodes[0].ledger.validators().index_of(node.signer.address)
    digest = vote_sign_digest(genesis_hash, VoteKind.PREVOTE, height, round_, value)
    signature = bytes(64) if forged else node.signer.sign(digest)
    return Vote(VoteKind.PREVOTE, height, round_, value, index, signature)


def _piece(net: Any, **fields: Any) -> bytes:
    return encode_evidence(double_vote(_vote(net, "node2", X, **fields), _vote(net, "node2", Y, **fields)))


def _tell(net: Any, node: Any, frame: Any) -> None:
    net.run_in(node, lambda: node.driver.on_frame("node3", frame))


def test_case_12_two_votes_become_evidence_on_the_chain_once_and_leave_every_pool(net: Any) -> None:
    net.nodes[2].kill()  # its key now signs elsewhere
    honest = [node for node in net.nodes if node.is_up]
    height = net.nodes[0].ledger.height + 1
    for value in (X, Y):
        _tell(net, net.nodes[0], VotesFrame([_vote(net, "node2", value, height=height)]))
    assert net.nodes[0].driver.status().equivocations == 1
    for _ in range(4):
        transaction = net.transaction()
        net.nodes[0].submit(transaction)
        net.settle([transaction], 20_000)
    ledger = net.nodes[1].ledger
    bodies = [ledger.sealed_block(number).body.evidence for number in range(1, ledger.height + 1)]
    carried = [piece for pieces in bodies for piece in pieces]
    assert [decode_evidence(piece).offence[:1] for piece in carried] == [(height,)], "on the chain once"
    for node in honest:
        assert node.driver.status().equivocations == 1, "and every node was told"
        assert node.dropped == []
    _tell(net, net.nodes[1], EvidenceFrame(carried))
    assert net.nodes[1].driver.status().equivocations == 1, "what is on the chain is nothing new"
    assert net.nodes[1].dropped == []


def test_case_12_forged_evidence_costs_the_sender_its_connection(net: Any) -> None:
    height = net.nodes[0].ledger.height + 1
    _tell(net, net.nodes[0], EvidenceFrame([_piece(net, height=height, forged=True)]))
    _tell(net, net.nodes[1], EvidenceFrame([b"\xc1"]))
    assert [peer for node in net.nodes[:2] for peer, _ in node.dropped] == ["node3", "node3"]
    assert net.nodes[0].driver.status().equivocations == 0


def test_evidence_of_a_height_to_come_is_left_alone(net: Any) -> None:
    _tell(net, net.nodes[0], EvidenceFrame([_piece(net, height=1_000)]))
    assert net.nodes[0].dropped == []
    assert net.nodes[0].driver.status().equivocations == 0


def test_a_node_that_has_caught_up_is_shown_the_evidence_that_it_could_not_judge(net: Any) -> None:
    net.part("node0")
    late, *others = net.nodes
    for _ in range(4):
        others[0].submit(net.transaction())
        net.reach(others[0].ledger.height + 1, 20_000, others)
    piece = _piece(net, height=others[0].ledger.height + 1)
    for node in others:
        _tell(net, node, EvidenceFrame([piece]))

    def hold_blocks(source: Any, target: Any, frame: Any) -> bool:
        return not isinstance(frame, BlockResponse)

    net.filter = hold_blocks
    net.heal()
    net.run(2_500)
    assert late.driver.status().equivocations == 0, "of a height more than one above its own"
    net.filter = lambda source, target, frame: True
    assert net.run(10_000, lambda: late.driver.status().equivocations == 1)
    assert late.dropped == []


def test_evidence_that_is_settled_is_not_verified_again(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node, piece = net.nodes[0], _piece(net, height=net.nodes[0].ledger.height + 1)
    for peer in net.nodes:
        _tell(net, peer, EvidenceFrame([piece]))
    for _ in range(3):
        transaction = net.transaction()
        node.submit(transaction)
        net.settle([transaction], 20_000)
    assert len(node.driver._agreement.evidence) == 0
    asked: list[Any] = []
    monkeypatch.setattr("node.driver.evidence_pool.verify_batch", asked.append)
    monkeypatch.setattr("node.ledger.evidence_judge.verify_batch", asked.append)
    for _ in range(100):
        _tell(net, node, EvidenceFrame([piece]))
    assert asked == []
    assert node.dropped == []


def test_pieces_survive_a_restart_and_a_damaged_file_stops_nothing(net: Any, tmp_path: Path) -> None:
    ledger, folder = net.nodes[0].ledger, tmp_path / "pool"
    folder.mkdir()
    path = folder / FILE_NAME
    piece = _piece(net, height=ledger.height + 1)
    assert EvidencePool(path, ledger).take(piece)
    again = EvidencePool(path, ledger)
    assert (again.pieces(), again.equivocations) == ([piece], 1)
    assert not again.take(piece)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole + b"\0", b"\xff" * 40, whole[:-3] + b"\0\0\0"):
        path.write_bytes(damaged)
        assert EvidencePool(path, ledger).pieces() == []
    path.unlink()
    path.mkdir()
    unwritable = EvidencePool(path, ledger)
    assert unwritable.take(piece), "kept in memory where the disk does not take it"


def test_one_validator_can_fill_no_more_than_its_share(net: Any, tmp_path: Path) -> None:
    ledger = net.nodes[0].ledger
    pool = EvidencePool(tmp_path / FILE_NAME, ledger)
    taken = [pool.take(_piece(net, height=ledger.height + 1, round_=round_)) for round_ in range(12, 0, -1)]
    assert taken.count(True) == len(pool) == MAX_PENDING_PER_VALIDATOR
    offences = [decode_evidence(piece).offence for piece in pool.pieces()]
    assert offences == sorted(offences)
    with pytest.raises(InvalidEvidence):
        pool.take(b"")
