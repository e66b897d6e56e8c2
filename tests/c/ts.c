/* SPDX-License-Identifier: Apache-2.0 */
/* The player's demultiplexer and clock (examples/c/ts.c) on a damaged stream: nothing of a damaged packet is taken for
 * a section or for the time, and what comes behind it is taken again. Its files (examples/c/ts_file.c): packets of every
 * size, cut anywhere, with octets lost. */
#include "../../examples/c/ts.h"

#include <stdlib.h>
#include <string.h>

static int failed;

#define CHECK(what, got, expected)                                                                           \
    do {                                                                                                     \
        long g = (long)(got), e = (long)(expected);                                                          \
        if (g != e) {                                                                                        \
            fprintf(stderr, "%s:%d: %s: %ld, expected %ld\n", __FILE__, __LINE__, (what), g, e);             \
            failed = 1;                                                                                      \
        }                                                                                                    \
    } while (0)

/* ---- sections ------------------------------------------------------------------------------------ */

enum { PID = 0x140, LONG = 250, SHORT = 60, ERROR_INDICATOR = 0x80, UNIT_START = 0x40 };

static uint32_t crc32_mpeg(const uint8_t *octets, size_t len)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)octets[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04C11DB7 : crc << 1;
    }
    return crc;
}

/* A section of so many octets: with section_syntax_indicator and CRC_32 (a table), or without (a CA message). */
static void make_section(uint8_t *section, size_t len, int table)
{
    section[0] = table ? 0x02 : 0x80;
    section[1] = (uint8_t)((table ? 0xB0 : 0x70) | (len - 3) >> 8);
    section[2] = (uint8_t)(len - 3);
    for (size_t i = 3; i < len; i++)
        section[i] = (uint8_t)(i * 7);
    if (table) {
        uint32_t crc = crc32_mpeg(section, len - 4);
        for (size_t i = 0; i < 4; i++)
            section[len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

/* The packet that carries a section from octet `from` on. */
static void make_packet(uint8_t packet[TS_PACKET], const uint8_t *section, size_t len, size_t from, int counter)
{
    size_t at = 4;
    memset(packet, 0xFF, TS_PACKET);
    packet[0] = 0x47;
    packet[1] = (uint8_t)((from == 0 ? UNIT_START : 0) | PID >> 8);
    packet[2] = PID & 0xFF;
    packet[3] = (uint8_t)(0x10 | (counter & 0x0F));
    if (from == 0)
        packet[at++] = 0;
    size_t part = len - from < TS_PACKET - at ? len - from : TS_PACKET - at;
    memcpy(packet + at, section + from, part);
}

static const uint8_t *wanted;
static size_t wanted_len;
static int right, wrong;

static void found(void *user, uint16_t pid, const uint8_t *section, size_t len)
{
    (void)user;
    if (pid == PID && len == wanted_len && memcmp(section, wanted, len) == 0)
        right++;
    else
        wrong++;
}

/* A section of two packets, then the same again: what is found when the first time is damaged in one way. */
typedef struct {
    const char *name;
    int table;                         /* with CRC_32 */
    int flagged;                       /* transport_error_indicator in packet 0 or 1, else -1 */
    int missing;                       /* packet that is not there, else -1 */
    int twice;                         /* packet that is sent twice, else -1 */
    int altered;                       /* octet of packet 1 that is altered, else 0 */
    int found;                         /* sections */
} damage_t;

static const damage_t damages[] = {
    {"whole", 1, -1, -1, -1, 0, 2},
    {"whole, without CRC_32", 0, -1, -1, -1, 0, 2},
    {"the first packet is flagged", 0, 0, -1, -1, 0, 1},
    {"the second packet is flagged", 0, 1, -1, -1, 0, 1},
    {"the first packet is missing", 0, -1, 0, -1, 0, 1},
    {"the second packet is missing", 0, -1, 1, -1, 0, 1},
    {"the first packet is sent twice", 0, -1, -1, 0, 0, 2},
    {"the second packet is sent twice", 0, -1, -1, 1, 0, 2},
    {"the CRC_32 does not hold", 1, -1, -1, -1, 20, 1},
};

static void sections(void)
{
    for (size_t row = 0; row < sizeof damages / sizeof damages[0]; row++) {
        const damage_t *d = &damages[row];
        static ts_demux_t demux;
        uint8_t section[LONG], packet[TS_PACKET];
        memset(&demux, 0, sizeof demux);
        demux.wanted[PID] = 1;
        make_section(section, LONG, d->table);
        wanted = section, wanted_len = LONG;
        right = wrong = 0;
        for (int n = 0; n < 4; n++) {
            make_packet(packet, section, LONG, n & 1 ? TS_PACKET - 5 : 0, n);
            if (n == d->missing)
                continue;
            if (n == d->flagged)
                packet[1] |= ERROR_INDICATOR;
            if (n == 1 && d->altered)
                packet[d->altered] ^= 0x10;
            ts_demux(&demux, packet, found, NULL);
            if (n == d->twice)
                ts_demux(&demux, packet, found, NULL);
        }
        CHECK(d->name, right, d->found);
        CHECK(d->name, wrong, 0);
        ts_demux_free(&demux);
    }
}

/* A damaged packet that now bears our PID: it costs no packet of ours, whatever its counter. */
static void strangers(void)
{
    for (int counter = 0; counter < 16; counter++) {
        static ts_demux_t demux;
        uint8_t section[SHORT], packet[TS_PACKET];
        memset(&demux, 0, sizeof demux);
        demux.wanted[PID] = 1;
        make_section(section, SHORT, 0);
        wanted = section, wanted_len = SHORT;
        right = wrong = 0;
        for (int n = 0; n < 3; n++) {
            make_packet(packet, section, SHORT, 0, n);
            ts_demux(&demux, packet, found, NULL);
            memset(packet + 4, 0xA5, sizeof packet - 4);
            packet[1] &= (uint8_t)~UNIT_START;
            packet[3] = (uint8_t)(0x10 | counter);
            if (n == 0)
                ts_demux(&demux, packet, found, NULL);
        }
        CHECK("sections beside a stranger", right, 3);
        CHECK("sections of a stranger", wrong, 0);
        ts_demux_free(&demux);
    }
}

/* ---- clock ----------------------------------------------------------------------------------------- */

enum { STEP = 25, TICKS = 27000 * 40 }; /* a PCR each 25 packets, 40 ms */

/* Feeds 40 PCRs, number `odd` of them with an error of so many ms, and says how far off the time is at worst, in ms: a wrong
 * PCR between its neighbours cannot be told, and costs less than three intervals. */
static long worst_error(int odd, long error_ms, int flagged, int other_pid)
{
    ts_clock_t clock = {.pid = -1};
    long worst = 0;
    for (int n = 0; n < 40; n++) {
        uint8_t packet[TS_PACKET] = {0x47, 0x01, 0x02, 0x20, 183, 0x10};
        uint64_t pcr = 100 * 27000000ULL + (uint64_t)n * TICKS;
        if (n == odd) {
            pcr = (uint64_t)((long long)pcr + error_ms * 27000LL);
            packet[1] |= (uint8_t)((flagged ? ERROR_INDICATOR : 0) | (other_pid ? 0x04 : 0));
        }
        uint64_t base = pcr / 300;
        for (int i = 0; i < 4; i++)
            packet[6 + i] = (uint8_t)(base >> (25 - 8 * i));
        packet[10] = (uint8_t)((base & 1) << 7);
        ts_clock_feed(&clock, packet, (unsigned long)(n * STEP));
        if (n < (other_pid ? 12 : 3))
            continue; /* it has to begin */
        for (int i = 0; i < STEP; i++) {
            double at = ts_clock_at(&clock, (unsigned long)(n * STEP + i)) * 1000;
            long off = (long)(at - (n * 40.0 + i * 40.0 / STEP));
            off = off < 0 ? -off : off;
            worst = off > worst ? off : worst;
        }
    }
    return worst;
}

static void clocks(void)
{
    static const long errors[] = {0, 20, 45, 700, 5000, 20000, -20, -45, -5000};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (int odd = 4; odd < 39; odd += 7) {
            CHECK("time beside a flagged PCR", worst_error(odd, errors[i], 1, 0) > 1, 0);
            CHECK("time beside a wrong PCR", worst_error(odd, errors[i], 0, 0) > 100, 0);
        }
    }
    CHECK("time beside a first PCR that is flagged", worst_error(0, 0, 1, 0) > 41, 0);
    CHECK("time beside a first PCR on another PID", worst_error(0, 0, 0, 1) > 41, 0);
}

/* ---- files --------------------------------------------------------------------------------------- */

enum { PACKETS = 40, HIT = 20 };

/* A file of packets with so many octets before and behind each, changed in one way; what is read of it. */
typedef struct {
    const char *name;
    size_t before, behind, head, tail; /* octets; head and tail are cut off */
    int damaged;                       /* the packet without its sync octet, else -1 */
    long missing;                      /* octets that are missing in packet HIT; too many when negative */
    int first, found;                  /* the first packet that is read, and how many are */
} framing_t;

static const framing_t framings[] = {
    {"188", 0, 0, 0, 0, -1, 0, 0, PACKETS},
    {"192", 4, 0, 0, 0, -1, 0, 0, PACKETS},
    {"204", 0, 16, 0, 0, -1, 0, 0, PACKETS},
    {"188, cut at both ends", 0, 0, 100, 57, -1, 0, 1, PACKETS - 2},
    {"192, cut at both ends", 4, 0, 100, 57, -1, 0, 1, PACKETS - 2},
    {"192, cut within the first octets", 4, 0, 2, 0, -1, 0, 0, PACKETS},
    {"204, cut at both ends", 0, 16, 100, 57, -1, 0, 1, PACKETS - 2},
    {"204, cut within the last octets", 0, 16, 0, 16, -1, 0, 0, PACKETS},
    {"188, the first sync octet", 0, 0, 0, 0, 0, 0, 0, PACKETS},
    {"192, a sync octet", 4, 0, 0, 0, 7, 0, 0, PACKETS},
    {"204, the last sync octet", 0, 16, 0, 0, PACKETS - 1, 0, 0, PACKETS},
    {"188, an octet is missing", 0, 0, 0, 0, -1, 1, 0, PACKETS},
    {"192, octets are missing", 4, 0, 0, 0, -1, 30, 0, PACKETS},
    {"204, octets too many", 0, 16, 0, 0, -1, -7, 0, PACKETS},
};

static void framing(const char *name)
{
    for (size_t row = 0; row < sizeof framings / sizeof framings[0]; row++) {
        const framing_t *f = &framings[row];
        static uint8_t file[PACKETS * 204 + 204];
        size_t size = f->before + TS_PACKET + f->behind, len = 0;
        for (int n = 0; n < PACKETS; n++) {
            uint8_t one[204];
            memset(one, n, sizeof one);
            one[f->before] = n == f->damaged ? 0x46 : 0x47;
            memcpy(file + len, one, size);
            len += size;
            if (n == HIT && f->missing < 0) {
                memset(file + len, 0, (size_t)-f->missing);
                len += (size_t)-f->missing;
            } else if (n == HIT) {
                len -= (size_t)f->missing;
            }
        }
        FILE *made = fopen(name, "wb");
        if (!made || fwrite(file + f->head, len - f->head - f->tail, 1, made) != 1) {
            CHECK("a file to write", 0, 1);
            return;
        }
        fclose(made);
        ts_file_t ts;
        uint8_t packet[TS_PACKET];
        int found = 0, others = 0, more = -1;
        int opened = ts_open(&ts, name);
        CHECK(f->name, opened, 0);
        if (opened != 0)
            continue;
        while ((more = ts_read(&ts, packet)) == 1) {
            int n = f->first + found++;
            others += packet[0] != 0x47 || (packet[TS_PACKET / 2] != n && n != HIT);
        }
        fclose(ts.file);
        CHECK(f->name, more, 0);
        CHECK(f->name, found, f->found);
        CHECK(f->name, ts.next, (unsigned long)f->found);
        CHECK(f->name, others, 0);
    }
    remove(name);
}

int main(int argc, char **argv)
{
    framing(argc > 1 ? argv[1] : "framing.ts");
    sections();
    strangers();
    clocks();
    return failed;
}
