#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damages a transport stream as a bad signal does, the same way for the same seed.

    damage.py IN OUT LIST [--seed N] [--flagged SHARE] [--silent SHARE]

A damaged packet has 12 random octets at random places behind the sync octet. Of all packets, whatever their PID,
SHARE are damaged and have transport_error_indicator set (flagged: the demodulator knew), and SHARE are damaged and do
not (silent). LIST (JSON) says which: {"seed", "flagged", "silent"}, indices from 0.
"""

import argparse
import json
import random
from pathlib import Path

import ts

OCTETS = 12
ERROR_INDICATOR = 0x80


def damaged(packet, chance, flagged):
    """The packet with 12 random octets, never as it was."""
    octets = bytearray(packet)
    while octets == packet:
        for place in chance.sample(range(1, ts.PACKET), OCTETS):
            octets[place] = chance.randrange(256)
        octets[1] = octets[1] & ~ERROR_INDICATOR | (ERROR_INDICATOR if flagged else 0)
    return bytes(octets)


def damage(stream, seed, flagged_share, silent_share):
    """The damaged stream, and the indices of flagged and silent damage."""
    chance = random.Random(seed)
    packets = [stream[at : at + ts.PACKET] for at in range(0, len(stream), ts.PACKET)]
    places = {"flagged": [], "silent": []}
    for index, packet in enumerate(packets):
        fate = chance.random()
        kind = "flagged" if fate < flagged_share else "silent" if fate < flagged_share + silent_share else None
        if kind:
            packets[index] = damaged(packet, chance, kind == "flagged")
            places[kind].append(index)
    return b"".join(packets), places


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("input", type=Path)
    options.add_argument("output", type=Path)
    options.add_argument("list", type=Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--flagged", type=float, default=0.01)
    options.add_argument("--silent", type=float, default=0.001)
    given = options.parse_args()
    stream, places = damage(given.input.read_bytes(), given.seed, given.flagged, given.silent)
    given.output.write_bytes(stream)
    given.list.write_text(json.dumps({"seed": given.seed, **places}) + "\n")


if __name__ == "__main__":
    main()
