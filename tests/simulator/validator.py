"""One simulated validator: real core, ledger, driver and files; its process may end at any step that touches the outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from consensus.core import Core
from consensus.events import Action, Input, RecordEvidence, RoundEntered, SignVote
from consensus.messages import NO_ROUND, VoteKind
from contracts.members import may_send
from node.driver.driver import Driver
from node.driver.effects import Timer
from node.driver.handshake import own_hello
from node.driver.last_signed import create_last_signed
from node.driver.signature_verifier import VerdictCallback, verify_transactions
from node.driver.txpool import PoolLimits, TxPool
from node.identity import NodeIdentity
from node.ledger.ledger import CommittedBlock, ExecutedBlock, Ledger
from node.stages import StageClock
from node.wire.frames import Frame, Hello
from sm_crypto.keystore import Signer
from tests.simulator.byzantine import Behaviour
from tests.simulator.rules import Promises, RuleChecker
from tests.simulator.signatures import StandInSigner
from tests.simulator.steps import Killed, WatchedLedger, WatchedLog, WatchedRecord

if TYPE_CHECKING:
    from tests.simulator.world import World

VERIFY_MS = 1


class WatchedCore(Core):
    """Counts what the run reports; the rules of a correct validator are checked at every step."""

    __slots__ = ("_counts", "_rules")

    def __init__(self, counts: dict[str, int], rules: RuleChecker | None) -> None:
        super().__init__()
        self._counts = counts
        self._rules = rules

    def step(self, event: Input) -> list[Action]:
        if self._rules is not None:
            self._rules.before(event, 0 if self._machine is None else self._machine.round)
        actions = super().step(event)
        if self._rules is not None:
            self._rules.after(actions)
        for action in actions:
            if isinstance(action, RoundEntered) and action.round:
                self._counts["rounds_above_0"] += 1
                self._counts["locks_held_into_a_later_round"] += self.snapshot().lock.locked_round != NO_ROUND
            elif isinstance(action, SignVote) and action.kind is VoteKind.PRECOMMIT and action.block_id is not None:
                self._counts["locks"] += 1
            elif isinstance(action, RecordEvidence):
                self._counts["evidence"] += 1
        return actions


class BuildingLedger(WatchedLedger):
    """A ledger that says when it begins to build a block."""

    def __init__(self, ledger: Ledger, point: Callable[[str], None], on_build: Callable[[], None]) -> None:
        super().__init__(ledger, point)
        self._on_build = on_build

    def build_block(self, *arguments: Any) -> ExecutedBlock:
        self._on_build()
        return self._ledger.build_block(*arguments)


class SimValidator:
    """Its files live as long as the run, the rest as long as the process."""

    def __init__(self, world: World, name: str, folder: Path, public_key: bytes) -> None:
        self.world = world
        self.name = name
        self.folder = folder
        self.signer = StandInSigner(public_key)
        self.clock_offset_ms = 0
        self.build_ms = 0
        """How long it takes to build a block."""
        self.busy_until_ms = 0
        """Virtual time before which the process does nothing else, and nothing that it sends leaves it."""
        self.is_up = False
        self.life = 0
        self.stop_reason: str | None = None
        self.kill_after_points: int | None = None
        self.behaviour: Behaviour | None = None
        """What a Byzantine validator does with what it sends; None for a correct one."""
        self._promises = Promises()
        folder.mkdir()
        create_last_signed(folder / "last-signed")

    # What the driver sees

    def now_ms(self) -> int:
        return self.world.genesis.time_ms + max(self.world.now_ms, self.busy_until_ms) + self.clock_offset_ms

    def send(self, peer: str, frame: Frame) -> None:
        self._point()
        self.world.carry(self, [self.world.by_name[peer]], frame)

    def broadcast(self, frame: Frame) -> None:
        self._point()
        self.world.carry(self, [peer for peer in self.world.nodes if peer is not self], frame)
        self._point()

    def schedule(self, delay_ms: int, token: Timer) -> None:
        self.world.later(delay_ms, self, lambda: self.driver.on_timer(token))

    def verify_transactions(self, raws: Sequence[bytes], callback: VerdictCallback) -> None:
        self.world.later(VERIFY_MS, self, lambda: callback(verify_transactions(raws, self.pool.__contains__)))

    def drop_peer(self, peer: str, reason: str) -> None:
        self.world.note(f"{self.name} drops {peer}: {reason}")
        self.world.later(0, self, lambda: self.world.disconnect(self, self.world.by_name[peer]))

    def committed(self, block: CommittedBlock) -> None:
        self.world.on_commit(self, block)

    def stop(self, reason: str) -> None:
        self.stop_reason = reason

    # What the run does to it

    @property
    def is_correct(self) -> bool:
        return self.behaviour is None

    def _spend_time_on_a_block(self) -> None:
        self.world.counts["blocks_built"] += 1
        if self.build_ms:
            self.busy_until_ms = self.world.now_ms + self.build_ms

    def _point(self, _step: str = "") -> None:
        if self.kill_after_points is not None:
            self.kill_after_points -= 1
            if self.kill_after_points < 0:
                raise Killed

    def start(self) -> None:
        """Begin a new life from what the files hold."""
        self.life += 1
        self.busy_until_ms = 0
        self.is_up = True
        self.stop_reason = None
        self.kill_after_points = None
        self.ledger = Ledger.open(self.folder / "ledger", self.world.genesis, state_cache_nodes=1_000)
        self.log = WatchedLog(self.folder / "log", self._point)
        self.last_signed = WatchedRecord(self.folder / "last-signed", self._point)
        self.pool = TxPool(
            PoolLimits.of_chain(self.world.genesis.chain_id, self.world.genesis.parameters),
            lambda address: may_send(self.ledger.state(), address),
            self.ledger.is_repeated,
        )
        rules = RuleChecker(self.name, self._promises) if self.is_correct else None
        self.core = WatchedCore(self.world.counts, rules)
        self.driver = Driver(
            cast(Ledger, BuildingLedger(self.ledger, self._point, self._spend_time_on_a_block)),
            self.core,
            self.pool,
            cast(Signer, self.signer),
            self.log,
            self.last_signed,
            self,
            StageClock(),
            NodeIdentity(self.name, self.world.genesis.departments[0].code),
        )
        self.world.run_in(self, self.driver.start)
        for peer in self.world.nodes:
            if self.is_up and peer is not self and peer.is_up:
                self.world.connect(self, peer)

    def kill(self) -> None:
        """End the process; what it wrote to its files stays there, synced or not."""
        if not self.is_up:
            return
        self.is_up = False
        self.synced_bytes, self.written_bytes = self.log.synced_bytes, self.log.written_bytes
        self.log.close()
        self.last_signed.close()
        self.ledger.close()
        self.world.on_kill(self)

    def cut_log(self, length_bytes: int) -> None:
        """Shorten the log of a node that is down."""
        content = (self.folder / "log").read_bytes()
        (self.folder / "log").write_bytes(content[:length_bytes])

    def lose_disk(self) -> None:
        """Empty the data folder of a node that is down."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def forget_signatures(self) -> None:
        """Make a node that is down take its key for a new one, which no correct operator does."""
        for name in ("log", "last-signed"):
            (self.folder / name).unlink(missing_ok=True)
        create_last_signed(self.folder / "last-signed")

    def hello(self) -> Hello:
        return own_hello(self.ledger, self.name, "simulated", self.now_ms())
