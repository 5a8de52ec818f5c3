"""Looks at a node for the doctor: asks it where it runs, else reads its folder; changes nothing in either."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.accounts import address_of_key
from contracts.parameters import ChainParameters
from contracts.validator_sets import load_validators
from node.chain.faults import LocalFault
from node.chain.genesis import Genesis
from node.config import Address, NodeConfig, StartError, load_node_config, parse_address, read_password
from node.driver.last_signed import FILE_NAME as LAST_SIGNED_FILE
from node.driver.last_signed import LastSigned
from node.driver.own_messages import abstention_height
from node.driver.write_ahead_log import WriteAheadLog
from node.genesis_file import load_genesis
from node.http.presentation import WAITING_STEP
from node.identity import NodeIdentity, certified_identity, describe_difference
from node.ledger.ledger import Ledger
from node.ledger.storage import AnotherNetwork, DatabaseInUse
from node.process import LEDGER_FOLDER, LOG_FILE
from node.wire.away import AwayCode
from node.wire.transport import bind_listener
from sdk.client import Client
from sdk.doctor_seen import CertificateSeen, FileFault, NodeSeen, Observation, PeerSeen, StoredSeen, ValidatorSeen
from sdk.errors import NodeUnreachable
from sm_crypto.keystore import KeyFileError, load_key, load_private_key, load_public_key
from sm_crypto.x509 import CertificateError, load_certificates, parse_certificate, verify_chain
from verification.errors import GovnodeError

ANSWER_TIMEOUT_S: Final = 5.0
WATCH_S: Final = 6.0
"""How long a node in the midst of a height is watched: longer than a height with one absent proposer takes."""
WATCH_PAUSE_S: Final = 0.5
MAX_NAMED_OFFENDERS: Final = 10
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a node that listens everywhere is asked


def look(config: Path) -> Observation:
    """Return what is seen of the node with these settings; raise StartError or OSError where there is nothing to look at."""
    settings = load_node_config(config)
    genesis = load_genesis(Path(settings.genesis))
    now_ms = time.time_ns() // 1_000_000
    node, parameters, misnamed = _ask(settings, genesis)
    usage = shutil.disk_usage(_existing(Path(settings.data)))
    certificates, faults = _look_at_certificates(settings, genesis, now_ms)
    return Observation(
        name=settings.name,
        now_ms=now_ms,
        genesis_hash=genesis.hash.hex(),
        empty_block_interval_ms=parameters.empty_block_interval_ms,
        timeout_limit_ms=parameters.timeout_limit_ms,
        clock_precision_ms=parameters.clock_precision_ms,
        free_bytes=usage.free,
        total_bytes=usage.total,
        certificates=tuple(certificates),
        file_faults=(*faults, *misnamed, *_look_at_keys(settings), *_look_at_data(settings)),
        node=node,
        stored=None if node is not None else _look_at_folder(settings, genesis),
    )


def _ask(settings: NodeConfig, genesis: Genesis) -> tuple[NodeSeen | None, ChainParameters, list[FileFault]]:
    """Return what the running node says, None where none answers, the parameters that hold, and a wrong name on the ledger."""
    address = parse_address(settings.http_listen)
    address = Address(_ANY_ADDRESS.get(address.host, address.host), address.port)
    with Client(f"http://{address}", timeout_s=ANSWER_TIMEOUT_S) as client:
        try:
            found, is_stuck = _watch(client)
            validators = client.view("members", "validators")
            names = {code: _department_name(client, code) for code in {entry["department"] for entry in validators}}
            misnamed = _look_at_name(settings, [*validators, *client.view("members", "candidates")])
            parameters = msgspec.convert(client.view("governance", "parameters"), dict[str, int])
            accused = {entry["address"] for entry in client.rpc("gov_getEvidence")}
        except NodeUnreachable:
            return None, genesis.parameters, []
    held = {
        field: parameters.get(field, getattr(genesis.parameters, field)) for field in ChainParameters.__struct_fields__
    }
    seen = NodeSeen(
        name=found["node_name"],
        genesis_hash=found["genesis_hash"].removeprefix("0x"),
        height=found["height"],
        target_height=found["target_height"],
        head_time_ms=found["head_time_ms"],
        round=found["round"],
        is_validator=found["is_validator"],
        is_voting=found["is_voting"],
        abstention=found["abstention"],
        voters=tuple(sorted({*found["prevoters"], *found["precommitters"]})),
        equivocations=found["equivocations"],
        validators=tuple(ValidatorSeen(entry["name"], names[entry["department"]]) for entry in validators),
        peers=tuple(_peer(entry) for entry in found["peers"]),
        software_version=found["software_version"],
        is_stuck=is_stuck,
        offenders=_name_offenders(validators, names, accused),
        base_height=found["base_height"],
        sync_percent=found["sync_percent"],
        sync_trouble=found["sync_trouble"],
        is_joining=found["join"] is not None,
    )
    return seen, ChainParameters(**held), misnamed


def _look_at_name(settings: NodeConfig, members: list[dict[str, Any]]) -> list[FileFault]:
    """Return that the ledger knows this node's validator key as another node's, if it does; what cannot be read is told elsewhere."""
    try:
        address = "0x" + address_of_key(load_public_key(Path(settings.validator_key))).hex()
        certified = certified_identity(load_certificates(Path(settings.transport_certificate).read_bytes()))
    except (KeyFileError, CertificateError, OSError):
        return []
    for member in members:
        registered = NodeIdentity(member["name"], member["department"])
        if member["address"] == address and registered != certified:
            return [FileFault("REGISTERED_OTHERWISE", " / ".join(describe_difference(certified, registered)))]
    return []


def _watch(client: Client) -> tuple[dict[str, Any], bool]:
    """Return the node's status, and whether it stayed in the midst of one height while it was watched."""
    first = found = client.status()
    deadline_s = time.monotonic() + WATCH_S
    while found["step"] != WAITING_STEP and found["height"] == first["height"]:
        if time.monotonic() > deadline_s:
            return found, True
        time.sleep(WATCH_PAUSE_S)
        found = client.status()
    return found, False


def _name_offenders(validators: list[dict[str, Any]], names: dict[str, str], accused: set[str]) -> tuple[str, ...]:
    """Return the validators of now that are accused, as a person names them; the first few."""
    found = sorted(
        f"{entry['name']} ({names[entry['department']]})" for entry in validators if entry["address"] in accused
    )
    return tuple(found[:MAX_NAMED_OFFENDERS])


def _department_name(client: Client, code: str) -> str:
    try:
        return f"{client.view('members', 'department', code=code)['name']} {code}"
    except NodeUnreachable:
        raise
    except GovnodeError:
        return code


def _peer(entry: dict[str, Any]) -> PeerSeen:
    progress = {
        name: entry.get(name) for name in ("height", "round", "clock_offset_ms", "heard_ms_ago", "software_version")
    }
    code = entry["reason_code"]
    return PeerSeen(
        name=entry["name"],
        is_connected=entry["is_connected"],
        reason=entry["reason"],
        reason_code=None if code is None else AwayCode(code),
        **progress,
    )


def _look_at_folder(settings: NodeConfig, genesis: Genesis) -> StoredSeen:
    """Return what a stopped node's folder holds."""
    data = Path(settings.data)
    height, base_height, fault, is_in_use, has_other_genesis = None, 0, "", False, False
    is_validator = any(entry.name == settings.name for entry in genesis.validators)
    if (data / LEDGER_FOLDER / "CURRENT").exists():
        try:
            ledger = Ledger.open(data / LEDGER_FOLDER, genesis)
        except DatabaseInUse:
            is_in_use = True
        except LocalFault as error:
            fault, has_other_genesis = str(error), isinstance(error, AnotherNetwork)
        else:
            height, base_height = ledger.height, ledger.base_height
            is_validator = any(entry.name == settings.name for entry in load_validators(ledger.state()))
            ledger.close()
    abstention, is_torn = "", False
    if is_validator and not is_in_use and not fault:
        abstention, is_torn = _look_at_records(data, height or 0)
    return StoredSeen(
        height=height,
        fault=fault,
        abstention=abstention,
        is_log_torn=is_torn,
        taken_ports=() if is_in_use else _taken_ports(settings),
        is_in_use=is_in_use,
        is_validator=is_validator,
        base_height=base_height,
        has_other_genesis=has_other_genesis,
    )


def _look_at_records(data: Path, height: int) -> tuple[str, bool]:
    """Return why the node will abstain, or an empty text, and whether its log ends in an unfinished record."""
    with tempfile.TemporaryDirectory(prefix="govnode-doctor-") as folder:
        # Opening the log cuts its torn end off: a copy is looked at.
        copy = Path(folder) / LOG_FILE
        if (data / LOG_FILE).exists():
            shutil.copyfile(data / LOG_FILE, copy)
        log, record = WriteAheadLog(copy), LastSigned(data / LAST_SIGNED_FILE)
        try:
            _, reason = abstention_height(log, record, height)
            return reason.replace(str(copy), str(data / LOG_FILE)), log.is_torn
        finally:
            log.close()
            record.close()


def _taken_ports(settings: NodeConfig) -> tuple[str, ...]:
    taken = []
    for address in (settings.p2p_listen, settings.http_listen):
        try:
            bind_listener(parse_address(address)).close()
        except StartError:
            taken.append(address)
    return tuple(taken)


def _look_at_keys(settings: NodeConfig) -> list[FileFault]:
    """Return what keeps the node from its keys: modes, passwords, damage."""
    try:
        password = read_password(settings)
    except StartError as error:
        return [FileFault("PASSWORD_UNUSABLE", str(error))]
    faults = []
    try:
        load_key(Path(settings.validator_key), password)
    except (KeyFileError, OSError) as error:
        faults.append(FileFault("VALIDATOR_KEY_UNUSABLE", str(error)))
    try:
        key = load_private_key(Path(settings.transport_key), password)
        leaf = load_certificates(Path(settings.transport_certificate).read_bytes())[0]
        if leaf.public_key != key.public_key:
            faults.append(
                FileFault(
                    "TRANSPORT_KEY_UNUSABLE", "传输密钥与节点证书不相配 / the transport key is not the certificate's"
                )
            )
    except KeyFileError as error:
        faults.append(FileFault("TRANSPORT_KEY_UNUSABLE", str(error)))
    except (OSError, CertificateError, IndexError):
        pass  # told with the certificates
    return faults


def _look_at_data(settings: NodeConfig) -> list[FileFault]:
    data = Path(settings.data)
    wrong = [
        path
        for path in (data, data / LEDGER_FOLDER, data / LOG_FILE, data / LAST_SIGNED_FILE)
        if path.exists() and not os.access(path, os.R_OK | os.W_OK)
    ]
    return [FileFault("DATA_NOT_WRITABLE", f"无法读写 {path} / {path} cannot be read and written") for path in wrong]


def _look_at_certificates(
    settings: NodeConfig, genesis: Genesis, now_ms: int
) -> tuple[list[CertificateSeen], list[FileFault]]:
    """Return the node's, its department's and the network's certificates, and why peers would refuse them."""
    path = Path(settings.transport_certificate)
    try:
        chain = load_certificates(path.read_bytes())
        root = parse_certificate(genesis.root_certificate)
    except (OSError, CertificateError, ValueError) as error:
        return [], [
            FileFault("CERTIFICATE_UNUSABLE", f"节点证书 {path} 无法使用：{error} / {path} cannot be used: {error}")
        ]
    seen = [CertificateSeen(entry.common_name, entry.not_after_ms) for entry in (*chain, root)]
    if any(entry.not_after_ms <= now_ms for entry in seen):
        return seen, []  # what has run out is told as such
    try:
        verify_chain(chain, [root], at_ms=now_ms)
    except CertificateError as error:
        return seen, [
            FileFault("CERTIFICATE_UNUSABLE", f"节点证书 {path} 不成立：{error} / {path} does not hold: {error}")
        ]
    if chain[0].common_name != settings.name:
        found = chain[0].common_name
        return seen, [
            FileFault(
                "CERTIFICATE_UNUSABLE",
                f"节点证书属于 {found} / the node's certificate is {found}'s, not {settings.name}'s",
            )
        ]
    return seen, []


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path
