"""A small chain made by hand: records written by the real contracts, proofs signed by four validators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
from contracts import registry
from contracts.call import Call, CallResult
from contracts.identifiers import make_identifier
from node.chain.block import BLOCK_VERSION, Header, block_id
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.parameters import ChainParameters
from node.chain.proof import PROOF_VERSION, RecordProof, SetChange
from node.chain.state_proof import prove_state
from node.chain.state_tree import StateTreeError, update_tree
from node.chain.transaction import address_of
from sdk.trust import save_trust, trust_of_genesis
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

START_MS = 1_780_000_000_000
DEPARTMENT = "11990100MB0000002X"
TYPE_CODE = "11100000MB03271699001"
DOCUMENT = "%PDF-1.4 样本 sample".encode()


class ContractState(dict[bytes, bytes]):
    """A state for the contracts to write to."""

    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


class Nodes(dict[tuple[str, int], bytes]):
    """Stored nodes of the state tree."""

    def read_node(self, path: str, version: int) -> bytes:
        try:
            return self[path, version]
        except KeyError:
            raise StateTreeError(f"no node at {path}, {version}") from None


@dataclass
class HandMadeChain:
    """Founding departments and validators; each run of calls makes the next block."""

    genesis: Genesis
    validator_keys: list[PrivateKey]
    governor: PrivateKey
    clerk: PrivateKey
    state: ContractState
    height: int = 0
    time_ms: int = START_MS

    def call(self, key: PrivateKey, contract: str, method: str, **arguments: Any) -> None:
        """Run one call in a block of its own; it must not be refused."""
        self.height += 1
        self.time_ms += 1_000
        address, data = registry.encode_call(contract, method, **arguments)
        call = Call(
            address_of(key.public_key),
            address,
            data,
            10**7,
            self.height,
            self.time_ms,
            sm3(self.height.to_bytes(8, "big")),
        )
        result = registry.execute_call(self.state, call)
        assert result.refusal is None, result

    def prove(self, key: bytes, validators: ValidatorSet | None = None) -> RecordProof:
        """Return a proof of what the state holds at `key` now, certified by three of the four validators."""
        nodes = Nodes()
        change = update_tree(nodes, None, 1, dict(self.state))
        assert change is not None
        nodes.update({(path, change.root_version): blob for path, blob in change.nodes.items()})
        validators = validators or self.genesis.validator_set()
        header = self.header(change.root_hash, validators, validators)
        return RecordProof(
            PROOF_VERSION,
            key,
            self.state.get(key),
            prove_state(nodes, change.root_version, key),
            header,
            self.certify(header, validators),
            validators.members,
            (),
        )

    def change_validators(self, validators: ValidatorSet) -> SetChange:
        """Return the proof that the founding validators handed over to others in a block."""
        old = self.genesis.validator_set()
        self.height += 1
        header = self.header(bytes(32), old, validators)
        return SetChange(header, self.certify(header, old), old.members)

    def header(self, state_root: bytes, validators: ValidatorSet, following: ValidatorSet) -> Header:
        return Header(
            version=BLOCK_VERSION,
            height=self.height,
            parent_id=bytes(32),
            history_root=bytes(32),
            time_ms=self.time_ms,
            proposer=validators.members[0].address,
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            state_root=state_root,
            validators_hash=validators.hash,
            next_validators_hash=following.hash,
            parameters_hash=self.genesis.parameters.hash,
            evidence_root=bytes(32),
        )

    def certify(self, header: Header, validators: ValidatorSet) -> CommitCertificate:
        keys = {key.public_key: key for key in self.validator_keys}
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, header.height, 0, block_id(header))
        signers = [index for index, member in enumerate(validators) if member.public_key in keys][: validators.quorum]
        signatures = [keys[validators.members[index].public_key].sign(digest) for index in signers]
        return CommitCertificate(header.height, 0, block_id(header), signers, signatures)


@pytest.fixture(scope="session")
def identifier() -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, "20250000001")


@pytest.fixture
def chain(identifier: str) -> HandMadeChain:
    validators = [PrivateKey.generate() for _ in range(4)]
    governor, clerk = PrivateKey.generate(), PrivateKey.generate()
    accounts = (
        GenesisAccount(governor.public_key, ("governor",), "governor"),
        GenesisAccount(clerk.public_key, ("issuer",), "clerk"),
    )
    genesis = Genesis(
        7,
        "示范网络",
        START_MS,
        ChainParameters(),
        tuple(GenesisValidator(f"node{i}", DEPARTMENT, key.public_key) for i, key in enumerate(validators)),
        (GenesisDepartment(DEPARTMENT, "示范局", "990100", "city", "", accounts),),
        b"",
    )
    state = ContractState()
    registry.write_genesis(state, genesis.departments, genesis.validators, genesis.time_ms)
    made = HandMadeChain(genesis, validators, governor, clerk, state)
    made.call(
        governor,
        "certificates",
        "register_type",
        code=TYPE_CODE,
        name="不动产权证书",
        defining_body="自然资源部",
        defining_level="national",
        holder_category="person",
        validity_range="",
        issuing_level="city",
        certificate_class="certificate",
        code_table="default",
        issuers=[DEPARTMENT],
    )
    made.call(
        clerk,
        "certificates",
        "issue",
        identifier=identifier,
        document_digest=sm3(DOCUMENT),
        holder_commitment=sm3(b"holder"),
        valid_from_ms=START_MS - 86_400_000,
        valid_to_ms=START_MS + 365 * 86_400_000,
    )
    return made


@pytest.fixture
def trust_path(chain: HandMadeChain, tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    save_trust(path, trust_of_genesis(chain.genesis))
    return path


@pytest.fixture
def other_validators(chain: HandMadeChain) -> ValidatorSet:
    """Three of the founding validators and a new one."""
    keys = [*chain.validator_keys[:3], PrivateKey.generate()]
    chain.validator_keys.append(keys[-1])
    return ValidatorSet([Validator(address_of(key.public_key), key.public_key) for key in keys])
