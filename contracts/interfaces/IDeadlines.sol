// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice What statutory clocks run by: the calendar of working days, and the terms of each region.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: set_calendar, set_terms. A contract that
/// could write would do so with the roles of whoever happens to call it; people send these as transactions of their
/// own.
interface IDeadlines {
    // A day that the calendar names, YYYY-MM-DD in Beijing: a holiday, or a working day that makes up for one.
    struct CalendarDay {
        string day;
        bool is_working;
        string name;
    }

    // The calendar of one year, days in their order, and where it was published; `version` counts its changes from 1.
    struct CalendarYear {
        uint64 year;
        string source;
        CalendarDay[] days_;
        uint64 version;
        int64 recorded_ms;
        address operator;
    }

    // How many working days something of a kind, one of KINDS, may take; 0 where no limit applies.
    struct Term {
        // reply_unconditional 答复（无条件共享） reply, unconditional sharing; reply_conditional 答复（有条件共享） reply, conditional
        // sharing; compliance_check 合规性检查 compliance check before the reply; supply 提供数据 supply after approval;
        // correction 校核纠错 correction; dispute 争议处理 dispute; recall 召回后销毁确认 destruction confirmed after a recall
        string kind;
        uint64 working_days;
    }

    // The terms that hold for what begins from a time on, and the rule that they come from.
    struct TermVersion {
        int64 from_ms;
        string source;
        Term[] terms;
        int64 recorded_ms;
        address operator;
    }

    // The terms of a region and all below it: the newest versions, in the order in which they begin.
    struct DeadlineTable {
        string region;
        string name;
        TermVersion[] versions;
    }

    // An obligation with a term, by whom and until when: `due_ms` is the last millisecond of its last working day in
    // Beijing.
    struct Deadline {
        string kind;
        uint64 number;
        // Who has to act; empty for the data authority.
        string department;
        int64 start_ms;
        uint64 working_days;
        int64 due_ms;
        int64 done_ms;
        int64 lapses_ms;
        // Whether nobody did it: a request was taken back or answered unchecked, a grant ended, parties settled; since
        // `done_ms`.
        bool fell_away;
        // Whether the calendar of a year that it runs through is not recorded: holidays there may still move it.
        bool is_provisional;
    }

    event CalendarSet(uint64 year, uint64 version, uint64 days_, string source);
    event TermsSet(string region, int64 from_ms, string source);

    /// @notice Return the calendar of a year.
    function calendar(uint64 year) external view returns (CalendarYear memory);

    /// @notice Return what is recorded for just this region, its newest versions; what is built in for everywhere where
    /// nothing was.
    function terms(string calldata region) external view returns (DeadlineTable memory);

    /// @notice Return the terms that hold in a region (whole code) for what begins at a time: of the longest prefix
    /// that has any.
    function terms_at(string calldata region, int64 time_ms) external view returns (TermVersion memory);

    /// @notice Return the newest deadlines of a request, at most 64, in the order in which they began, those met and
    /// missed included.
    function deadlines_of(bytes32 request) external view returns (Deadline[] memory);
}

IDeadlines constant DEADLINES = IDeadlines(0x000000000000000000000000000000000000100D);
