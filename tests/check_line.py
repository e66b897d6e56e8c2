#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every ECM exchange cost on a recorded card line, beside the least that ISO/IEC 7816-3 allows.

    check_line.py [--paced] [--json] RECORDING…

RECORDING is a file of `vcard serve --record`, or the folder of a demo. Characters are counted, and elementary time
units (etu) are computed from which side sent which character: see docs/benchmarks.md. Exit status 0 when each
complete exchange took its minimum, ratio 1.00. With --paced the recording's times are the line's own, and the time
that passed has to be the minimum too.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

INS_ECM, GET_RESPONSE = 0x34, 0xC0
F = {0: 372, 1: 372, 2: 558, 3: 744, 4: 1116, 5: 1488, 6: 1860, 9: 512, 10: 768, 11: 1024, 12: 1536, 13: 2048}
D = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 12, 9: 20}
CLOCK_HZ = 3_579_545
BLOCK_GUARD, TURN, IFSD = 22, 12, 254


class Life:
    """From one reset to the next: what the answer to reset and PPS said, and the characters after them."""

    def __init__(self):
        self.atr, self.characters = b"", []  # (seconds, side, octet)

    def digest(self):
        """Reads N, T, IFSC and rate; what is left in `characters` belongs to the protocol."""
        atr = self.atr
        at, y, self.n, self.t, self.ifsc, rate, level = 2, atr[1] >> 4, 0, 0, 32, 0x11, 1
        while True:
            present = [bool(y & bit) for bit in (1, 2, 4, 8)]
            ta, _, tc, td = (atr[at + sum(present[:i])] if present[i] else None for i in range(4))
            at += sum(present)
            if level == 1:
                self.n = tc or 0
            if level == 2 and ta is not None:
                rate = atr[2]  # specific mode
            if level > 2 and ta is not None and t == 1:
                self.ifsc = ta
            if td is None:
                break
            t, y = td & 15, td >> 4
            if level == 1:
                self.t = t
            level += 1
        if self.characters[:1] and self.characters[0][2] == 0xFF:
            pps = [c for c in self.characters if c[1] == "T"][:4]
            length = 3 + bin(pps[1][2] >> 4 & 7).count("1")
            self.t = pps[1][2] & 15
            if length == 4:
                rate = pps[2][2]
            self.characters = self.characters[2 * length:]
        self.etu_s = F[rate >> 4] / D[rate & 15] / CLOCK_HZ
        return self


def lives(path):
    """The lives in a recording."""
    life = None
    for line in path.read_text().splitlines():
        seconds, side, octets = (*line.split(), "")[:3]
        octets = bytes.fromhex(octets.replace("..", "00"))  # hidden ones took their time, too
        if side == "R" and not octets:
            if life and life.characters:
                yield life.digest()
            life = Life()
        elif side == "R":
            life.atr += octets
        else:
            life.characters += [(float(seconds), side, octet) for octet in octets]
    if life and life.characters:
        yield life.digest()


class Exchange:
    """One command with its answer. `asked`: the card wanted more time, or a block again, as on a busy machine."""

    def __init__(self, life, apdu_length, answer_length, characters, asked):
        self.life, self.characters, self.asked = life, characters, asked
        self.apdu_length, self.answer_length = apdu_length, answer_length

    def etu(self):
        """From the first leading edge to the end of the last character."""
        life, total = self.life, 0
        to_card = 12 + (life.n if life.n != 255 else 0 if life.t == 0 else -1)
        to_terminal = 11 if life.t == 1 and life.n == 255 else 12
        for (_, before, _), (_, side, _) in zip(self.characters, self.characters[1:]):
            if before != side:
                total += BLOCK_GUARD if life.t == 1 else TURN
            else:
                total += to_card if side == "T" else to_terminal
        return total + (10 if life.t == 0 else to_terminal - 1)

    def minimum(self):
        """Characters and etu of the formula."""
        life = self.life
        extra = 0 if life.n == 255 else life.n
        if life.t == 0:
            lc, la = self.apdu_length - 6, self.answer_length - 2
            host, card = 5 + lc + 5, 1 + 2 + 1 + la + 2
            return host + card, host * (12 + extra) + card * 12 - 2
        to_card, to_terminal = (11, 11) if life.n == 255 else (12 + extra, 12)
        parts = -(-self.apdu_length // life.ifsc), -(-self.answer_length // IFSD)
        ours = self.apdu_length + 4 * parts[0] + 4 * (parts[1] - 1)
        cards = self.answer_length + 4 * parts[1] + 4 * (parts[0] - 1)
        blocks = 2 * (sum(parts) - 1)
        within = (ours - blocks // 2) * to_card + (cards - blocks // 2) * to_terminal
        return ours + cards, within + BLOCK_GUARD * (blocks - 1) + to_terminal - 1

    def elapsed_etu(self):
        return (self.characters[-1][0] - self.characters[0][0]) / self.life.etu_s


class CutShort(Exception):
    """The card was reset, pulled or cut off here."""


class Line:
    """The characters of a life, taken one by one."""

    def __init__(self, characters):
        self.characters, self.at = characters, 0

    def side(self):
        """Whose character is next."""
        if self.at == len(self.characters):
            raise CutShort
        return self.characters[self.at][1]

    def take(self, side, count):
        taken = self.characters[self.at:self.at + count]
        if len(taken) < count or any(c[1] != side for c in taken):
            raise CutShort
        self.at += count
        return bytes(c[2] for c in taken)


def exchanges_t0(life):
    line = Line(life.characters)
    apdu = answer = begin = asked = None
    while True:
        start = line.at
        header = line.take("T", 5)
        if header[1] != GET_RESPONSE:
            begin, asked, apdu, answer = start, False, header, b""
        data = b""
        while True:
            octet = line.take("C", 1)[0]
            if octet == 0x60:
                asked = True
            elif octet in (header[1], header[1] ^ 0xFF):
                side = line.side()
                more = line.take(side, (header[4] or 256) if octet == header[1] else 1)
                data, answer = (data + more, answer) if side == "T" else (data, answer + more)
            else:
                sw = bytes([octet]) + line.take("C", 1)
                break
        if header[1] != GET_RESPONSE:
            apdu += data
        if sw[0] != 0x61:
            if apdu[1] == INS_ECM:
                yield Exchange(life, len(apdu) + 1, len(answer) + 2, line.characters[begin:line.at], asked)


def exchanges_t1(life):
    line = Line(life.characters)
    apdu, answer, begin, asked = b"", b"", 0, False
    while True:
        for side in "TC":
            start = line.at
            head = line.take(side, 3)
            inf = line.take(side, head[2])
            line.take(side, 1)
            pcb = head[1]
            if pcb & 0x80:
                asked |= pcb & 0xC0 == 0xC0 or pcb & 0x0F != 0
            elif side == "T":
                if not apdu:
                    begin, asked = start, False
                apdu += inf
            else:
                answer += inf
                if not pcb & 0x20:
                    if apdu[1] == INS_ECM:
                        yield Exchange(life, len(apdu), len(answer), line.characters[begin:line.at], asked)
                    apdu, answer = b"", b""


def exchanges(path):
    """The complete ECM exchanges of a recording."""
    for life in lives(path):
        try:
            yield from (exchanges_t0 if life.t == 0 else exchanges_t1)(life)
        except CutShort:
            pass


def judge(path, paced):
    """Rows of the table, one for each length of command and answer."""
    rows, asked = defaultdict(list), 0
    for exchange in exchanges(path):
        asked += exchange.asked
        if not exchange.asked:
            rows[exchange.life.t, exchange.apdu_length - 6, exchange.answer_length - 2].append(exchange)
    for (t, lc, la), same in sorted(rows.items()):
        characters, etu = same[0].minimum()
        worst = max(same, key=Exchange.etu)
        row = {"recording": str(path), "protocol": f"T={t}", "lc": lc, "la": la, "exchanges": len(same),
               "characters": max(len(e.characters) for e in same), "minimum_characters": characters,
               "etu": worst.etu(), "minimum_etu": etu, "ratio": worst.etu() / etu}
        if paced:
            row["elapsed_etu"] = max(e.elapsed_etu() for e in same)
            row["elapsed_ratio"] = row["elapsed_etu"] / etu
        yield row
    if asked:
        print(f"{path}: {asked} exchanges left out: the card asked for time, or a block was repeated", file=sys.stderr)


def holds(row):
    return (row["characters"] == row["minimum_characters"] and row["etu"] == row["minimum_etu"]
            and abs(row.get("elapsed_ratio", 1) - 1) < 0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("recordings", nargs="+", type=Path)
    args = parser.parse_args()
    paths = [path / "line.txt" if path.is_dir() else path for path in args.recordings]
    tables = {path: list(judge(path, args.paced)) for path in paths}
    rows = [row for table in tables.values() for row in table]
    if args.json:
        print(json.dumps(rows))
    else:
        print("             Lc   La  times  characters   min     etu     min  ratio")
        for row in rows:
            print(f"ECM by {row['protocol']} {row['lc']:5} {row['la']:4} {row['exchanges']:6} {row['characters']:11} "
                  f"{row['minimum_characters']:5} {row['etu']:7} {row['minimum_etu']:7} {row['ratio']:6.3f}"
                  + (f"  on the clock {row['elapsed_etu']:.1f} etu" if args.paced else ""))
    empty = [str(path) for path, table in tables.items() if not table]
    if empty:
        print(f"no complete ECM exchange in {', '.join(empty)}", file=sys.stderr)
    return 0 if not empty and all(map(holds, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
