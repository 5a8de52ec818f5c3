/*
 * SM2 verification in lanes of 8 and SM3 in lanes of 16, over the static archive of Intel's crypto_mb.
 *
 * A plain shared library for ctypes, not a Python module: it needs a C compiler and nothing of Python, and ctypes
 * gives up the interpreter lock around each call. Callers (multibuffer.py) pass whole buffers of the stated lengths.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BN_OPENSSL_DISABLE /* only the calls that need no OpenSSL types */
#include <crypto_mb/cpu_features.h>
#include <crypto_mb/ec_sm2.h>
#include <crypto_mb/sm3.h>

#define EXPORT __attribute__((visibility("default")))
#define SM2_LANES 8
#define SM3_LANES 16
#define KEY_BYTES 64
#define SIGNATURE_BYTES 64
#define MESSAGE_BYTES 32
#define HASH_BYTES 32
#define NODE_BYTES (1 + 2 * HASH_BYTES)
#define NODE_PREFIX 0x01
/* The library reads whole vectors; lanes are copied into padded rows so that it never reads past a caller's buffer. */
#define LANE_ROW_BYTES 512
#define MAX_LANE_MESSAGE_BYTES (LANE_ROW_BYTES - 2 * SM3_MSG_BLOCK_SIZE)

/* The archive names three OpenSSL functions in code that is never called here. Hidden, so that they shadow nobody's. */
#define HIDDEN_STUB(name)                                        \
    __attribute__((visibility("hidden"))) void name(void);       \
    __attribute__((visibility("hidden"))) void name(void) { abort(); }
HIDDEN_STUB(BN_num_bits)
HIDDEN_STUB(BN_bn2lebinpad)
HIDDEN_STUB(ECDSA_SIG_get0)

static const int8u USER_ID[16] = {'1', '2', '3', '4', '5', '6', '7', '8', '1', '2', '3', '4', '5', '6', '7', '8'};

/* Return non-zero where this processor has what both uses need (AVX-512 IFMA). */
EXPORT int govnode_is_available(void)
{
    return mbx_get_algo_info(MBX_ALGO_ECDSA_SM2) != 0 && mbx_get_algo_info(MBX_ALGO_SM3) != 0;
}

/* Store 32 big-endian bytes as four little-endian words, lowest first. */
static void load_words(int64u words[4], const uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        int64u word = 0;
        for (int j = 0; j < 8; j++)
            word = word << 8 | bytes[8 * (3 - i) + j];
        words[i] = word;
    }
}

/*
 * Write 1 or 0 to verdicts[i]: whether signatures[i] (r || s) is keys[i]'s (x || y) over the 32 bytes messages[i] under
 * the default user id. Ranges and curve membership were checked by the caller. A last group of fewer than 8 repeats
 * its first lane: all lanes must hold messages of one length, or the library crashes.
 */
EXPORT void govnode_sm2_verify(size_t count, const uint8_t *keys, const uint8_t *messages, const uint8_t *signatures,
                               uint8_t *verdicts)
{
    int64u x[SM2_LANES][4], y[SM2_LANES][4];
    int8u rows[SM2_LANES][SM3_MSG_BLOCK_SIZE], pairs[SM2_LANES][2 * SIGNATURE_BYTES];
    const int8u *r[SM2_LANES], *s[SM2_LANES], *ids[SM2_LANES], *texts[SM2_LANES];
    const int64u *px[SM2_LANES], *py[SM2_LANES];
    int id_lengths[SM2_LANES], text_lengths[SM2_LANES];

    memset(rows, 0, sizeof rows);
    memset(pairs, 0, sizeof pairs);
    for (size_t first = 0; first < count; first += SM2_LANES) {
        size_t filled = count - first < SM2_LANES ? count - first : SM2_LANES;
        for (size_t lane = 0; lane < SM2_LANES; lane++) {
            size_t item = first + (lane < filled ? lane : 0);
            load_words(x[lane], keys + item * KEY_BYTES);
            load_words(y[lane], keys + item * KEY_BYTES + 32);
            px[lane] = x[lane];
            py[lane] = y[lane];
            memcpy(pairs[lane], signatures + item * SIGNATURE_BYTES, SIGNATURE_BYTES);
            memcpy(rows[lane], messages + item * MESSAGE_BYTES, MESSAGE_BYTES);
            r[lane] = pairs[lane];
            s[lane] = pairs[lane] + 32;
            texts[lane] = rows[lane];
            text_lengths[lane] = MESSAGE_BYTES;
            ids[lane] = USER_ID;
            id_lengths[lane] = sizeof USER_ID;
        }
        mbx_status status = mbx_sm2_ecdsa_verify_mb8(r, s, ids, id_lengths, texts, text_lengths, px, py, NULL, NULL);
        for (size_t lane = 0; lane < filled; lane++)
            verdicts[first + lane] = MBX_GET_STS(status, (int)lane) == MBX_STATUS_OK;
    }
}

struct sm3_batch {
    int8u rows[SM3_LANES][LANE_ROW_BYTES];
    int8u digests[SM3_LANES][HASH_BYTES];
    uint8_t *targets[SM3_LANES];
    int filled;
};

/* Hash the lanes filled so far, all of `length` bytes, write each digest to its target, and empty the batch. */
static int flush(struct sm3_batch *batch, int length)
{
    const int8u *rows[SM3_LANES];
    int8u *digests[SM3_LANES];
    int lengths[SM3_LANES];

    if (batch->filled == 0)
        return 0;
    for (int lane = 0; lane < SM3_LANES; lane++) {
        rows[lane] = batch->rows[lane < batch->filled ? lane : 0];
        digests[lane] = batch->digests[lane];
        lengths[lane] = length;
    }
    if (mbx_sm3_msg_digest_mb16(rows, lengths, digests) != 0)
        return -1;
    for (int lane = 0; lane < batch->filled; lane++)
        memcpy(batch->targets[lane], batch->digests[lane], HASH_BYTES);
    batch->filled = 0;
    return 0;
}

/* Write the digests of `count` messages of `length` bytes each. Return 0, or -1 on a length too great or no memory. */
EXPORT int govnode_sm3_many(size_t count, size_t length, const uint8_t *messages, uint8_t *digests)
{
    if (length > MAX_LANE_MESSAGE_BYTES)
        return -1;
    struct sm3_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return -1;
    int failed = 0;
    for (size_t item = 0; item < count && !failed; item++) {
        memcpy(batch->rows[batch->filled], messages + item * length, length);
        batch->targets[batch->filled++] = digests + item * HASH_BYTES;
        if (batch->filled == SM3_LANES)
            failed = flush(batch, (int)length);
    }
    if (!failed)
        failed = flush(batch, (int)length);
    free(batch);
    return failed;
}

/*
 * Write the binary Merkle root of each group: sizes[i] >= 1 hashes of 32 bytes each, one group after the other in
 * `hashes`, which is overwritten. A node is SM3(0x01 || left || right); a lone last node of a level moves up as it is.
 * One pass a level over all groups fills the lanes, however small the groups. Return 0, or -1 when out of memory.
 */
EXPORT int govnode_merkle_group_roots(size_t groups, uint32_t *sizes, uint8_t *hashes, uint8_t *roots)
{
    struct sm3_batch *batch = calloc(1, sizeof *batch);
    uint8_t **starts = malloc((groups ? groups : 1) * sizeof *starts);
    int failed = batch == NULL || starts == NULL ? -1 : 0;
    uint32_t largest = 0;

    for (size_t i = 0; i < groups && !failed; i++) {
        starts[i] = hashes;
        hashes += (size_t)sizes[i] * HASH_BYTES;
        largest = sizes[i] > largest ? sizes[i] : largest;
    }
    for (; largest > 1 && !failed; largest = (largest + 1) / 2) {
        for (size_t i = 0; i < groups && !failed; i++) {
            uint32_t pairs = sizes[i] / 2;
            for (uint32_t pair = 0; pair < pairs && !failed; pair++) {
                /* A digest lands at or before its own pair, which was copied out before: nothing unread is lost. */
                int8u *row = batch->rows[batch->filled];
                row[0] = NODE_PREFIX;
                memcpy(row + 1, starts[i] + (size_t)2 * pair * HASH_BYTES, 2 * HASH_BYTES);
                batch->targets[batch->filled++] = starts[i] + (size_t)pair * HASH_BYTES;
                if (batch->filled == SM3_LANES)
                    failed = flush(batch, NODE_BYTES);
            }
        }
        if (!failed)
            failed = flush(batch, NODE_BYTES);
        for (size_t i = 0; i < groups; i++) {
            if (sizes[i] & 1)
                memmove(starts[i] + (size_t)(sizes[i] / 2) * HASH_BYTES,
                        starts[i] + (size_t)(sizes[i] - 1) * HASH_BYTES, HASH_BYTES);
            sizes[i] = (sizes[i] + 1) / 2;
        }
    }
    for (size_t i = 0; i < groups && !failed; i++)
        memcpy(roots + i * HASH_BYTES, starts[i], HASH_BYTES);
    free(starts);
    free(batch);
    return failed;
}
