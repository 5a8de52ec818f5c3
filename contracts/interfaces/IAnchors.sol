// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Anchors: any 32-byte digest with a label, or a Merkle root over many, recorded with who and when.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: anchor, anchor_root. A contract that could
/// write would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface IAnchors {
    // A digest that a department anchored; `count` is 0 for a single digest, else how many leaves lie under the root.
    struct AnchorRecord {
        bytes32 digest;
        string department;
        address account;
        string label;
        uint64 count;
        int64 anchored_ms;
    }

    event Anchored(bytes32 indexed digest, string department, string label, uint64 count);

    /// @notice Return the anchor of a digest by a department.
    function anchored(bytes32 digest, string calldata department) external view returns (AnchorRecord memory);
}

IAnchors constant ANCHORS = IAnchors(0x0000000000000000000000000000000000001006);
