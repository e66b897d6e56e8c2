/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the abuse test share. */
#ifndef ABUSE_H
#define ABUSE_H

#include "stbcam.h"

#include <stdio.h>
#include <string.h>

extern int failures;

#define CHECK(what, expected)                                                                          \
    do {                                                                                               \
        long long got_ = (long long)(what), expected_ = (long long)(expected);                         \
        if (got_ != expected_) {                                                                       \
            fprintf(stderr, "%s:%d: %s: got %lld (%s), expected %lld\n", __FILE__, __LINE__, #what,    \
                    got_, stbcam_strerror((stbcam_result_t)got_), expected_);                          \
            failures++;                                                                                \
        }                                                                                              \
    } while (0)

#define CHECK_TRUE(what) CHECK(!!(what), 1)

const char *port(void); /* a serial port with nothing behind it */
const char *last_text(void);
void good_config(stbcam_config_t *config);

void sessions(void); /* sessions.c */
/* Makes the last four octets of a section its CRC again. */
void seal(uint8_t *section, size_t len);
/* The PMT of programme 1: our CA_descriptor (ECM PID 0x0140, operator 0x1201, suite 2), one video stream. */
size_t pmt(uint8_t *section);

void demux(void); /* demux.c */

#endif
