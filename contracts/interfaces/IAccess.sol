// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Access records: what departments put on the ledger of every read of shared data, in gapless hash-chained
/// streams of batches.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: declare_stream, end_stream,
/// end_suspended_stream, record_batch. A contract that could write would do so with the roles of whoever happens to
/// call it; people send these as transactions of their own.
interface IAccess {
    // Where a stream stands, and what its recorder has declared of how it records; `number` and `batch_number` are 0 at
    // first.
    struct StreamRecord {
        string department;
        address recorder;
        // Of the last read in the last batch.
        uint64 number;
        // Of that read.
        bytes32 digest;
        uint64 batch_number;
        // Until when the last batch holds every read of the stream; 0 before the first.
        int64 covered_ms;
        // Block time of the last batch; 0 before the first.
        int64 recorded_ms;
        // At most so long after the time covered, the next batch covers more, if only to say that there was no read.
        uint64 heartbeat_s;
        uint64 max_batch_records;
        uint8 on_outage;
        // For how long reads go on without the chain, for STOP.
        uint64 stop_after_s;
        // Where auditors and parties ask for the reads themselves, or empty.
        string bodies_at;
        // Where the reads lie a second time, sealed, or empty.
        string second_place;
        // Block time of the last declaration.
        int64 declared_ms;
        // Block time of the first: from there on the stream's batches cover every moment.
        int64 first_declared_ms;
        // By when the next batch was promised, when the time that it covers began: no later declaration puts it off.
        int64 due_ms;
        // Time since which no batches follow, 0 while they do; what was read after `covered_ms` is missing. Of the
        // block that ended it, or since when its department had been suspended.
        int64 ended_ms;
    }

    // Consecutive reads of a stream under one root; none at all in a heartbeat.
    struct BatchRecord {
        string department;
        address recorder;
        uint64 batch_number;
        uint64 first_number;
        uint64 count;
        // Of the read before the first.
        bytes32 previous_digest;
        bytes32 last_digest;
        // Of the tree over the reads' digests (RFC 6962, 2.1); EMPTY_ROOT for none.
        bytes32 root;
        int64 from_ms;
        // From the end of the batch before to here, the stream has these reads and no others.
        int64 to_ms;
        uint64 served;
        uint64 denied;
        uint64 irregular;
        uint64 rows;
        // By when it was promised, by what was declared when the time that it covers began.
        int64 due_ms;
        int64 recorded_ms;
    }

    event StreamDeclared(address indexed recorder, string department, uint64 heartbeat_s, uint64 max_batch_records, uint8 on_outage, uint64 stop_after_s, string bodies_at, string second_place);
    event StreamEnded(address indexed recorder, string department);
    event BatchRecorded(address indexed recorder, string department, uint64 batch_number, uint64 first_number, uint64 count, bytes32 root);

    /// @notice Return where a stream stands and what its recorder has declared.
    function stream(string calldata department, address recorder) external view returns (StreamRecord memory);

    /// @notice Return one batch of a stream.
    function batch(string calldata department, address recorder, uint64 batch_number) external view returns (BatchRecord memory);
}

IAccess constant ACCESS = IAccess(0x0000000000000000000000000000000000001005);
