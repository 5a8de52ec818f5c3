// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Requests for another department's data, and the grants they become; each request keeps every state it had
/// and since when.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: request, grant, refuse, stop. A contract
/// that could write would do so with the roles of whoever happens to call it; people send these as transactions of
/// their own.
interface ISharing {
    // From when a request was in a state, by whom, and why.
    struct RequestInterval {
        // waiting 待答复 waiting for an answer; granted 已授权 granted; refused 已拒绝 refused; stopped 已停止 stopped
        string state;
        int64 from_ms;
        string reason;
        address operator;
    }

    // A request, and the grant it became: one id names both. `history` has the oldest state first.
    struct RequestRecord {
        bytes32 id;
        string resource;
        string provider;
        string consumer;
        string purpose;
        string legal_basis;
        // Names of the items asked for; none stands for all.
        string[] items;
        int64 from_ms;
        // The period asked for; once granted, the period granted.
        int64 to_ms;
        string conditions;
        RequestInterval[] history;
    }

    event DataRequested(bytes32 indexed request, string resource, string provider, string consumer);
    event DataGranted(bytes32 indexed request, int64 to_ms);
    event DataRefused(bytes32 indexed request, string reason);
    event DataStopped(bytes32 indexed request, string reason);

    /// @notice Return the record of a request.
    function data_request(bytes32 request_) external view returns (RequestRecord memory);

    /// @notice Return whether a request was granted, and within its period, at a time.
    function is_grant_in_force(bytes32 request_, int64 time_ms) external view returns (bool);

    /// @notice Return whether a grant is in force at the time of the block, for this consumer and this resource; an
    /// unknown one is not.
    function is_granted(bytes32 request_, string calldata consumer, string calldata resource) external view returns (bool);
}

ISharing constant SHARING = ISharing(0x0000000000000000000000000000000000001004);
