// SPDX-License-Identifier: Apache-2.0
// Written by generators/contract_interfaces.py from the contract's declarations: edit those.
pragma solidity >=0.8.4 <0.9.0;

/// @notice The national algorithms for EVM contracts: SM3, SM2 verification, opening of SM4-GCM, and Merkle proofs of
/// anchored batches.
/// @dev Times are milliseconds since 1970. What a view refuses reverts with Error(string): its name, and why in Chinese
/// and English.
interface ICrypto {
    // What came of opening a sealed text: whether key, nonce, sealed text and associated data belong together, and the
    // plaintext if so.
    struct Opened {
        bool is_genuine;
        bytes plaintext;
    }

    /// @notice Return the SM3 digest of `data` (GB/T 32905-2016).
    function sm3(bytes calldata data) external view returns (bytes32);

    /// @notice Return whether `signature` (r || s) over `message` is by `public_key` (x || y), with the default user id
    /// (GB/T 32918.2-2016).
    function sm2_verify(bytes calldata public_key, bytes calldata message, bytes calldata signature) external view returns (bool);

    /// @notice Return what `sealed_text` (ciphertext || 16-byte tag) holds under a key that has been revealed (GB/T
    /// 32907-2016, GCM).
    function sm4_gcm_open(bytes16 key, bytes12 nonce, bytes calldata sealed_text, bytes calldata associated_data) external view returns (Opened memory);

    /// @notice Return whether `leaf` is number `index` of the `count` under an anchored `root` (RFC 6962 section 2.1
    /// with SM3).
    function merkle_verify(bytes32 root, bytes calldata leaf, uint64 index, uint64 count, bytes32[] calldata path) external view returns (bool);
}

ICrypto constant CRYPTO = ICrypto(0x0000000000000000000000000000000000001009);
