"""The mutation check: plants one bug after the other and says which seed and which test caught it.

`python -m tests.simulator.mutants` tries all; `--seeds 200` is how many seeds each bug may survive. Each bug is planted in
processes of its own, so that nothing of it stays.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest

from consensus.core import Core
from consensus.messages import NO_ROUND
from consensus.round import RoundMachine, Step
from consensus.validators import ValidatorSet
from consensus.votes import VoteKeeper
from node.driver.last_signed import LastSigned, SignedRecord
from tests.simulator.run import run_in_memory

TESTS = (
    "tests/consensus/test_scenarios.py",
    "tests/consensus/test_fault_cases.py",
    "tests/consensus/test_agreement.py",
    "tests/node/driver/test_last_signed.py",
    "tests/node/driver/test_recovery.py",
)


def _r2_ignores_the_lock() -> None:
    def prevote_new(self: RoundMachine, block_id: bytes, *, is_valid: bool, is_timely: bool) -> None:
        self._prevote(block_id if is_valid and is_timely else None)

    vars_of(RoundMachine, prevote_new=prevote_new)


def _r2_prevotes_an_invalid_block() -> None:
    def prevote_new(self: RoundMachine, block_id: bytes, *, is_valid: bool, is_timely: bool) -> None:
        is_free = self.lock.locked_round == NO_ROUND or self.lock.locked_block_id == block_id
        self._prevote(block_id if is_timely and is_free else None)

    vars_of(RoundMachine, prevote_new=prevote_new)


def _r3_asks_for_no_proof_of_lock() -> None:
    def prevote(self: Core, machine: RoundMachine) -> bool:
        received = self._proposals.get(machine.round)
        if received is None:
            return False
        proposal = received.proposal
        if proposal.pol_round == NO_ROUND:
            machine.prevote_new(proposal.block_id, is_valid=received.is_valid, is_timely=received.is_timely)
        else:
            machine.prevote_again(proposal.block_id, proposal.pol_round, is_valid=received.is_valid)
        return True

    vars_of(Core, _prevote=prevote)


def _r3_never_accepts_a_newer_proof_of_lock() -> None:
    def prevote_again(self: RoundMachine, block_id: bytes, pol_round: int, *, is_valid: bool) -> None:
        is_free = self.lock.locked_round == NO_ROUND or self.lock.locked_block_id == block_id
        self._prevote(block_id if is_valid and is_free else None)

    vars_of(RoundMachine, prevote_again=prevote_again)


def _r5_precommits_without_a_lock() -> None:
    def take_proof_of_lock(self: RoundMachine, block_id: bytes) -> None:
        self.proof_of_lock_seen = True
        if self.step is Step.PREVOTE:
            self._precommit(block_id)

    vars_of(RoundMachine, take_proof_of_lock=take_proof_of_lock)


def _r5_sets_no_valid_value() -> None:
    def take_proof_of_lock(self: RoundMachine, block_id: bytes) -> None:
        self.proof_of_lock_seen = True
        if self.step is Step.PREVOTE:
            self.lock = msgspec.structs.replace(self.lock, locked_round=self.round, locked_block_id=block_id)
            self._precommit(block_id)

    vars_of(RoundMachine, take_proof_of_lock=take_proof_of_lock)


def _r8_decides_only_in_the_present_round() -> None:
    real = Core._decide

    def decide(self: Core, machine: RoundMachine) -> bool:
        return machine.round in self._votes.committed.values() and real(self, machine)

    vars_of(Core, _decide=decide)


def _r8_decides_on_prevotes() -> None:
    real = VoteKeeper.add

    def add(self: VoteKeeper, vote: object) -> object:
        found = real(self, vote)  # type: ignore[arg-type]
        self.committed.update(
            {block: round_ for block, round_ in self.supported.items() if block not in self.committed}
        )
        return found

    vars_of(VoteKeeper, add=add)


def _last_signed_is_never_written() -> None:
    def save(self: LastSigned, record: SignedRecord) -> None:
        self.record = record

    vars_of(LastSigned, save=save)


def _last_signed_is_missing_unnoticed() -> None:
    real = LastSigned.__init__

    def initialise(self: LastSigned, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        self.health = type(self.health).SOUND

    vars_of(LastSigned, __init__=initialise)


def _quorum_is_2f_plus_1() -> None:
    vars_of(ValidatorSet, quorum=property(lambda self: 2 * self.faulty_limit + 1))


def _quorum_is_a_majority() -> None:
    vars_of(ValidatorSet, quorum=property(lambda self: len(self) // 2 + 1))


MUTANTS: dict[str, Callable[[], None]] = {
    "R2 ignores the lock": _r2_ignores_the_lock,
    "R2 prevotes an invalid block": _r2_prevotes_an_invalid_block,
    "R3 asks for no proof of lock": _r3_asks_for_no_proof_of_lock,
    "R3 never accepts a newer proof of lock": _r3_never_accepts_a_newer_proof_of_lock,
    "R5 precommits without a lock": _r5_precommits_without_a_lock,
    "R5 sets no valid value": _r5_sets_no_valid_value,
    "R8 decides only in the present round": _r8_decides_only_in_the_present_round,
    "R8 decides on prevotes": _r8_decides_on_prevotes,
    "last-signed record: never written": _last_signed_is_never_written,
    "last-signed record: missing unnoticed": _last_signed_is_missing_unnoticed,
    "quorum formula: 2f + 1": _quorum_is_2f_plus_1,
    "quorum formula: a majority": _quorum_is_a_majority,
}


def vars_of(owner: type, **replacements: object) -> None:
    """Put these in place of what a class has."""
    for name, replacement in replacements.items():
        setattr(owner, name, replacement)


def _seek_seed(count: int) -> str:
    for seed in range(count):
        outcome = run_in_memory(seed)
        if outcome.failure:
            return f"seed {seed}: {outcome.failure.split(':')[0]}"
    return "-"


class _FirstFailure:
    """Remembers the first test that failed."""

    name = "-"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name == "-":
            self.name = re.sub(r"^.*/", "", report.nodeid)


def _try_here(name: str, seeds: int) -> None:
    """Plant a bug in this process and print what caught it."""
    logging.disable(logging.CRITICAL)
    MUTANTS[name]()
    by_seed = _seek_seed(seeds)
    first = _FirstFailure()
    pytest.main(["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *TESTS], plugins=[first])
    print(f"\nCAUGHT | {name} | {by_seed} | {first.name} |")


def main() -> int:
    """Try every bug; return 0 if each was caught by a seed or a test."""
    parser = argparse.ArgumentParser(prog="tests.simulator.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", choices=sorted(MUTANTS))
    options = parser.parse_args()
    if options.only:
        _try_here(options.only, options.seeds)
        return 0
    survivors = 0
    for name in MUTANTS:
        command = [sys.executable, "-m", "tests.simulator.mutants", "--only", name, "--seeds", str(options.seeds)]
        output = subprocess.run(command, capture_output=True, text=True).stdout
        line = next((line for line in output.splitlines() if line.startswith("CAUGHT")), f"CAUGHT | {name} | - | - |")
        survivors += line.endswith("| - | - |")
        print(line.removeprefix("CAUGHT "), flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
