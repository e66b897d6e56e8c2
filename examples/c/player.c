/* SPDX-License-Identifier: Apache-2.0 */
/* A set-top box in a file: plays the part of demultiplexer, descrambler and remote control around
 * libstbcam. Everything that it knows of conditional access is in stbcam.h.
 *
 * The path to follow when reading:  main -> open_box -> play -> on_section -> print_event.
 */
#define _FILE_OFFSET_BITS 64 /* as ts_file.c: what it writes is as long as what it reads */
#define _POSIX_C_SOURCE 200809L
#include "box.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: player --reader URL --box FILE --state DIR [options] STREAM\n"
    "  --reader URL        the card reader, such as serial:/dev/ttyS1?reset=rts (docs/spec/abi.md)\n"
    "  --box FILE          what the factory wrote into the box: lines 'stb_id HEX', 'box_key HEX', 'ladder_key HEX'\n"
    "  --state DIR         where the library keeps pairing and purchases; a factory puts the box's half of a pairing\n"
    "                      there (headend keys pair: box-pair.section) as pairing.0\n"
    "  -o FILE             write the stream here, in clear where the keys were there\n"
    "  --paced             play in the stream's own time (default)\n"
    "  --unpaced           play as fast as the card answers\n"
    "  --watch SID         play this service; may be repeated\n"
    "  --remote            take commands on stdin, one a line:\n"
    "                      play SECONDS, watch SID, stop SID, access SID, offer SID, request (a new id),\n"
    "                      buy SID FEN REQUEST [PIN], confirm REQUEST [PIN], pin PIN, wallet, receipts,\n"
    "                      report FILE NONCE (pages FILE.1, FILE.2 … for the head-end), ack FILE (its answer), stats, diag, flush, quit\n"
    "  --scte52-iv HEX     the network's initialisation vector of SCTE 52, 16 digits; 32 with the one of short payloads\n"
    "  --log FILE          the library's log, at level trace\n"
    "Events and answers are lines of JSON on stdout.\n";

uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int fail(const char *what)
{
    stbcam_error_t error = {.struct_size = sizeof error};
    stbcam_last_error(&error);
    fprintf(stderr, "player: %s: %s\n", what, error.text);
    return -1;
}

/* ---- demultiplexer: which sections go where -------------------------------------------------- */

service_t *find_service(box_t *box, unsigned sid)
{
    for (int i = 0; i < box->service_count; i++)
        if (box->services[i].sid == sid)
            return &box->services[i];
    if (box->service_count == MAX_SERVICES)
        return NULL;
    service_t *service = &box->services[box->service_count++];
    memset(service, 0, sizeof *service);
    service->sid = (uint16_t)sid;
    return service;
}

/* The library says which sections it wants now. Real hardware gets a filter for each; here the PIDs are marked and
 * on_section compares. */
static void set_filters(box_t *box)
{
    size_t count = MAX_FILTERS;
    stbcam_filters(box->cam, box->filters, sizeof box->filters[0], &count);
    box->filter_count = count < MAX_FILTERS ? count : MAX_FILTERS;
    memset(box->demux.wanted, 0, sizeof box->demux.wanted);
    box->demux.wanted[0] = box->demux.wanted[1] = 1; /* PAT and CAT */
    for (int i = 0; i < box->service_count; i++)
        box->demux.wanted[box->services[i].pmt_pid] = 1;
    for (size_t i = 0; i < box->filter_count; i++)
        box->demux.wanted[box->filters[i].pid] = 1;
}

/* match[0] is compared with the table_id, match[1] and so on with the section from octet 3 on. */
static int passes(const stbcam_filter_t *filter, const uint8_t *section, size_t len)
{
    for (size_t i = 0; i < filter->depth; i++) {
        size_t at = i == 0 ? 0 : i + 2;
        if (at >= len || ((section[at] ^ filter->match[i]) & filter->mask[i]))
            return 0;
    }
    return 1;
}

static void on_pat(box_t *box, const uint8_t *section, size_t len)
{
    for (size_t at = 8; at + 4 <= len - 4; at += 4) {
        unsigned sid = (unsigned)section[at] << 8 | section[at + 1];
        service_t *service = sid ? find_service(box, sid) : NULL; /* 0 is the network information table */
        if (service)
            service->pmt_pid = ts_pid(section + at + 1);
    }
    set_filters(box);
}

/* Opens the session of a service that is watched, or tells it that its PMT has changed. */
void tune(box_t *box, service_t *service)
{
    if (!service->watched || !service->pmt_len)
        return;
    stbcam_result_t result =
        service->session ? stbcam_session_update_pmt(box->cam, service->session, service->pmt, service->pmt_len)
                         : stbcam_session_open_pmt(box->cam, 0, service->pmt, service->pmt_len, &service->session);
    if (result != STBCAM_OK)
        fail("PMT");
}

static void on_pmt(box_t *box, service_t *service, const uint8_t *section, size_t len)
{
    if (len > sizeof service->pmt || (len == service->pmt_len && memcmp(service->pmt, section, len) == 0))
        return;
    memcpy(service->pmt, section, len);
    service->pmt_len = len;
    /* The elementary streams, to report what is in clear. */
    service->es_count = 0;
    size_t at = 12 + ((size_t)(section[10] & 0x0F) << 8 | section[11]);
    for (; at + 5 <= len - 4 && service->es_count < MAX_STREAMS; at += 5 + ((size_t)(section[at + 3] & 0x0F) << 8 | section[at + 4]))
        service->es[service->es_count++] = ts_pid(section + at);
    tune(box, service);
}

/* PMTs of this PID: one of tomorrow is no change of the PMT yet. */
static void on_pmt_section(box_t *box, uint16_t pid, const uint8_t *section, size_t len)
{
    for (int i = 0; i < box->service_count; i++) {
        service_t *service = &box->services[i];
        if (service->pmt_pid == pid && len >= 16 && ts_table_current(section, len) && service->sid == (section[3] << 8 | section[4]))
            on_pmt(box, service, section, len);
    }
}

static void on_section(void *user, uint16_t pid, const uint8_t *section, size_t len)
{
    box_t *box = user;
    box->got_section = 1;
    if (pid == 0 && section[0] == 0x00) {
        if (ts_table_current(section, len))
            on_pat(box, section, len);
    } else if (pid == 1 && section[0] == 0x01) {
        if (stbcam_cat(box->cam, 0, section, len) != STBCAM_OK)
            fail("CAT");
    } else if (section[0] == 0x02) {
        on_pmt_section(box, pid, section, len);
    }
    for (size_t i = 0; i < box->filter_count; i++) {
        if (box->filters[i].pid == pid && passes(&box->filters[i], section, len)) {
            stbcam_section(box->cam, 0, pid, section, len); /* refusals are counted: see 'stats' */
            break;
        }
    }
}

/* ---- playing ----------------------------------------------------------------------------------- */

/* Notes where a service comes into clear and where it leaves. Packets that were never scrambled say nothing. */
static void watch_picture(box_t *box, uint16_t pid, uint8_t result)
{
    if (result != STBCAM_PACKET_DESCRAMBLED && result != STBCAM_PACKET_NO_KEY)
        return;
    for (int i = 0; i < box->service_count; i++) {
        service_t *service = &box->services[i];
        for (int s = 0; service->watched && s < service->es_count; s++) {
            if (service->es[s] != pid)
                continue;
            int in_clear = result == STBCAM_PACKET_DESCRAMBLED;
            if (in_clear && !service->in_clear)
                service->clear_from = box->packet;
            else if (!in_clear && service->in_clear)
                print_window(box, service);
            service->in_clear = in_clear;
            service->ever_scrambled = 1;
            if (in_clear)
                service->clear_to = box->packet;
            service->ever_clear |= in_clear;
        }
    }
}

void take_events(box_t *box)
{
    stbcam_event_t event = {.struct_size = sizeof event};
    while (stbcam_next_event(box->cam, &event, 0) == STBCAM_OK) {
        if (event.type == STBCAM_EV_FILTERS)
            set_filters(box);
        print_event(box, &event);
        if (event.type == STBCAM_EV_OVERFLOW && event.code == 2)
            stbcam_resync(box->cam); /* everything comes again, as it stands */
    }
}

/* Waits for a moment of the monotonic clock, and takes events meanwhile. */
static void wait_until(box_t *box, uint64_t due)
{
    struct pollfd news = {.fd = stbcam_event_fd(box->cam), .events = POLLIN};
    for (uint64_t now = monotonic_us(); now + 1000 <= due; now = monotonic_us()) {
        poll(&news, 1, (int)((due - now) / 1000));
        take_events(box);
    }
}

/* Plays until this second of the stream: 1, 0 at its end, -1 when it is damaged. */
int play(box_t *box, double until)
{
    uint8_t packet[TS_PACKET];
    int more = 1;
    if (monotonic_us() > box->began_us + (uint64_t)(box->at * 1e6) + 500000)
        box->began_us = monotonic_us() - (uint64_t)(box->at * 1e6); /* a file can wait, and has */
    while ((box->at = ts_clock_at(&box->clock, box->ts.next)) < until) {
        if (box->paced)
            wait_until(box, box->began_us + (uint64_t)(box->at * 1e6));
        if ((more = ts_read(&box->ts, packet)) != 1)
            break;
        box->packet = box->ts.next - 1;
        ts_clock_feed(&box->clock, packet, box->packet);

        box->got_section = 0;
        ts_demux(&box->demux, packet, on_section, box);
        /* A box on air never does this: a file that is not paced would run away from the card. */
        if (!box->paced && box->got_section)
            stbcam_flush(box->cam, 10000);
        take_events(box);

        uint8_t result = STBCAM_PACKET_MALFORMED;
        size_t one = 1;
        stbcam_soft_descrambler_packets(box->descrambler, 0, packet, sizeof packet, &result, &one);
        watch_picture(box, ts_pid(packet), result);
        if (box->out && fwrite(packet, sizeof packet, 1, box->out) != 1) {
            fprintf(stderr, "player: packet %lu cannot be written: %s\n", box->packet, strerror(errno));
            return -1;
        }
    }
    return more;
}

/* ---- the box ----------------------------------------------------------------------------------- */

int hex_octets(const char *hex, uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned octet;
        if (strspn(hex + 2 * i, "0123456789abcdefABCDEF") < 2 || sscanf(hex + 2 * i, "%2x", &octet) != 1)
            return -1;
        octets[i] = (uint8_t)octet;
    }
    return hex[2 * len] == '\0' ? 0 : -1;
}

/* Reads what the factory wrote into the box. */
static int read_box_file(const char *name, stbcam_config_t *config, uint8_t ladder_key[16])
{
    struct {
        const char *name;
        uint8_t *octets;
        size_t len;
        int seen;
    } fields[] = {{"stb_id", config->stb_id, 8, 0}, {"box_key", config->box_key, 16, 0}, {"ladder_key", ladder_key, 16, 0}};
    char line[256], field[32], value[128];
    FILE *file = fopen(name, "r");
    if (!file) {
        fprintf(stderr, "player: %s: %s\n", name, strerror(errno));
        return -1;
    }
    int wrong = 0;
    for (int number = 1; !wrong && fgets(line, sizeof line, file); number++) {
        int tokens = sscanf(line, "%31s %127s", field, value), i = 0;
        if (tokens < 1 || field[0] == '#')
            continue;
        while (i < 3 && strcmp(field, fields[i].name) != 0)
            i++;
        if (i == 3) {
            fprintf(stderr, "player: %s: line %d: '%s' is not a field\n", name, number, field);
            wrong = 1;
        } else if (tokens < 2 || hex_octets(value, fields[i].octets, fields[i].len) != 0) {
            fprintf(stderr, "player: %s: line %d: %s is not %u hexadecimal digits\n", name, number, field,
                    (unsigned)fields[i].len * 2);
            wrong = 1;
        } else {
            fields[i].seen = 1;
        }
    }
    fclose(file);
    memset(line, 0, sizeof line);
    memset(value, 0, sizeof value);
    for (int i = 0; !wrong && i < 3; i++) {
        if (!fields[i].seen) {
            fprintf(stderr, "player: %s: %s is missing\n", name, fields[i].name);
            wrong = 1;
        }
    }
    return wrong ? -1 : 0;
}

static void on_log(void *user, int32_t level, const char *origin, const char *text)
{
    static const char *const levels[] = {"", "error", "warn", "info", "debug", "trace"};
    fprintf(user, "%10.6f %-5s %s: %s\n", (double)monotonic_us() / 1e6, levels[level], origin, text);
}

/* The network's own, which no table carries. */
static int set_ivs(box_t *box, const char *hex)
{
    uint8_t iv[16];
    size_t digits = strlen(hex);

    if ((digits != 16 && digits != 32) || hex_octets(hex, iv, digits / 2) != 0) {
        fprintf(stderr, "player: --scte52-iv %s: expected 16 or 32 hexadecimal digits\n", hex);
        return -1;
    }
    if (stbcam_soft_descrambler_scte52_iv(box->descrambler, iv, digits == 32 ? iv + 8 : NULL) != STBCAM_OK)
        return fail("--scte52-iv");
    return 0;
}

static int open_box(box_t *box, const char *reader, const char *box_file, const char *state, const char *ivs, FILE *log)
{
    stbcam_config_t config;
    uint8_t ladder_key[16];
    stbcam_descrambler_ops_t descrambler = {.struct_size = sizeof descrambler};

    stbcam_config_init(&config, sizeof config);
    if (read_box_file(box_file, &config, ladder_key) != 0)
        return -1;
    /* A box with a descrambler in hardware fills the table with functions of its own. */
    if (stbcam_soft_descrambler_new(ladder_key, &box->descrambler) != STBCAM_OK ||
        stbcam_soft_descrambler_ops(box->descrambler, &descrambler) != STBCAM_OK)
        return fail("descrambler");
    if (ivs && set_ivs(box, ivs) != 0)
        return -1;
    config.reader = reader;
    config.state_dir = state;
    config.descrambler = &descrambler;
    if (log) {
        config.log = on_log;
        config.log_user = log;
        config.log_level = STBCAM_LOG_TRACE;
    }
    stbcam_result_t result = stbcam_open(&config, &box->cam);
    memset(ladder_key, 0, sizeof ladder_key);
    memset(config.box_key, 0, sizeof config.box_key);
    return result == STBCAM_OK ? 0 : fail("stbcam_open");
}

/* Without a remote control: plays all of the stream. Fails when a service never came into clear. */
static int play_all(box_t *box)
{
    int status = play(box, 1e12) == 0 ? 0 : 1;
    for (int i = 0; i < box->service_count; i++) {
        const service_t *service = &box->services[i];
        if (!service->watched || service->ever_clear || (service->session && !service->ever_scrambled))
            continue;
        stbcam_card_t card = {.struct_size = sizeof card};
        stbcam_access_t access = {.struct_size = sizeof access};
        stbcam_card(box->cam, &card);
        const char *why = stbcam_reason_text(card.reason, NULL);
        if (!service->session)
            why = box->demux.damaged[service->pmt_pid] ? "its PMT is damaged" : "it is not in the stream";
        else if (stbcam_access(box->cam, service->session, &access) == STBCAM_OK)
            why = stbcam_reason_text(access.reason, NULL);
        fprintf(stderr, "player: service %u never came into clear: %s (card: %s)\n", (unsigned)service->sid, why,
                stbcam_reason_text(card.reason, NULL));
        status = 1;
    }
    return status;
}

int main(int argc, char **argv)
{
    static box_t box = {.paced = 1, .clock = {.pid = -1}};
    const char *reader = NULL, *box_file = NULL, *state = NULL, *out = NULL, *log_name = NULL, *ivs = NULL, *stream = NULL;
    int remote = 0, status = 1;
    FILE *log = NULL;

    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        const char **text = strcmp(option, "--reader") == 0      ? &reader
                            : strcmp(option, "--box") == 0       ? &box_file
                            : strcmp(option, "--state") == 0     ? &state
                            : strcmp(option, "-o") == 0          ? &out
                            : strcmp(option, "--scte52-iv") == 0 ? &ivs
                            : strcmp(option, "--log") == 0       ? &log_name
                                                                 : NULL;
        if (text && value) {
            *text = value;
            i++;
        } else if (strcmp(option, "--watch") == 0 && value) {
            service_t *service = find_service(&box, (unsigned)strtoul(value, NULL, 0));
            if (service)
                service->watched = 1;
            i++;
        } else if (strcmp(option, "--paced") == 0) {
            box.paced = 1;
        } else if (strcmp(option, "--unpaced") == 0) {
            box.paced = 0;
        } else if (strcmp(option, "--remote") == 0) {
            remote = 1;
        } else if (strcmp(option, "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        } else if (option[0] != '-' && !stream) {
            stream = option;
        } else {
            fprintf(stderr, "player: '%s' is not known or needs a value\n%s", option, usage);
            return 2;
        }
    }
    if (!reader || !box_file || !state || !stream) {
        fprintf(stderr, "player: --reader, --box, --state and a stream are needed\n%s", usage);
        return 2;
    }
    if (ts_open(&box.ts, stream) != 0)
        return 1;
    if ((log_name && !(log = fopen(log_name, "w"))) || (out && !(box.out = fopen(out, "wb")))) {
        fprintf(stderr, "player: %s: %s\n", log_name && !log ? log_name : out, strerror(errno));
    } else if (open_box(&box, reader, box_file, state, ivs, log) == 0) {
        set_filters(&box);
        box.began_us = monotonic_us();
        for (int i = 0; i < box.service_count; i++)
            box.services[i].watched_us = box.began_us;
        status = remote ? obey(&box) : play_all(&box);
        for (int i = 0; i < box.service_count; i++)
            if (box.services[i].in_clear)
                print_window(&box, &box.services[i]);
    }
    stbcam_close(box.cam);
    stbcam_soft_descrambler_free(box.descrambler);
    ts_demux_free(&box.demux);
    fclose(box.ts.file);
    if (log)
        fclose(log);
    if (box.out && fclose(box.out) != 0) {
        fprintf(stderr, "player: %s: %s\n", out, strerror(errno));
        status = 1;
    }
    return status;
}
