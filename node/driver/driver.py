"""The driver: one node's part in the network, from frames and timers in to frames and final blocks out.

It reads no clock and opens no socket: time, sending, timers and signature checks are handed in as effects, so that a
simulator runs the very code that a process runs, and the same events have the same outcome every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from consensus.core import Core
from consensus.messages import Vote
from contracts.validator_sets import load_validators
from node.chain.faults import LocalFault
from node.chain.transaction import VerifiedTransaction
from node.driver.agreement import STALLED_TICKS, Agreement, MustStop
from node.driver.block_sync import BlockSync, serve_blocks
from node.driver.bodies import Bodies
from node.driver.candidacy import Candidacy
from node.driver.effects import (
    BodyTimer,
    ConsensusTimer,
    Effects,
    GossipTimer,
    NextBlockTimer,
    RoundZeroTimer,
    SyncTimer,
    TickTimer,
    Timer,
)
from node.driver.join_status import JoinStatus
from node.driver.last_signed import LastSigned
from node.driver.own_messages import ABSTENTION_MARGIN, OwnMessages, abstention_height
from node.driver.peer_progress import PeerProgress, PeerTable
from node.driver.recovery import DamagedLog, read_log
from node.driver.signature_verifier import Verdict
from node.driver.txpool import Rejection, RejectionCode, TxPool
from node.driver.vote_bitmap import MalformedBitmap, read_bitmap
from node.driver.vote_intake import NextHeight
from node.driver.write_ahead_log import WriteAheadLog
from node.identity import NodeIdentity
from node.ledger.ledger import Ledger
from node.logs import Log
from node.stages import StageClock
from node.wire.frames import (
    BlockRequest,
    BlockResponse,
    BodyRequest,
    BodyResponse,
    EvidenceFrame,
    Frame,
    Hello,
    ProposalFrame,
    StatusFrame,
    TransactionsFrame,
    VotesFrame,
)
from sm_crypto.keystore import Signer

TICK_MS: Final = 1_000
GOSSIP_INTERVAL_MS: Final = 5
MAX_GOSSIP_TRANSACTIONS: Final = 5_000
MAX_GOSSIP_BYTES: Final = 4_000_000
MAX_REPEATED_TRANSACTIONS: Final = 1_000
MAX_REPEATED_BYTES: Final = 2_000_000
MAX_PEER_VOTES_PER_TICK: Final = 8_192
MAX_HELP_PER_TICK: Final = 8

_LOG = Log("driver")
_STOPPED: Final = Rejection(RejectionCode.BUSY, "节点正在停止 / this node is stopping; submit to another one")


class DriverStatus(msgspec.Struct, frozen=True):
    """Where this node stands."""

    height: int
    """The last final height; round, step and votes are those of the next."""
    round: int
    step: str
    proposer_index: int
    is_validator: bool
    is_voting: bool
    abstention: str
    """Why a validator does not vote, or empty."""
    target_height: int
    """The greatest height that more connected peers say they have than may be faulty, or our own."""
    pool_transactions: int
    prevoters: tuple[int, ...]
    precommitters: tuple[int, ...]
    equivocations: int
    silent_validators: tuple[int, ...]
    """Whose votes of this round are not here, of either kind: while they are more than may be faulty, the round cannot end well."""
    sync_trouble: str = ""
    """Why missing blocks do not come, in Chinese and English, or empty."""
    join: JoinStatus | None = None
    """How far it has come, where it joins by snapshot."""
    sync_from_height: int = 0
    """Where it stood when it last lacked nothing, or at its start: progress counts from there."""


class Driver:
    """Everything between the transport and the ledger; not for more than one thread."""

    def __init__(
        self,
        ledger: Ledger,
        core: Core,
        pool: TxPool,
        signer: Signer,
        wal: WriteAheadLog,
        last_signed: LastSigned,
        effects: Effects,
        stages: StageClock,
        identity: NodeIdentity,
    ) -> None:
        """Wait for `start`; an observer hands in a signer whose key is no validator's."""
        self._ledger = ledger
        self._core = core
        self._pool = pool
        self._wal = wal
        self._last_signed = last_signed
        self._effects = effects
        self._stages = stages
        self._signer = signer
        self._bodies = Bodies(pool, effects)
        self._agreement = Agreement(
            ledger,
            core,
            pool,
            self._bodies,
            OwnMessages(signer, wal, last_signed, ledger.genesis.hash),
            wal,
            effects,
            stages,
        )
        self._sync = BlockSync(ledger, effects)
        self._peers = PeerTable()
        self._candidacy = Candidacy(ledger, signer, identity)
        self._next_height = NextHeight()
        self._is_stopped = False
        self._abstain_to: int | None = 0
        self._abstention = ""
        self._outbox: list[bytes] = []
        self._is_gossip_resting = False
        self._votes_by_peer: Counter[str] = Counter()
        self._help_by_peer: Counter[str] = Counter()
        self._names: tuple[bytes, frozenset[str]] | None = None
        self._sync_from_height = ledger.height
        self._is_sync_scheduled = False
        self._is_next_block_scheduled = False

    # Entry points

    def start(self) -> None:
        """Come back to where the files say this node was, and go on from there."""
        self._effects.schedule(TICK_MS, TickTimer())
        self._guard(self._recover)

    def on_peer(self, peer: str, hello: Hello) -> None:
        """Tell a newly connected peer where we are, and what it may lack."""
        self._guard(lambda: self._greet(peer, hello))

    def on_peer_lost(self, peer: str) -> None:
        """Forget what came from a peer that is gone."""
        self._sync.forget(peer)
        self._peers.forget(peer)
        self._next_height.forget(peer)

    def on_frame(self, peer: str, frame: Frame) -> None:
        """Take a peer's frame, decoded canonically."""
        self._guard(lambda: self._take_frame(peer, frame))

    def on_timer(self, token: Timer) -> None:
        """Do what was scheduled for now."""
        self._guard(lambda: self._take_timer(token))

    def on_verified(self, transactions: Sequence[VerifiedTransaction], from_peer: str | None) -> list[Rejection | None]:
        """Take transactions into the pool, those of a client (from_peer None) on to the peers too; return one answer for each."""
        answers: list[Rejection | None] = []
        self._guard(lambda: answers.extend(self._admit(transactions, from_peer)))
        return answers if len(answers) == len(transactions) else [_STOPPED] * len(transactions)

    def status(self) -> DriverStatus:
        """Return where this node stands."""
        core, agreement = self._core.snapshot(), self._agreement
        return DriverStatus(
            self._ledger.height,
            core.round,
            core.step.name.lower(),
            core.proposer_index,
            agreement.validators.index_of(self._signer.address) is not None,
            agreement.own_index is not None,
            self._abstention,
            self._credible_height(),
            len(self._pool),
            core.prevoters,
            core.precommitters,
            agreement.evidence.equivocations,
            tuple(sorted(set(range(len(agreement.validators))).difference(core.prevoters, core.precommitters))),
            self._sync.trouble,
            sync_from_height=self._sync_from_height,
        )

    def is_waiting(self, transaction_id: bytes) -> bool:
        """Return whether a transaction with this 32-byte id waits for a block here."""
        return self._pool.is_waiting(transaction_id)

    def peers(self) -> dict[str, PeerProgress]:
        """Return where each connected peer stands, by name."""
        return self._peers.progress(self._effects.now_ms())

    def _guard(self, work: Callable[[], object]) -> None:
        """Do the work and all that follows from it; what must end the node ends it before anything more leaves it."""
        if self._is_stopped:
            return
        try:
            work()
            while self._agreement.process():
                self._begin_height()
        except (MustStop, LocalFault) as error:
            self._stop(str(error))
        except OSError as error:
            self._stop(f"the disk does not keep what must be kept before this node goes on: {error}")
        except Exception as error:  # noqa: BLE001 - the node must not go on from a state that nobody knows
            # A fault of the program. The core may have half taken an input: only a replay from the files is sound again.
            _LOG.exception("driver_fault", height=self._ledger.height)
            self._stop(f"a fault of the program, see the log; the node starts again from its files: {error!r}")

    def _stop(self, reason: str) -> None:
        self._is_stopped = True
        _LOG.error("stopping", reason=reason, height=self._ledger.height)
        self._effects.stop(reason)

    # Heights

    def _recover(self) -> None:
        """Replay the log where it is the next height's and whole; abstain where this key may have signed what is not known any more."""
        log, height = self._wal, self._ledger.height + 1
        self._abstain_to, self._abstention = abstention_height(log, self._last_signed, self._ledger.height)
        if log.is_torn:
            _LOG.warning("log_tail_cut", path=str(log.path), records_kept=len(log.records))
        if log.height == height and not self._abstention:
            try:
                replayed = read_log(log.records)
            except DamagedLog as error:
                self._abstain_to, self._abstention = height, str(error)
            else:
                # A log from abstaining holds nothing that binds; what made the node abstain was set right since.
                if replayed.is_voting:
                    self._agreement.resume_height(replayed)
                    return
        if self._abstention:
            _LOG.warning("abstaining", reason=self._abstention, up_to_height=self._abstain_to or "not known yet")
        self._settle_abstention()
        self._agreement.begin_height(is_voting=self._may_vote())

    def _may_vote(self) -> bool:
        return self._abstain_to is not None and self._ledger.height + 1 > self._abstain_to

    def _settle_abstention(self) -> None:
        """Without any record of what this key signed, the height that enough peers substantiate bounds it, once we are there."""
        if self._abstain_to is not None:
            return
        validators = self._ledger.validators()
        names = self._validator_names()
        # Only validators' nodes count: the others that are connected must not make up for a quorum that is not here.
        heights = {peer: height for peer, height in self._sync.heights.items() if peer in names}
        if not len(heights) >= len(validators) - 1 - validators.faulty_limit > 0:
            return
        # A height that a peer only claims and cannot serve would keep us silent for ever.
        claims = [height for peer, height in heights.items() if not self._sync.is_discredited(peer)]
        top = max(self._ledger.height, self._credible_height(), *claims)
        if top > self._ledger.height + ABSTENTION_MARGIN:
            return
        # One above the greatest is where it may have voted; the margin covers one whom no peer has caught up with.
        self._abstain_to = top + ABSTENTION_MARGIN
        _LOG.warning("abstaining", reason=self._abstention, up_to_height=self._abstain_to)

    def _begin_height(self) -> None:
        self._settle_abstention()
        is_voting = self._may_vote()
        if is_voting and self._abstention:
            _LOG.info("voting_again", height=self._ledger.height + 1)
            self._abstention = ""
        self._agreement.begin_height(is_voting=is_voting)
        proposals, votes = self._next_height.release()
        for peer, frame, received_ms in proposals:
            self._take_proposal(peer, frame, received_ms)
        for peer, held in votes:
            self._take_votes(peer, held)
        self._poll_sync()

    # Frames

    def _greet(self, peer: str, hello: Hello) -> None:
        self._sync.forget(peer)
        self._sync.note_height(peer, hello.height)
        self._peers.greet(peer, hello, self._effects.now_ms())
        self._effects.send(peer, self._agreement.status_frame())
        self._agreement.show_evidence(peer)
        if len(self._pool):
            self._effects.send(peer, self._oldest_waiting())
        if hello.height == self._ledger.height:
            self._agreement.help_with_proposals(peer, 0)
            self._agreement.help_with_votes(peer, None)
        self._settle_abstention()
        self._poll_sync()

    def _take_frame(self, peer: str, frame: Frame) -> None:
        match frame:
            case VotesFrame(votes=votes):
                self._take_votes(peer, votes)
            case TransactionsFrame(transactions=raws):
                self._bodies.verify(raws, lambda verdicts: self._guard(lambda: self._take_verdicts(peer, verdicts)))
            case ProposalFrame():
                self._take_proposal(peer, frame, self._effects.now_ms())
            case StatusFrame():
                self._take_status(peer, frame)
            case BodyRequest(block_id=block_id, transaction_hashes=hashes):
                self._effects.send(peer, self._agreement.body_response(block_id, hashes))
            case BodyResponse():
                self._take_bodies(frame)
            case BlockRequest():
                self._effects.send(peer, serve_blocks(self._ledger, frame))
            case BlockResponse():
                self._sync.take_response(peer, frame)
                self._take_next_block()
            case EvidenceFrame(pieces=pieces):
                if self._is_within_limit(peer, len(pieces)):
                    self._agreement.take_evidence(peer, pieces)
            case Hello():
                self._effects.drop_peer(peer, "sent a second hello")

    def _is_within_limit(self, peer: str, count: int) -> bool:
        """Count votes and pieces of evidence against what one peer may send between two ticks; drop it where that is too much."""
        self._votes_by_peer[peer] += count
        is_within = self._votes_by_peer[peer] <= MAX_PEER_VOTES_PER_TICK
        if not is_within:
            self._effects.drop_peer(peer, f"sent more than {MAX_PEER_VOTES_PER_TICK} votes in {TICK_MS} ms")
        return is_within

    def _take_votes(self, peer: str, votes: Sequence[Vote]) -> None:
        height = self._agreement.height
        if not self._is_within_limit(peer, len(votes)):
            return
        self._agreement.take_votes(peer, [vote for vote in votes if vote.height == height])
        early = [vote for vote in votes if vote.height == height + 1]
        if early:
            self._next_height.hold_votes(peer, early)

    def _take_proposal(self, peer: str, frame: ProposalFrame, received_ms: int) -> None:
        height = frame.proposal.height
        if height == self._agreement.height:
            self._agreement.take_proposal(peer, frame, received_ms)
        elif height == self._agreement.height + 1:
            self._next_height.hold_proposal(peer, frame, received_ms)

    def _take_status(self, peer: str, status: StatusFrame) -> None:
        if status.height == self._ledger.height:
            count = len(self._agreement.validators)
            try:
                for bitmap in (status.prevotes, status.precommits):
                    read_bitmap(bitmap, count)
            except MalformedBitmap as error:
                self._effects.drop_peer(peer, str(error))
                return
        self._sync.note_height(peer, status.height)
        has_moved = self._peers.take(peer, status, self._effects.now_ms())
        if self._peers.has_caught_up(peer, self._ledger.height):
            # What it was shown before, it could not judge.
            self._agreement.show_evidence(peer)
        if status.height == self._ledger.height and (self._agreement.ticks or status.round):
            # A height that lasts this long may miss something that was lost on the way.
            self._help(peer, status, has_moved=has_moved)
        self._poll_sync()

    def _help(self, peer: str, status: StatusFrame, *, has_moved: bool) -> None:
        """Send what brings a peer forward: once a tick, and votes also whenever it is in another round or step."""
        given = self._help_by_peer[peer]
        if given >= MAX_HELP_PER_TICK or (given and not has_moved):
            return
        self._help_by_peer[peer] += 1
        if not given:
            self._agreement.help_with_proposals(peer, status.round)
        self._agreement.help_with_votes(peer, status)

    def _take_bodies(self, response: BodyResponse) -> None:
        candidate = self._agreement.book.get(response.block_id)
        if candidate is not None and candidate.missing and candidate.requests:
            self._bodies.on_response(candidate, response, lambda: self._guard(self._agreement.advance_all))

    # Transactions

    def _take_verdicts(self, peer: str, verdicts: Sequence[Verdict]) -> None:
        forged = [
            verdict
            for verdict in verdicts
            if isinstance(verdict, Rejection) and verdict.code in (RejectionCode.MALFORMED, RejectionCode.BAD_SIGNATURE)
        ]
        if forged:
            # A correct node passes on only what it verified itself.
            self._effects.drop_peer(peer, f"passed on a transaction that it cannot have verified: {forged[0].message}")
        self._admit([verdict for verdict in verdicts if not isinstance(verdict, Rejection)], peer)

    def _admit(self, transactions: Sequence[VerifiedTransaction], from_peer: str | None) -> list[Rejection | None]:
        now_ms = self._effects.now_ms()
        with self._stages.measure("pool"):
            add = self._pool.add
            answers = [add(transaction, now_ms) for transaction in transactions]
        if from_peer is None:
            self._outbox += [
                transaction.raw for transaction, answer in zip(transactions, answers, strict=True) if answer is None
            ]
            if self._outbox and not self._is_gossip_resting:
                self._gossip()
        self._agreement.advance_all()
        self._agreement.start_round_zero()
        return answers

    def _gossip(self) -> None:
        """Send what clients gave us, at once after a rest, otherwise together with what comes within GOSSIP_INTERVAL_MS."""
        sent, size = 0, 0
        for index, raw in enumerate(self._outbox):
            if index - sent >= MAX_GOSSIP_TRANSACTIONS or size + len(raw) > MAX_GOSSIP_BYTES:
                self._effects.broadcast(TransactionsFrame(self._outbox[sent:index]))
                sent, size = index, 0
            size += len(raw)
        self._is_gossip_resting = bool(self._outbox)
        if self._outbox:
            self._effects.broadcast(TransactionsFrame(self._outbox[sent:]))
            self._outbox = []
            self._effects.schedule(GOSSIP_INTERVAL_MS, GossipTimer())

    def _oldest_waiting(self) -> TransactionsFrame:
        """Return what has waited longest, as much as a slow line carries before the next time: a block of it, and more follows."""
        oldest = self._pool.oldest(MAX_REPEATED_TRANSACTIONS, MAX_REPEATED_BYTES)
        return TransactionsFrame([transaction.raw for transaction in oldest])

    # Timers and block sync

    def _take_timer(self, token: Timer) -> None:
        match token:
            case ConsensusTimer():
                self._agreement.on_consensus_timer(token)
            case RoundZeroTimer():
                self._agreement.on_round_zero_timer(token)
            case BodyTimer(block_id=block_id, request=request):
                candidate = self._agreement.book.get(block_id)
                if candidate is not None:
                    self._bodies.on_timer(candidate, request)
            case GossipTimer():
                self._gossip()
            case SyncTimer():
                self._is_sync_scheduled = False
                self._poll_sync()
            case NextBlockTimer():
                self._is_next_block_scheduled = False
                self._take_next_block()
            case TickTimer():
                self._tick()

    def _tick(self) -> None:
        self._effects.schedule(TICK_MS, TickTimer())
        self._votes_by_peer.clear()
        self._help_by_peer.clear()
        self._agreement.ticks += 1
        self._ask_to_join()
        self._settle_abstention()
        self._effects.broadcast(self._agreement.status_frame())
        if self._agreement.ticks >= STALLED_TICKS and len(self._pool):
            # Nothing was final for a while: peers, the proposer among them, may never have heard of these.
            self._effects.broadcast(self._oldest_waiting())
        self._poll_sync()

    def _ask_to_join(self) -> None:
        """Send a candidate's word that it is ready, once it stands where the peers do."""
        validators = self._agreement.validators
        is_synced = self._credible_height() <= self._ledger.height + 1
        if not (self._sync.heights and is_synced) or validators.index_of(self._signer.address) is not None:
            return
        confirmation = self._candidacy.confirmation(self._effects.now_ms())
        if confirmation is not None:
            _LOG.info("asking_to_join", height=self._ledger.height)
            self._admit([confirmation], None)

    def _take_next_block(self) -> None:
        """Let the next received block decide; the one after it gets a turn of its own, so that frames and timers get theirs."""
        sealed = self._sync.next_block(self._agreement.validators)
        if sealed is None:
            self._poll_sync()
        else:
            self._agreement.take_certified(sealed)

    def _validator_names(self) -> frozenset[str]:
        """Return the names of the next height's validators, read from state once a set."""
        set_hash = self._ledger.validators().hash
        if self._names is None or self._names[0] != set_hash:
            self._names = set_hash, frozenset(record.name for record in load_validators(self._ledger.state()))
        return self._names[1]

    def _credible_height(self) -> int:
        """Return the greatest height that a correct validator must have by its nodes' word, however many other nodes say more."""
        return self._sync.credible_height(self._ledger.validators().faulty_limit, self._validator_names())

    def _poll_sync(self) -> None:
        """Ask for blocks where that is due and come back when block sync wants to be polled again."""
        if self._credible_height() <= self._ledger.height + 1:
            # One height alone is no falling behind: the votes for it may be on their way.
            self._sync_from_height = self._ledger.height
        delay_ms = self._sync.poll()
        if delay_ms is not None and not self._is_sync_scheduled:
            self._is_sync_scheduled = True
            self._effects.schedule(delay_ms, SyncTimer())
        if self._sync.has_next and not self._is_next_block_scheduled:
            self._is_next_block_scheduled = True
            self._effects.schedule(0, NextBlockTimer())
