// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Certificates in batches: one Merkle root over thousands of them, and a record of its own for each whose
/// status changes.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: issue_batch, admit, renew. A contract that
/// could write would do so with the roles of whoever happens to call it; people send these as transactions of their
/// own.
interface IBatches {
    // From when a certificate had a status, by which operation and operator, and why.
    struct StatusInterval {
        string status;
        // 1 in force; 2 held; 3 ended
        uint8 effect;
        int64 from_ms;
        string operation;
        string reason;
        address operator;
    }

    // A batch: its serials, the root over its certificates, and the status that each of them begins with.
    struct BatchRecord {
        string name;
        string type_code;
        string issuer;
        string first;
        string last;
        uint64 count;
        bytes32 root;
        bytes32 manifest_digest;
        StatusInterval issued;
    }

    // What is certified: the identifier, SM3 of the document, a commitment to the holder, the validity (to 9999 means
    // without end).
    struct CertificateContent {
        string identifier;
        bytes32 document_digest;
        bytes32 holder_commitment;
        int64 valid_from_ms;
        int64 valid_to_ms;
    }

    // What a certificate was at a time: `verdict` is one of VERDICTS, `since_ms` when that began, `reason` as recorded.
    struct StatusAt {
        // IN_FORCE 有效 in force; NOT_YET_ISSUED 当时尚未颁发 not issued at that time; NOT_YET_VALID 未到有效期起始日 its validity has
        // not begun; EXPIRED 已过有效期 its validity has ended; SUSPENDED 已暂停使用 suspended; SUPERSEDED 已由新证照接替 succeeded by
        // another certificate; ENDED 已终止 ended
        string verdict;
        bool is_valid;
        string status;
        int64 since_ms;
        string reason;
        string successor;
    }

    event BatchIssued(bytes32 indexed root, string batch, uint64 count);
    event CertificateAdmitted(bytes32 indexed document_digest, string identifier, string batch, uint64 position);

    /// @notice Return the record of a batch: its name is type code, issuer and first serial, with dots between.
    function batch(string calldata name) external view returns (BatchRecord memory);

    /// @notice Return the name of the batch whose serials an identifier's is among, empty when there is none.
    function batch_of(string calldata identifier) external view returns (string memory);

    /// @notice Return the identifier under which the certificate at a position has a record of its own, empty while it
    /// has none.
    function admitted(string calldata batch_, uint64 position) external view returns (string memory);

    /// @notice Return what the certificate with this content, at a position of a batch, was at a time.
    function status(string calldata batch_, uint64 position, CertificateContent calldata content, bytes32[] calldata path, int64 time_ms) external view returns (StatusAt memory);

    /// @notice Return whether the certificate with this content, at a position of a batch, is in force at the time of
    /// the block.
    function is_in_force(string calldata batch_, uint64 position, CertificateContent calldata content, bytes32[] calldata path) external view returns (bool);
}

IBatches constant BATCHES = IBatches(0x000000000000000000000000000000000000100A);
