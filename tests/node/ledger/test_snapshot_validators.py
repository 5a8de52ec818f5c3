"""Snapshots of chains whose validators and parameters changed: the newcomer judges as the others do, and a forged change is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import plyvel
import pytest

from consensus.evidence import InvalidEvidence, decode_evidence
from consensus.validators import Validator, ValidatorSet
from contracts import registry
from contracts.accounts import address_of_key
from node.chain.block import block_id, transactions_root
from node.chain.proof import SetChange, TrustAnchor, verify_record_proof
from node.chain.snapshot import BadSnapshot, SnapshotOffer, verify_offer
from node.driver.evidence_pool import EvidencePool
from node.ledger import snapshot
from node.ledger.ledger import InvalidBlock, Ledger
from node.ledger.snapshot import make_snapshot
from node.ledger_check import LedgerReport, check_ledger
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.ledger.conftest import ChangingChain

CHANGES = (2, 4)
"""Where ChangingChain.grow changes the set: five decide 3 and 4, four others 5 and 6."""


@pytest.fixture
def chain(make_chain: Callable[[Ledger], ChangingChain], ledger: Ledger) -> ChangingChain:
    return make_chain(ledger)


@pytest.fixture
def short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer needs only the last two blocks: changes of the set lie below the blocks that it holds."""
    monkeypatch.setattr(snapshot, "TAIL_HEIGHTS", 2)
    monkeypatch.setattr(snapshot, "MAX_TRANSACTION_WINDOW_MS", 0)


class Newcomer:
    """Joins a chain by a snapshot of its present state, and follows it from then on."""

    def __init__(self, chain: ChangingChain, folder: Path, join: Callable[[Ledger, Path], None]) -> None:
        self.chain = chain
        join(chain.ledger, folder)
        self.ledger: Ledger = chain.network.open(folder)

    def follow(self, *transactions: Any, evidence: tuple[bytes, ...] = ()) -> None:
        committed = self.chain.commit(*transactions, evidence=evidence)
        executed = self.ledger.execute_block(committed.header, committed.transactions, committed.evidence)
        self.ledger.commit(executed, committed.certificate)
        assert self.ledger.head_id == self.chain.ledger.head_id
        assert self.ledger.validators() == self.chain.ledger.validators()


@pytest.fixture
def join(
    chain: ChangingChain, tmp_path: Path, join_by_snapshot: Callable[[Ledger, Path], None]
) -> Iterator[Callable[[], Newcomer]]:
    joined: list[Newcomer] = []

    def start() -> Newcomer:
        joined.append(Newcomer(chain, tmp_path / "joined", join_by_snapshot))
        return joined[-1]

    yield start
    for newcomer in joined:
        newcomer.ledger.close()


@pytest.mark.parametrize("blocks_after", [0, 1, 2])
@pytest.mark.parametrize("changed_at", CHANGES)
@pytest.mark.usefixtures("short_tail")
def test_a_newcomer_knows_the_set_of_every_height_wherever_it_changed(
    chain: ChangingChain, join: Callable[[], Newcomer], changed_at: int, blocks_after: int
) -> None:
    steps = (chain.add, chain.confirm, None, lambda: chain.remove(chain.network.validator_keys[0]))
    for step in steps[:changed_at]:
        chain.commit(*([] if step is None else [step()]))
    for _ in range(blocks_after):
        chain.commit()
    newcomer = join()
    original, joined = chain.ledger, newcomer.ledger
    assert joined.base_height == original.height == changed_at + blocks_after
    assert joined.first_block == max(original.height - 1, 1)
    assert joined.validators() == original.validators()
    for height in range(1, original.height + 2):
        assert joined.validators_at(height) == original.validators_at(height)
    newcomer.follow()
    newcomer.follow(chain.call(chain.network.governor, "remove_validator", address=bytes(20), reason="无此节点"))
    anchor = TrustAnchor(chain.network.genesis.hash, 0, chain.network.genesis.validator_set().hash)
    assert verify_record_proof(joined.record_proof(b"absent"), anchor).height == joined.height
    assert joined.record_proof(b"absent") == original.record_proof(b"absent")


@pytest.mark.usefixtures("short_tail")
def test_the_set_goes_on_changing_after_the_join_and_the_next_newcomer_is_shown_all_of_it(
    chain: ChangingChain, join: Callable[[], Newcomer], tmp_path: Path
) -> None:
    chain.grow()
    newcomer = join()
    newcomer.follow(
        chain.call(
            chain.network.governor,
            "add_validator",
            department=chain.network.department,
            name="node0",
            public_key=chain.network.validator_keys[0].public_key,
        )
    )
    again = chain.call(
        chain.network.validator_keys[0],
        "confirm_validator",
        height=chain.ledger.height,
        block_id=chain.ledger.head_id,
    )
    newcomer.follow(again)
    assert len(newcomer.ledger.validators()) == 5
    newcomer.follow()
    offer = make_snapshot(newcomer.ledger.snapshot_source(), tmp_path / "next")
    assert [change.header.height for change in offer.walk] == [*CHANGES, 8]
    verify_offer(offer, chain.network.genesis)


def _forged(offer: SnapshotOffer, how: str, chain: ChangingChain) -> SnapshotOffer:
    """Return an offer whose walk is not what the chain decided."""
    replace = msgspec.structs.replace
    first, second = offer.walk
    founders = chain.network.genesis.validator_set()
    stranger = chain.network.governor
    taken = ValidatorSet([Validator(address_of_key(stranger.public_key), stranger.public_key)])
    match how:
        case "first skipped":
            return replace(offer, walk=(second,))
        case "second skipped":
            return replace(offer, walk=(first,))
        case "all skipped":
            return replace(offer, walk=())
        case "out of order":
            return replace(offer, walk=(second, first))
        case "twice":
            return replace(offer, walk=(first, first, second))
        case "another set follows":
            return replace(offer, walk=(replace(first, header=replace(first.header, next_validators_hash=taken.hash)),))
        case "set of its own":
            header = replace(first.header, next_validators_hash=taken.hash)
            certificate = chain.certify(header.height, block_id(header), founders)
            # Signed by too few of the set that may decide it.
            few = replace(certificate, signers=certificate.signers[:1], signatures=certificate.signatures[:1])
            return replace(offer, walk=(SetChange(header, few, founders.members),), validators=taken.members)
        case "old set signs on":
            signed = chain.certify(second.header.height, block_id(second.header), founders)
            return replace(offer, walk=(first, SetChange(second.header, signed, founders.members)))
        case "old set signs the head":
            return replace(
                offer,
                certificate=chain.certify(offer.header.height, block_id(offer.header), founders),
                validators=founders.members,
            )
        case _:
            return replace(offer, walk=(first, replace(second, validators=founders.members)))


@pytest.mark.parametrize(
    "how",
    [
        "first skipped",
        "second skipped",
        "all skipped",
        "out of order",
        "twice",
        "another set follows",
        "set of its own",
        "old set signs on",
        "old set signs the head",
        "members of another set",
    ],
)
def test_a_walk_with_a_forged_or_skipped_change_is_refused(chain: ChangingChain, tmp_path: Path, how: str) -> None:
    chain.grow()
    offer = make_snapshot(chain.ledger.snapshot_source(), tmp_path / "snapshot")
    assert [change.header.height for change in offer.walk] == list(CHANGES)
    verify_offer(offer, chain.network.genesis)
    with pytest.raises(BadSnapshot):
        verify_offer(_forged(offer, how, chain), chain.network.genesis)


def test_a_transaction_from_before_the_snapshot_is_not_taken_again_after_the_join(
    chain: ChangingChain, join: Callable[[], Newcomer]
) -> None:
    old = chain.network.anchor(sm3(b"before the snapshot"))
    chain.commit(old)
    for step in (chain.add, chain.confirm):
        chain.commit(step())
    newcomer = join()
    joined = newcomer.ledger
    assert joined.is_repeated(old.id)
    fresh = chain.network.anchor(sm3(b"after it"))
    proposer = joined.validators().members[0].address
    built = joined.build_block([old, fresh], joined.head_time_ms + 1_000, proposer)
    assert [one.id for one in built.transactions] == [fresh.id]
    twice = chain.ledger.build_block([fresh], joined.head_time_ms + 1_000, proposer)
    repeated = msgspec.structs.replace(twice.header, transactions_root=transactions_root([old.raw]))
    with pytest.raises(InvalidBlock, match="already in the chain"):
        joined.execute_block(repeated, [old], ())
    newcomer.follow(fresh)


@pytest.mark.usefixtures("short_tail")
def test_evidence_of_a_height_before_the_snapshot_is_judged_alike(
    chain: ChangingChain, join: Callable[[], Newcomer], tmp_path: Path
) -> None:
    chain.grow()
    newcomer = join()
    original, joined = chain.ledger, newcomer.ledger
    pieces = [
        chain.double(original.validators_at(signed_at), index, height)
        for height in range(1, 7)
        for signed_at in (1, 3, 5)
        for index in range(len(original.validators_at(signed_at)))
    ]
    pools = [EvidencePool(tmp_path / name, ledger) for ledger, name in ((original, "a"), (joined, "b"))]
    verdicts = [[_is_judged_good(ledger, raw) for raw in pieces] for ledger in (original, joined)]
    assert verdicts[0] == verdicts[1]
    assert 0 < verdicts[0].count(True) < len(pieces)
    taken = [[_is_taken(pool, raw) for raw in pieces] for pool in pools]
    assert taken[0] == taken[1]
    # One offence has many pieces of evidence, and the pool holds one of them.
    convicted = [
        {decode_evidence(raw).offence for raw, holds in zip(pieces, answers, strict=True) if holds}
        for answers in (verdicts[1], taken[1])
    ]
    assert convicted[0] == convicted[1]
    assert sum(taken[1]) == len(convicted[1])
    good = next(raw for raw, is_good in zip(pieces, verdicts[0], strict=True) if is_good)
    newcomer.follow(evidence=(good,))
    assert joined.sealed_block(joined.height).body.evidence == [good]


def _is_judged_good(ledger: Ledger, raw: bytes) -> bool:
    try:
        ledger.judge_evidence(raw)
    except InvalidEvidence:
        return False
    return True


def _is_taken(pool: EvidencePool, raw: bytes) -> bool:
    try:
        return pool.take(raw)
    except InvalidEvidence:
        return False


def test_parameters_that_were_changed_before_the_snapshot_hold_for_the_newcomer(
    chain: ChangingChain, join: Callable[[], Newcomer]
) -> None:
    governor = chain.network.governor
    call = registry.encode_call(
        "governance",
        "set_parameters",
        names=["max_block_transactions", "empty_block_interval_ms"],
        values=[7, 9_000],
    )
    committed = chain.commit(chain.network.transaction(governor, *call))
    assert committed.receipts[0].refusal is None
    chain.commit()
    newcomer = join()
    assert newcomer.ledger.parameters() == chain.ledger.parameters()
    assert newcomer.ledger.parameters().max_block_transactions == 7
    built = newcomer.ledger.build_block(
        chain.network.anchors(1, 10),
        newcomer.ledger.head_time_ms + 1_000,
        newcomer.ledger.validators().members[0].address,
    )
    assert len(built.transactions) == 7
    newcomer.follow()


@pytest.mark.usefixtures("short_tail")
def test_the_check_of_a_joined_ledger_follows_the_set_from_genesis(
    chain: ChangingChain, join: Callable[[], Newcomer], tmp_path: Path
) -> None:
    chain.grow()
    newcomer = join()
    for _ in range(2):
        newcomer.follow()
    sets = {height: newcomer.ledger.validators_at(height + 1).hash for height in range(newcomer.ledger.height + 1)}
    newcomer.ledger.close()

    def check(**options: Any) -> LedgerReport:
        return check_ledger(
            tmp_path / "joined", chain.network.genesis, tmp_path / "scratch", lambda *_: None, **options
        )

    report = check()
    assert report.damage is None
    assert (report.base_height, report.first_height, report.blocks, report.set_changes) == (6, 5, 4, 2)
    for after, trusted in sets.items():
        assert check(after_height=after, trusted_set=trusted).damage is None, after
    database = plyvel.DB(str(tmp_path / "joined"))
    for table, field in ((b"c", "certificate"), (b"h", "header")):
        key = table + (2).to_bytes(6)
        whole = database.get(key)
        database.put(key, whole[:-1] + bytes((whole[-1] ^ 1,)))
        database.close()
        damage = check().damage
        assert damage is not None
        assert damage.height == 2
        assert damage.field.startswith((field, "certificate"))
        database = plyvel.DB(str(tmp_path / "joined"))
        database.put(key, whole)
    database.delete(b"w" + (4).to_bytes(6))
    database.close()
    damage = check().damage
    assert damage is not None
    assert (damage.height, damage.field) == (5, "header.validators_hash")
    newcomer.ledger = chain.network.open(tmp_path / "joined")
