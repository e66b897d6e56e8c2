/* SPDX-License-Identifier: Apache-2.0 */
#include "ts.h"

#include <stdlib.h>
#include <string.h>

/* The PCR of a packet (ISO/IEC 13818-1, 2.4.3.5); 0 when it has none. */
static int pcr_of(const uint8_t *p, uint64_t *pcr)
{
    if (!(p[3] & 0x20) || p[4] < 7 || p[4] > 183 || !(p[5] & 0x10))
        return 0;
    uint64_t base = (uint64_t)p[6] << 25 | (uint64_t)p[7] << 17 | (uint64_t)p[8] << 9 | (uint64_t)p[9] << 1 | p[10] >> 7;
    *pcr = base * 300 + ((uint64_t)(p[10] & 1) << 8 | p[11]);
    return 1;
}

enum { HZ = 27000000, STRANGERS = 8 };

static int follows(uint64_t pcr, uint64_t earlier)
{
    return pcr > earlier && pcr - earlier < 10 * (uint64_t)HZ;
}

/* A packet can be damaged without saying so: a PCR is believed when the next one bears it out. */
void ts_clock_feed(ts_clock_t *clock, const uint8_t *packet, unsigned long index)
{
    uint64_t pcr;
    if (ts_damaged(packet) || !pcr_of(packet, &pcr))
        return;
    if (clock->pid != ts_pid(packet)) {
        if (clock->pid >= 0 && (clock->running || ++clock->strangers < STRANGERS))
            return;
        if (clock->pid < 0)
            clock->last_packet = index; /* second 0 */
        clock->pid = ts_pid(packet);    /* the first PCR, or all that there are beside a damaged first one */
        clock->strangers = 0;
    } else if (!clock->running) {
        if (follows(pcr, clock->newest)) {
            clock->running = 1;
            clock->per_packet = (double)(pcr - clock->newest) / (double)(index - clock->newest_packet);
            uint64_t elapsed = (uint64_t)(clock->per_packet * (double)(clock->newest_packet - clock->last_packet));
            clock->first = clock->newest - elapsed;
            clock->last = clock->newest;
            clock->last_packet = clock->newest_packet;
        }
    } else if (follows(clock->newest, clock->last) && follows(pcr, clock->newest)) {
        unsigned long packets = clock->newest_packet - clock->last_packet;
        clock->per_packet = (double)(clock->newest - clock->last) / (double)packets;
        clock->last = clock->newest;
        clock->last_packet = clock->newest_packet;
    } else if (!follows(pcr, clock->last) && follows(pcr, clock->newest)) {
        /* The time base has changed: ours goes on. */
        uint64_t elapsed = clock->last - clock->first;
        elapsed += (uint64_t)(clock->per_packet * (double)(clock->newest_packet - clock->last_packet));
        clock->first = clock->newest - elapsed;
        clock->last = clock->newest;
        clock->last_packet = clock->newest_packet;
    }
    clock->newest = pcr;
    clock->newest_packet = index;
}

double ts_clock_at(const ts_clock_t *clock, unsigned long index)
{
    if (!clock->running)
        return 0;
    double since = clock->per_packet * (double)(index - clock->last_packet);
    return ((double)(clock->last - clock->first) + since) / 27e6;
}

struct ts_part {
    uint8_t last[TS_PACKET]; /* the packet before; without a sync octet when there was none */
    int begun;               /* a section has begun */
    size_t len;
    uint8_t octets[TS_SECTION + TS_PACKET];
};

/* The CRC_32 of a section that has one (section_syntax_indicator) is right. A CA message has none: the card finds out. */
static int is_whole(const uint8_t *section, size_t len)
{
    uint32_t crc = 0xFFFFFFFF;
    if (!(section[1] & 0x80))
        return 1;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)section[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04C11DB7 : crc << 1;
    }
    return crc == 0;
}

/* Takes the octets and passes on every section that they complete. */
static void part_take(ts_demux_t *demux, uint16_t pid, const uint8_t *octets, size_t len, ts_section_fn found, void *user)
{
    ts_part_t *part = demux->parts[pid];
    memcpy(part->octets + part->len, octets, len);
    part->len += len;
    while (part->len >= 3 && part->octets[0] != 0xFF) { /* table_id FF: stuffing up to the packet's end */
        size_t whole = 3 + ((size_t)(part->octets[1] & 0x0F) << 8 | part->octets[2]);
        if (whole > TS_SECTION)
            break;
        if (part->len < whole)
            return;
        if (is_whole(part->octets, whole))
            found(user, pid, part->octets, whole);
        else
            demux->damaged[pid] = 1;
        part->len -= whole;
        memmove(part->octets, part->octets + whole, part->len);
    }
    if (part->len >= 3 || (part->len > 0 && part->octets[0] == 0xFF) || part->len == 0)
        part->begun = 0;
}

void ts_demux(ts_demux_t *demux, const uint8_t *packet, ts_section_fn found, void *user)
{
    uint16_t pid = ts_pid(packet);
    if (ts_damaged(packet) || !demux->wanted[pid] || packet[3] & 0xC0 || !(packet[3] & 0x10))
        return; /* damaged, not wanted, scrambled, or no payload */
    if (!demux->parts[pid]) {
        demux->parts[pid] = calloc(1, sizeof *demux->parts[pid]);
        if (!demux->parts[pid])
            return;
    }
    ts_part_t *part = demux->parts[pid];
    if (memcmp(part->last, packet, TS_PACKET) == 0)
        return; /* sent twice; one that has only the counter of the packet before is another, and one of them is damaged */
    if (((part->last[3] + 1) & 0x0F) != (packet[3] & 0x0F))
        part->begun = 0; /* packets are missing, and with them a part of the section */
    memcpy(part->last, packet, TS_PACKET);

    size_t at = 4;
    if (packet[3] & 0x20)
        at += 1 + (size_t)packet[4];
    if (packet[1] & 0x40) { /* payload_unit_start: a section begins behind pointer_field octets */
        if (at >= TS_PACKET || at + 1 + packet[at] > TS_PACKET) {
            part->begun = 0; /* it begins nowhere */
            return;
        }
        size_t start = at + 1 + packet[at];
        if (part->begun)
            part_take(demux, pid, packet + at + 1, packet[at], found, user);
        part->begun = 1;
        part->len = 0;
        at = start;
    }
    if (part->begun && at < TS_PACKET)
        part_take(demux, pid, packet + at, TS_PACKET - at, found, user);
}

void ts_demux_free(ts_demux_t *demux)
{
    for (int pid = 0; pid < TS_PIDS; pid++)
        free(demux->parts[pid]);
}
