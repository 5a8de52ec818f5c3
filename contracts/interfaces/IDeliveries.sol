// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Deliveries: payloads that went from provider to consumer under a grant, as digests and sizes, each with what
/// both sides say of it.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: deliver, answer. A contract that could
/// write would do so with the roles of whoever happens to call it; people send these as transactions of their own.
interface IDeliveries {
    // What a provider sends: the salted digest of the payload, the digest of the sealed file, their sizes, the
    // payload's rows.
    struct Parcel {
        bytes32 payload;
        bytes32 sealed_;
        uint64 size;
        uint64 sealed_size;
        uint64 rows;
        // Which of the consumer's encryption keys it is sealed to.
        uint64 key_number;
    }

    // One delivery under a grant: what the provider's account recorded and when, and what the consumer's answered and
    // when.
    struct DeliveryRecord {
        bytes32 grant;
        uint64 number;
        string provider;
        string consumer;
        Parcel parcel;
        int64 delivered_ms;
        address deliverer;
        uint8 answer;
        // The digest that the consumer found: of the payload when it could open the file, else of the file; zeros when
        // it got nothing.
        bytes32 received;
        string note;
        // 0 while the consumer has not answered.
        int64 answered_ms;
        address answerer;
    }

    // A grant's deliveries in sum: how many, from when to when, how many were received, differed, were not taken, and
    // their rows.
    struct DeliveryHead {
        bytes32 grant;
        uint64 count;
        int64 first_ms;
        int64 last_ms;
        uint64 received;
        uint64 differing;
        uint64 not_taken;
        uint64 rows_received;
    }

    event Delivered(bytes32 indexed grant, string provider, string consumer, uint64 number, uint64 rows);
    event DeliveryAnswered(bytes32 indexed grant, uint64 number, uint8 answer);

    /// @notice Return one delivery under a grant, counted from 1.
    function delivery(bytes32 grant, uint64 number) external view returns (DeliveryRecord memory);

    /// @notice Return a grant's deliveries in sum; of a grant without any the counts are 0.
    function deliveries(bytes32 grant) external view returns (DeliveryHead memory);
}

IDeliveries constant DELIVERIES = IDeliveries(0x000000000000000000000000000000000000100e);
