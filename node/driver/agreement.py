"""Agreement on the next block: feeds the core of one height after the other, does what it asks, commits what it decides."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from consensus.core import Core
from consensus.events import (
    Action,
    BlockBuilt,
    BuildBlock,
    CertificateReceived,
    Decide,
    Diverged,
    HeightStarted,
    Input,
    ProposalReceived,
    RecordEvidence,
    RoundEntered,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutElapsed,
    VoteReceived,
)
from consensus.evidence import (
    Evidence,
    InvalidEvidence,
    double_proposal,
    encode_evidence,
    is_double_proposal,
)
from consensus.messages import CommitCertificate, Proposal, Vote
from consensus.round import Step
from consensus.timeouts import TimeoutKind, TimeoutSchedule
from consensus.votes import FUTURE_ROUNDS_KEPT, MAX_PAST_ROUNDS
from contracts.parameters import ChainParameters
from node.chain.block import SealedBlock, block_id
from node.chain.codec import CodecError, encode
from node.driver.bodies import Bodies
from node.driver.effects import ConsensusTimer, Effects, RoundZeroTimer
from node.driver.evidence_pool import FILE_NAME as EVIDENCE_FILE
from node.driver.evidence_pool import EvidencePool
from node.driver.own_messages import OwnMessages
from node.driver.proposals import Candidate, InvalidFrame, ProposalBook, open_frame, own_candidate
from node.driver.recovery import Replay
from node.driver.signature_verifier import certified_transaction
from node.driver.txpool import TxPool
from node.driver.vote_bitmap import lacking_votes, make_bitmap
from node.driver.vote_intake import ClonedKey, InvalidVotes, VoteIntake
from node.driver.write_ahead_log import (
    BlockLogged,
    BuiltLogged,
    OwnProposalLogged,
    OwnVoteLogged,
    ProposalLogged,
    TimeoutLogged,
    VoteLogged,
    WriteAheadLog,
)
from node.ledger.ledger import ExecutedBlock, InvalidBlock, Ledger
from node.logs import Log
from node.stages import StageClock
from node.wire.frames import (
    MAX_FRAME_EVIDENCE,
    MAX_FRAME_VOTES,
    BodyResponse,
    EvidenceFrame,
    ProposalFrame,
    StatusFrame,
    VotesFrame,
)

STALLED_TICKS: Final = 2

_LOG = Log("agreement")


class MustStop(Exception):
    """The node cannot or must not go on; the text says why."""


class Agreement:
    """The current height, from the first vote to the commit; `process` feeds what the other methods have put in."""

    def __init__(
        self,
        ledger: Ledger,
        core: Core,
        pool: TxPool,
        bodies: Bodies,
        own: OwnMessages,
        wal: WriteAheadLog,
        effects: Effects,
        stages: StageClock,
    ) -> None:
        """Wait for `begin_height` or `resume_height`."""
        self._ledger = ledger
        self._core = core
        self._pool = pool
        self._bodies = bodies
        self._own = own
        self._wal = wal
        self._effects = effects
        self._stages = stages
        self._inputs: deque[tuple[Input, bool]] = deque()
        self.evidence = EvidencePool(wal.path.with_name(EVIDENCE_FILE), ledger)
        self.height = 0

    # Heights

    def begin_height(self, *, is_voting: bool) -> None:
        """Start the height above the ledger's with an empty log; without voting, nothing is signed in it."""
        self._wal.begin(self._ledger.height + 1, is_voting)
        self._enter_height(is_voting=is_voting)
        self._effects.broadcast(self.status_frame())
        self._schedule_round_zero()

    def resume_height(self, replayed: Replay) -> None:
        """Feed the logged inputs to the core with its outputs muted, then do what they left open."""
        self._enter_height(is_voting=True)
        for step in replayed.steps:
            if isinstance(step, Candidate):
                self.book.put(step, self._blocks_to_keep())
            elif isinstance(step, OwnProposalLogged | OwnVoteLogged):
                self._own.take_up(step)
            else:
                self._replay(step)
        self._join_recorded_lock()
        _LOG.info("log_replayed", height=self.height, round=self.round, steps=len(replayed.steps))
        for action in self._core.resume():
            self._act_and_queue(action)
        if self.height == self._ledger.height + 1:
            self._schedule_round_zero()

    def _join_recorded_lock(self) -> None:
        """Hold the replayed lock against the one in the last-signed record; the later one binds. Raise MustStop on a contradiction."""
        try:
            self._core.restore_lock(self._own.recorded_lock(self.height))
        except ValueError as error:
            # Never vote by a log that another run of this program would read in another way: without it, the node abstains.
            self._wal.begin(self.height, is_voting=False)
            self._wal.sync()
            raise MustStop(
                f"the replayed log of height {self.height} contradicts the last-signed record: {error}. "
                "The log is set aside: start the node again, it abstains until the others have passed this height"
            ) from None

    def _replay(self, event: Input) -> None:
        if isinstance(event, ProposalReceived):
            self.book.note(event.proposal)
            candidate = self.book.get(event.proposal.block_id)
            if candidate is not None and not event.is_valid:
                candidate.invalid_reason = "found invalid before the restart"
        for action in self._core.step(event):
            # Everything else was done before the restart, or is asked for again at the end.
            if isinstance(action, RoundEntered | RecordEvidence | Decide | Diverged):
                self._act(action)

    def _enter_height(self, *, is_voting: bool) -> None:
        self.height = self._ledger.height + 1
        self.round = 0
        self.ticks = 0
        self._told_place = (0, Step.NEW_HEIGHT)
        self._has_started = False
        self._is_interval_over = False
        self._is_heartbeat_due = False
        self._undelivered: CommitCertificate | None = None
        self.validators = self._ledger.validators()
        self._parameters = self._ledger.parameters()
        self._pool.follow(self._parameters)
        self.own_index = self.validators.index_of(self._own.signer.address) if is_voting else None
        self.book = ProposalBook()
        self._own.begin_height()
        self._intake = VoteIntake(
            self.height,
            self.validators,
            self._ledger.genesis.hash,
            self.own_index,
            self._own.is_ours,
            self._core.wants,
        )
        self._core.step(HeightStarted(self.height, self.validators, self.own_index, timeout_schedule(self._parameters)))

    def _schedule_round_zero(self) -> None:
        """Wait for the block interval since the parent's time; a clock that jumped never makes it longer than the interval."""
        parent_ms, now_ms = self._ledger.head_time_ms, self._effects.now_ms()
        parameters = self._parameters
        for interval_ms, is_heartbeat in (
            (parameters.block_interval_ms, False),
            (parameters.empty_block_interval_ms, True),
        ):
            wait_ms = min(max(parent_ms + interval_ms - now_ms, 0), interval_ms)
            timer = RoundZeroTimer(self.height, is_heartbeat)
            if wait_ms:
                self._effects.schedule(wait_ms, timer)
            else:
                self.on_round_zero_timer(timer)

    def on_round_zero_timer(self, timer: RoundZeroTimer) -> None:
        """Take note that the interval is over, or that a heartbeat is due."""
        if timer.height == self.height:
            self._is_interval_over = True
            self._is_heartbeat_due |= timer.is_heartbeat
            self.start_round_zero()

    def start_round_zero(self) -> None:
        """Start round 0 if it waits, the interval has passed, and there is work or a heartbeat is due."""
        if self._has_started or not self._is_interval_over or not (self._is_heartbeat_due or len(self._pool)):
            return
        self._has_started = True
        self._inputs.append((TimeoutElapsed(TimeoutKind.NEW_HEIGHT, self.height, 0), False))

    def on_consensus_timer(self, timer: ConsensusTimer) -> None:
        """Tell the core that its timeout has ended; one of an earlier height means nothing any more."""
        if timer.height == self.height:
            self._inputs.append((TimeoutElapsed(timer.kind, timer.height, timer.round), False))

    # What peers send

    def take_votes(self, peer: str, votes: Sequence[Vote]) -> None:
        """Check votes of this height and put them in; drop the peer over a bad one. Raise MustStop on our own key's foreign vote."""
        try:
            good, complaint = self._intake.check(votes)
        except ClonedKey as error:
            raise MustStop(str(error)) from None
        if complaint is not None:
            self._effects.drop_peer(peer, complaint)
        self._inputs.extend((VoteReceived(vote), False) for vote in good)

    def take_proposal(self, peer: str, frame: ProposalFrame, received_ms: int) -> None:
        """Check a proposal of this height and begin to put its body together; drop the peer over a bad one."""
        proposal = frame.proposal
        if proposal.round > self.round + FUTURE_ROUNDS_KEPT:
            return
        first = self.book.first(proposal.round)
        candidate = self.book.get(proposal.block_id)
        is_second = first is not None and is_double_proposal(first, proposal)
        if first is not None and is_second and not self._take_double_proposal(peer, first, proposal):
            return
        if proposal.block_id != self._core.snapshot().missing_block_id:
            # What a quorum voted for is taken in any case. Otherwise only the first proposal of a round means something: a second
            # one is an equivocator's; and what is long past must not drive out the blocks that this round is about.
            if first is None and proposal.round < self.round - MAX_PAST_ROUNDS:
                return
            if first is not None and first.block_id != proposal.block_id:
                return
            if first is not None and candidate is not None:
                if candidate.missing and peer not in candidate.sources:
                    candidate.sources.append(peer)
                return
        try:
            self._intake.check_proposal(proposal)
            candidate = candidate or open_frame(frame, self._parameters)
        except ClonedKey as error:
            raise MustStop(str(error)) from None
        except (InvalidVotes, InvalidFrame) as error:
            self._effects.drop_peer(peer, str(error))
            return
        self.book.put(candidate, self._blocks_to_keep())
        self.book.note(proposal)
        if peer not in candidate.sources:
            candidate.sources.append(peer)
        if all(waiting.round != proposal.round for waiting, _ in candidate.waiting):
            candidate.waiting.append((proposal, received_ms))
        self.advance(candidate)

    def _blocks_to_keep(self) -> set[bytes]:
        """Return the blocks that no other may drive out: the lock's, those of this round and the next, and the one that is missed."""
        core = self._core.snapshot()
        near = range(core.round, core.round + FUTURE_ROUNDS_KEPT + 1)
        first = [proposal.block_id for proposal in map(self.book.first, near) if proposal is not None]
        others = (core.lock.valid_block_id, core.lock.locked_block_id, core.missing_block_id)
        return {*first, *filter(None, others)}

    def _take_double_proposal(self, peer: str, first: Proposal, second: Proposal) -> bool:
        """Keep two proposals of one round as evidence; return whether the second is its proposer's, drop the peer if not."""
        piece = double_proposal(first, second)
        if piece.offence not in self.evidence:
            try:
                self._intake.check_proposal(second)
            except ClonedKey as error:
                raise MustStop(str(error)) from None
            except InvalidVotes as error:
                self._effects.drop_peer(peer, str(error))
                return False
            self._record(piece)
        return True

    def take_evidence(self, peer: str, pieces: Sequence[bytes]) -> None:
        """Keep the pieces that are new and pass them on once; drop the peer over one that convicts nobody."""
        fresh: list[bytes] = []
        for raw in pieces:
            try:
                if self.evidence.take(raw):
                    fresh.append(raw)
            except InvalidEvidence as error:
                self._effects.drop_peer(peer, f"passed on evidence that it cannot have checked: {error.reason}")
                break
        if fresh:
            self._effects.broadcast(EvidenceFrame(fresh))

    def show_evidence(self, peer: str) -> None:
        """Send a newly connected peer the evidence that waits for a block."""
        pieces = self.evidence.pieces()
        for start in range(0, len(pieces), MAX_FRAME_EVIDENCE):
            self._effects.send(peer, EvidenceFrame(pieces[start : start + MAX_FRAME_EVIDENCE]))

    def _record(self, evidence: Evidence) -> None:
        raw = encode_evidence(evidence)
        if self.evidence.take(raw):
            self._effects.broadcast(EvidenceFrame([raw]))

    def advance(self, candidate: Candidate) -> None:
        """Go on with a candidate as far as what is here allows: body, execution, and the core's word for each proposal of it."""
        if not candidate.is_judged:
            if not self._bodies.collect(candidate):
                return
            self._judge(candidate)
        for proposal, received_ms in candidate.waiting:
            is_timely = self._is_timely(candidate, proposal.round, received_ms)
            is_valid = candidate.invalid_reason is None
            self._inputs.append((ProposalReceived(proposal, is_valid, is_timely), False))
        candidate.waiting.clear()

    def advance_all(self) -> None:
        """Go on with every candidate that waits for its body."""
        for candidate in self.book.all():
            if candidate.waiting:
                self.advance(candidate)

    def _judge(self, candidate: Candidate) -> None:
        with self._stages.measure("execute"):
            try:
                executed = self._ledger.execute_block(candidate.header, candidate.transactions(), candidate.evidence)
            except InvalidBlock as error:
                candidate.invalid_reason = str(error)
                _LOG.warning("invalid_block", height=self.height, block_id=candidate.id, reason=str(error))
                return
        candidate.executed = executed
        self._warn_of_faults(executed)

    def _warn_of_faults(self, executed: ExecutedBlock) -> None:
        """Log every contract that failed in an undeclared way: the same receipt everywhere, and a fault of the program."""
        for fault in executed.faults:
            transaction = executed.transactions[fault.index]
            _LOG.warning("contract_fault", height=self.height, transaction_id=transaction.id, error=fault.error)

    def _is_timely(self, candidate: Candidate, round_: int, received_ms: int) -> bool:
        """Whether a proposal came when its block's time says; later rounds allow for slower messages."""
        parameters = self._parameters
        early_ms = parameters.clock_precision_ms
        late_ms = parameters.message_delay_ms + round_ * parameters.timeout_step_ms + parameters.clock_precision_ms
        return -early_ms <= received_ms - candidate.header.time_ms <= late_ms

    def take_certified(self, sealed: SealedBlock) -> None:
        """Execute a block that a checked certificate makes final, and let it decide; raise MustStop where it is invalid here."""
        certified_id = block_id(sealed.header)
        candidate = self.book.get(certified_id)
        if candidate is None or candidate.missing:
            candidate = _certified_candidate(sealed)
            self.book.put(candidate, ())
        if not candidate.is_judged:
            self._judge(candidate)
        if candidate.invalid_reason is not None:
            raise MustStop(_divergence(self.height, certified_id, candidate.invalid_reason))
        if self._undelivered is not None:
            self._commit(sealed.certificate)
        else:
            self._inputs.append((CertificateReceived(sealed.certificate), False))

    def body_response(self, wanted_id: bytes, hashes: Sequence[bytes]) -> BodyResponse:
        """Return those of the transactions asked for that this node holds."""
        candidate = self.book.get(wanted_id)
        return BodyResponse(wanted_id, []) if candidate is None else candidate.body_response(hashes, self._pool.get)

    def status_frame(self) -> StatusFrame:
        """Return where this node stands, and whose votes of its round it knows."""
        core, count = self._core.snapshot(), len(self.validators)
        prevotes, precommits = make_bitmap(core.prevoters, count), make_bitmap(core.precommitters, count)
        return StatusFrame(self.height - 1, core.round, core.step, self._effects.now_ms(), prevotes, precommits)

    def help_with_proposals(self, peer: str, peer_round: int) -> None:
        """Send a peer at this height the proposals that bring it forward."""
        if not self._has_started:
            return
        rounds = range(max(peer_round, self.round - 1), self.round + FUTURE_ROUNDS_KEPT + 1)
        proposals = [proposal for proposal in map(self.book.first, rounds) if proposal is not None]
        valid = self.book.get(self._core.snapshot().lock.valid_block_id or b"")
        if valid is not None and valid.latest is not None and valid.latest not in proposals:
            proposals.append(valid.latest)
        for proposal in proposals:
            candidate = self.book.get(proposal.block_id)
            if candidate is not None and not candidate.missing:
                self._effects.send(peer, candidate.frame(proposal))

    def help_with_votes(self, peer: str, status: StatusFrame | None) -> None:
        """Send a peer at this height the votes that bring it forward, of a status only those that the peer lacks by it."""
        if not self._has_started:
            return
        votes = self._core.votes_for_peer(0 if status is None else status.round)
        if status is not None:
            # A peer that has a vote of everyone and does not move may have an equivocator's other ones.
            is_stalled = self.ticks >= STALLED_TICKS
            decisive = self._core.block_quorums(status.round) if is_stalled else frozenset()
            votes = lacking_votes(votes, status, len(self.validators), decisive)
        for start in range(0, len(votes), MAX_FRAME_VOTES):
            self._effects.send(peer, VotesFrame(votes[start : start + MAX_FRAME_VOTES]))

    # The core

    def process(self) -> bool:
        """Feed the core until nothing is left, or the height is over; return whether its block was committed."""
        while self._inputs and self._ledger.height < self.height:
            event, is_logged = self._inputs.popleft()
            if not is_logged:
                self._log_input(event)
            self._act_and_queue(*self._core.step(event))
        self._intake.settle()
        if self._ledger.height < self.height:
            self._tell_progress()
            return False
        self._inputs.clear()
        return True

    def _act_and_queue(self, *actions: Action) -> None:
        """Carry actions out in order and put what they answer with before every other input."""
        answers = [answer for answer in map(self._act, actions) if answer is not None]
        # Our own signed messages stand in the log already.
        self._inputs.extendleft((answer, not isinstance(answer, BlockBuilt)) for answer in reversed(answers))

    def _log_input(self, event: Input) -> None:
        match event:
            case VoteReceived(vote=vote):
                self._wal.append(VoteLogged(vote))
            case ProposalReceived(proposal=proposal, is_valid=is_valid, is_timely=is_timely):
                if is_valid:
                    self._log_block(proposal.block_id)
                self._wal.append(ProposalLogged(proposal, is_valid, is_timely))
            case TimeoutElapsed(kind=kind, round=round_):
                self._wal.append(TimeoutLogged(kind, round_))
            case BlockBuilt(round=round_, block_id=built_id):
                self._log_block(built_id)
                self._wal.append(BuiltLogged(round_, built_id))
            case _:
                # A certificate decides at once, and the ledger then holds all that the log would.
                pass

    def _log_block(self, logged_id: bytes) -> None:
        candidate = self.book.get(logged_id)
        if candidate is not None and not candidate.is_logged:
            self._wal.append(BlockLogged(candidate.header_bytes, candidate.raw_transactions(), candidate.evidence))
            candidate.is_logged = True

    def _act(self, action: Action) -> Input | None:
        """Carry one action out; return the input that answers it, if any."""
        match action:
            case BuildBlock():
                return self._build(action)
            case SignProposal():
                return self._propose(action)
            case SignVote():
                return self._vote(action)
            case ScheduleTimeout(kind=kind, height=height, round=round_, duration_ms=duration_ms):
                self._effects.schedule(duration_ms, ConsensusTimer(kind, height, round_))
            case RoundEntered(round=round_):
                self._enter_round(round_)
            case Decide(certificate=certificate):
                self._commit(certificate)
            case RecordEvidence(evidence=evidence):
                self._record(evidence)
            case Diverged(certificate=certificate):
                candidate = self.book.get(certificate.block_id)
                reason = candidate.invalid_reason if candidate is not None else None
                raise MustStop(_divergence(self.height, certificate.block_id, reason or "no reason is kept"))
        return None

    def _enter_round(self, round_: int) -> None:
        self.round = round_
        self._has_started = True
        if round_:
            _LOG.info("round_entered", height=self.height, round=round_)

    def _tell_progress(self) -> None:
        """Tell peers of a new round, and of each new step of a height that does not go by at once: they send what we lack."""
        place = self._core.place
        if place != self._told_place:
            self._told_place = place
            if place[0] or self.ticks:
                self._effects.broadcast(self.status_frame())

    def _build(self, request: BuildBlock) -> BlockBuilt:
        parameters = self._parameters
        with self._stages.measure("propose"):
            waiting = self._pool.take(parameters.max_block_transactions, parameters.max_block_bytes)
            time_ms = max(self._effects.now_ms(), self._ledger.head_time_ms + 1)
            executed = self._ledger.build_block(waiting, time_ms, self._own.signer.address, self.evidence.pieces())
            self._pool.remove(transaction.hash for transaction, _ in executed.unfit)
        self._warn_of_faults(executed)
        candidate = own_candidate(executed)
        self.book.put(candidate, self._blocks_to_keep())
        return BlockBuilt(request.height, request.round, candidate.id)

    def _propose(self, request: SignProposal) -> ProposalReceived | None:
        candidate = self.book.get(request.block_id)
        if self.own_index is None or candidate is None:
            return None
        proposal = self._own.sign_proposal(request, self.own_index)
        if proposal is None:
            return None
        self.book.note(proposal)
        self._effects.broadcast(candidate.frame(proposal))
        return ProposalReceived(proposal, is_valid=True, is_timely=True)

    def _vote(self, request: SignVote) -> VoteReceived | None:
        if self.own_index is None:
            return None
        vote = self._own.sign_vote(request, self.own_index)
        if vote is None:
            return None
        self._effects.broadcast(VotesFrame([vote]))
        return VoteReceived(vote)

    def _commit(self, certificate: CommitCertificate) -> None:
        """Make the decided block final in the ledger; one that was let go of comes back by block sync."""
        candidate = self.book.get(certificate.block_id)
        if candidate is None:
            self._undelivered = certificate
            return
        if not candidate.is_judged:
            self._judge(candidate)
        if candidate.executed is None:
            raise MustStop(_divergence(self.height, candidate.id, candidate.invalid_reason or ""))
        with self._stages.measure("commit"):
            committed = self._ledger.commit(candidate.executed, certificate)
        with self._stages.measure("pool"):
            self._pool.on_final(candidate.transactions(), candidate.header.time_ms)
        self.evidence.on_final(candidate.evidence)
        _LOG.debug("block_final", height=self.height, round=certificate.round, transactions=len(candidate.bodies))
        self._effects.committed(committed)


def timeout_schedule(parameters: ChainParameters) -> TimeoutSchedule:
    """Return the waits that the chain's parameters set."""
    return TimeoutSchedule(
        parameters.timeout_propose_ms,
        parameters.timeout_prevote_ms,
        parameters.timeout_precommit_ms,
        parameters.timeout_step_ms,
        parameters.timeout_limit_ms,
    )


def _certified_candidate(sealed: SealedBlock) -> Candidate:
    height = sealed.header.height
    try:
        bodies = [certified_transaction(raw) for raw in sealed.body.transactions]
    except CodecError as error:
        raise MustStop(_divergence(height, block_id(sealed.header), str(error))) from None
    candidate = Candidate(sealed.header, encode(sealed.header), [body.hash for body in bodies], sealed.body.evidence)
    candidate.bodies = list(bodies)
    candidate.missing = {}
    return candidate


def _divergence(height: int, decided_id: bytes, reason: str) -> str:
    return (
        f"a quorum made block {decided_id.hex()} final at height {height}, and this node finds it invalid: {reason}. "
        "Its software or its data differs from the others': install the network's version, or start from an empty data folder"
    )
