"""/metrics: what an operator's Prometheus reads off a node."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool

from contracts.data_sharing.access import is_late, load_stream_count
from contracts.offences import count_offences
from contracts.validator_sets import load_validator_set
from explorer.api_consensus import list_accused
from explorer.data_sharing.api_access import read_streams
from explorer.data_sharing.api_audits import OPEN_STATES, count_by_rule
from explorer.data_sharing.due_list import count_overdue
from explorer.data_sharing.return_index import count_overdue_returns
from explorer.data_sharing.sealed_bodies import KeptSum
from explorer.services import Services
from node.http.presentation import awaited_validators, away_validators, sync_percent
from node.logs import Log

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_WATCHED_STREAMS: Final = 10_000
"""Of access records; a network has one or two for each department."""
MAX_SHOWN_RECORDERS: Final = 200
"""Of those whose sealed copies are kept here, the fullest; each is a series of its own at who reads the figures."""
_LOG: Final = Log("metrics")


class Metrics:
    """The node's figures in Prometheus' text form, read afresh every time."""

    def __init__(self, services: Services) -> None:
        """Declare the figures."""
        self._services = services
        self._registry = CollectorRegistry()
        self._height = self._gauge("govnode_height", "Height of the latest final block")
        self._base_height = self._gauge(
            "govnode_base_height",
            "Height of the snapshot that this node began from, 0 where it holds the whole history",
        )
        self._head_time = self._gauge("govnode_head_time_seconds", "Time of the latest final block, since 1970 UTC")
        self._index_height = self._gauge("govnode_index_height", "Height of the latest block in the explorer's index")
        self._peers = self._gauge("govnode_connected_peers", "Peers that this node is connected to")
        self._validators = self._gauge("govnode_validators", "Validators of the next height")
        self._pool = self._gauge("govnode_pool_transactions", "Transactions that wait for a block")
        self._round = self._gauge("govnode_round", "Round of the next height that this node is in")
        self._target_height = self._gauge(
            "govnode_target_height", "Greatest height that more peers have than may be faulty"
        )
        self._sync_percent = self._gauge(
            "govnode_sync_percent", "How much of the network's chain this node has, 0 to 100"
        )
        self._chunks_done = self._gauge(
            "govnode_snapshot_chunks_done",
            "Chunks that a node has which joins by snapshot, 0 where no join is under way",
        )
        self._chunks = self._gauge("govnode_snapshot_chunks", "Chunks of the snapshot that a node is joining by")
        self._is_voting = self._gauge("govnode_is_voting", "1 while this node takes part in votes")
        self._equivocations = self._gauge("govnode_equivocations", "Double votes that this node has seen")
        self._away = self._gauge("govnode_away_validators", "Validators that this node is not connected to")
        self._awaited = self._gauge(
            "govnode_awaited_validators",
            "Validators whose votes of the round under way are not here, 0 between heights",
        )
        self._offences = self._gauge("govnode_offences", "Offences of validators that stand on the chain")
        self._set_number = self._gauge("govnode_validator_set", "How often the validators changed since genesis")
        self._overdue = Gauge(
            "govnode_overdue",
            "Overdue items under requests for data, by kind and by the department that has to act",
            ["kind", "department"],
            registry=self._registry,
        )
        self._overdue_returns = Gauge(
            "govnode_overdue_returned_resources",
            "Returned resources of which no data came in time, by the department that keeps the entry",
            ["department"],
            registry=self._registry,
        )
        self._late_streams = Gauge(
            "govnode_late_access_streams",
            "Streams of access records whose next batch is overdue as of the latest block, by department",
            ["department"],
            registry=self._registry,
        )
        self._findings = Gauge(
            "govnode_open_audit_findings",
            "Findings of audits that are not dismissed or closed, by rule and state",
            ["rule", "state"],
            registry=self._registry,
        )
        self._copies = Gauge(
            "govnode_sealed_copies_bytes",
            "Sealed copies of access records that this node keeps, by department and recorder, the fullest recorders",
            ["department", "recorder"],
            registry=self._registry,
        )
        self._copies_limit = self._gauge(
            "govnode_sealed_copies_limit_bytes",
            "Sealed copies that this node keeps of one recorder at most, 0 where it keeps none",
        )
        self._registry.register(_StageSeconds(services))

    async def gather(self) -> None:
        """Count afresh what takes a while with many open items and streams, off the event loop."""
        overdue, late = await run_in_threadpool(self._count_late)
        self._show_copies(await run_in_threadpool(self._measure_copies))
        self._overdue_returns.clear()
        for department, count in (await run_in_threadpool(self._count_overdue_returns)).items():
            self._overdue_returns.labels(department).set(count)
        self._findings.clear()
        for (rule, state), count in count_by_rule(self._services.state()).items():
            if count and state in OPEN_STATES:
                self._findings.labels(rule, state).set(count)
        self._overdue.clear()
        for (kind, department), count in overdue.items():
            self._overdue.labels(kind, department or "authority").set(count)
        self._late_streams.clear()
        for department, count in late.items():
            self._late_streams.labels(department).set(count)

    def render(self) -> bytes:
        """Return the figures of now."""
        view = self._services.view
        self._height.set(view.ledger.height)
        self._base_height.set(view.ledger.base_height)
        self._head_time.set(view.ledger.head_time_ms / 1000)
        self._index_height.set(self._services.version[1])
        status = view.status()
        self._pool.set(status.pool_transactions)
        self._round.set(status.round)
        self._target_height.set(status.target_height)
        self._sync_percent.set(sync_percent(status))
        self._chunks_done.set(status.join.chunks_done if status.join is not None else 0)
        self._chunks.set(status.join.chunks_total if status.join is not None else 0)
        self._is_voting.set(status.is_voting)
        self._equivocations.set(status.equivocations)
        self._peers.set(sum(peer.is_connected for peer in view.peers()))
        self._validators.set(len(view.ledger.validators()))
        self._away.set(len(away_validators(view)))
        self._awaited.set(len(awaited_validators(view, status)))
        state = view.ledger.state()
        self._offences.set(sum(count_offences(state, address) for address in list_accused(state)))
        self._set_number.set(load_validator_set(state).number)
        return generate_latest(self._registry)

    def _count_late(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """Return how many items are overdue, by kind and department, and how many streams are late, by department with any stream."""
        services, ledger = self._services, self._services.view.ledger
        state, now_ms = ledger.state(), ledger.head_time_ms
        overdue = services.read_index(count_overdue, state, now_ms) or {}
        late: dict[str, int] = {}
        for stream in read_streams(services, 0, min(load_stream_count(state), MAX_WATCHED_STREAMS)):
            late[stream.department] = late.get(stream.department, 0) + is_late(stream, now_ms)
        return overdue, late

    def _count_overdue_returns(self) -> dict[str, int]:
        services = self._services
        return services.read_index(count_overdue_returns, services.view.ledger.head_time_ms) or {}

    def _measure_copies(self) -> list[KeptSum]:
        """Return how full sealed copies are; none of them where the disk gives no answer, which the log says."""
        try:
            return self._services.sealed_bodies.fullest(MAX_SHOWN_RECORDERS)
        except OSError as error:
            _LOG.warning("sealed_copies_unavailable", reason=str(error))
            return []

    def _show_copies(self, found: list[KeptSum]) -> None:
        self._copies.clear()
        for kept in found:
            self._copies.labels(kept.department, kept.recorder).set(kept.size_bytes)
        self._copies_limit.set(self._services.sealed_bodies.recorder_limit_bytes)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)


class _StageSeconds(Collector):
    """CPU seconds by stage, as the node's stage clock has them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> list[CounterMetricFamily]:
        """Return the seconds of every stage."""
        family = CounterMetricFamily("govnode_stage_cpu_seconds", "CPU seconds by stage", labels=["stage"])
        for stage, seconds in self._services.view.stages.seconds.items():
            family.add_metric([stage], seconds)
        return [family]
