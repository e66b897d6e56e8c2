/* SPDX-License-Identifier: Apache-2.0 */
/* The box's own card reader: once with characters and a small T=0 card behind it, twice with APDUs and vcard, which is
 * put in late the first time. Then the library's reader for vcard over TCP.
 *
 *     reader VCARD MEMORY
 */
#define _XOPEN_SOURCE 700
#include "abuse.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int failures;

static char state_dir[] = "/tmp/stbcam-reader-XXXXXX";

/* ---- what both readers have in common: they watch how they are called ----------------------------- */

typedef struct box_reader {
    /* what the test changes while the card thread looks */
    stbcam_t *volatile cam;
    volatile int32_t in, lost;
    pthread_mutex_t running;
    int32_t resets, commands, power_offs, params;
    volatile int32_t calls;
    int switched_off; /* by the call before this one */
    /* characters: what the card has received and not understood yet, and what it has to say */
    uint8_t heard[300], says[300];
    size_t heard_len, says_len;
    /* APDUs: where vcard comes to */
    int listener, card;
} box_reader_t;

static void enter(box_reader_t *reader)
{
    stbcam_stats_t stats = {.struct_size = sizeof stats};
    CHECK(pthread_mutex_trylock(&reader->running), 0);
    if (reader->cam) {
        CHECK(stbcam_stats(reader->cam, &stats), STBCAM_E_REENTRANT);
        CHECK(stbcam_close(reader->cam), STBCAM_E_REENTRANT);
    }
    reader->calls++;
    reader->switched_off = 0;
}

static int32_t leave(box_reader_t *reader, int32_t answer)
{
    pthread_mutex_unlock(&reader->running);
    return reader->lost ? STBCAM_READER_LOST : answer;
}

static int32_t present(void *user)
{
    box_reader_t *reader = user;
    enter(reader);
    return leave(reader, reader->in);
}

static void power_off(void *user)
{
    box_reader_t *reader = user;
    enter(reader);
    reader->power_offs++;
    reader->switched_off = 1;
    leave(reader, 0);
}

/* ---- characters ------------------------------------------------------------------------------------ */

static void say(box_reader_t *reader, const uint8_t *octets, size_t len)
{
    memcpy(reader->says + reader->says_len, octets, len);
    reader->says_len += len;
}

static int32_t char_reset(void *user, int32_t cold, uint8_t *atr, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    static const uint8_t answer[] = {0x3B, 0x90, 0x18, 0x00};
    box_reader_t *reader = user;
    enter(reader);
    CHECK_TRUE((cold == 0 || cold == 1) && atr && capacity == 33 && *len == 0 && timeout_ms == 120);
    reader->resets++;
    reader->heard_len = reader->says_len = 0;
    say(reader, answer, sizeof answer);
    return leave(reader, reader->in ? STBCAM_READER_OK : STBCAM_READER_REMOVED);
}

static int32_t char_params(void *user, const stbcam_line_t *line)
{
    box_reader_t *reader = user;
    enter(reader);
    CHECK(line->struct_size, sizeof *line);
    CHECK_TRUE(line->f == 372 && line->d == 12 && line->clock_hz == 4000000 && line->bit_rate == 129032);
    reader->params++;
    return leave(reader, STBCAM_READER_OK);
}

/* T=0: a header, for SELECT its data after INS; no application is ever found. */
static int32_t char_write(void *user, const uint8_t *octets, size_t len, uint32_t timeout_ms)
{
    static const uint8_t pps[] = {0xFF, 0x10, 0x18, 0xF7}, ack[] = {0xA4}, not_found[] = {0x6A, 0x82},
                         unknown[] = {0x6D, 0x00};
    box_reader_t *reader = user;
    enter(reader);
    CHECK_TRUE(timeout_ms >= 500 && timeout_ms < 1000);
    memcpy(reader->heard + reader->heard_len, octets, len);
    reader->heard_len += len;
    const uint8_t *heard = reader->heard;
    if (heard[0] == 0xFF && reader->heard_len == 4) {
        say(reader, pps, sizeof pps);
        reader->heard_len = 0;
    } else if (heard[0] != 0xFF && reader->heard_len == 5) {
        if (heard[1] == 0xA4)
            say(reader, ack, sizeof ack);
        else
            say(reader, unknown, sizeof unknown);
        reader->commands++;
    } else if (heard[0] != 0xFF && reader->heard_len == 5u + heard[4]) {
        say(reader, not_found, sizeof not_found);
    }
    if (reader->heard_len >= 5 && (heard[1] != 0xA4 || reader->heard_len == 5u + heard[4]))
        reader->heard_len = 0;
    return leave(reader, STBCAM_READER_OK);
}

static int32_t char_read(void *user, uint8_t *octets, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    box_reader_t *reader = user;
    enter(reader);
    CHECK_TRUE(timeout_ms <= 10 && capacity >= 1);
    if (reader->says_len == 0) {
        /* What this card says it says at once. */
        poll(NULL, 0, (int)timeout_ms);
        return leave(reader, STBCAM_READER_TIMEOUT);
    }
    /* One at a time, as from a slow line. */
    octets[0] = reader->says[0];
    *len = 1;
    memmove(reader->says, reader->says + 1, --reader->says_len);
    return leave(reader, STBCAM_READER_OK);
}

/* ---- APDUs ----------------------------------------------------------------------------------------- */

static int32_t vcard_ask(box_reader_t *reader, const uint8_t *octets, size_t len, uint8_t *answer, size_t capacity,
                         size_t *answer_len)
{
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    if (send(reader->card, head, 2, MSG_NOSIGNAL) != 2 ||
        send(reader->card, octets, len, MSG_NOSIGNAL) != (ssize_t)len)
        return STBCAM_READER_REMOVED;
    if (!answer)
        return STBCAM_READER_OK;
    if (recv(reader->card, head, 2, MSG_WAITALL) != 2)
        return STBCAM_READER_REMOVED;
    *answer_len = (size_t)head[0] << 8 | head[1];
    if (*answer_len > capacity || recv(reader->card, answer, *answer_len, MSG_WAITALL) != (ssize_t)*answer_len)
        return STBCAM_READER_REMOVED;
    return STBCAM_READER_OK;
}

static int32_t apdu_reset(void *user, int32_t cold, uint8_t *atr, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    box_reader_t *reader = user;
    enter(reader);
    CHECK_TRUE((cold == 0 || cold == 1) && timeout_ms == 120);
    reader->resets++;
    vcard_ask(reader, (const uint8_t *)"\x01", 1, NULL, 0, NULL);
    vcard_ask(reader, (const uint8_t *)"\x02", 1, NULL, 0, NULL);
    return leave(reader, vcard_ask(reader, (const uint8_t *)"\x04", 1, atr, capacity, len));
}

static int32_t apdu_transmit(void *user, const uint8_t *command, size_t len, uint8_t *response, size_t capacity,
                             size_t *response_len, uint32_t timeout_ms)
{
    box_reader_t *reader = user;
    enter(reader);
    CHECK_TRUE(len >= 4 && capacity >= 258 && timeout_ms == 2000);
    reader->commands++;
    return leave(reader, vcard_ask(reader, command, len, response, capacity, response_len));
}

/* ---- the box --------------------------------------------------------------------------------------- */

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Waits until the card is in this state; the moment at which it came to be, 0 when it does not. */
static uint64_t wait_for_card(stbcam_t *cam, int32_t state)
{
    stbcam_event_t event = {.struct_size = sizeof event};
    do {
        stbcam_result_t result = stbcam_next_event(cam, &event, 10000);
        CHECK(result, STBCAM_OK);
        if (result != STBCAM_OK)
            return 0;
    } while (event.type != STBCAM_EV_CARD || event.code != state);
    return event.monotonic_us;
}

static void wait_for_trouble(stbcam_t *cam, const char *text)
{
    stbcam_event_t event = {.struct_size = sizeof event};
    do {
        stbcam_result_t result = stbcam_next_event(cam, &event, 10000);
        CHECK(result, STBCAM_OK);
        if (result != STBCAM_OK)
            return;
    } while (event.type != STBCAM_EV_HEALTH || !strstr(event.text, text));
}

static void configure(stbcam_config_t *config, const stbcam_reader_ops_t *ops)
{
    CHECK(stbcam_config_init(config, sizeof *config), STBCAM_OK);
    config->reader_ops = ops;
    config->state_dir = state_dir;
    config->card_timeout_ms = 2000;
    memcpy(config->stb_id, "STB00001", 8);
    memset(config->box_key, 0x42, 16);
}

static void characters(void)
{
    box_reader_t reader = {.running = PTHREAD_MUTEX_INITIALIZER};
    stbcam_reader_ops_t ops = {.struct_size = sizeof ops, .user = &reader, .clock_hz = 4000000, .present = present,
                               .reset = char_reset, .params = char_params, .write = char_write, .read = char_read,
                               .power_off = power_off};
    stbcam_config_t config;
    stbcam_card_t card = {.struct_size = sizeof card};
    stbcam_t *cam = NULL;

    configure(&config, &ops);
#define REFUSED(change, back, expected, text)        \
    do {                                             \
        change;                                      \
        CHECK(stbcam_open(&config, &cam), expected); \
        CHECK_TRUE(strstr(last_text(), text));       \
        back;                                        \
    } while (0)
    REFUSED(config.reader_ops = NULL, config.reader_ops = &ops, STBCAM_E_ARG, "neither reader nor reader_ops");
    REFUSED(config.reader = "serial:/dev/null", config.reader = NULL, STBCAM_E_ARG, "reader and reader_ops");
    REFUSED(ops.reset = NULL, ops.reset = char_reset, STBCAM_E_ARG, "reset is NULL");
    REFUSED(ops.read = NULL, ops.read = char_read, STBCAM_E_ARG, "write and read");
    REFUSED(ops.struct_size = 8, ops.struct_size = sizeof ops, STBCAM_E_STRUCT_SIZE, "stbcam_reader_ops_t");
    REFUSED(reader.lost = 1, reader.lost = 0, STBCAM_E_NO_READER, "port of the box is gone");
    CHECK_TRUE(reader.calls == 1 && cam == NULL);

    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    memset(&ops, 0xFF, sizeof ops); /* the library has its copy */
    reader.cam = cam;
    CHECK(reader.resets, 0);
    reader.in = 1;
    wait_for_card(cam, STBCAM_CARD_UNUSABLE);
    CHECK(stbcam_card(cam, &card), STBCAM_OK);
    CHECK_TRUE(card.atr_len == 4 && card.atr[0] == 0x3B && card.protocol == 0);
    CHECK_TRUE(reader.commands > 0 && reader.params > 0);

    reader.in = 0;
    wait_for_card(cam, STBCAM_CARD_ABSENT);
    reader.in = 1;
    wait_for_card(cam, STBCAM_CARD_UNUSABLE);
    reader.lost = 1;
    wait_for_trouble(cam, "port of the box is gone");
    reader.lost = 0;
    wait_for_card(cam, STBCAM_CARD_UNUSABLE);

    reader.cam = NULL;
    CHECK(stbcam_close(cam), STBCAM_OK);
    CHECK_TRUE(reader.switched_off);
}

/* A free port of this machine, and how a card finds it. */
static int listen_anywhere(char where[32])
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

static pid_t serve(const char *vcard, const char *memory, const char *where)
{
    pid_t child = fork();
    if (child == 0) {
        execl(vcard, vcard, "serve", "--memory", memory, "--durable", "process", "--vpcd", where, (char *)NULL);
        _exit(127);
    }
    return child;
}

static void end(pid_t child)
{
    int status = -1;
    kill(child, SIGTERM);
    CHECK_TRUE(waitpid(child, &status, 0) == child && status == 0);
}

static void vpcd(const char *vcard, const char *memory)
{
    stbcam_config_t config;
    stbcam_card_t card = {.struct_size = sizeof card};
    stbcam_t *cam = NULL;
    char where[32], url[40];

    CHECK_TRUE(stbcam_features() & STBCAM_FEATURE_READER_VPCD);
    configure(&config, NULL);
    config.reader = "vpcd:0.0.0.0:35963";
    CHECK(stbcam_open(&config, &cam), STBCAM_E_ARG);
    CHECK_TRUE(strstr(last_text(), "expected a loopback address"));
    int listener = listen_anywhere(where);
    snprintf(url, sizeof url, "vpcd:%s", where);
    config.reader = url;
    CHECK(stbcam_open(&config, &cam), STBCAM_E_NO_READER);
    CHECK_TRUE(strstr(last_text(), where));
    close(listener);

    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    for (int i = 0; i < 2; i++) {
        pid_t child = serve(vcard, memory, where);
        wait_for_card(cam, STBCAM_CARD_UNPAIRED);
        CHECK(stbcam_card(cam, &card), STBCAM_OK);
        CHECK(card.protocol, 1);
        end(child);
        wait_for_card(cam, STBCAM_CARD_ABSENT);
    }
    CHECK(stbcam_close(cam), STBCAM_OK);
}

/* The card comes two seconds after the box has been switched on, and goes again. Until then the library keeps looking
 * for it. tests/targets.py has the counts of 31 and 32 bits end in these two seconds. */
static void late(const char *vcard, const char *memory)
{
    box_reader_t reader = {.running = PTHREAD_MUTEX_INITIALIZER};
    stbcam_reader_ops_t ops = {.struct_size = sizeof ops, .user = &reader, .present = present, .reset = apdu_reset,
                               .transmit = apdu_transmit, .power_off = power_off};
    stbcam_config_t config;
    stbcam_event_t event = {.struct_size = sizeof event};
    stbcam_t *cam = NULL;
    char where[32];
    uint64_t began = monotonic_us(), due = began + 2000000, now, seen;

    configure(&config, &ops);
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    while ((now = monotonic_us()) < due)
        stbcam_next_event(cam, &event, (uint32_t)((due - now) / 1000) + 1);
    CHECK_TRUE(reader.calls >= 4);

    reader.listener = listen_anywhere(where);
    pid_t child = serve(vcard, memory, where);
    reader.card = accept(reader.listener, NULL, NULL);
    reader.in = 1;
    seen = wait_for_card(cam, STBCAM_CARD_UNPAIRED);
    CHECK_TRUE(seen >= due && seen <= monotonic_us());
    reader.in = 0;
    seen = wait_for_card(cam, STBCAM_CARD_ABSENT);
    CHECK_TRUE(seen >= due && seen <= monotonic_us());
    CHECK(stbcam_close(cam), STBCAM_OK);
    end(child);
    close(reader.card);
    close(reader.listener);
}

static void apdus(const char *vcard, const char *memory)
{
    box_reader_t reader = {.running = PTHREAD_MUTEX_INITIALIZER, .in = 1};
    stbcam_reader_ops_t ops = {.struct_size = sizeof ops, .user = &reader, .present = present, .reset = apdu_reset,
                               .transmit = apdu_transmit, .power_off = power_off};
    stbcam_config_t config;
    stbcam_card_t card = {.struct_size = sizeof card};
    stbcam_t *cam = NULL;
    char where[32];

    reader.listener = listen_anywhere(where);
    pid_t child = serve(vcard, memory, where);
    reader.card = accept(reader.listener, NULL, NULL);

    configure(&config, &ops);
    config.flags = STBCAM_CONFIG_NO_THREAD;
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    CHECK(reader.calls, 1);
    reader.cam = cam;
    for (int i = 0; i < 100 && (i == 0 || card.state != STBCAM_CARD_UNPAIRED); i++) {
        CHECK(stbcam_step(cam, 100, NULL), STBCAM_OK);
        CHECK(stbcam_card(cam, &card), STBCAM_OK);
    }
    CHECK(card.state, STBCAM_CARD_UNPAIRED);
    CHECK(card.protocol, 1);
    CHECK(reader.resets, 1);
    CHECK_TRUE(reader.commands >= 2);
    CHECK_TRUE(card.address != 0);

    /* The card goes in the middle of everything. */
    end(child);
    CHECK(stbcam_card_reset(cam), STBCAM_OK);
    for (int i = 0; i < 100 && card.state != STBCAM_CARD_ABSENT; i++) {
        reader.in = 0;
        CHECK(stbcam_step(cam, 100, NULL), STBCAM_OK);
        CHECK(stbcam_card(cam, &card), STBCAM_OK);
    }
    CHECK(card.state, STBCAM_CARD_ABSENT);
    reader.cam = NULL;
    CHECK(stbcam_close(cam), STBCAM_OK);
    CHECK_TRUE(reader.switched_off);
    close(reader.card);
    close(reader.listener);
}

const char *last_text(void)
{
    static stbcam_error_t error;
    error.struct_size = sizeof error;
    stbcam_last_error(&error);
    return error.text;
}

int main(int argc, char **argv)
{
    if (argc != 3 || !mkdtemp(state_dir))
        return 1;
    late(argv[1], argv[2]);
    characters();
    apdus(argv[1], argv[2]);
    vpcd(argv[1], argv[2]);
    rmdir(state_dir);
    fprintf(stderr, failures ? "%d failures\n" : "reader: ok\n", failures);
    return failures != 0;
}
