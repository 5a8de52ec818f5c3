// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Electronic certificates: their types, and each certificate's life with every status it had and since when.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: register_type, allow_issuer,
/// withdraw_issuer, set_code_table, issue, renew, change, suspend, resume, revoke, expire, record_other, transfer_out,
/// cancel_transfer, transfer_in. A contract that could write would do so with the roles of whoever happens to call it;
/// people send these as transactions of their own.
interface ICertificates {
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

    // One certificate; links are identifiers or empty, `history` has the latest statuses, oldest first.
    struct CertificateRecord {
        string identifier;
        string type_code;
        string issuer;
        bytes32 document_digest;
        bytes32 holder_commitment;
        int64 valid_from_ms;
        int64 valid_to_ms;
        string predecessor;
        string successor;
        // The department that it is being transferred to; empty when it is not.
        string recipient;
        int64 issued_ms;
        uint64 page_count;
        StatusInterval[] history;
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

    // Statuses that no longer fit a certificate's record, oldest first; it speaks for the time until `until_ms`.
    struct HistoryPage {
        string identifier;
        uint64 number;
        int64 until_ms;
        StatusInterval[] intervals;
    }

    // A type of certificate (GB/T 36902, as implemented); its first 18 characters are the defining body's code.
    struct CertificateType {
        string code;
        string name;
        string defining_body;
        string defining_level;
        // person, organisation, other
        string holder_category;
        string validity_range;
        string issuing_level;
        // certificate, approval, proof, material, card
        string certificate_class;
        string code_table;
        int64 registered_ms;
    }

    // One status: its code, names, and what it means for force (IN_FORCE, HELD, ENDED).
    struct StatusCode {
        string code;
        string name;
        string english;
        // 1 in force; 2 held; 3 ended
        uint8 effect;
    }

    // One operation: its code, names, the action it stands for, from which statuses to which it leads.
    struct OperationCode {
        string code;
        string name;
        string english;
        // new, renew, suspend, expire, end, resume, other, transfer_in, change, cancel_transfer
        string action;
        string[] from_statuses;
        string[] to_statuses;
        string predecessor_status;
    }

    // The codes that one sector's certificate types use.
    struct CodeTable {
        StatusCode[] statuses;
        OperationCode[] operations;
    }

    event TypeRegistered(string code, string name);
    event IssuerAllowed(string type_code, string department);
    event IssuerWithdrawn(string type_code, string department);
    event CodeTableSet(string name);
    event CertificateIssued(bytes32 indexed document_digest, string identifier);
    event CertificateSucceeded(string predecessor, string successor, string operation);
    event CertificateStatusChanged(string identifier, string status, string operation, string reason);
    event CertificateTransferOffered(string identifier, string recipient);

    /// @notice Return the record of a certificate.
    function certificate(string calldata identifier) external view returns (CertificateRecord memory);

    /// @notice Return what a certificate was at a time.
    function certificate_status(string calldata identifier, int64 time_ms) external view returns (StatusAt memory);

    /// @notice Return a page of a certificate's history: statuses that its record no longer holds; it counts its pages.
    function history_page(string calldata identifier, uint64 number) external view returns (HistoryPage memory);

    /// @notice Return whether a certificate is in force at the time of the block; one that is not on the ledger, or no
    /// identifier, is not.
    function is_in_force(string calldata identifier) external view returns (bool);

    /// @notice Return the record of a type of certificate.
    function certificate_type(string calldata code) external view returns (CertificateType memory);

    /// @notice Return whether a department may issue a type.
    function is_issuer(string calldata type_code, string calldata department) external view returns (bool);

    /// @notice Return a table of status and operation codes.
    function code_table(string calldata name) external view returns (CodeTable memory);
}

ICertificates constant CERTIFICATES = ICertificates(0x0000000000000000000000000000000000001002);
