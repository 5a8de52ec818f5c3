from pathlib import Path

from sdk.bench.recovery import HEADLINES, RecoverySettings, quick
from sdk.bench.snapshot_join import SnapshotJoinSettings, run_snapshot_join_bench


def test_the_join_bench_replays_and_joins_one_chain_and_tells_both_times(tmp_path: Path) -> None:
    said: list[str] = []
    figures = run_snapshot_join_bench(tmp_path, SnapshotJoinSettings(400, 50), said.append)
    assert (figures["snapshot_records"], figures["snapshot_blocks"]) == (400, 9)
    assert figures["snapshot_join_ratio"] > 0
    assert HEADLINES[2] in figures
    assert len(said) == 3


def test_a_quick_run_does_all_that_a_long_one_does() -> None:
    short = quick(RecoverySettings(Path("network.toml")))
    assert min(short.absences, short.repeats, short.long_absence_s, short.records) > 0
