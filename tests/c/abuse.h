/* What the two halves of the abuse test share. */
#ifndef ABUSE_H
#define ABUSE_H

#include "stbcam.h"

#include <stdio.h>
#include <string.h>

extern int failures;

#define CHECK(what, expected)                                                                          \
    do {                                                                                               \
        long got_ = (long)(what), expected_ = (long)(expected);                                        \
        if (got_ != expected_) {                                                                       \
            fprintf(stderr, "%s:%d: %s: got %ld (%s), expected %ld\n", __FILE__, __LINE__, #what,      \
                    got_, stbcam_strerror((stbcam_result_t)got_), expected_);                          \
            failures++;                                                                                \
        }                                                                                              \
    } while (0)

#define CHECK_TRUE(what) CHECK(!!(what), 1)

const char *port(void); /* a serial port with nothing behind it */
const char *last_text(void);
void good_config(stbcam_config_t *config);

void sessions(void); /* sessions.c */

#endif
