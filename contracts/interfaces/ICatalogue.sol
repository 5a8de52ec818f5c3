// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as
/// implemented).
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: publish, publish_many, approve,
/// approve_many, reject, withdraw, record_arrival, correct_arrival, void_arrival, review, reply_to_review. A contract
/// that could write would do so with the roles of whoever happens to call it; people send these as transactions of
/// their own.
interface ICatalogue {
    // One data item of a resource: its name and its type, one of ITEM_TYPES.
    struct ResourceItem {
        string name;
        // C, N, Y, D, T, L, M, G, B, I, F
        string type_;
    }

    // A resource as its department states it; `sharing_basis` is the condition or the reason for not sharing.
    struct ResourceDescription {
        string code;
        string name;
        string summary;
        string format;
        ResourceItem[] items;
        // 1 无条件共享 unconditional; 2 有条件共享 conditional; 3 不予共享 not shared
        uint8 sharing_type;
        string sharing_basis;
        string sharing_method;
        // 1 实时 real time; 2 每日 daily; 3 每周 weekly; 4 每月 monthly; 5 每季 quarterly; 6 每年 yearly
        uint8 update_cycle;
        // 1 核心 core; 2 重要 important; 3 一般 general
        uint8 data_class;
        // Whether the public may have it too.
        bool is_open;
        string open_condition;
        // 涉密: such data stays in its own network, here is at most its entry.
        bool is_secret;
        // Level of the body that the data belongs to; empty for the department's own.
        string level;
        // Names of 类, 项, 目 and 细目, as far as they are named.
        string[] categories;
        // base-population, base-legal-entities, base-geography, base-buildings, base-city-components,
        // base-certificates, base-economy, theme-government-services, theme-education-science, theme-transport,
        // theme-construction, theme-housing, theme-employment, theme-culture-tourism, theme-finance, theme-market,
        // theme-health, theme-safety, theme-power, theme-agriculture
        string library_;
        // national 国家部委回流 returned by a ministry; province 省级回流 returned by the province
        string source_level;
        // For returned data: the body that returns it.
        string source_body;
        // For returned data: its code in that body's catalogue, where it has one.
        string source_code;
        // Codes of related resources.
        string[] related;
        // Codes in the department's directory of duties.
        string[] duties;
        // Codes in the department's directory of systems.
        string[] systems;
    }

    // One account's approval of a version, and in which role.
    struct Approval {
        string role;
        address account;
        string department;
        int64 approved_ms;
    }

    // A version of a resource that is or was in force; reviews count for the version that they look at.
    struct ResourceRecord {
        string provider;
        ResourceDescription description;
        uint64 version;
        int64 published_ms;
        address publisher;
        Approval[] approvals;
        // Block time since which the resource is withdrawn, 0 when it is not.
        int64 withdrawn_ms;
        string withdrawn_reason;
        uint64 review_count;
        // Sum of the scores of its reviews, 0 to 100 each.
        uint64 score_total;
    }

    // A version that waits for approval; `replaces` is the version in force, 0 for none.
    struct ProposalRecord {
        string provider;
        ResourceDescription description;
        bytes32 digest;
        uint64 replaces;
        address proposer;
        int64 proposed_ms;
        // Roles that still have to approve.
        string[] needed;
        Approval[] approvals;
    }

    // What came: for which version of the entry, of which period, how many rows, the salted SM3 of it, and when it
    // came.
    struct Arrival {
        uint64 version;
        int64 from_ms;
        // The period of the data ends before this.
        int64 to_ms;
        uint64 rows;
        bytes32 digest;
        // The number that the body which returns the data gave this batch or hand-over.
        string batch;
        int64 arrived_ms;
    }

    // An arrival of a returned resource; one that was recorded wrongly stays, with who ended it, why, and what stands
    // in its place.
    struct ArrivalRecord {
        string resource;
        uint64 number;
        string provider;
        Arrival arrival;
        address recorder;
        int64 recorded_ms;
        // The number of the record in whose place this one stands, 0 for none.
        uint64 corrects;
        // 0 while it stands.
        int64 ended_ms;
        address ended_by;
        // Why it does not stand; empty while it does.
        string reason;
        // The number of the record that stands in its place, 0 for none.
        uint64 corrected_by;
    }

    // Since when a resource's entry says that it is returned data, and how many arrivals were recorded, corrected ones
    // included.
    struct ReturnHead {
        string resource;
        int64 since_ms;
        uint64 count;
    }

    // What one department found of one version of a resource; it says so once.
    struct ReviewRecord {
        string resource;
        uint64 version;
        string department;
        address reviewer;
        // 0 to 100.
        uint8 score;
        string finding;
        int64 reviewed_ms;
        // The provider's answer, empty while there is none.
        string reply;
        int64 replied_ms;
    }

    event ResourcePublished(string code, string name, string provider, uint8 sharing_type, uint64 version);
    event ResourceProposed(bytes32 indexed digest, string code, string name, string provider, uint8 data_class);
    event ResourceApproved(bytes32 indexed digest, string code, string role);
    event ResourceRejected(bytes32 indexed digest, string code, string reason);
    event ResourceWithdrawn(string code, string reason);
    event ArrivalRecorded(string code, uint64 number, uint64 rows, uint64 corrects);
    event ArrivalEnded(string code, uint64 number, uint64 corrected_by, string reason);
    event ResourceReviewed(string code, uint64 version, string department, uint8 score);
    event ReviewReplied(string code, uint64 version, string department);

    /// @notice Return the newest version of a resource, withdrawn ones included.
    function resource(string calldata code) external view returns (ResourceRecord memory);

    /// @notice Return any version of a resource that is or was in force.
    function resource_version(string calldata code, uint64 version) external view returns (ResourceRecord memory);

    /// @notice Return the version of a resource that waits for approval.
    function proposal(string calldata code) external view returns (ProposalRecord memory);

    /// @notice Return one recorded arrival of a resource, those that no longer stand included.
    function arrival(string calldata code, uint64 number) external view returns (ArrivalRecord memory);

    /// @notice Return since when a resource is returned data, and how many arrivals were recorded.
    function return_head(string calldata code) external view returns (ReturnHead memory);

    /// @notice Return what a department found of a version of a resource.
    function quality_review(string calldata code, uint64 version, string calldata department) external view returns (ReviewRecord memory);
}

ICatalogue constant CATALOGUE = ICatalogue(0x0000000000000000000000000000000000001003);
