// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as
/// implemented).
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: publish, withdraw. A contract that could
/// write would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface ICatalogue {
    // One data item of a resource: its name and its type, one of ITEM_TYPES.
    struct ResourceItem {
        string name;
        // C, N, Y, D, T, L, M, G, B, I, F
        string type_;
    }

    // A published resource; `sharing_basis` is the condition or the reason for not sharing.
    struct ResourceRecord {
        string code;
        string name;
        string provider;
        string summary;
        string format;
        ResourceItem[] items;
        // 1 无条件共享 unconditional; 2 有条件共享 conditional; 3 不予共享 not shared
        uint8 sharing_type;
        string sharing_basis;
        string sharing_method;
        bool is_open;
        // 1 实时 real time; 2 每日 daily; 3 每周 weekly; 4 每月 monthly; 5 每季 quarterly; 6 每年 yearly
        uint8 update_cycle;
        // 1 核心 core; 2 重要 important; 3 一般 general
        uint8 data_class;
        uint64 version;
        int64 published_ms;
        // Block time since which the resource is withdrawn, 0 when it is not.
        int64 withdrawn_ms;
    }

    event ResourcePublished(string code, string name, string provider, uint8 sharing_type);
    event ResourceWithdrawn(string code, string reason);

    /// @notice Return the record of a resource, withdrawn ones included.
    function resource(string calldata code) external view returns (ResourceRecord memory);
}

ICatalogue constant CATALOGUE = ICatalogue(0x0000000000000000000000000000000000001003);
