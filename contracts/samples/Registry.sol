// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title 摘要登记簿 / A register of digests
/// @notice 先登记者为持有人，登记后不可更改。键与摘要由登记者自定，链上不存放个人信息。
///         Whoever registers a key first holds it, and nobody changes it afterwards. No personal data belongs in keys or digests that can be guessed.
contract Registry {
    struct Entry {
        bytes32 digest;
        address holder;
        /// Block time in seconds.
        uint64 time;
    }

    mapping(bytes32 key => Entry) private entries;

    event Registered(bytes32 indexed key, bytes32 digest, address indexed holder);

    /// @notice 登记一个键的摘要。Register the digest of a key.
    function register(bytes32 key, bytes32 digest) external {
        require(digest != 0, unicode"DIGEST_ZERO: 摘要不能全为零 / the digest must not be all zeros");
        require(entries[key].time == 0, unicode"TAKEN: 该键已登记 / the key is registered already");
        entries[key] = Entry(digest, msg.sender, uint64(block.timestamp));
        emit Registered(key, digest, msg.sender);
    }

    /// @notice 查询一个键；未登记时各项为零。Look a key up; everything is zero when it is not registered.
    function lookup(bytes32 key) external view returns (bytes32 digest, address holder, uint64 time) {
        Entry storage entry = entries[key];
        return (entry.digest, entry.holder, entry.time);
    }
}
