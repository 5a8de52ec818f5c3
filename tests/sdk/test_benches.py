from pathlib import Path

import msgspec

from sdk.bench import batch, catalogue, evm, trace
from sdk.bench.recovery import HEADLINES, RecoverySettings, quick
from sdk.bench.snapshot_join import SnapshotJoinSettings, run_snapshot_join_bench
from tests.ports import describe_network


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


def test_the_evm_bench_counts_calls_of_both_kinds_on_one_network(tmp_path: Path) -> None:
    said: list[str] = []
    # A part of a quick run, with as many signatures as half of one: a busy machine's last block may take longer than the load.
    shorter = {"seconds": 0.2, "warm_up_s": 0.1, "rest_s": 0.05, "idle_transactions": 2}
    shorter |= {"expected_system_tx_per_s": 15_000, "expected_evm_tx_per_s": 7_500}
    settings = msgspec.structs.replace(evm.quick(evm.EvmSettings(describe_network(tmp_path))), **shorter)
    figures = evm.run_evm_bench(settings, said.append)
    for kind in ("evm", "system"):
        assert figures[f"{kind}_tx_per_s"] > 0
        assert figures[f"{kind}_transactions_refused"] == 0
        stages = figures[f"{kind}_cpu_us_per_tx_by_stage"]
        assert {"verify", "pool", "propose", "execute", "commit"} <= set(stages)
        assert abs(sum(stages.values()) - figures[f"{kind}_cpu_us_per_tx"]) < 1
    assert figures["evm_per_system_tx"] > 0
    assert figures["gas_per_s"] > figures["evm_tx_per_s"] * 21_000, "each call pays for itself and for what it stores"
    assert figures["evm_latency_p50_ms"] > 0
    assert len(said) == 5


def test_the_batch_bench_takes_rows_to_the_ledger_and_verifies_certificates_of_them() -> None:
    said: list[str] = []
    figures = batch.run_batch_bench(120, said.append)
    assert tuple(figures)[:4] == batch.HEADLINES
    assert all(figures[name] > 0 for name in batch.HEADLINES)
    assert set(figures["wall_s"]) == {"load", "draft", "tree", "sign", "issue"}
    assert figures["prepared_records_per_s"] < figures["records_per_wall_s"]


def test_the_catalogue_bench_finds_what_it_put_on_the_ledger() -> None:
    said: list[str] = []
    figures = catalogue.run_catalogue_bench(100, said.append)
    assert all(figures[name] > 0 for name in catalogue.HEADLINES)
    assert len(figures["search_ms_by_words"]) == len(catalogue.SEARCHES)
    assert (figures["resources"], figures["departments"], len(said)) == (100, 50, 3)


def test_the_trace_bench_makes_verifies_and_judges_what_both_sides_recorded() -> None:
    said: list[str] = []
    figures = trace.run_trace_bench(400, said.append)
    assert (figures["reads"], figures["matches"], figures["person_matches"], len(said)) == (400, 400, 2, 2)
    assert all(figures[name] > 0 for name in ("make_s", "verify_s", "findings_s", "trace_mb", "verify_peak_mb"))
