// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Access records: every read of shared data against its grant, in gapless hash-chained streams.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: record. A contract that could write would
/// do so with the roles of whoever happens to call it; people send these as transactions of their own. Left out,
/// because only signed requests of those concerned read it: access_record.
interface IAccess {
    // Where a stream stands: its last number (0 for none yet) and that record's digest.
    struct StreamHead {
        uint64 number;
        bytes32 digest;
    }

    event AccessRecorded(bytes32 indexed grant, bytes32 indexed person, address indexed recorder, string department, uint64 number, bytes32 digest);

    /// @notice Return where a stream stands: number 0 and a zero digest before its first record.
    function stream_head(string calldata department, address recorder) external view returns (StreamHead memory);
}

IAccess constant ACCESS = IAccess(0x0000000000000000000000000000000000001005);
