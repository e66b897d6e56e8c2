/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of a GemPC Twin and nothing else: nothing is checked, repeated or waited for, so this is what card, emulated
 * reader and pseudo terminal take. The reader is named by T, a colon and the path of its port. */
#include "exchange.h"
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { HEADER = 12, POWER_ON = 0x62, SET_PARAMETERS = 0x61, XFR_BLOCK = 0x6F };

static int port, t1;
static uint8_t sequence, ns, answer[600];

/* Sends one message; where its answer is, behind the echo: how many octets of data it has. */
static unsigned message(uint8_t type, const uint8_t parameters[3], const uint8_t *data, uint8_t length)
{
    uint8_t frame[HEADER + 255 + 1] = {3, 6, type, length, 0, 0, 0, 0, sequence++};
    unsigned sent = HEADER + length + 1, got = 0;
    memcpy(frame + 9, parameters, 3);
    memcpy(frame + HEADER, data, length);
    for (unsigned at = 0; at + 1 < sent; at++)
        frame[sent - 1] ^= frame[at];
    need("write", write(port, frame, sent) == (ssize_t)sent);
    do {
        ssize_t more = read(port, answer + got, sizeof answer - got);
        need("read", more > 0);
        got += more;
    } while (got < sent + HEADER + 1 || got < sent + HEADER + 1 + answer[sent + 3]);
    memmove(answer, answer + sent, got - sent);
    return answer[3];
}

void activate(const char *reader)
{
    /* TA1 11, no extra guard time, BWI 1, CWI 5, IFSC 254. */
    static const uint8_t first[] = {0x11, 0x10, 0, 0x15, 0, 254, 0};
    struct termios settings;
    t1 = reader[0] == '1';
    port = open(reader + 2, O_RDWR | O_NOCTTY);
    need("a port", port >= 0 && tcgetattr(port, &settings) == 0);
    cfmakeraw(&settings);
    need("a raw port", tcsetattr(port, TCSANOW, &settings) == 0);
    need("an answer to reset", message(POWER_ON, (uint8_t[]){1, 0, 0}, NULL, 0) > 2);
    if (t1)
        message(SET_PARAMETERS, (uint8_t[]){1, 0, 0}, first, sizeof first);
}

unsigned exchange(const uint8_t *command, unsigned length)
{
    static const uint8_t none[3];
    if (!t1) {
        message(XFR_BLOCK, none, command, length - 1);
        return message(XFR_BLOCK, none, (uint8_t[]){command[0], 0xC0, 0, 0, answer[HEADER + 1]}, 5);
    }
    uint8_t block[3 + 254 + 1] = {0, ns, length};
    memcpy(block + 3, command, length);
    for (unsigned at = 0; at < 3 + length; at++)
        block[3 + length] ^= block[at];
    ns ^= 0x40;
    unsigned got = message(XFR_BLOCK, none, block, length + 4);
    return got > 4 ? got - 4 : 0;
}
