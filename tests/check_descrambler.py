#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libstbcam's software key ladder and descrambler against Debian's libdvbcsa and OpenSSL, through the C ABI.

Random keys, control words and packets of every payload length, seeded: a failure can be repeated.
"""

import ctypes
import random
import sys
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

import cas

LIBRARY = Path(__file__).resolve().parent.parent / "target" / "release" / "libstbcam.so.1"
ES_PID = 0x0101
DESCRAMBLED = 1


class Ladder(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("pairing_slot", ctypes.c_uint8),
                ("reserved", ctypes.c_uint8 * 3), ("ek2", ctypes.c_uint8 * 16), ("ek1", ctypes.c_uint8 * 16)]


class ControlWords(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("session", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("crypto_period", ctypes.c_uint32), ("crypto_period_ms", ctypes.c_uint32),
                ("ecm_pid", ctypes.c_uint16), ("source", ctypes.c_uint8), ("algo", ctypes.c_uint8),
                ("scrambling_mode", ctypes.c_uint8), ("parity_mask", ctypes.c_uint8), ("key_len", ctypes.c_uint8),
                ("iv_len", ctypes.c_uint8), ("copy_control", ctypes.c_uint8), ("reserved", ctypes.c_uint8 * 7),
                ("even", ctypes.c_uint8 * 32), ("odd", ctypes.c_uint8 * 32), ("iv", ctypes.c_uint8 * 16),
                ("es_pids", ctypes.POINTER(ctypes.c_uint16)), ("es_pid_count", ctypes.c_size_t)]


LOAD_LADDER = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.POINTER(Ladder))
SET_CW = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.POINTER(ControlWords))
CLEAR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


class Ops(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("user", ctypes.c_void_p), ("load_ladder", LOAD_LADDER),
                ("set_cw", SET_CW), ("clear", CLEAR)]


def aes_encrypt(key, block):
    return Cipher(AES(key), modes.ECB()).encryptor().update(block)


def packet(payload, parity):
    """A packet of ES_PID with this payload, the rest of it adaptation field."""
    stuffing = 184 - len(payload)
    control = (2 | parity) << 6 | (0x30 if stuffing else 0x10)
    head = bytes([0x47, ES_PID >> 8, ES_PID & 0xFF, control])
    field = b"" if not stuffing else bytes([stuffing - 1]) + (b"\0" + b"\xff" * (stuffing - 2) if stuffing > 1 else b"")
    return head + field + payload


def main():
    library = ctypes.CDLL(str(LIBRARY))
    rng = random.Random(20261123)
    octets = lambda n: bytes(rng.randrange(256) for _ in range(n))  # noqa: E731
    pids = (ctypes.c_uint16 * 1)(ES_PID)
    cases = wrong = refused = 0
    iv, short_iv = octets(8), octets(8)
    ciphers = ((1, cas.Csa2(), 0x02, 8), (5, cas.Cissa(), 0x10, 16), (8, cas.Idsa(), 0x70, 16),
               (2, cas.Scte52(), 0xDE, 8), (2, cas.Scte52(iv), 0xDE, 8), (2, cas.Scte52(iv, short_iv), 0xDE, 8))
    ivs = {ciphers[4][1]: (iv, None), ciphers[5][1]: (iv, short_iv)}
    for algorithm, cipher, mode, width in ciphers:
        for _ in range(40):
            k3, k2, k1 = octets(16), octets(16), octets(16)
            cws = [octets(width), octets(width)]
            soft = ctypes.c_void_p()
            assert library.stbcam_soft_descrambler_new(k3, ctypes.byref(soft)) == 0
            if cipher in ivs:
                assert library.stbcam_soft_descrambler_scte52_iv(soft, *ivs[cipher]) == 0
            ops = Ops(struct_size=ctypes.sizeof(Ops))
            assert library.stbcam_soft_descrambler_ops(soft, ctypes.byref(ops)) == 0
            ladder = Ladder(struct_size=ctypes.sizeof(Ladder), ek2=(ctypes.c_uint8 * 16)(*aes_encrypt(k3, k2)),
                            ek1=(ctypes.c_uint8 * 16)(*aes_encrypt(k2, k1)))
            assert ops.load_ladder(ops.user, ctypes.byref(ladder)) == 0
            wrapped = [(ctypes.c_uint8 * 32)(*aes_encrypt(k1, w.ljust(16, b"\0"))) for w in cws]
            cw = ControlWords(struct_size=ctypes.sizeof(ControlWords), session=1, flags=1, crypto_period=0, ecm_pid=0x140,
                              algo=algorithm, scrambling_mode=mode, parity_mask=3, key_len=16, even=wrapped[0],
                              odd=wrapped[1], es_pids=pids, es_pid_count=1)
            assert ops.set_cw(ops.user, ctypes.byref(cw)) == 0
            for parity in (0, 1):
                for length in range(1, 185):
                    clear = octets(length)
                    sent = cipher.scramble(cws[parity], clear) if length >= cipher.shortest else clear
                    buffer = ctypes.create_string_buffer(packet(sent, parity), 188)
                    result, count = ctypes.c_uint8(), ctypes.c_size_t(1)
                    assert library.stbcam_soft_descrambler_packets(
                        soft, 0, buffer, ctypes.c_size_t(188), ctypes.byref(result), ctypes.byref(count)) == 0
                    cases += 1
                    refused += result.value != DESCRAMBLED
                    wrong += buffer.raw[188 - length :] != clear or buffer.raw[3] >> 6 != 0
            library.stbcam_soft_descrambler_free(soft)
    print(f"{cases} packets: {wrong} differ from libdvbcsa and OpenSSL, {refused} not descrambled")
    sys.exit(bool(wrong or refused))


if __name__ == "__main__":
    main()
