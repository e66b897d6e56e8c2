/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around the library in a box of version 1.0: a reader with APDUs, a storage and a descrambler of its own, the
 * demultiplexer's end of a broadcast, and the events. */
#define _XOPEN_SOURCE 700
#include "every.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the reader: a socket to vcard ------------------------------------------------------------------ */

static int32_t ask(const box_t *box, const uint8_t *octets, size_t len, uint8_t *answer, size_t capacity, size_t *answer_len)
{
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    if (send(box->card, head, 2, 0) != 2 || send(box->card, octets, len, 0) != (ssize_t)len)
        return STBCAM_READER_REMOVED;
    if (!answer)
        return STBCAM_READER_OK;
    if (recv(box->card, head, 2, MSG_WAITALL) != 2)
        return STBCAM_READER_REMOVED;
    *answer_len = (size_t)head[0] << 8 | head[1];
    if (*answer_len > capacity || recv(box->card, answer, *answer_len, MSG_WAITALL) != (ssize_t)*answer_len)
        return STBCAM_READER_REMOVED;
    return STBCAM_READER_OK;
}

static int32_t present(void *user)
{
    const box_t *box = user;
    return box->card >= 0;
}

static int32_t reset(void *user, int32_t cold, uint8_t *atr, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    const box_t *box = user;
    CHECK_TRUE((cold == 0 || cold == 1) && timeout_ms > 0);
    ask(box, (const uint8_t *)"\x01", 1, NULL, 0, NULL);
    ask(box, (const uint8_t *)"\x02", 1, NULL, 0, NULL);
    return ask(box, (const uint8_t *)"\x04", 1, atr, capacity, len);
}

static int32_t transmit(void *user, const uint8_t *command, size_t len, uint8_t *response, size_t capacity,
                        size_t *response_len, uint32_t timeout_ms)
{
    CHECK_TRUE(len >= 4 && capacity >= 258 && timeout_ms == 20000);
    return ask(user, command, len, response, capacity, response_len);
}

static void power_off(void *user)
{
    box_t *box = user;
    box->power_offs++;
}

/* ---- the storage: rows in memory -------------------------------------------------------------------- */

static row_t *row(box_t *box, const char *key)
{
    for (size_t i = 0; i < box->row_count; i++)
        if (strcmp(box->rows[i].key, key) == 0)
            return &box->rows[i];
    return NULL;
}

static int32_t get(void *user, const char *key, uint8_t *octets, size_t capacity, size_t *len)
{
    const row_t *found = row(user, key);
    if (!found)
        return 1;
    *len = found->len;
    if (found->len <= capacity)
        memcpy(octets, found->octets, found->len);
    return 0;
}

static int32_t put_durable(void *user, const char *key, const uint8_t *octets, size_t len)
{
    box_t *box = user;
    row_t *place = row(box, key);
    if (!place && box->row_count < sizeof box->rows / sizeof *box->rows)
        place = &box->rows[box->row_count++];
    if (!place || len > sizeof place->octets || strlen(key) >= sizeof place->key)
        return -1;
    strcpy(place->key, key);
    memcpy(place->octets, octets, len);
    place->len = len;
    return 0;
}

/* ---- the descrambler: the software's, behind copies of this version's structures --------------------- */

static int32_t load_ladder(void *user, const stbcam_ladder_t *ladder)
{
    box_t *box = user;
    stbcam_ladder_t copy = *ladder;
    CHECK_TRUE(ladder->struct_size >= sizeof copy);
    CHECK(ladder->pairing_slot, 0);
    copy.struct_size = sizeof copy;
    box->ladders++;
    return box->chip.load_ladder(box->chip.user, &copy);
}

static int32_t set_cw(void *user, const stbcam_cw_t *cw)
{
    box_t *box = user;
    stbcam_cw_t copy = *cw;
    CHECK_TRUE(cw->struct_size >= sizeof copy);
    CHECK_TRUE(cw->flags & STBCAM_CW_IS_WRAPPED);
    CHECK(cw->parity_mask, STBCAM_CW_EVEN | STBCAM_CW_ODD);
    CHECK(cw->source, SOURCE);
    CHECK(cw->key_len, 16);
    CHECK_TRUE(cw->es_pid_count > 0 && cw->es_pids && cw->session);
    if (cw->ecm_pid == 0x140 && cw->algo == STBCAM_ALGO_CISSA && cw->scrambling_mode == 0x10 && cw->iv_len == 16)
        box->cws[0]++;
    else if (cw->ecm_pid == 0x141 && cw->algo == STBCAM_ALGO_CSA && cw->scrambling_mode == 0x02 && cw->iv_len == 0)
        box->cws[1]++;
    else
        box->cws[2]++;
    copy.struct_size = sizeof copy;
    return box->chip.set_cw(box->chip.user, &copy);
}

static void clear(void *user, stbcam_session_t session)
{
    box_t *box = user;
    box->clears++;
    box->chip.clear(box->chip.user, session);
}

static void on_log(void *user, int32_t level, const char *origin, const char *text)
{
    box_t *box = user;
    CHECK_TRUE(level >= STBCAM_LOG_ERROR && level <= STBCAM_LOG_TRACE && origin[0] && text);
    CHECK_TRUE(!strstr(text, "40962718") && !strstr(text, "3430393632373138")); /* the PIN, also in hexadecimal */
    box->logged++;
}

/* ---- the box ----------------------------------------------------------------------------------------- */

static uint8_t *read_file(const char *folder, const char *file_name, size_t *len)
{
    char name[512];
    uint8_t *octets = NULL;
    long size = -1;
    snprintf(name, sizeof name, "%s/%s", folder, file_name);
    FILE *file = fopen(name, "rb");
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
        octets = malloc((size_t)size);
    if (!octets || fread(octets, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "every: %s cannot be read\n", name);
        exit(2);
    }
    fclose(file);
    *len = (size_t)size;
    return octets;
}

void box_new(box_t *box, const char *folder, const factory_t *factory)
{
    size_t len;
    memset(box, 0, sizeof *box);
    box->card = -1;
    uint8_t *pairing = read_file(folder, "state/pairing.0", &len);
    CHECK(put_durable(box, "pairing.0", pairing, len), 0);
    free(pairing);
    box->broadcast = read_file(folder, "broadcast.bin", &box->broadcast_len);
    box->chip.struct_size = sizeof box->chip;
    CHECK(stbcam_soft_descrambler_new(factory->ladder_key, &box->soft), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_ops(box->soft, &box->chip), STBCAM_OK);
    box->reader_ops = (stbcam_reader_ops_t){.struct_size = sizeof box->reader_ops, .user = box, .present = present,
                                            .reset = reset, .transmit = transmit, .power_off = power_off};
    box->storage_ops = (stbcam_storage_ops_t){.struct_size = sizeof box->storage_ops, .user = box, .get = get,
                                              .put_durable = put_durable};
    box->descrambler_ops = (stbcam_descrambler_ops_t){.struct_size = sizeof box->descrambler_ops, .user = box,
                                                      .load_ladder = load_ladder, .set_cw = set_cw, .clear = clear};
}

/* Zeros and the size are as good as stbcam_config_init. */
void box_configure(box_t *box, stbcam_config_t *config, const factory_t *factory)
{
    static const uint16_t ours[] = {0x4AF0, 0x4AF1};
    memset(config, 0, sizeof *config);
    config->struct_size = sizeof *config;
    config->card_timeout_ms = 20000;
    config->language = "en";
    config->ca_system_ids = ours;
    config->ca_system_id_count = 2;
    memcpy(config->stb_id, factory->stb_id, sizeof config->stb_id);
    memcpy(config->terminal_id, "TERM01", sizeof config->terminal_id);
    memcpy(config->box_key, factory->box_key, sizeof factory->box_key);
    config->log = on_log;
    config->log_user = box;
    config->log_level = STBCAM_LOG_TRACE;
}

void box_free(box_t *box)
{
    CHECK(stbcam_soft_descrambler_free(box->soft), STBCAM_OK);
    free(box->broadcast);
}

static void set_filters(box_t *box)
{
    struct {
        stbcam_filter_t it[64];
        uint8_t behind[GUARD];
    } filters;
    memset(&filters, OWN, sizeof filters);
    size_t count = 64;
    CHECK(stbcam_filters(box->cam, filters.it, sizeof filters.it[0], &count), STBCAM_OK);
    INTACT(filters);
    CHECK_TRUE(count <= 64);
    for (size_t i = 0; i < count; i++)
        CHECK_TRUE(filters.it[i].struct_size == sizeof filters.it[i] && filters.it[i].source == SOURCE &&
                   filters.it[i].depth >= 1 && filters.it[i].depth <= 16);
    CHECK(own((uint8_t *)&filters.it[count], (64 - count) * sizeof filters.it[0]), (64 - count) * sizeof filters.it[0]);
    memcpy(box->filters, filters.it, count * sizeof filters.it[0]);
    box->filter_count = count;
}

void take_events(box_t *box)
{
    ROOM(stbcam_event_t, event);
    stbcam_result_t result;
    while ((result = stbcam_next_event(box->cam, &event.it, 0)) == STBCAM_OK) {
        INTACT(event);
        CHECK_TRUE(event.it.struct_size == sizeof event.it && event.it.seq > box->seq && event.it.monotonic_us > 0);
        CHECK_TRUE(event.it.text && strlen(event.it.text) == event.it.text_len);
        box->seq = event.it.seq;
        if (event.it.type < EVENT_TYPES) {
            box->last[event.it.type] = event.it;
            box->seen[event.it.type]++;
        }
        if (event.it.type == STBCAM_EV_FILTERS)
            set_filters(box);
    }
    CHECK(result, STBCAM_E_AGAIN);
}

static int passes(const stbcam_filter_t *filter, uint16_t pid, const uint8_t *section, size_t len)
{
    for (size_t i = 0; i < filter->depth; i++) {
        size_t at = i == 0 ? 0 : i + 2;
        if (at >= len || ((section[at] ^ filter->match[i]) & filter->mask[i]))
            return 0;
    }
    return filter->pid == pid;
}

/* A packet of Cinema's pictures: what becomes of it, and whether a PES packet begins with its start code. */
static void descramble(box_t *box, uint8_t *packet)
{
    uint8_t result = 0xFF;
    size_t count = 1;
    CHECK(stbcam_soft_descrambler_packets(box->soft, SOURCE, packet, 188, &result, &count), STBCAM_OK);
    CHECK_TRUE(result <= STBCAM_PACKET_MALFORMED);
    box->packets[result & 3]++;
    size_t head = 4 + (packet[3] & 0x20 ? 1u + packet[4] : 0u);
    if (result == STBCAM_PACKET_DESCRAMBLED && packet[1] & 0x40) {
        CHECK_TRUE(head < 185 && memcmp(packet + head, "\x00\x00\x01", 3) == 0);
        box->start_codes++;
    }
}

/* broadcast.bin: one letter (S section, P packet), PID and length, two octets each, and so many octets. */
int play(box_t *box, int (*until)(box_t *box))
{
    while (box->at + 5 <= box->broadcast_len) {
        uint8_t *record = box->broadcast + box->at;
        uint16_t pid = (uint16_t)(record[1] << 8 | record[2]);
        size_t len = (size_t)record[3] << 8 | record[4];
        box->at += 5 + len;
        if (record[0] == 'P') {
            descramble(box, record + 5);
            continue;
        }
        int wanted = 0;
        for (size_t i = 0; i < box->filter_count; i++)
            wanted |= passes(&box->filters[i], pid, record + 5, len);
        if (pid == 1)
            CHECK(stbcam_cat(box->cam, SOURCE, record + 5, len), STBCAM_OK);
        if (wanted) {
            CHECK(stbcam_section(box->cam, SOURCE, pid, record + 5, len), STBCAM_OK);
            CHECK(stbcam_flush(box->cam, 20000), STBCAM_OK);
            take_events(box);
        }
        if (until(box))
            return 1;
    }
    return 0;
}

/* ---- the card ---------------------------------------------------------------------------------------- */

int listen_anywhere(char where[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        abort();
    snprintf(where, 32, "127.0.0.1:%d", ntohs(address.sin_port));
    return listener;
}

long serve(const char *vcard, const char *folder, const char *where)
{
    char memory[512];
    snprintf(memory, sizeof memory, "%s/card.nvm", folder);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* where this program fails, its card goes too */
        execl(vcard, vcard, "serve", "--memory", memory, "--durable", "process", "--vpcd", where, (char *)NULL);
        _exit(127);
    }
    return child;
}

void end(long child)
{
    int status = -1;
    kill((pid_t)child, SIGTERM);
    CHECK_TRUE(waitpid((pid_t)child, &status, 0) == child && status == 0);
}
