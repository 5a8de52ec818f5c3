// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Members: departments in their hierarchy, the accounts that act for them, and the validators.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: add_department, suspend_department,
/// resume_department, add_account, set_roles, remove_account, set_encryption_key, add_validator, withdraw_candidate,
/// confirm_validator, remove_validator. A contract that could write would do so with the roles of whoever happens to
/// call it; people send these as transactions of their own.
interface IMembers {
    // A department; `code` is its unified social credit code, `parent` the superior's code or empty.
    struct DepartmentRecord {
        string code;
        string name;
        string region;
        // national, province, city, county, township, other
        string level;
        string parent;
        // Block time since which the department is suspended, 0 when it is not.
        int64 suspended_ms;
        int64 joined_ms;
    }

    // An account: the key that signs, the department it acts for, and what it may do.
    struct AccountRecord {
        address address_;
        string department;
        string name;
        // 64 bytes x || y on the SM2 curve.
        bytes public_key;
        string[] roles;
        int64 added_ms;
        // Block time since which the account is removed, 0 when it is not.
        int64 removed_ms;
    }

    // An encryption key of a department; `number` counts its keys from 1, `set_by` is the account that set it.
    struct EncryptionKeyRecord {
        string department;
        uint64 number;
        // 64 bytes x || y on the SM2 curve.
        bytes public_key;
        int64 set_ms;
        address set_by;
    }

    // One validator: the address and key it votes with, its name, and the department that runs it.
    struct ValidatorRecord {
        address address_;
        bytes public_key;
        string name;
        string department;
    }

    // A validator to be: it joins when its own node shows, signed with this key, that it has followed the chain so far.
    struct CandidateRecord {
        address address_;
        bytes public_key;
        string name;
        string department;
        uint64 added_height;
    }

    // A validator signed two values of one kind at one height and round; nil is the empty value.
    struct OffenceRecord {
        address address_;
        string name;
        string department;
        uint64 height;
        uint64 round;
        // 0 proposal; 1 prevote; 2 precommit
        uint8 kind;
        bytes first_value;
        bytes second_value;
        uint64 included_height;
        int64 included_ms;
        // 1 for the validator's first recorded offence, and so on.
        uint64 number;
        // The key of the offence recorded before it, empty for the first.
        bytes previous;
    }

    event DepartmentAdded(string code, string name, string parent);
    event DepartmentSuspended(string code, string reason);
    event DepartmentResumed(string code, string reason);
    event AccountAdded(address indexed account, string department, string name, string[] roles);
    event AccountChanged(address indexed account, string[] roles);
    event AccountRemoved(address indexed account, string reason);
    event EncryptionKeySet(string department, uint64 number, bytes public_key);
    event CandidateAdded(address indexed validator, string name, string department);
    event CandidateWithdrawn(address indexed validator, string reason);
    event ValidatorJoined(address indexed validator, string name, string department, uint64 first_height);
    event ValidatorRemoved(address indexed validator, string name, uint64 first_height, string reason);

    /// @notice Return the record of a department.
    function department(string calldata code) external view returns (DepartmentRecord memory);

    /// @notice Return the record of an account, removed ones included.
    function account(address account_) external view returns (AccountRecord memory);

    /// @notice Return whether an account may act for a department in a role at present; an unknown account may not.
    /// Refuses an unknown role.
    function has_role(address account_, string calldata department_, string calldata role) external view returns (bool);

    /// @notice Return the code of the department that an account may act for at present, empty when there is none.
    function department_of(address account_) external view returns (string memory);

    /// @notice Return the key that a department is sealed to with at present; ENCRYPTION_KEY_UNKNOWN where it has set
    /// none.
    function encryption_key(string calldata department_) external view returns (EncryptionKeyRecord memory);

    /// @notice Return an encryption key of a department, counted from 1, earlier ones included.
    function encryption_key_numbered(string calldata department_, uint64 number) external view returns (EncryptionKeyRecord memory);

    /// @notice Return the validators of the next height.
    function validators() external view returns (ValidatorRecord[] memory);

    /// @notice Return the candidates: added, and not confirmed yet.
    function candidates() external view returns (CandidateRecord[] memory);

    /// @notice Return the validators that decide a height up to the next one.
    function validators_at(uint64 height) external view returns (ValidatorRecord[] memory);

    /// @notice Return the offences of a validator that stand on the chain, latest recorded first, at most 64.
    function offences(address address_) external view returns (OffenceRecord[] memory);
}

IMembers constant MEMBERS = IMembers(0x0000000000000000000000000000000000001001);
