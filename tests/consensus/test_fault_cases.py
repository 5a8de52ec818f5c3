"""Cases that broke other chains, as far as the core alone decides them; the numbers are those of the table of fault cases."""

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from consensus.core import Core
from consensus.events import HeightStarted, VoteReceived
from consensus.messages import Vote, VoteKind
from consensus.timeouts import TimeoutSchedule
from consensus.validators import ValidatorSet

ProbeMaker = Callable[..., Any]
TIMEOUTS_OF_NO_MATTER = TimeoutSchedule(propose_ms=1, prevote_ms=1, precommit_ms=1, step_ms=1, limit_ms=1)


class Table:
    """Several cores at one table: what one signs it takes back itself, and the test says who else hears it."""

    def __init__(self, probe: ProbeMaker, *, n: int = 4, seated: Iterable[int] = range(4)) -> None:
        self.cores = {index: probe(n=n, own=index) for index in seated}
        self.said: list[str] = []
        self.decided: dict[int, str] = {}
        self.new_block = "X"

    def tell(self, line: str, to: Iterable[int]) -> None:
        """Give one line to some cores, and note what they do."""
        for index in to:
            for action in self.cores[index](line):
                self._note(index, action.split())

    def _note(self, index: int, words: list[str]) -> None:
        if words[0] == "decide":
            self.decided[index] = words[2]
        elif words[0] == "build":
            self.tell(f"built {words[1]} {self.new_block}", [index])
        elif words[0] == "sign":
            pol = f" pol {words[5]}" if words[4:5] == ["pol"] else ""
            by = "" if words[1] == "proposal" else f" by {index}"
            line = f"{words[1]} {words[2]} {words[3]}{pol}{by}"
            self.said.append(line)
            self.tell(line, [index])

    def pass_on(self, kind: str, to: Iterable[int]) -> None:
        """Let some cores hear what was said so far of one kind ("proposal", "prevote", "precommit"), except by themselves."""
        spoken = [line for line in self.said if line.startswith(kind)]
        self.said = [line for line in self.said if not line.startswith(kind)]
        for line in spoken:
            self.tell(line, [index for index in to if not line.endswith(f" by {index}")])

    def show_votes(self, holder: int, peer: int) -> None:
        """Let one core serve another what brings it forward, as a node does whenever a peer tells its round."""
        held, behind = self.cores[holder].core, self.cores[peer].core
        for vote in held.votes_for_peer(behind.snapshot().round):
            value = "nil" if vote.block_id is None else vote.block_id.rstrip(b"\0").decode()
            self.tell(f"{vote.kind.name.lower()} r{vote.round} {value} by {vote.validator_index}", [peer])


def test_case_01_quorums_share_a_correct_member_and_need_no_faulty_one(
    validator_set: Callable[[int], ValidatorSet],
) -> None:
    for n in range(1, 61):
        validators = validator_set(n)
        f, quorum = validators.faulty_limit, validators.quorum
        assert f == (n - 1) // 3
        assert 2 * quorum - n >= f + 1, "two quorums share a correct member"
        assert quorum <= n - f, "the correct ones alone are a quorum"
        assert 3 * quorum > 2 * n


def test_case_02_locks_on_different_blocks_in_different_rounds_converge(probe: ProbeMaker) -> None:
    table = Table(probe)
    table.tell("elapsed new-height", range(4))
    table.pass_on("proposal", [1, 3])
    table.tell("elapsed propose r0", [2])
    table.pass_on("prevote", [3])  # only 3 sees the quorum for X, and locks it
    table.tell("prevote r0 nil by 3", [0, 1, 2])  # what 3 said is lost; a lie takes its place
    table.tell("prevote r0 X by 0", [1, 2])
    table.tell("prevote r0 X by 1", [0, 2])
    table.tell("prevote r0 nil by 2", [0, 1])
    table.tell("elapsed prevote r0", [0, 1, 2])
    table.pass_on("precommit", range(4))
    table.new_block = "Y"
    table.tell("elapsed precommit r0", range(4))
    table.pass_on("proposal", range(4))  # 1 proposes Y: 0, 1 and 2 prevote it, 3 is locked on X
    assert sorted(line for line in table.said if "r1" in line) == [
        "prevote r1 Y by 0",
        "prevote r1 Y by 1",
        "prevote r1 Y by 2",
        "prevote r1 nil by 3",
    ]
    table.pass_on("prevote", [2, 3])  # 2 locks Y, and 3 moves its lock to it
    assert [table.cores[index].core.snapshot().lock.locked_round for index in range(4)] == [-1, -1, 1, 1]
    table.tell("precommit r1 nil by 0", [1, 2, 3])
    table.tell("precommit r1 nil by 1", [0, 2, 3])
    table.tell("precommit r1 nil by 2", [0, 1])
    table.tell("elapsed precommit r1", [0, 1, 2, 3])
    for peer in (0, 1):
        table.show_votes(2, peer)
    table.tell("elapsed precommit r1", [0, 1])
    table.pass_on("proposal", range(4))
    table.pass_on("prevote", range(4))
    table.pass_on("precommit", range(4))
    assert table.decided == dict.fromkeys(range(4), "Y")


def test_case_03_a_hidden_lock_wins_with_the_proof_that_its_holder_serves(probe: ProbeMaker) -> None:
    # Validator 0 is Byzantine: its prevote for X reaches 3 only, then it is silent. 3 is locked, 1 and 2 know nothing.
    table = Table(probe, seated=[1, 2, 3])
    table.tell("elapsed new-height", [1, 2, 3])
    table.tell("proposal r0 X", [1, 3])
    table.tell("elapsed propose r0", [2])
    table.tell("prevote r0 X by 0", [3])
    table.pass_on("prevote", [1, 2, 3])
    assert table.cores[3].core.snapshot().lock.locked_round == 0
    for name, round_ in (("Y", 0), ("Z", 1), ("Z", 2)):
        table.new_block = name
        table.tell(f"elapsed prevote r{round_}", [1, 2, 3])
        table.pass_on("precommit", [1, 2, 3])
        table.tell(f"elapsed precommit r{round_}", [1, 2, 3])
        assert table.cores[3].core.snapshot().round == round_ + 1
        table.pass_on("proposal", [1, 2, 3])
        if round_ < 2:
            table.pass_on("prevote", [1, 2, 3])
    assert table.said == ["prevote r3 X by 3"], "3 has proposed X, and the others lack the prevote of 0"
    table.show_votes(3, 1)
    table.show_votes(3, 2)
    table.pass_on("prevote", [1, 2, 3])
    table.pass_on("precommit", [1, 2, 3])
    assert table.decided == {1: "X", 2: "X", 3: "X"}


def test_case_04_decide_for_a_past_round(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("proposal r0 X", "precommit r0 X by 0 2", "prevote r4 nil by 2 3")
    assert core("precommit r0 X by 3") == ["decide r0 X by 0 2 3"]


def test_case_04_decide_for_a_future_round_while_behind(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("elapsed new-height", "proposal r0 X", "precommit r7 X by 0")
    assert core("precommit r7 X by 2 3")[-1] == "decide r7 X by 0 2 3"


def test_case_05_a_late_proof_of_lock_sets_the_valid_value_only(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("proposal r0 X", "prevote r0 X by 1 2", "prevote r0 nil by 3", "elapsed prevote r0")
    assert core("prevote r0 X by 0") == []
    lock = core.core.snapshot().lock
    assert (lock.locked_round, lock.valid_round) == (-1, 0)


def test_case_05_a_nil_quorum_does_not_unlock(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("proposal r0 X", "prevote r0 X by 1 2 3", "precommit r1 nil by 0 2")
    core("prevote r1 nil by 0 1 2 3", "precommit r1 nil by 0 1 2 3")
    assert core.core.snapshot().lock.locked_round == 0


@pytest.mark.parametrize(
    ("proposal", "answer"),
    [
        ("proposal r2 Y", ["sign prevote r2 nil locked r1 X valid r1 X"]),  # absent: a new block, against the lock
        (
            "proposal r2 Y pol r0",
            ["sign prevote r2 nil locked r1 X valid r1 X"],
        ),  # too low: proven, but before the lock
        ("proposal r2 Z pol r1", []),  # forged: nobody prevoted Z
        ("proposal r2 X pol r2", []),  # its own round
        ("proposal r2 X pol r3", []),  # a round to come
        ("proposal r2 X pol r1", ["sign prevote r2 X locked r1 X valid r1 X"]),
    ],
)
def test_case_06_proposals_with_absent_forged_low_or_future_pol_round(
    probe: ProbeMaker, proposal: str, answer: list[str]
) -> None:
    core = probe(own=3)
    core("restore locked r1 X valid r1 X", "prevote r0 Y by 0 1 2", "prevote r1 X by 0 1 2", "precommit r2 nil by 0 1")
    assert core(proposal) == answer
    if not answer:
        assert core("elapsed propose r2") == ["sign prevote r2 nil locked r1 X valid r1 X"]


def test_case_07_an_invalid_block_with_a_quorum_of_prevotes_is_survived(probe: ProbeMaker) -> None:
    core = probe(own=1)
    assert core("proposal r0 X invalid")[-1] == "sign prevote r0 nil"
    core("prevote r0 X by 0 2 3", "prevote r0 nil by 1")
    assert core("elapsed prevote r0") == ["sign precommit r0 nil"]
    core("precommit r0 nil by 0 1 2")
    assert core("elapsed precommit r0")[0] == "enter r1 proposer 1"


def test_case_08_one_equivocator_counted_twice_does_not_skip_a_round(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("elapsed new-height")
    assert core("prevote r3 X by 0", "prevote r3 Y by 0", "precommit r3 nil by 0", "precommit r4 X by 0") == []
    assert core("precommit r3 nil by 2")[0] == "enter r3 proposer 3"


def test_case_09_a_node_that_timed_out_accepts_a_proposal_of_a_higher_round(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("elapsed new-height", "elapsed propose r0", "prevote r0 nil by 1 2 3", "precommit r0 nil by 1 2 3")
    assert core("proposal r1 X") == []
    assert core("elapsed precommit r0")[-1] == "sign prevote r1 X"


def test_case_11_half_of_the_network_gets_another_block_from_an_equivocating_proposer(probe: ProbeMaker) -> None:
    # Validator 0 is Byzantine: X to 1 and 2 with its prevote, Y to 3 with another one, then silence.
    table = Table(probe, seated=[1, 2, 3])
    table.tell("proposal r0 X", [1, 2])
    table.tell("proposal r0 Y", [3])
    table.tell("prevote r0 X by 0", [1, 2])
    table.tell("prevote r0 Y by 0", [3])
    table.pass_on("prevote", [1, 2, 3])
    assert [table.cores[index].core.snapshot().lock.locked_round for index in (1, 2, 3)] == [0, 0, -1]
    table.tell("elapsed prevote r0", [3])
    table.pass_on("precommit", [1, 2, 3])
    table.tell("elapsed precommit r0", [1, 2, 3])
    table.pass_on("proposal", [1, 2, 3])  # 1 offers X again; 3 lacks the prevote for X that 0 gave the others
    table.show_votes(1, 3)
    table.pass_on("prevote", [1, 2, 3])
    table.pass_on("precommit", [1, 2, 3])
    assert table.decided == {1: "X", 2: "X", 3: "X"}


def test_case_12_a_double_vote_is_reported_once_and_not_counted_twice(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("proposal r0 X", "prevote r0 X by 1 2")
    reports = core("prevote r0 Y by 2", "prevote r0 nil by 2", "prevote r0 Y by 2", "prevote r0 X by 2")
    assert reports == ["evidence prevote r0 by 2 X Y"]
    assert core.core.snapshot().prevoters == (1, 2)


def test_case_15_a_proposer_that_restarts_proposes_the_same_block(probe: ProbeMaker) -> None:
    core = probe(own=0)
    assert core("proposal r0 X") == ["enter r0 proposer 0", "wait propose r0 1000 ms", "sign prevote r0 X"]
    before_the_proposal_was_logged = probe(own=0)
    before_the_proposal_was_logged("elapsed new-height", "built r0 X")
    assert before_the_proposal_was_logged("resume")[0] == "sign proposal r0 X"


def test_case_21_the_set_of_a_height_names_its_proposers_and_its_voters(probe: ProbeMaker) -> None:
    core = probe(n=4, own=1, height=9)
    core("prevote r1 nil by 0 4")
    assert core("elapsed new-height")[0] == "enter r0 proposer 1"
    core("certificate r0 X by 0 1 2")
    core("height 10 n 5 own 1")
    assert core("elapsed new-height")[0] == "enter r0 proposer 0"
    assert core("prevote r4 nil by 3 4")[0] == "enter r4 proposer 4"


def test_case_21_a_validator_that_leaves_the_set_goes_on_as_an_observer(probe: ProbeMaker) -> None:
    core = probe(n=5, own=4, height=9)
    core("certificate r0 X by 0 1 2 3")
    core("height 10 n 4 own observer")
    core("proposal r0 Y", "prevote r0 Y by 0 1 2")
    assert core("precommit r0 Y by 1 2 3") == ["decide r0 Y by 1 2 3"]


@pytest.mark.parametrize("own", [0, 3])
def test_case_24_numbers_out_of_range_are_ignored(probe: ProbeMaker, own: int) -> None:
    core = probe(own=own)
    core("elapsed new-height")
    huge = 2**63
    assert core(f"prevote r{huge} nil by 1 2", f"precommit r{huge} X by 1 2", f"prevote r0 nil by {huge} 4") == []
    assert core(f"proposal r{huge} X", f"proposal r0 X by {huge}", f"proposal r0 X pol r{huge}") == []
    assert core(f"elapsed precommit r{huge}", f"certificate r0 X by 1 2 3 height {huge}") == []


def test_case_26_a_flood_of_votes_costs_bounded_memory(validator_set: Callable[[int], ValidatorSet]) -> None:
    core = Core()
    core.step(HeightStarted(4, validator_set(4), 0, TIMEOUTS_OF_NO_MATTER))

    def flood(first: int, count: int) -> None:
        for number in range(first, first + count):
            for kind in VoteKind:
                for round_ in (0, 1, 2, number % 2**31, (number * 7919) % 2**31):
                    value = number.to_bytes(32, "big") if number % 3 else None
                    core.step(VoteReceived(Vote(kind, 4, round_, value, 3, number.to_bytes(64, "big"))))

    flood(0, 200)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        flood(200, 3_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000, "30,000 votes of one validator leave nothing behind"
    assert core.snapshot().round == 0


def test_case_26_a_flood_of_blocks_by_an_equivocating_proposer_costs_bounded_memory(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("proposal r0 X")
    assert core("proposal r0 junk0") == ["evidence proposal r0 by 0 X junk0"]
    for number in range(1, 100):
        assert core(f"proposal r0 junk{number}") == []
    assert core("precommit r0 junk7 by 0 1 2") == ["wait precommit r0 500 ms"]
    assert core.core.snapshot().missing_block_id is not None, "the one block that matters is asked for"
    assert core("proposal r0 junk7") == ["decide r0 junk7 by 0 1 2"]


def test_of_two_missing_blocks_the_decided_one_is_asked_for_first_then_the_later_one(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("prevote r0 Z by 0 1 2", "prevote r1 A by 0 1 2")
    assert core.core.snapshot().missing_block_id.startswith(b"A")
    core("precommit r0 Z by 0 1 2")
    assert core.core.snapshot().missing_block_id.startswith(b"Z")
    assert core("proposal r0 Z") == ["decide r0 Z by 0 1 2"]


def test_the_driver_is_told_when_it_breaks_its_side(
    validator_set: Callable[[int], ValidatorSet], probe: ProbeMaker
) -> None:
    core = probe(own=0, height=4).core
    with pytest.raises(ValueError, match="height above 4, found 4"):
        core.step(HeightStarted(4, validator_set(4), 0, TIMEOUTS_OF_NO_MATTER))
    with pytest.raises(ValueError, match="own index below 4, found 4"):
        core.step(HeightStarted(5, validator_set(4), 4, TIMEOUTS_OF_NO_MATTER))


def test_a_lock_that_contradicts_the_replayed_one_is_refused(probe: ProbeMaker) -> None:
    core = probe(own=1)
    core("proposal r0 X", "prevote r0 X by 1 2 3")
    with pytest.raises(ValueError, match="different blocks in one round"):
        core("restore locked r0 Y valid r0 Y")
    core("restore locked r0 X valid r0 X")
    core("restore locked r2 Z valid r3 Y")
    lock = core.core.snapshot().lock
    assert (lock.locked_round, lock.valid_round) == (2, 3)


def test_before_the_first_height_there_is_nothing_to_do(probe: ProbeMaker) -> None:
    core = Core()
    assert core.snapshot().height == 0
    assert core.resume() == []
    assert core.votes_for_peer(0) == []
    with pytest.raises(ValueError, match="start the height"):
        core.restore_lock(probe().core.snapshot().lock)
