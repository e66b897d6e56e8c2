/* SPDX-License-Identifier: Apache-2.0 */
/* What a box has in hardware: a transport stream, its clock, and section assembly. */
#ifndef TS_H
#define TS_H

#include <stdint.h>
#include <stdio.h>

enum { TS_PACKET = 188, TS_PIDS = 8192, TS_SECTION = 4096 };

/* A file of packets of 188 octets, each alone, behind 4 octets (192) or before 16 (204); it may begin and end within one. What
 * is refused, repaired and left out is told on stderr, with the file and the place. */
typedef struct ts_file {
    FILE *file;
    const char *name;
    unsigned long next; /* index of the next packet */
    uint64_t octets;    /* of the file */
    int size;           /* octets from one packet to the next */
} ts_file_t;

int ts_open(ts_file_t *ts, const char *name);             /* 0, or -1: not there, not a transport stream */
int ts_read(ts_file_t *ts, uint8_t packet[TS_PACKET]);    /* 1, 0 at the end, -1 */

/* Stream time from the PCR of the first PID that has one. */
typedef struct ts_clock {
    int pid;     /* -1 before the first PCR */
    int running; /* two PCRs have agreed */
    int strangers; /* PCRs of other PIDs before that */
    uint64_t first, last, newest; /* 27 MHz; newest: what the next PCR must bear out */
    unsigned long last_packet, newest_packet;
    double per_packet;
} ts_clock_t;

void ts_clock_feed(ts_clock_t *clock, const uint8_t *packet, unsigned long index);
double ts_clock_at(const ts_clock_t *clock, unsigned long index); /* seconds since the first PCR */

/* Section assembly on the PIDs that are wanted. Packets that are flagged as damaged, sections that packets are missing of,
 * and tables whose CRC_32 does not hold are dropped. */
typedef struct ts_part ts_part_t;
typedef struct ts_demux {
    uint8_t wanted[TS_PIDS];
    uint8_t damaged[TS_PIDS]; /* a table was */
    ts_part_t *parts[TS_PIDS];
} ts_demux_t;
typedef void (*ts_section_fn)(void *user, uint16_t pid, const uint8_t *section, size_t len);

void ts_demux(ts_demux_t *demux, const uint8_t *packet, ts_section_fn found, void *user);
void ts_demux_free(ts_demux_t *demux);

/* A section of the long form, as those of PAT and PMT are, with current_next_indicator: 0 is a table of tomorrow. */
static inline int ts_table_current(const uint8_t *section, size_t len)
{
    return len >= 12 && section[1] & 0x80 && section[5] & 1;
}

/* transport_error_indicator: nothing in this packet can be relied on, its PID included. */
static inline int ts_damaged(const uint8_t *packet) { return packet[1] & 0x80; }
static inline uint16_t ts_pid(const uint8_t *packet) { return (uint16_t)((packet[1] & 0x1F) << 8 | packet[2]); }

#endif
