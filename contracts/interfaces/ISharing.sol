// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Requests for another department's data, and the grants they become; each request keeps every state it had
/// and since when.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: request, renew, check, return_request,
/// amend, grant, refuse, start_supply, set_passing_on, stop, set_refusal_reasons, ask_correction, answer_correction,
/// raise_dispute, answer_dispute, end_dispute, take_dispute, decide_dispute, recall, confirm_recall. A contract that
/// could write would do so with the roles of whoever happens to call it; people send these as transactions of their
/// own.
interface ISharing {
    // One reason: its code, its text in Chinese and English, and whether whoever gives it must say more.
    struct RefusalReason {
        string code;
        string text;
        string english;
        bool needs_text;
    }

    // The whole table and since when it holds; block time in ms, 0 for the default one.
    struct ReasonTable {
        RefusalReason[] reasons;
        int64 set_ms;
    }

    // What is hidden of one item: `kind` is one of MASK_KINDS, `start` and `length` count characters from 0.
    struct Mask {
        string item;
        // mask 遮蔽：自起始位起若干字符以 * 代替 characters from start on become *, as many as length says; truncate 截取：仅保留自起始位起若干字符
        // only the characters from start on are kept, as many as length says
        string kind;
        uint64 start;
        uint64 length;
    }

    // What a grant allows; the empty one allows all that was asked for.
    struct Conditions {
        // Names of the items that may be read; none stands for those asked for.
        string[] columns;
        Mask[] masks;
        // 0 stands for no limit; so in the next two.
        uint64 max_reads_per_day;
        uint64 max_rows_per_day;
        uint64 max_rows_per_read;
        // Where the data may be used; empty for no restriction.
        string place;
        string note;
        // Codes of the departments that the consumer may pass the data on to; none: to nobody.
        string[] passing_on_to;
    }

    // From when a request was in a state, by whom, and why.
    struct RequestInterval {
        // waiting 待答复 waiting for an answer; returned 退回补正 returned to be completed; granted 已授权 granted; refused 已拒绝
        // refused; stopped 已停止 stopped; recalled 已召回 recalled
        string state;
        int64 from_ms;
        string reason;
        address operator;
        // The department that the operator acted for then: accounts move between departments.
        string department;
        // Of a refusal: the reason's code in the table of reasons, else empty.
        string reason_code;
        // Of a request that waits or waited: when the compliance check was passed meanwhile, 0 when it was not.
        int64 checked_ms;
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
        // Kinds of cases that the data is for; none stands for any.
        string[] case_types;
        // The volume asked for, 0 when it was not said.
        uint64 rows_per_day;
        int64 from_ms;
        // The period asked for; once granted, the period granted.
        int64 to_ms;
        Conditions conditions;
        // The grant that this request was made to renew, zeros for none: its conditions are what the approver goes by.
        bytes32 previous;
        // The newest request that renews this grant, zeros for none.
        bytes32 renewal;
        // When supply began, of a renewal that goes on from a supplied grant that of the grant; 0 while it had not.
        int64 supplied_ms;
        // How many corrections were asked for under this grant; so disputes and recalls: each has a record of its own,
        // by number.
        uint64 corrections;
        uint64 disputes;
        uint64 recalls;
        RequestInterval[] history;
    }

    // What is said to be wrong, when it was asked and by whom, and what came of it.
    struct CorrectionRecord {
        bytes32 request;
        uint64 number;
        // Name of the item that is wrong; empty when it is not one item.
        string item;
        string claim;
        // Digest of what shows it, which both parties have; zeros for none.
        bytes32 evidence;
        int64 asked_ms;
        address asked_by;
        uint8 outcome;
        string answer;
        // 0 while it is not answered.
        int64 answered_ms;
        address answered_by;
    }

    // What one party says of the other, and how it went on; a time is 0 while its step was not taken.
    struct DisputeRecord {
        bytes32 request;
        uint64 number;
        string kind;
        // Code of the department that raised it; the other party answers.
        string raiser;
        string claim;
        // Digest of what shows it; zeros for none.
        bytes32 evidence;
        int64 raised_ms;
        address raised_by;
        string answer;
        int64 answered_ms;
        address answered_by;
        // Code of the department whose governor took it up; empty until then.
        string handler;
        int64 taken_ms;
        address taken_by;
        uint8 outcome;
        uint8 order;
        string decision;
        int64 ended_ms;
        address ended_by;
    }

    // Which data a provider recalled and why, and when the consumer confirmed that it is destroyed.
    struct RecallRecord {
        bytes32 request;
        uint64 number;
        // What was supplied between these times, deliveries and reads alike, is recalled.
        int64 from_ms;
        int64 to_ms;
        bool ends_grant;
        string reason;
        int64 begun_ms;
        address begun_by;
        // Digest of the consumer's statement of destruction, which both parties have; zeros until then.
        bytes32 statement;
        string note;
        // 0 while it is not confirmed.
        int64 confirmed_ms;
        address confirmed_by;
    }

    event DataRequested(bytes32 indexed request, string resource, string provider, string consumer);
    event RequestChecked(bytes32 indexed request, string department, string note);
    event RequestReturned(bytes32 indexed request, string reason);
    event RequestAmended(bytes32 indexed request);
    event DataGranted(bytes32 indexed request, int64 to_ms);
    event DataRefused(bytes32 indexed request, string reason_code, string reason);
    event DataStopped(bytes32 indexed request, string reason);
    event RenewalRequested(bytes32 indexed request, bytes32 previous);
    event SupplyStarted(bytes32 indexed request);
    event PassingOnSet(bytes32 indexed request, string[] departments);
    event RefusalReasonsSet(string[] codes);
    event CorrectionAsked(bytes32 indexed request, uint64 number, string item);
    event CorrectionAnswered(bytes32 indexed request, uint64 number, uint8 outcome);
    event DisputeRaised(bytes32 indexed request, uint64 number, string kind, string raiser);
    event DisputeAnswered(bytes32 indexed request, uint64 number);
    event DisputeTaken(bytes32 indexed request, uint64 number, string handler);
    event DisputeEnded(bytes32 indexed request, uint64 number, uint8 outcome, uint8 order);
    event RequestReopened(bytes32 indexed request, uint64 number);
    event RecallBegun(bytes32 indexed request, uint64 number, bool ends_grant, string reason);
    event RecallConfirmed(bytes32 indexed request, uint64 number);

    /// @notice Return the table of reasons for refusal that holds, and since when.
    function refusal_reasons() external view returns (ReasonTable memory);

    /// @notice Return how many requests there were for a resource.
    function request_count(string calldata resource) external view returns (uint64);

    /// @notice Return the id of a resource's request by its place, from 0 in the order that they were made.
    function request_of(string calldata resource, uint64 index) external view returns (bytes32);

    /// @notice Return the record of a request.
    function data_request(bytes32 request_) external view returns (RequestRecord memory);

    /// @notice Return whether a request was granted, and within its period, at a time.
    function is_grant_in_force(bytes32 request_, int64 time_ms) external view returns (bool);

    /// @notice Return whether a grant is in force at the time of the block, for this consumer and this resource; an
    /// unknown one is not.
    function is_granted(bytes32 request_, string calldata consumer, string calldata resource) external view returns (bool);

    /// @notice Return a correction by its number under a request.
    function correction(bytes32 request_, uint64 number) external view returns (CorrectionRecord memory);

    /// @notice Return a dispute by its number under a request.
    function dispute(bytes32 request_, uint64 number) external view returns (DisputeRecord memory);

    /// @notice Return a recall by its number under a request.
    function data_recall(bytes32 request_, uint64 number) external view returns (RecallRecord memory);
}

ISharing constant SHARING = ISharing(0x0000000000000000000000000000000000001004);
