// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Deployments: the EVM contracts on the chain, who deployed each, and which of them a governor has frozen.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: freeze, unfreeze. A contract that could
/// write would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface IDeployments {
    // An EVM contract; `deployer` is the account whose transaction created it, itself or through another contract.
    struct DeploymentRecord {
        address address_;
        address deployer;
        string department;
        // Keccak-256 of the code, as EXTCODEHASH gives it.
        bytes32 code_hash;
        uint64 height;
        int64 deployed_ms;
        // Block time since which the contract is frozen, 0 when it is not.
        int64 frozen_ms;
        // Why it is frozen; empty when it is not.
        string reason;
    }

    event ContractDeployed(address indexed contract_, address indexed deployer, string department, bytes32 code_hash);
    event ContractFrozen(address indexed contract_, string reason);
    event ContractUnfrozen(address indexed contract_, string reason);

    /// @notice Return who deployed an EVM contract, when, and whether it is frozen.
    function deployment(address contract_) external view returns (DeploymentRecord memory);
}

IDeployments constant DEPLOYMENTS = IDeployments(0x0000000000000000000000000000000000001008);
