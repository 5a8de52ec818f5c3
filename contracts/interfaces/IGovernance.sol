// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Governance: the chain parameters in state, changed by a governor from one height to the next.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: set_parameters. A contract that could
/// write would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface IGovernance {
    // Block limits, timeouts and windows; times in milliseconds of block or wall time.
    struct ChainParameters {
        // Least time between the parent's time and the next block's proposal.
        uint64 block_interval_ms;
        // An idle network makes a heartbeat block after this time.
        uint64 empty_block_interval_ms;
        uint64 max_block_transactions;
        uint64 max_block_bytes;
        uint64 max_block_gas;
        uint64 max_transaction_gas;
        // How far ahead of block time a transaction's valid_until may lie.
        uint64 transaction_window_ms;
        uint64 timeout_propose_ms;
        uint64 timeout_prevote_ms;
        uint64 timeout_precommit_ms;
        // Added to each timeout for every round above 0.
        uint64 timeout_step_ms;
        uint64 timeout_limit_ms;
        uint64 clock_precision_ms;
        uint64 message_delay_ms;
    }

    event ParametersSet(string[] names, uint64[] values);

    /// @notice Return the chain parameters of the next height.
    function parameters() external view returns (ChainParameters memory);
}

IGovernance constant GOVERNANCE = IGovernance(0x0000000000000000000000000000000000001007);
