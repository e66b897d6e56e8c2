#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes descramble.txt: payloads scrambled by Debian's libdvbcsa and by Python's cryptography.

    apt-get install libdvbcsa1 && pip install cryptography
    python3 make-descramble.py > descramble.txt
"""
import ctypes
import random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES

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


def dvs042(cipher, clear):
    """CBC from a zero IV; the residue XOR the encryption of the last scrambled block, or of the IV."""
    size = cipher.block_size // 8
    whole = len(clear) // size * size
    blocks = Cipher(cipher, modes.CBC(bytes(size))).encryptor().update(clear[:whole])
    mask = Cipher(cipher, modes.ECB()).encryptor().update((bytes(size) + blocks)[-size:])
    return blocks + bytes(a ^ b for a, b in zip(clear[whole:], mask))


def idsa(control_word, clear):
    return dvs042(algorithms.AES(control_word), clear)


def scte52(control_word, clear):
    return dvs042(TripleDES(control_word * 3), clear)


print("# algorithm, control word, scrambled payload, clear payload; made by make-descramble.py")
for name, scramble, size in ("csa2", csa2, 8), ("cissa", cissa, 16), ("idsa", idsa, 16), ("scte52", scte52, 8):
    for length in LENGTHS:
        control_word, clear = RANDOM.randbytes(size), RANDOM.randbytes(length)
        scrambled = scramble(control_word, clear)
        print(name, control_word.hex(), scrambled.hex() or "-", clear.hex() or "-")
