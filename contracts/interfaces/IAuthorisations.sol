// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Holders' authorisations: one department may fetch one certificate for one purpose until a time, and every
/// fetch under it.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: authorise, withdraw, record_fetch. A
/// contract that could write would do so with the roles of whoever happens to call it; people send these as
/// transactions of their own.
interface IAuthorisations {
    // That a department may fetch a certificate of the issuer: id, statement and purpose are commitments that only
    // parties open.
    struct AuthorisationRecord {
        bytes32 id;
        string issuer;
        string recipient;
        bytes32 statement;
        bytes32 purpose;
        bytes32 code;
        int64 from_ms;
        int64 to_ms;
        uint64 max_fetches;
        uint64 fetch_count;
        int64 authorised_ms;
        address operator;
        int64 withdrawn_ms;
        bytes32 withdrawal;
    }

    // One fetch under an authorisation: whose account asked, the digests of its signed request and of the file that was
    // handed out.
    struct FetchRecord {
        bytes32 authorisation;
        string issuer;
        uint64 number;
        address requester;
        bytes32 request;
        bytes32 result;
        int64 fetched_ms;
        address operator;
    }

    event FetchAuthorised(bytes32 indexed authorisation, string issuer, string recipient, int64 to_ms);
    event AuthorisationWithdrawn(bytes32 indexed authorisation, string issuer, bytes32 withdrawal);
    event CertificateFetched(bytes32 indexed authorisation, address indexed requester, bytes32 indexed result, string issuer, uint64 number);

    /// @notice Return an authorisation by the issuer's code and its id.
    function authorisation(string calldata issuer, bytes32 authorisation_) external view returns (AuthorisationRecord memory);

    /// @notice Return one fetch under an authorisation, counted from 1.
    function fetch(string calldata issuer, bytes32 authorisation_, uint64 number) external view returns (FetchRecord memory);

    /// @notice Return whether a department may fetch under an authorisation at the time of the block; under an unknown
    /// one it may not.
    function is_authorised(string calldata issuer, bytes32 authorisation_, string calldata recipient) external view returns (bool);
}

IAuthorisations constant AUTHORISATIONS = IAuthorisations(0x000000000000000000000000000000000000100b);
