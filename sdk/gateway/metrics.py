"""What the gateway tells Prometheus: reads by how they ended, how long they took, and how far recording and node are behind."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class GatewayMetrics:
    """Counters of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._registry = CollectorRegistry()
        self._reads = Counter(
            "govnode_gateway_reads",
            "Requests answered, by outcome and by the code of a refusal",
            ["outcome", "code"],
            registry=self._registry,
        )
        self._served = self._reads.labels("served", "")
        self._emptied = Counter(
            "govnode_gateway_emptied_answers",
            "Answers that had rows, and in them none of the items that the grant gives",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "govnode_gateway_read_seconds",
            "From a request to its answer, the data service included",
            registry=self._registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        )

    def count(self, code: str, seconds: float) -> None:
        """Count an answer; `code` says why it was refused, empty where it was not."""
        (self._reads.labels("denied", code) if code else self._served).inc()
        self._seconds.observe(seconds)

    def count_emptied(self) -> None:
        """Count an answer of whose rows nothing was left."""
        self._emptied.inc()

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(f"govnode_gateway_{name}", text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self._registry)
