#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz targets into fuzz/corpus: what real cards, terminals and head-ends say."""

from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
SILENCE, COMMAND = "A0", "E3"

ATRS = [
    "3B00", "3F00", "3B1018", "3BD618FF8131FE155354424341 4D60", "3B96184002535442 43414D", "3B9095108 0",
    "3F7713250 0400A0 06861 3BE00 0", "3B F7 11 00 01 40 96 54 30 04 0E 6C B6 D6", "3B9C968131FE454142434445464748494A4B4C0E",
    "3B8001 81", "3B9018 0189", "3B811FCE 51",
]
BLOCKS = [
    "00E101FE1E", "0000029000 92", "004002900 0D2", "00C30105C7", "00E30105E7", "00C101203 0", "00C000C0", "00E000E0",
    "00810081", "00920092", "00200AAABBCCDDEEFF00112233 2A",
]
T0_WORDS = ["34", "CB", "60", "9000", "6103", "6C02", "C00102039000", "B0AABB9000"]
SECTIONS = [
    "00B00D0001C100000001E1002AB104B2", "8170400011201210001000000010" + "00" * 53, "827047A1B2C3D4E5F60718021201110001" + "00" * 58,
    "01110000" + "5A" * 32 + "1009010000000100000002" + "5502AABB", "0000" + "5502AABB",
    "42F0360001C10000FF01FF0001FC800F480D010646466D706567044E6577730002FC8011480F010646466D7065670643696E656D611C9E"
    "78BF",
    "C9F04D0001C100000002004E004500570053002D00480044F01C010400000000000100010DC20001FC00004B0069006E006F0020003200"
    "00F01C020400000000000100020DC20002FC00FC00D2D6BA9F",
]
PURSE_INIT = "00002710000000000001007A804A779000"
PURSE = [
    (0, ["6F0B8409A000000003869807019000", "A00000000000000102100000123456789012345620240101203412315555" "9000", "0102030405060708099000",
         "000027109000", "0000000000000004D206001122334455202401150945009000", "6A83", "6C02"]),
    (1, ["00000000000002005415E38E32A42B829000", "FC348BEB9000"]),
    (1, ["00000000000002005415E38E32A42B829000", "6581", "9406", "00000000FC348BEB9000", "000004D29000"]),
    (2, [PURSE_INIT, "48A72D28ED0FBA109000"]),
    (2, [PURSE_INIT, "6581", "9406", "6985", "0000223E000100000001007A804A779000"]),
    (3, [PURSE_INIT, "9000", "9302"]),
    (4, ["0000200000070100112233440285E2729000", "0CF694159000"]),
    (4, ["0000200000070100112233440285E2729000", "6581", "9406", "6985", "00001000000801001122334400000000 9000"]),
    (5, ["000020000007000500010011223344 0BD8AC979000", "F68633DE9000"]),
    (5, ["0000200000070005000100112233440BD8AC979000", "9406", "9406", "6982"]),
    (6, ["0011223344559000", "9000", PURSE_INIT, "00000001214E51399000", "48A72D28ED0FBA109000", "9000"]),
    (6, ["0011223344559000", "6F009000", PURSE_INIT, "9403"]),
    (3, [PURSE_INIT, "9000", "90", "9406", "0000000048A72D289000", "00002710000000000001007A804A779000"]),
]


def octets(text):
    return bytes.fromhex(text.replace(" ", ""))


def said(*messages):
    """Steps of fuzz/src/lib.rs: a length and so many octets; anything else is a head."""
    out = b""
    for message in messages:
        raw = octets(message)
        out += raw if message in (SILENCE, COMMAND) else bytes([len(raw)]) + raw
    return out


def frame(message):
    """A CCID message for the emulated reader, which the target closes."""
    return said("FE" + message)


SEEDS = {
    "atr": [octets(a) for a in ATRS],
    "pps": [octets(p + p) for p in ("FF1118F6", "FF10958A", "FF00FF", "FF7195010203 E5")],
    "apdu": [octets(a) for a in ("00A4040008F05354424341530100", "80340102 02AABB00", "0020000000", "8034010200000001AA0000")],
    "t0": [b"\0" + said(COMMAND, *T0_WORDS), b"\1" + said(COMMAND, "6103", "0102039000")],
    "t1": [bytes([flags]) + said(COMMAND, *BLOCKS) for flags in range(4)],
    "t14": [b"\0" + said(COMMAND, "010200000000033F")],
    "line": [bytes([flags]) + said(atr, SILENCE, "FF1118F6", SILENCE, *BLOCKS[:1], COMMAND, *BLOCKS, *T0_WORDS)
             for atr in ATRS for flags in (0, 1)],
    "levels": [b"\0" + said("FE" + level + agreed + atr, "FF1118F6", BLOCKS[0], COMMAND, *BLOCKS[1:3], *T0_WORDS)
               for atr in ATRS[:4] for level in ("01", "02") for agreed in ("00", "80", "81")],
    "card_line": [bytes([which]) + said("FF1118F6", "00C101FE3E", "000004A1A2A3A404", "8034000003", "010203")
                  for which in range(3)],
    "reader": [b"\0" + frame("62000000000000010000") + said("FD3B9018 0189") + frame("6F040000000002000000FF1118F6")],
    "gempc": [said("FE830100", "FE830100", "FE810100") + b"\xE0"
              + said("FE8000003B00", "FD80CA000001", "FE820000", "FE8000009000", "5002")],
    "script": [b"card 30 damage\nterminal 150-152 lose\n# x\ncommand 2 wtx 3 2", b"command 2/7-9 wrong edc 2\nhost 3 unplug 50"],
    "sections": [octets(s) for s in SECTIONS],
    "ecm_plain": [bytes([first]) + octets("0101" + "32A17340" + "0F00FFFF0000" + "01020304050607081112131415161718")
                  for first in (0, 4, 12)],
    "emm_plain": [bytes([first, 1]) + octets(command) for first in range(6)
                  for command in ("60040001 0041", "2402 0003", "700101", "3104 00000001", "1004 0001 0001")],
    "purse": [bytes([which]) + said(*answers) for which, answers in PURSE],
}


def main():
    for target, seeds in SEEDS.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed-{number:02}").write_bytes(seed)


if __name__ == "__main__":
    main()
