# SPDX-License-Identifier: Apache-2.0
"""Suites, ECMs, ciphers and purse MACs as the checkers compute them: with OpenSSL (through PyPI's
cryptography) and Debian's libdvbcsa, from docs/spec/ alone. Shares no code with the project."""

import ctypes

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES

SUB, PPV = 0x01, 0x02  # elements of an ECM

CISSA_IV = b"DVBTMCPTAESCISSA"


def cmac(key, data):
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def kdf(key, constant, context, bits):
    """SP 800-108 in counter mode, in SCP03's layout."""
    out, counter = b"", 1
    while len(out) * 8 < bits:
        head = bytes(11) + bytes([constant, 0]) + bits.to_bytes(2, "big") + bytes([counter])
        out += cmac(key, head + context)
        counter += 1
    return out[: bits // 8]


class Ecm:
    """A suite-2 or suite-3 ECM, opened."""

    def __init__(self, section, service_keys):
        self.table_id = section[0]
        self.suite = section[3] & 0x0F
        self.operator = section[4:6]
        self.slot, self.flags = section[6] >> 4, section[6] & 0x0F
        self.epoch = int.from_bytes(section[7:9], "big")
        self.cp_number = int.from_bytes(section[9:13], "big")
        key = service_keys[(self.slot, self.epoch)]
        context = bytes([0x15]) + self.operator + bytes([self.slot]) + section[7:9]
        siv = kdf(key, 0x41, context, {2: 256, 3: 512}[self.suite])
        aad = bytes([section[0], 0x70 | section[1] & 0x0F]) + section[2:13]
        plain = AESSIV(siv).decrypt(section[13:], [aad])
        self.channel = int.from_bytes(plain[:2], "big")
        self.time = int.from_bytes(plain[2:6], "big")
        width = 16 if self.flags & 1 else 8
        self.cw = (plain[12 : 12 + width], plain[12 + width : 12 + 2 * width])
        self.criteria = list(_tlvs(plain[12 + 2 * width :]))

    def cws(self):
        """{crypto period: control word}: the current and the next one."""
        return {n: self.cw[n & 1] for n in (self.cp_number, self.cp_number + 1)}


def _tlvs(data):
    while data:
        yield data[0] & 0x7F, data[2 : 2 + data[1]]
        data = data[2 + data[1] :]


class Csa2:
    """Debian's libdvbcsa."""

    name, shortest = "DVB-CSA2", 8

    def __init__(self):
        library = ctypes.CDLL("libdvbcsa.so.1")
        library.dvbcsa_key_alloc.restype = ctypes.c_void_p
        for name in ("dvbcsa_key_set", "dvbcsa_encrypt", "dvbcsa_decrypt"):
            getattr(library, name).restype = None
        library.dvbcsa_key_set.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        library.dvbcsa_encrypt.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
        library.dvbcsa_decrypt.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
        self._library, self._key, self._current = library, library.dvbcsa_key_alloc(), None

    def _run(self, function, cw, payload):
        if cw != self._current:
            self._library.dvbcsa_key_set(cw, self._key)
            self._current = cw
        buffer = ctypes.create_string_buffer(bytes(payload), len(payload))
        function(self._key, buffer, len(payload))
        return buffer.raw

    def scramble(self, cw, payload):
        return self._run(self._library.dvbcsa_encrypt, cw, payload)

    def descramble(self, cw, payload):
        return self._run(self._library.dvbcsa_decrypt, cw, payload)


class Cissa:
    """AES-128-CBC by OpenSSL, whole blocks, the residue in clear (ETSI TS 103 127)."""

    name, shortest = "DVB-CISSA", 16

    @staticmethod
    def _run(direction, cw, payload):
        whole = len(payload) // 16 * 16
        context = getattr(Cipher(AES(cw), modes.CBC(CISSA_IV)), direction)()
        return context.update(bytes(payload[:whole])) + bytes(payload[whole:])

    def scramble(self, cw, payload):
        return self._run("encryptor", cw, payload)

    def descramble(self, cw, payload):
        return self._run("decryptor", cw, payload)


class Dvs042:
    """CBC by OpenSSL over the whole blocks; the residue XOR the encryption of the last scrambled block, or of the IV of
    short payloads where there is none (ANSI/SCTE 52)."""

    shortest = 1

    def __init__(self, iv, short_iv):
        self._iv, self._short = iv, short_iv

    def _run(self, direction, cw, payload):
        cipher, size, payload = self.cipher(cw), len(self._iv), bytes(payload)
        whole = len(payload) // size * size
        blocks = getattr(Cipher(cipher, modes.CBC(self._iv)), direction)().update(payload[:whole])
        on_air = blocks if direction == "encryptor" else payload[:whole]
        mask = Cipher(cipher, modes.ECB()).encryptor().update(on_air[-size:] or self._short)
        return blocks + bytes(a ^ b for a, b in zip(payload[whole:], mask))

    def scramble(self, cw, payload):
        return self._run("encryptor", cw, payload)

    def descramble(self, cw, payload):
        return self._run("decryptor", cw, payload)


class Scte52(Dvs042):
    """DES, with the network's IVs."""

    name = "SCTE-52"

    def __init__(self, iv=bytes(8), short_iv=None):
        super().__init__(iv, short_iv or iv)

    @staticmethod
    def cipher(cw):
        return TripleDES(cw * 3)


class Idsa(Dvs042):
    """AES-128, with IVs of zeros (ATIS-0800006)."""

    name = "ATIS-IDSA"

    def __init__(self):
        super().__init__(bytes(16), bytes(16))

    @staticmethod
    def cipher(cw):
        return AES(cw)


class Report:
    """A card's report of suite 2, opened (docs/spec/report.md)."""

    LEN = 45

    def __init__(self, page, nonce, k_rcp):
        self.header, self.context = page[:13], b"\x17" + page[1:3] + b"\x00" + page[11:13]
        plain = AESSIV(kdf(k_rcp, 0x62, self.context, 256)).decrypt(page[13:], [self.header + nonce])
        self.balance = int.from_bytes(plain[:4], "big")
        self.before, self.after, count = plain[12:20], plain[20:28], plain[28]
        rest = plain[29:]
        self.records = [rest[n : n + self.LEN] for n in range(0, len(rest), self.LEN)]
        assert len(self.records) == count and len(rest) == count * self.LEN, "octets are left over"

    def chain(self, card_id, k_rcp):
        """Where the records lead from `before`."""
        key, receipt = kdf(k_rcp, 0x64, self.context, 128), self.before
        for r in self.records:
            record, sequence, balance, event, tier = r[:23], r[23:27], r[27:31], r[31:35], r[35:36]
            receipt = cmac(key, card_id + self.header[1:3] + record + sequence + event + tier + balance + receipt)[:8]
        return receipt


def acknowledged(ack, k_rcp):
    """The receipt in an acknowledgement of suite 2."""
    context = b"\x17" + ack[1:3] + b"\x00" + ack[11:13]
    return AESSIV(kdf(k_rcp, 0x63, context, 256)).decrypt(ack[13:], [ack[:13]])


def des_mac(key8, data):
    """PBOC MAC: DES-CBC over padded data, IV zero, the left four octets of the last block."""
    padded = data + b"\x80"
    padded += bytes(-len(padded) % 8)
    encryptor = Cipher(TripleDES(key8 * 3), modes.CBC(bytes(8))).encryptor()
    return encryptor.update(padded)[-8:-4]


def purchase_tac(dtk, amount, kind, terminal, terminal_sequence, date, time):
    """TAC of a purchase (PBOC): DES MAC under DTK's halves XORed."""
    key = bytes(a ^ b for a, b in zip(dtk[:8], dtk[8:]))
    return des_mac(
        key,
        amount.to_bytes(4, "big") + bytes([kind]) + terminal + terminal_sequence.to_bytes(4, "big") + date + time,
    )
