// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice The directories of duties (职责目录) and of information systems (系统目录): what the data in the catalogue comes
/// from and is for.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: enter_duties, end_duty, enter_systems,
/// end_system. A contract that could write would do so with the roles of whoever happens to call it; people send these
/// as transactions of their own.
interface IDirectories {
    // One statutory duty as its department states it: the unit that has it, the basis that gives it, the tasks that it
    // consists of.
    struct Duty {
        string code;
        string name;
        string basis;
        string unit;
        string[] tasks;
    }

    // A duty in its department's directory; `version` counts how often it was stated anew.
    struct DutyRecord {
        string department;
        Duty duty;
        uint64 version;
        int64 entered_ms;
        // Block time since which the department no longer has it, 0 while it has.
        int64 ended_ms;
        // Why it ended.
        string reason;
    }

    // One information system as its department states it; `duties` are codes in the same department's directory of
    // duties.
    struct System {
        string code;
        string name;
        string summary;
        // 1 政务外网 government extranet; 2 互联网 internet; 3 业务专网 a sector's own network; 4 政务内网 government intranet; 5 其他
        // other
        uint8 network;
        string[] duties;
    }

    // A system in its department's directory; `version` counts how often it was stated anew.
    struct SystemRecord {
        string department;
        System system;
        uint64 version;
        int64 entered_ms;
        // Block time since which it is out of use, 0 while it is in use.
        int64 ended_ms;
        // Why it ended.
        string reason;
    }

    event DutyEntered(string department, string code, string name, uint64 version);
    event DutyEnded(string department, string code, string reason);
    event SystemEntered(string department, string code, string name, uint64 version);
    event SystemEnded(string department, string code, string reason);

    /// @notice Return a duty of a department, ended ones included.
    function duty(string calldata department, string calldata code) external view returns (DutyRecord memory);

    /// @notice Return a system of a department, ended ones included.
    function system(string calldata department, string calldata code) external view returns (SystemRecord memory);
}

IDirectories constant DIRECTORIES = IDirectories(0x000000000000000000000000000000000000100C);
