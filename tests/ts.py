# SPDX-License-Identifier: Apache-2.0
"""Transport streams as the checkers read them (ISO/IEC 13818-1). Shares no code with the project."""

PACKET = 188
NULL_PID = 0x1FFF
PCR_HZ = 27_000_000


class Packet:
    """One transport packet and its place in the file."""

    __slots__ = ("data", "index")

    def __init__(self, data, index):
        self.data, self.index = data, index

    @property
    def pid(self):
        return (self.data[1] & 0x1F) << 8 | self.data[2]

    @property
    def unit_start(self):
        return bool(self.data[1] & 0x40)

    @property
    def scrambling(self):
        return self.data[3] >> 6

    @property
    def continuity(self):
        return self.data[3] & 0x0F

    @property
    def has_payload(self):
        return bool(self.data[3] & 0x10)

    @property
    def header_length(self):
        """Header and adaptation field."""
        return 4 + (1 + self.data[4] if self.data[3] & 0x20 else 0)

    @property
    def payload(self):
        return self.data[self.header_length :] if self.has_payload else b""

    @property
    def discontinuity(self):
        return bool(self.data[3] & 0x20 and self.data[4] and self.data[5] & 0x80)

    @property
    def pcr(self):
        """The PCR in ticks of 27 MHz, or None."""
        d = self.data
        if not d[3] & 0x20 or d[4] < 7 or not d[5] & 0x10:
            return None
        base = int.from_bytes(d[6:10], "big") << 1 | d[10] >> 7
        return base * 300 + ((d[10] & 1) << 8 | d[11])

    def unscrambled_header(self):
        """The packet's header and adaptation field with transport_scrambling_control 00."""
        head = bytearray(self.data[: self.header_length])
        head[3] &= 0x3F
        return bytes(head)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    assert len(data) % PACKET == 0, f"{path}: {len(data)} octets are not whole packets"
    packets = [Packet(data[o : o + PACKET], o // PACKET) for o in range(0, len(data), PACKET)]
    for packet in packets:
        assert packet.data[0] == 0x47, f"{path}: packet {packet.index} has no sync byte"
    return packets


def crc32(data):
    """CRC-32/MPEG-2: zero over a whole section."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def sections(packets, pid):
    """Yields (index of the packet that completed it, section)."""
    buffer = None
    for packet in packets:
        if packet.pid != pid or not packet.has_payload:
            continue
        payload = packet.payload
        if packet.unit_start:
            pointer = payload[0]
            if buffer is not None:
                buffer += payload[1 : 1 + pointer]
                yield from _complete(packet.index, buffer)
            buffer = bytearray(payload[1 + pointer :])
        elif buffer is not None:
            buffer += payload
        if buffer is not None:
            while len(buffer) >= 3 and buffer[0] != 0xFF:
                length = 3 + ((buffer[1] & 0x0F) << 8 | buffer[2])
                if len(buffer) < length:
                    break
                yield packet.index, bytes(buffer[:length])
                del buffer[:length]


def _complete(index, buffer):
    if len(buffer) >= 3 and buffer[0] != 0xFF:
        length = 3 + ((buffer[1] & 0x0F) << 8 | buffer[2])
        if len(buffer) >= length:
            yield index, bytes(buffer[:length])


def descriptors(data):
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        yield tag, data[at + 2 : at + 2 + length]
        at += 2 + length
    assert at == len(data), "a descriptor runs past its loop"


class Pmt:
    """A program map section."""

    def __init__(self, section):
        assert section[0] == 0x02 and crc32(section) == 0, "not a good PMT section"
        self.program = int.from_bytes(section[3:5], "big")
        self.version = section[5] >> 1 & 0x1F
        self.pcr_pid = int.from_bytes(section[8:10], "big") & 0x1FFF
        info = int.from_bytes(section[10:12], "big") & 0x0FFF
        self.descriptors = list(descriptors(section[12 : 12 + info]))
        self.streams = {}
        at = 12 + info
        while at < len(section) - 4:
            pid = int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
            length = int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF
            self.streams[pid] = (section[at], list(descriptors(section[at + 5 : at + 5 + length])))
            at += 5 + length
        assert at == len(section) - 4, "the PMT's streams do not fill the section"


def programs(packets):
    """{program_number: PMT PID} of the first PAT."""
    _, pat = next(sections(packets, 0))
    assert pat[0] == 0 and crc32(pat) == 0, "not a good PAT section"
    loop = pat[8:-4]
    entries = [loop[o : o + 4] for o in range(0, len(loop), 4)]
    return {
        int.from_bytes(e[:2], "big"): int.from_bytes(e[2:], "big") & 0x1FFF
        for e in entries
        if e[:2] != b"\0\0"
    }


def packet_times(packets):
    """Seconds of each packet since the first PCR, between two PCRs by its place (one clock)."""
    marks = []
    for packet in packets:
        if packet.pcr is not None and not packet.discontinuity:
            marks.append((packet.index, packet.pcr))
    (i0, t0), (i1, t1) = marks[0], marks[-1]
    per_packet = (t1 - t0) / (i1 - i0) / PCR_HZ
    return [(i - i0) * per_packet for i in range(len(packets))]
