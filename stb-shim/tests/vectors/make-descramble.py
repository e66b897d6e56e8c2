#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes descramble.txt: payloads scrambled by Debian's libdvbcsa and by Python's cryptography.

    apt-get install libdvbcsa1 && pip install cryptography
    python3 make-descramble.py > descramble.txt
"""
import ctypes
import random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LENGTHS = [0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 100, 127, 128, 176, 180, 182, 183, 184]
RANDOM = random.Random(289)
CSA = ctypes.CDLL("libdvbcsa.so.1")
CSA.dvbcsa_key_alloc.restype = ctypes.c_void_p
CSA.dvbcsa_key_set.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
CSA.dvbcsa_encrypt.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]


def csa2(control_word, clear):
    key = CSA.dvbcsa_key_alloc()
    CSA.dvbcsa_key_set(control_word, key)
    payload = ctypes.create_string_buffer(clear, len(clear) + 1)
    CSA.dvbcsa_encrypt(key, payload, len(clear))
    return payload.raw[: len(clear)]


def cissa(control_word, clear):
    whole = len(clear) // 16 * 16
    encryptor = Cipher(algorithms.AES(control_word), modes.CBC(b"DVBTMCPTAESCISSA")).encryptor()
    return encryptor.update(clear[:whole]) + encryptor.finalize() + clear[whole:]


print("# algorithm, control word, scrambled payload, clear payload; made by make-descramble.py")
for name, scramble, size in ("csa2", csa2, 8), ("cissa", cissa, 16):
    for length in LENGTHS:
        control_word, clear = RANDOM.randbytes(size), RANDOM.randbytes(length)
        scrambled = scramble(control_word, clear)
        print(name, control_word.hex(), scrambled.hex() or "-", clear.hex() or "-")
