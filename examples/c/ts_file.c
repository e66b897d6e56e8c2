/* SPDX-License-Identifier: Apache-2.0 */
/* A recording is longer than 2 GiB, which off_t says of itself only on a machine of 64 bits. */
#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE 200809L
#include "ts.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

enum { SYNC = 0x47, MOST = 204, SHOW = 8, AGAIN = 3 };

/* Whether a sync octet stands there; -1 where there is no whole packet any more. */
static int sync_at(const ts_file_t *ts, off_t at)
{
    if (at + TS_PACKET > (off_t)ts->octets)
        return -1;
    return fseeko(ts->file, at, SEEK_SET) == 0 && getc(ts->file) == SYNC;
}

/* The size and the first whole packet: sync octets in their places, of which one of many may be damaged. */
static int find_grid(ts_file_t *ts)
{
    static const int sizes[] = {TS_PACKET, 192, MOST};
    for (int start = 0; start < MOST + 4; start++) {
        for (int i = 0; i < 3; i++) {
            int all = 0, good = 0, sync;
            while (all < SHOW && (sync = sync_at(ts, start + (off_t)all * sizes[i])) >= 0) {
                all++;
                good += sync;
            }
            if (all >= (start ? AGAIN : 1) && (good == all || (all > AGAIN && good + 1 == all))) {
                ts->size = sizes[i];
                return start;
            }
        }
    }
    return -1;
}

int ts_open(ts_file_t *ts, const char *name)
{
    ts->name = name;
    ts->next = 0;
    ts->file = fopen(name, "rb");
    if (!ts->file) {
        fprintf(stderr, "player: %s: %s\n", name, strerror(errno));
        return -1;
    }
    off_t size = fseeko(ts->file, 0, SEEK_END) == 0 ? ftello(ts->file) : -1;
    ts->octets = size < 0 ? 0 : (uint64_t)size;
    int start = size < 0 ? -1 : find_grid(ts);
    if (size < 0)
        fprintf(stderr, "player: %s: cannot be read from its beginning: not a file\n", name);
    else if (start < 0)
        fprintf(stderr, "player: %s: no sync octet 0x47 each 188, 192 or 204 octets: not a transport stream\n", name);
    else if (fseeko(ts->file, start, SEEK_SET) == 0)
        return 0;
    fclose(ts->file);
    return -1;
}

/* The next place from which sync octets follow one another, as far as the file reaches; -1 at its end. */
static off_t find_again(const ts_file_t *ts, off_t from)
{
    for (off_t at = from; at + TS_PACKET <= (off_t)ts->octets; at++) {
        int all = 0, sync;
        while (all < AGAIN && (sync = sync_at(ts, at + (off_t)all * ts->size)) > 0)
            all++;
        if (all == AGAIN || (all > 0 && sync < 0))
            return at;
    }
    return -1;
}

/* A place where a sync octet should be and is not: 1 when it is damaged, 0 when packets begin elsewhere from here on. */
static int is_damaged_sync(const ts_file_t *ts, off_t at)
{
    return sync_at(ts, at + ts->size) != 0 && sync_at(ts, at + 2 * ts->size) != 0;
}

int ts_read(ts_file_t *ts, uint8_t packet[TS_PACKET])
{
    off_t at = ftello(ts->file);
    size_t got = fread(packet, 1, TS_PACKET, ts->file);
    int moved = ts->size != TS_PACKET;
    if (got == TS_PACKET && packet[0] != SYNC) {
        moved = 1;
        if (is_damaged_sync(ts, at)) {
            fprintf(stderr, "player: %s: packet %lu begins with 0x%02X, taken for sync octet 0x47\n", ts->name, ts->next,
                    packet[0]);
            packet[0] = SYNC;
        } else {
            /* The packet before may have been shorter than it seemed. */
            off_t again = find_again(ts, ts->next ? at - ts->size + 1 : at + 1);
            fprintf(stderr, "player: %s: sync lost at octet %lld before packet %lu\n", ts->name, (long long)at, ts->next);
            if (again < 0)
                return 0;
            at = again;
            got = fseeko(ts->file, at, SEEK_SET) == 0 ? fread(packet, 1, TS_PACKET, ts->file) : 0;
        }
    }
    if (ferror(ts->file)) {
        fprintf(stderr, "player: %s: packet %lu: %s\n", ts->name, ts->next, strerror(errno));
        return -1;
    }
    if (got != TS_PACKET) {
        if (got > 0)
            fprintf(stderr, "player: %s: ends within packet %lu: %d of 188 octets are left out\n", ts->name, ts->next, (int)got);
        return 0;
    }
    if (moved && fseeko(ts->file, at + ts->size, SEEK_SET) != 0)
        return -1;
    ts->next++;
    return 1;
}
