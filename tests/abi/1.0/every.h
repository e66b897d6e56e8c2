/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a program of version 1.0 share: checks, and structures with a guard behind them. */
#ifndef EVERY_H
#define EVERY_H

#include "stbcam.h"

#include <stdio.h>
#include <string.h>

extern int failures;

#define CHECK(what, expected)                                                                                     \
    do {                                                                                                          \
        long long got_ = (long long)(what), expected_ = (long long)(expected);                                    \
        if (got_ != expected_) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: got %lld, expected %lld (%s)\n", __FILE__, __LINE__, #what, got_, expected_, \
                    last_text());                                                                                 \
            failures++;                                                                                           \
        }                                                                                                         \
    } while (0)

#define CHECK_TRUE(what) CHECK(!!(what), 1)

/* A structure as this version has it, and behind it octets that are the program's own. */
enum { GUARD = 64, OWN = 0xA5 };
#define ROOM(type, name)                                         \
    struct {                                                     \
        type it;                                                 \
        uint8_t behind[GUARD];                                   \
    } name;                                                      \
    memset(&name, OWN, sizeof name);                             \
    *(size_t *)&name.it = sizeof(type)
#define INTACT(name) CHECK(own(name.behind, sizeof name.behind), sizeof name.behind)

/* How many of them are as the program left them. */
size_t own(const uint8_t *octets, size_t len);

const char *last_text(void);

/* What the factory wrote into the box. */
typedef struct factory {
    uint8_t stb_id[8], box_key[16], ladder_key[16];
} factory_t;

void line(void);                                                            /* line.c: a reader with characters */
void card(const char *vcard, const char *folder, const factory_t *factory); /* card.c: a card, a stream, money */

/* ---- box.c: what stands around the library --------------------------------------------------------- */

enum { SOURCE = 2, EVENT_TYPES = 64 };

typedef struct row {
    char key[65];
    uint8_t octets[4096];
    size_t len;
} row_t;

typedef struct box {
    stbcam_t *cam;
    stbcam_soft_descrambler_t *soft;
    stbcam_descrambler_ops_t chip; /* of soft; the box's own table stands in front of it */
    stbcam_reader_ops_t reader_ops;
    stbcam_storage_ops_t storage_ops;
    stbcam_descrambler_ops_t descrambler_ops;
    /* reader and storage */
    int card;
    int power_offs;
    row_t rows[24];
    size_t row_count;
    /* counted by callbacks */
    unsigned ladders, cws[3], clears, logged; /* cws: News by CISSA, Cinema by CSA, others */
    /* the broadcast */
    uint8_t *broadcast;
    size_t broadcast_len, at;
    stbcam_filter_t filters[64];
    size_t filter_count;
    stbcam_session_t news, cinema;
    unsigned packets[4], start_codes;
    /* the last event of each type, and how many there were */
    stbcam_event_t last[EVENT_TYPES];
    unsigned seen[EVENT_TYPES];
    uint64_t seq;
} box_t;

void box_new(box_t *box, const char *folder, const factory_t *factory);
void box_configure(box_t *box, stbcam_config_t *config, const factory_t *factory);
void box_free(box_t *box);
void take_events(box_t *box);
int play(box_t *box, int (*until)(box_t *box)); /* 0 at the end of the broadcast */

/* A child with the card, which comes to HOST:PORT. */
int listen_anywhere(char where[32]);
long serve(const char *vcard, const char *folder, const char *where);
void end(long child);

#endif
