"""Runs state tests: `python -m tests.state_tests.runner FOLDER`; prints counts by category and every failure."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

from tests.state_tests.fixtures import Case, read_cases, state_test_files
from tests.state_tests.reference import run_reference
from tests.state_tests.transition import Result, run_case

FOLDER_VARIABLE = "GOVNODE_STATE_TESTS"
DEFAULT_LIMIT_S = 60
MAX_NAMED_FAILURES = 500

PASSED, FAILED, LEFT_OUT, TIMED_OUT = "passed", "failed", "left out", "over time"


class TimeIsUp(BaseException):
    """A test takes longer than its limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case ended; `detail` says how it differs, or why it was left out."""

    category: str
    name: str
    ended: str
    detail: str = ""
    is_by_reference: bool = False


def judge(case: Case, with_reference: bool) -> Verdict:
    """Return whether our executor gives what the fixture says and, where asked or where it says nothing, what py-evm gives."""
    if case.left_out is not None:
        return Verdict(case.category, case.name, LEFT_OUT, case.left_out)
    ours = run_case(case)
    differences = []
    expected = case.expectation
    if expected is not None:
        if expected.is_refused != (ours.refused is not None):
            differences.append(f"fixture: refused {expected.is_refused}, ours: {ours.refused or 'accepted'}")
        if expected.state_root != ours.state_root:
            differences.append("state root unlike the fixture's")
        if expected.logs_hash != ours.logs_hash:
            differences.append("logs unlike the fixture's")
    if with_reference or expected is None:
        differences += _unlike(ours, run_reference(case))
    ended = FAILED if differences else PASSED
    detail = "; ".join(differences) + (f" (ours ended: {ours.ended or 'well'})" if differences else "")
    return Verdict(case.category, case.name, ended, detail, expected is None)


def _unlike(ours: Result, reference: Result) -> list[str]:
    pairs = (
        ("state root", ours.state_root == reference.state_root),
        ("logs", ours.logs_hash == reference.logs_hash),
        (f"gas {ours.gas_used} for {reference.gas_used}", ours.gas_used == reference.gas_used),
        (f"end {ours.ended} for {reference.ended}", _kind_of(ours.ended) == _kind_of(reference.ended)),
    )
    return [f"{name} unlike py-evm's" for name, is_equal in pairs if not is_equal]


def _kind_of(ended: str | None) -> str | None:
    """Return what Ethereum tells apart: well, reverted, halted. What a halt is called is each machine's own."""
    return ended if ended in (None, "Revert") else "halted"


def run_file(path: Path, root: Path, limit_s: int, with_reference: bool) -> list[Verdict]:
    """Return the verdicts on one file's cases, each given so many seconds."""
    signal.signal(signal.SIGALRM, _time_is_up)
    verdicts = []
    for case in read_cases(path, root):
        signal.alarm(limit_s)
        try:
            verdicts.append(judge(case, with_reference))
        except TimeIsUp:
            verdicts.append(Verdict(case.category, case.name, TIMED_OUT, f"over {limit_s} s"))
        except Exception:  # noqa: BLE001 (a failure like any other, with its place)
            last = traceback.format_exc().strip().splitlines()
            verdicts.append(Verdict(case.category, case.name, FAILED, " | ".join(last[-3:])))
        finally:
            signal.alarm(0)
    return verdicts


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


def _run_one(work: tuple[Path, Path, int, bool]) -> list[Verdict]:
    return run_file(*work)


def run_folder(folder: Path, processes: int, limit_s: int, with_reference: bool) -> Iterator[list[Verdict]]:
    """Yield each file's verdicts as they come."""
    work = [(path, folder, limit_s, with_reference) for path in state_test_files(folder)]
    if processes == 1:
        yield from map(_run_one, work)
        return
    with Pool(processes) as pool:
        yield from pool.imap_unordered(_run_one, work)


def report(batches: Iterable[list[Verdict]]) -> int:
    """Print what was seen; return the number of failures."""
    began = time.monotonic()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    failures: list[Verdict] = []
    by_reference = 0
    for batch in batches:
        for verdict in batch:
            counts[verdict.category][verdict.ended] += 1
            by_reference += verdict.is_by_reference
            if verdict.ended == LEFT_OUT:
                reasons[verdict.detail] += 1
            elif verdict.ended != PASSED:
                failures.append(verdict)
    ends = (PASSED, FAILED, TIMED_OUT, LEFT_OUT)
    print(f"{'category':60}" + "".join(f"{end:>11}" for end in ends))
    for category in sorted(counts):
        print(f"{category:60}" + "".join(f"{counts[category][end]:11}" for end in ends))
    total: Counter[str] = sum(counts.values(), Counter())
    print(f"{'all':60}" + "".join(f"{total[end]:11}" for end in ends))
    for reason, count in reasons.most_common():
        print(f"left out {count}: {reason}")
    for verdict in failures[:MAX_NAMED_FAILURES]:
        print(f"{verdict.ended}: {verdict.category}: {verdict.name}: {verdict.detail}")
    print(f"{by_reference} of these compared with py-evm only; {time.monotonic() - began:.0f} s")
    return total[FAILED] + total[TIMED_OUT]


def main() -> int:
    """Run every state test below the folder; return 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=os.environ.get(FOLDER_VARIABLE))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--limit-s", type=int, default=DEFAULT_LIMIT_S, help="time for one test")
    parser.add_argument("--reference", action="store_true", help="compare with py-evm's own Prague machine as well")
    options = parser.parse_args()
    if options.folder is None:
        print(f"not run: no folder given, and {FOLDER_VARIABLE} is not set")
        return 0
    folder = Path(options.folder)
    if not folder.exists():
        print(f"not run: {folder} does not exist")
        return 1
    return 1 if report(run_folder(folder, options.processes, options.limit_s, options.reference)) else 0


if __name__ == "__main__":
    sys.exit(main())
