// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice Open data: what departments propose to open to the public, its review, its releases, and how often they were
/// downloaded.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English. Left out, because code that calls them is refused VIEW_ONLY: propose, clear, decline, release, stop,
/// report_downloads. A contract that could write would do so with the roles of whoever happens to call it; people send
/// these as transactions of their own.
interface IOpenData {
    // From when a dataset was in a state, by whom, and why.
    struct DatasetStep {
        // proposed 待审核 waiting for review; cleared 审核通过 cleared; declined 审核未通过 declined; published 已开放 published;
        // stopped 已停止开放 stopped
        string state;
        int64 from_ms;
        string reason;
        address operator;
    }

    // What was put where for the public: place (a URL), SM3 digest of the file, size and rows.
    struct Release {
        uint64 number;
        string place;
        bytes32 digest;
        uint64 size_bytes;
        uint64 rows;
        int64 released_ms;
    }

    // A dataset that is or was proposed to be open; `history` has the oldest state first, the last release is number 0
    // before any.
    struct DatasetRecord {
        string resource;
        // The version of the resource that was proposed.
        uint64 resource_version;
        string provider;
        // Names of the items that are opened; none stands for all.
        string[] items;
        string format;
        // Terms of use, or the condition under which it is open.
        string terms;
        DatasetStep[] history;
        Release release;
        // Reported downloads of all releases.
        uint64 downloads;
        uint64 report_count;
        // Until when downloads were reported, 0 before the first report.
        int64 reported_to_ms;
    }

    // How often a dataset was downloaded in a period; numbers of one dataset's reports have no gap, their periods
    // neither.
    struct DownloadReport {
        string resource;
        uint64 number;
        int64 from_ms;
        int64 to_ms;
        uint64 downloads;
        address reporter;
        int64 reported_ms;
    }

    event DatasetChanged(string resource, string provider, string state);
    event DatasetReleased(string resource, uint64 number, bytes32 digest);
    event DownloadsReported(string resource, uint64 number, int64 to_ms, uint64 downloads);

    /// @notice Return the dataset of a resource.
    function dataset(string calldata resource) external view returns (DatasetRecord memory);

    /// @notice Return one release of a dataset.
    function release_of(string calldata resource, uint64 number) external view returns (Release memory);

    /// @notice Return one report of a dataset's downloads.
    function download_report(string calldata resource, uint64 number) external view returns (DownloadReport memory);
}

IOpenData constant OPEN_DATA = IOpenData(0x0000000000000000000000000000000000001011);
