#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the indicators of ETSI TR 101 290 §5.2, priorities 1 and 2, of a transport stream of 188 octets a packet. Reads the
octets itself and shares no code with the project.

    tr101290.py STREAM              the counts of one
    tr101290.py SOURCE RESULT       both, and status 1 where the result has more of one

A file has no time of arrival but what its clock says of its places: the first PID with a PCR, over the whole file. PTS are
counted where PES headers are in clear: give the result descrambled for those.
"""

import sys
from collections import Counter, defaultdict

PACKET, NULL, HZ = 188, 0x1FFF, 27_000_000
WRAP = (1 << 33) * 300
PRIORITY_1 = ("TS_sync_loss", "Sync_byte_error", "PAT_error_2", "Continuity_count_error", "PMT_error_2", "PID_error")
PRIORITY_2 = ("Transport_error", "CRC_error", "PCR_repetition_error", "PCR_discontinuity_indicator_error",
              "PCR_accuracy_error", "PTS_error", "CAT_error")
# Tables with a CRC_32 whose errors count, by table_id: PAT, CAT, PMT, NIT, SDT, BAT, EIT, TOT.
WITH_CRC = {0x00, 0x01, 0x02, 0x40, 0x41, 0x42, 0x46, 0x4A, 0x73, *range(0x4E, 0x70)}


def crc32(octets):
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = TABLE[crc >> 24 ^ octet] ^ crc << 8 & 0xFFFFFFFF
    return crc


def _row(octet):
    crc = octet << 24
    for _ in range(8):
        crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


TABLE = [_row(octet) for octet in range(256)]


class Sections:
    """Puts a PID's sections together; what packets are missing of is none."""

    def __init__(self):
        self.buffer = None

    def broken(self):
        self.buffer = None

    def take(self, starts, payload):
        if starts and payload:
            pointer, payload = payload[0], payload[1:]
            if self.buffer is not None:
                self.buffer += payload[:pointer]
                yield from self._whole()
            self.buffer = bytearray(payload[pointer:])
        elif self.buffer is not None:
            self.buffer += payload
        yield from self._whole()

    def _whole(self):
        while self.buffer and len(self.buffer) >= 3 and self.buffer[0] != 0xFF:
            length = 3 + ((self.buffer[1] & 0x0F) << 8 | self.buffer[2])
            if len(self.buffer) < length:
                return
            yield bytes(self.buffer[:length])
            del self.buffer[:length]


class Analyser:
    """One pass over a stream."""

    def __init__(self, octets):
        self.packets = [octets[at : at + PACKET] for at in range(0, len(octets) - PACKET + 1, PACKET)]
        self.counts = Counter({name: 0 for name in PRIORITY_1 + PRIORITY_2})
        self.counters, self.sections = {}, defaultdict(Sections)
        self.pmt_pids, self.components = {}, {}
        self.last_pat = self.last_cat = self.first_scrambled = None
        self.last_pmt, self.last_seen, self.last_pts = {}, {}, {}
        self.marks = defaultdict(list)
        self._clock()
        self._run()

    def seconds(self, index):
        return index * self.per_packet

    def _clock(self):
        """Seconds of a packet: over all steps of one PID's clock that are none of a discontinuity."""
        first, last, ticks, packets = None, None, 0, 0
        for index, packet in enumerate(self.packets):
            pid, pcr = int.from_bytes(packet[1:3], "big") & 0x1FFF, self._pcr(packet)
            if pcr is None or packet[1] & 0x80 or first not in (None, pid):
                continue
            if last is not None and 0 < (pcr - last[1]) % WRAP < HZ:
                ticks += (pcr - last[1]) % WRAP
                packets += index - last[0]
            first, last = pid, (index, pcr)
        self.per_packet = ticks / packets / HZ if packets else 0.001

    @staticmethod
    def _pcr(packet):
        if not packet[3] & 0x20 or packet[4] < 7 or not packet[5] & 0x10:
            return None
        return (int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7) * 300 + ((packet[10] & 1) << 8 | packet[11])

    def _run(self):
        lost = 0
        for index, packet in enumerate(self.packets):
            if packet[0] != 0x47:
                lost += 1
                self.counts["Sync_byte_error"] += 1
                self.counts["TS_sync_loss"] += lost == 2
                continue
            lost = 0
            if packet[1] & 0x80:
                self.counts["Transport_error"] += 1
            else:
                self._packet(index, packet)
        end = len(self.packets)
        self._late("PAT_error_2", self.last_pat, end)
        for number in self.pmt_pids:
            self._late("PMT_error_2", self.last_pmt.get(number), end)
        for pid in {pid for pids in self.components.values() for pid in pids}:
            self.counts["PID_error"] += self.seconds(end - self.last_seen.get(pid, 0)) > 5
        self._accuracy()

    def _late(self, name, last, index):
        """An interval over half a second; one error for each that it is longer."""
        self.counts[name] += int(self.seconds(index - (last or 0)) / 0.5)

    def _packet(self, index, packet):
        pid, starts = int.from_bytes(packet[1:3], "big") & 0x1FFF, bool(packet[1] & 0x40)
        if pid == NULL:
            return
        scrambled, has_payload = packet[3] >> 6, bool(packet[3] & 0x10)
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        payload = packet[start:] if has_payload else b""
        discontinuity = bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x80)
        if self._follows(pid, packet, has_payload, discontinuity) is None:
            return
        if self.seconds(index - self.last_seen.get(pid, index)) > 5 and any(pid in p for p in self.components.values()):
            self.counts["PID_error"] += 1
        self.last_seen[pid] = index
        pcr = self._pcr(packet)
        if pcr is not None:
            self._pcr_seen(pid, index, pcr, discontinuity)
        if scrambled:
            self.counts["PAT_error_2"] += pid == 0
            self.counts["PMT_error_2"] += pid in self.pmt_pids.values()
            self._cat_wanted(index)
        elif pid in (0x00, 0x01, 0x10, 0x11, 0x12, 0x14) or pid in self.pmt_pids.values():
            for section in self.sections[pid].take(starts, payload):
                self._section(pid, index, section)
        elif starts and payload[:3] == b"\0\0\1" and len(payload) >= 14 and payload[7] & 0x80:
            last = self.last_pts.get(pid)
            self.counts["PTS_error"] += last is not None and self.seconds(index - last) > 0.7
            self.last_pts[pid] = index

    def _follows(self, pid, packet, has_payload, discontinuity):
        """Counts a break of the counter; None for a packet that is there a second time."""
        counter, last = packet[3] & 0x0F, self.counters.get(pid)
        if last is not None and not discontinuity:
            before, octets, seen = last
            if not has_payload:
                self.counts["Continuity_count_error"] += counter != before
            elif counter == before and octets[4:] == packet[4:] and seen == 1:
                self.counters[pid] = (counter, packet, 2)
                return None
            elif counter != (before + 1) % 16:
                self.counts["Continuity_count_error"] += 1
                self.sections[pid].broken()
        if has_payload or last is None:
            self.counters[pid] = (counter, packet, 1)
        return True

    def _cat_wanted(self, index):
        """Scrambled packets, and no CAT for a second: one error for each second."""
        if self.first_scrambled is None:
            self.first_scrambled = index
        since = max(self.first_scrambled, self.last_cat or 0)
        if self.seconds(index - since) > 1:
            self.counts["CAT_error"] += 1
            self.first_scrambled = index

    def _pcr_seen(self, pid, index, pcr, discontinuity):
        marks = self.marks[pid]
        if marks and not discontinuity:
            step = (pcr - marks[-1][1]) % WRAP
            self.counts["PCR_discontinuity_indicator_error"] += step > HZ // 10
            self.counts["PCR_repetition_error"] += HZ // 10 < step < HZ
        marks.append((index, pcr, discontinuity))

    def _accuracy(self):
        """A PCR over 500 ns off the line between its neighbours."""
        for marks in self.marks.values():
            for (a, first, _), (b, pcr, cut), (c, last, cut_too) in zip(marks, marks[1:], marks[2:]):
                whole, part = (last - first) % WRAP, (pcr - first) % WRAP
                if cut or cut_too or whole > HZ:
                    continue
                self.counts["PCR_accuracy_error"] += abs(part - whole * (b - a) / (c - a)) > 500e-9 * HZ

    def _section(self, pid, index, section):
        table = section[0]
        if pid == 0 and table != 0x00:
            self.counts["PAT_error_2"] += 1
        if pid == 1 and table != 0x01:
            self.counts["CAT_error"] += 1
        if table in WITH_CRC and (len(section) < 12 or crc32(section)):
            self.counts["CRC_error"] += 1
            return
        if pid == 0 and table == 0x00:
            self._late("PAT_error_2", self.last_pat, index)
            self.last_pat = index
            if section[5] & 1:
                loop = section[8:-4]
                for at in range(0, len(loop), 4):
                    number, where = int.from_bytes(loop[at : at + 2], "big"), int.from_bytes(loop[at + 2 : at + 4], "big")
                    if number:
                        self.pmt_pids[number] = where & 0x1FFF
        elif pid == 1 and table == 0x01:
            self.last_cat = index
        elif table == 0x02 and section[5] & 1:
            number = int.from_bytes(section[3:5], "big")
            if self.pmt_pids.get(number) == pid:
                self._late("PMT_error_2", self.last_pmt.get(number), index)
                self.last_pmt[number] = index
                self.components[number] = self._pids(section)

    @staticmethod
    def _pids(pmt):
        at, pids = 12 + (int.from_bytes(pmt[10:12], "big") & 0x0FFF), set()
        while at + 5 <= len(pmt) - 4:
            pids.add(int.from_bytes(pmt[at + 1 : at + 3], "big") & 0x1FFF)
            at += 5 + (int.from_bytes(pmt[at + 3 : at + 5], "big") & 0x0FFF)
        return pids


def counts(octets):
    return Analyser(octets).counts


def added(source, result, less=()):
    """{indicator: (before, after)} where the result has more than the source."""
    return {name: (source[name], result[name]) for name in PRIORITY_1 + PRIORITY_2
            if name not in less and result[name] > source[name]}


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    found = []
    for name in sys.argv[1:]:
        with open(name, "rb") as file:
            found.append(counts(file.read()))
    for name in PRIORITY_1 + PRIORITY_2:
        print(f"{name:36}", *(f"{one[name]:8}" for one in found))
    return bool(len(found) == 2 and added(*found))


if __name__ == "__main__":
    sys.exit(main())
