// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Audits of shared data: the auditing authority, what auditors asked before it was answered, and findings with
/// what became of them.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: name_authority, record_query,
/// raise_finding, explain, confirm, dismiss, close, set_figures. A contract that could write would do so with the roles
/// of whoever happens to call it; people send these as transactions of their own. Left out, because only signed
/// requests of those concerned read it: audit_query, finding.
interface IAudits {
    event AuthorityNamed(string department);
    event QueryRecorded(uint64 number, string department, string kind);
    event FindingRaised(uint64 number, string department, string rule);
    event FindingMoved(uint64 number, string state);
    event FiguresSet(uint64 number, string department, int64 from_ms);

    /// @notice Return the code of the department that is the auditing authority, empty when none has been named.
    function authority() external view returns (string memory);

    /// @notice Return the block time of a query of this digest that this account recorded under this number, 0 when
    /// there is none.
    function query_recorded_ms(uint64 number, address account, bytes32 digest) external view returns (int64);
}

IAudits constant AUDITS = IAudits(0x000000000000000000000000000000000000100f);
