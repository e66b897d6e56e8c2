/* SPDX-License-Identifier: Apache-2.0 */
/* What the player's parts share: player.c plays, remote.c obeys and tells, report.c brings reports. */
#ifndef BOX_H
#define BOX_H

#include "stbcam.h"
#include "ts.h"

enum { MAX_SERVICES = 32, MAX_STREAMS = 16, MAX_FILTERS = 256, MAX_REQUESTS = 64 };

typedef struct service {
    uint16_t sid, pmt_pid;
    uint8_t pmt[1024];
    size_t pmt_len;
    uint16_t es[MAX_STREAMS];
    int es_count;
    int watched;
    uint64_t watched_us; /* when the subscriber asked for it */
    stbcam_session_t session;
    int has_keys, in_clear, ever_clear, ever_scrambled;
    unsigned long clear_from, clear_to; /* packets */
} service_t;

/* A wish of the subscriber to buy: its name, and what the library calls it. */
typedef struct request {
    char name[33];
    uint64_t offer;
    stbcam_txn_t txn;
} request_t;

typedef struct box {
    stbcam_t *cam;
    stbcam_soft_descrambler_t *descrambler;
    service_t services[MAX_SERVICES];
    int service_count;
    stbcam_filter_t filters[MAX_FILTERS];
    size_t filter_count;
    request_t requests[MAX_REQUESTS];
    int request_count;
    uint16_t epochs[16]; /* of the service keys */
    stbcam_event_t report; /* the last STBCAM_EV_REPORT; type 0: none since a command asked */
    ts_file_t ts;
    ts_clock_t clock;
    ts_demux_t demux;
    FILE *out;
    int paced, got_section;
    double at;            /* second of the stream */
    unsigned long packet; /* the one being played */
    uint64_t began_us;    /* when second 0 was played */
} box_t;

/* player.c */
uint64_t monotonic_us(void);
service_t *find_service(box_t *box, unsigned sid);
void tune(box_t *box, service_t *service);
void take_events(box_t *box);
int play(box_t *box, double until);
int hex_octets(const char *hex, uint8_t *octets, size_t len);

/* report.c */
stbcam_result_t fetch_report(box_t *box, const char *name, const char *nonce_hex, int *pages);
stbcam_result_t take_ack(box_t *box, const char *name);

/* remote.c */
int obey(box_t *box);
void print_event(box_t *box, const stbcam_event_t *event);
void print_window(const box_t *box, const service_t *service);

#endif
