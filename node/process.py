"""The process of one node: opens what it needs, joins driver, peers and HTTP side in one event loop, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import uvicorn
from uvicorn._types import ASGIApplication

from consensus.core import Core
from contracts.accounts import load_department
from contracts.members import may_send
from contracts.validator_sets import load_validators
from node.chain.faults import LocalFault
from node.chain.genesis import Genesis
from node.chain.snapshot import BadSnapshot
from node.config import NodeConfig, StartError, parse_address
from node.driver.driver import Driver
from node.driver.effects import Timer
from node.driver.handshake import find_ledger_difference, own_hello
from node.driver.last_signed import FILE_NAME as LAST_SIGNED_FILE
from node.driver.last_signed import LastSigned
from node.driver.override import read_overrides
from node.driver.signature_verifier import SignatureVerifier, VerdictCallback
from node.driver.snapshot_join import SnapshotJoin
from node.driver.snapshot_service import SnapshotService
from node.driver.txpool import PoolLimits, TxPool
from node.driver.write_ahead_log import WriteAheadLog
from node.genesis_file import load_genesis
from node.http.connection import MAX_HTTP_CONNECTIONS, HttpConnection
from node.http.websocket_connection import MAX_MESSAGE_BYTES, PING_INTERVAL_S, PING_TIMEOUT_S, WebSocketConnection
from node.identity import NodeIdentity, certified_identity, describe_difference, voting_identity
from node.joining import clear_leftovers, is_join_due, take_place
from node.ledger.ledger import CommittedBlock, Ledger
from node.ledger.snapshot import SnapshotBuilder
from node.ledger.snapshot_shelf import SnapshotShelf
from node.logs import Log, start_logging
from node.release import SOFTWARE_VERSION
from node.stages import StageClock
from node.unlocking import NodeKeys
from node.view import NodeView
from node.wire.frames import ChunkRequest, Frame, Hello, SnapshotRequest
from node.wire.peers import PeerHandlers, Peers
from node.wire.transport import bind_listener
from sm_crypto.errors import EngineUnavailable
from sm_crypto.sm2 import engine_report
from sm_crypto.tls import TlsError, client_context, server_context
from sm_crypto.x509 import Certificate, CertificateError, load_certificates, parse_certificate

LEDGER_FOLDER: Final = "ledger"
SNAPSHOT_FOLDER: Final = "snapshot"
LOG_FILE: Final = "consensus.log"
MIN_OPEN_FILES: Final = 2_048
"""The HTTP side's connections, the database's files, the peers, and some."""
HTTP_STOP_TIMEOUT_S: Final = 2
KEEP_ALIVE_S: Final = 30
COLLECTOR_THRESHOLDS: Final = (50_000, 20, 50)
EXIT_STOPPED: Final = 0
EXIT_FAULT: Final = 70
"""Whoever supervises the node starts it again; what only an operator can mend ends with status 1 (StartError)."""

_LOG = Log("process")

MakeApp = Callable[[NodeView], ASGIApplication]
P = TypeVar("P", socket.socket, Ledger, WriteAheadLog, LastSigned, SignatureVerifier, SnapshotShelf)


async def run_node(config: NodeConfig, keys: Callable[[], NodeKeys], make_app: MakeApp) -> int:
    """Run the node until SIGTERM, SIGINT or a fault; return the exit status: 0 when it was told to stop, 70 after a fault.

    `keys` waits for what start_unlocking() began; `make_app` gets the node's read side and returns what the HTTP port
    serves. Raises StartError, or KeyFileError, when the node cannot start: one line that says what an operator has to do.
    """
    start_logging(config.name, config.log_level)
    _raise_file_limit()
    genesis = load_genesis(Path(config.genesis))
    report = _engine_report()
    unlocked = keys()
    _log_overrides(Path(config.data))
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    may_join = True
    while True:
        node = _Node(config, genesis, unlocked, told, may_join=may_join)
        try:
            node.open()
            _calm_collector()
            _LOG.info(
                "starting", height=node.ledger.height, genesis=genesis.hash, address=unlocked.signer.address, **report
            )
            status = await node.run(make_app)
        finally:
            node.close()
        if told.is_set() or not node.has_joined:
            return status
        # The new ledger, where there is one, is opened as at any start. What could not become one is joined anew.
        may_join = not node.settle_join()


class _Node:
    """The parts of one node and the outside that its driver acts on (node.driver.effects.Effects)."""

    def __init__(
        self, config: NodeConfig, genesis: Genesis, keys: NodeKeys, told: asyncio.Event, *, may_join: bool
    ) -> None:
        self._told = told
        self._config = config
        self._genesis = genesis
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        self._fault = ""
        self._may_join = may_join
        self._join: SnapshotJoin | None = None
        self._snapshots: SnapshotService | None = None
        self.has_joined = False
        """Whether it ended because its join by snapshot is done: settle_join() is next."""
        self._stages = StageClock()
        self._open_parts = contextlib.ExitStack()

    def open(self) -> None:
        """Open files and bind the ports; raise StartError on the first that cannot be had."""
        config = self._config
        data = Path(config.data)
        try:
            data.mkdir(parents=True, exist_ok=True)
            # The ports first: a node that cannot serve leaves its files alone.
            self._p2p_listener = self._keep(bind_listener(parse_address(config.p2p_listen)))
            self._http_listener = self._keep(bind_listener(parse_address(config.http_listen)))
            clear_leftovers(data / LEDGER_FOLDER)
            self.ledger = self._keep(Ledger.open(data / LEDGER_FOLDER, self._genesis))
            self._log = self._keep(WriteAheadLog(data / LOG_FILE))
            self._last_signed = self._keep(LastSigned(data / LAST_SIGNED_FILE))
        except (LocalFault, OSError) as error:
            zh, _, en = str(error).partition(" / ")
            raise StartError(
                f"数据文件夹 {data} 无法使用：{zh}", f"the data folder {data} cannot be used: {en or zh}"
            ) from None
        self._pool = TxPool(
            PoolLimits.of_chain(self._genesis.chain_id, self._genesis.parameters),
            lambda address: may_send(self.ledger.state(), address),
            self.ledger.is_repeated,
        )
        self._verifier = self._keep(
            SignatureVerifier(self._loop.call_soon_threadsafe, self._pool.__contains__, self._stages)
        )
        chain = self._load_chain()
        identity = self._check_identity(chain)
        if self._may_join and is_join_due(config, self.ledger):
            self._join = self._make_join(data / LEDGER_FOLDER)
        else:
            shelf = self._keep(SnapshotShelf(data / SNAPSHOT_FOLDER, self._loop.call_soon_threadsafe))
            self._snapshots = SnapshotService(self.ledger, shelf, self)
        self._driver = self._join or self._make_driver(identity)
        self._peers = self._make_peers(chain)
        self.view = NodeView(
            config.name, self.ledger, self._driver, self._peers, self._verifier, self._stages, self.stop
        )

    def close(self) -> None:
        """Close whatever was opened, last first."""
        self._open_parts.close()

    async def run(self, make_app: MakeApp) -> int:
        """Serve until told or asked to stop; return the exit status."""
        server = _HttpServer(_http_config(make_app(self.view), self._config.http_proxies))
        # The driver first: peers may be there as soon as they are dialled.
        self._driver.start()
        await self._peers.start(self._p2p_listener)
        serving = asyncio.create_task(server.serve(sockets=[self._http_listener]))
        waits = [asyncio.create_task(event.wait()) for event in (self._told, self._stop_asked)]
        await asyncio.wait((serving, *waits), return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not (self._told.is_set() or self._stop_asked.is_set()):
            self._fault = "the HTTP side ended"
        self.view.stop_reason = self._fault or ("the join is done" if self.has_joined else "asked to stop")
        _LOG.info("stopping", reason=self.view.stop_reason)
        server.should_exit = True
        await asyncio.wait((serving,), timeout=2 * HTTP_STOP_TIMEOUT_S)
        for wait in waits:
            wait.cancel()
        await self._peers.stop()
        if serving.done() and (error := serving.exception()) is not None:
            if isinstance(error, StartError):
                raise error
            _LOG.error("http_failed", reason=repr(error))
            return EXIT_FAULT
        return EXIT_FAULT if self._fault else EXIT_STOPPED

    def settle_join(self) -> bool:
        """Let the ledger that was joined by take the place of the empty one, once closed; return whether the join is over."""
        builder = self._join.builder if self._join is not None else None
        if builder is None:
            return True
        try:
            take_place(Path(self._config.data) / LEDGER_FOLDER, builder)
        except BadSnapshot as error:
            builder.abandon()
            _LOG.error("join_refused", reason=str(error))
            return False
        except (LocalFault, OSError) as error:
            raise StartError(
                f"快照无法成为账本：{error}；请检查磁盘后重新启动",
                f"the snapshot cannot become the ledger: {error}; check the disk and start again",
            ) from None
        return True

    # What the driver does to the outside.

    def now_ms(self) -> int:
        """Return wall time."""
        return time.time_ns() // 1_000_000

    def send(self, peer: str, frame: Frame) -> None:
        """Send a frame to one peer."""
        with self._stages.measure("network"):
            self._peers.send(peer, frame)

    def broadcast(self, frame: Frame) -> None:
        """Send a frame to every connected peer."""
        with self._stages.measure("network"):
            self._peers.broadcast(frame)

    def schedule(self, delay_ms: int, token: Timer) -> None:
        """Call the driver back later."""
        if delay_ms <= 0:
            self._loop.call_soon(self._driver.on_timer, token)
        else:
            self._loop.call_later(delay_ms / 1_000, self._driver.on_timer, token)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> object:
        """Call back later."""
        return self._loop.call_later(delay_ms / 1_000, callback)

    def verify_transactions(self, raws: Sequence[bytes], callback: VerdictCallback) -> None:
        """Verify off the loop and call back on it."""
        self._verifier.submit(raws, callback)

    def drop_peer(self, peer: str, reason: str) -> None:
        """Close the connection to a peer that broke a rule."""
        _LOG.warning("peer_dropped", peer=peer, reason=reason)
        self._loop.call_soon(self._peers.drop, peer, reason)

    def committed(self, block: CommittedBlock) -> None:
        """Tell the HTTP side of a final block, and who waits for its height to make a snapshot."""
        if self._snapshots is not None:
            self._snapshots.on_committed()
        self._loop.call_soon(self.view.committed, block)

    def stop(self, reason: str) -> None:
        """End the node because it must not go on."""
        self._fault = reason
        self._loop.call_soon(self._stop_asked.set)

    # Inside.

    def _keep(self, part: P) -> P:
        self._open_parts.callback(part.close)
        return part

    def _make_join(self, ledger: Path) -> SnapshotJoin:
        def end() -> None:
            self.has_joined = True
            self._stop_asked.set()

        return SnapshotJoin(
            self.ledger,
            self._keys.signer.address,
            lambda offer: SnapshotBuilder(ledger, self._genesis, offer),
            self,
            end,
        )

    def _take_frame(self, peer: str, frame: Frame) -> None:
        if self._snapshots is not None and isinstance(frame, SnapshotRequest | ChunkRequest):
            self._snapshots.on_frame(peer, frame)
        else:
            self._driver.on_frame(peer, frame)

    def _lose_peer(self, peer: str) -> None:
        if self._snapshots is not None:
            self._snapshots.on_peer_lost(peer)
        self._driver.on_peer_lost(peer)

    def _load_chain(self) -> list[Certificate]:
        path = Path(self._config.transport_certificate)
        try:
            return load_certificates(path.read_bytes())
        except (OSError, CertificateError) as error:
            raise _certificate_unusable(path, error) from None

    def _check_identity(self, chain: Sequence[Certificate]) -> NodeIdentity:
        """Return who this node is; raise StartError where settings, certificate and ledger do not agree on it."""
        identity, path = certified_identity(chain), self._config.transport_certificate
        if identity.name != self._config.name:
            raise StartError(
                f"node.toml 中的名称为 {self._config.name}，节点证书 {path} 却属于 {identity.name}：请改正 name 或换用本节点的证书",
                f"node.toml says name {self._config.name}, the node's certificate {path} is that of {identity.name}: "
                "correct the name, or put this node's certificate in place",
            )
        registered = voting_identity(self.ledger.state(), self._keys.signer.address)
        if registered is not None and registered != identity:
            zh, en = describe_difference(identity, registered)
            raise StartError(
                f"{zh}：请换上属于同一节点的密钥与证书", f"{en}: put a key and a certificate of one node in place"
            )
        return identity

    def _make_driver(self, identity: NodeIdentity) -> Driver:
        return Driver(
            self.ledger,
            Core(),
            self._pool,
            self._keys.signer,
            self._log,
            self._last_signed,
            self,
            self._stages,
            identity,
        )

    def _make_peers(self, chain: list[Certificate]) -> Peers:
        config = self._config
        key = self._keys.transport_key
        try:
            roots = [parse_certificate(self._genesis.root_certificate)]
            contexts = server_context(key, chain, roots), client_context(key, chain, roots)
        except (CertificateError, TlsError, ValueError) as error:
            raise _certificate_unusable(Path(config.transport_certificate), error) from None
        handlers = PeerHandlers(
            self._hello,
            lambda hello: find_ledger_difference(self.ledger, hello),
            self._driver.on_peer,
            self._take_frame,
            self._lose_peer,
        )
        return Peers(
            config.name,
            config.peer_addresses,
            self._department_of,
            *contexts,
            handlers,
            self._judge_department,
            self._stages,
        )

    def _department_of(self, name: str) -> str:
        """Return the code of the department that runs the validator called `name`, or an empty text."""
        now = {validator.name: validator.department for validator in load_validators(self.ledger.state())}
        founding = {validator.name: validator.department for validator in self._genesis.validators}
        return (founding | now).get(name, "")

    def _judge_department(self, code: str) -> str | None:
        """Return why nodes of this department are not admitted unless listed, or None."""
        department = load_department(self.ledger.state(), code)
        if department is None:
            return f"its certificate was issued by {code or 'no department'}, which the ledger does not know"
        return f"its department {code} is suspended" if department.suspended_ms else None

    def _hello(self) -> Hello:
        return own_hello(self.ledger, self._config.name, SOFTWARE_VERSION, self.now_ms())


class _HttpServer(uvicorn.Server):
    """A server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to exit; raise StartError when the application does not start."""
        try:
            await super().serve(sockets)
        except SystemExit:
            # The server would end the whole process from within its task.
            raise StartError(
                "HTTP 应用未能启动，原因见日志", "the HTTP application did not start, the log says why"
            ) from None


def _http_config(app: ASGIApplication, proxies: Sequence[str]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=PING_TIMEOUT_S,
        # It would let a few bytes stand for many, and what is sent here is mostly hashes.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        # Above this all connections have a request in hand: the next one is told to come back.
        limit_concurrency=MAX_HTTP_CONNECTIONS + 1,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=HTTP_STOP_TIMEOUT_S,
    )


def _raise_file_limit() -> None:
    """Let the process open all the files and connections that its own limits allow; raise StartError where the system does not.

    A node that runs out of them could not write its blocks: whoever opens connections could stop it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= MIN_OPEN_FILES:
        return
    if hard != resource.RLIM_INFINITY and hard < MIN_OPEN_FILES:
        raise StartError(
            f"系统只允许打开 {hard} 个文件，至少需要 {MIN_OPEN_FILES}：请调高 ulimit -n 或 LimitNOFILE",
            f"the system lets this process open {hard} files, it needs {MIN_OPEN_FILES}: raise ulimit -n or LimitNOFILE",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (MIN_OPEN_FILES, hard))


def _log_overrides(data: Path) -> None:
    """Log each act of an operator that let this key vote again: whoever reads the log of a node learns of it at every start."""
    try:
        for act in read_overrides(data):
            _LOG.warning("override", time_ms=act.time_ms, above_height=act.above_height, reason=act.reason)
    except (OSError, ValueError) as error:
        _LOG.warning("overrides_unreadable", reason=str(error))


def _calm_collector() -> None:
    """Collect cycles seldom: what a block makes is freed by reference counts, and looking through it costs more than it finds.

    What the start made stays, garbage included: to find those few hundred objects takes a tenth of the start.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    gc.enable()


def _certificate_unusable(path: Path, error: Exception) -> StartError:
    return StartError(f"节点证书 {path} 无法使用：{error}", f"the node's certificate {path} cannot be used: {error}")


def _engine_report() -> dict[str, str | bool]:
    try:
        return engine_report()
    except EngineUnavailable as error:
        raise StartError(f"没有可用的 SM2 引擎：{error}", f"no SM2 engine can be used: {error}") from None
