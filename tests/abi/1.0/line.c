/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of the box with characters, by the table and the numbers of version 1.0. Behind it is a T=0 card that has no
 * application of ours. */
#define _XOPEN_SOURCE 700
#include "every.h"

#include <poll.h>

typedef struct uart {
    uint8_t heard[300], says[300];
    size_t heard_len, says_len;
    int resets, params, power_offs;
    stbcam_t *cam;
    stbcam_result_t reentrant;
} uart_t;

static void say(uart_t *uart, const uint8_t *octets, size_t len)
{
    memcpy(uart->says + uart->says_len, octets, len);
    uart->says_len += len;
}

static int32_t present(void *user)
{
    (void)user;
    return 1;
}

static int32_t reset(void *user, int32_t cold, uint8_t *atr, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    static const uint8_t answer[] = {0x3B, 0x90, 0x18, 0x00}; /* TA1: F 372, D 12 */
    uart_t *uart = user;
    CHECK_TRUE((cold == 0 || cold == 1) && atr && capacity >= 33 && *len == 0 && timeout_ms > 0);
    uart->resets++;
    uart->heard_len = uart->says_len = 0;
    say(uart, answer, sizeof answer);
    return STBCAM_READER_OK;
}

static int32_t params(void *user, const stbcam_line_t *line)
{
    uart_t *uart = user;
    CHECK_TRUE(line->struct_size >= sizeof *line);
    CHECK(line->f, 372);
    CHECK(line->d, 12);
    CHECK(line->clock_hz, 4000000);
    CHECK(line->bit_rate, 129032);
    CHECK(line->guard_etu, 12);
    CHECK(line->inverse, 0);
    CHECK(line->protocol, 0);
    uart->params++;
    return STBCAM_READER_OK;
}

/* PPS is echoed; SELECT takes its data and finds nothing; no other instruction is known. */
static int32_t write_octets(void *user, const uint8_t *octets, size_t len, uint32_t timeout_ms)
{
    static const uint8_t ack[] = {0xA4}, not_found[] = {0x6A, 0x82}, unknown[] = {0x6D, 0x00};
    uart_t *uart = user;
    CHECK_TRUE(timeout_ms > 0 && uart->heard_len + len <= sizeof uart->heard);
    memcpy(uart->heard + uart->heard_len, octets, len);
    uart->heard_len += len;
    const uint8_t *heard = uart->heard;
    size_t whole = heard[0] == 0xFF ? 4 : heard[1] == 0xA4 ? 5u + heard[4] : 5;
    if (heard[0] == 0xFF && uart->heard_len == whole)
        say(uart, heard, whole);
    else if (heard[0] != 0xFF && heard[1] == 0xA4 && uart->heard_len == 5)
        say(uart, ack, sizeof ack);
    else if (heard[0] != 0xFF && heard[1] == 0xA4 && uart->heard_len == whole)
        say(uart, not_found, sizeof not_found);
    else if (heard[0] != 0xFF && uart->heard_len == whole)
        say(uart, unknown, sizeof unknown);
    if (uart->heard_len >= 4 && uart->heard_len == whole)
        uart->heard_len = 0;
    return STBCAM_READER_OK;
}

static int32_t read_octets(void *user, uint8_t *octets, size_t capacity, size_t *len, uint32_t timeout_ms)
{
    uart_t *uart = user;
    CHECK_TRUE(timeout_ms <= 10 && capacity >= 1);
    if (uart->cam)
        uart->reentrant = stbcam_card_reset(uart->cam);
    if (uart->says_len == 0) {
        poll(NULL, 0, (int)timeout_ms); /* all that this card says it says at once */
        return STBCAM_READER_TIMEOUT;
    }
    *len = uart->says_len < capacity ? uart->says_len : capacity;
    memcpy(octets, uart->says, *len);
    memmove(uart->says, uart->says + *len, uart->says_len -= *len);
    return STBCAM_READER_OK;
}

static void power_off(void *user)
{
    uart_t *uart = user;
    uart->power_offs++;
}

static int32_t get(void *user, const char *key, uint8_t *octets, size_t capacity, size_t *len)
{
    (void)user, (void)octets, (void)capacity, (void)len;
    return key[0] ? 1 : -1; /* there is none */
}

static int32_t put(void *user, const char *key, const uint8_t *octets, size_t len)
{
    (void)user, (void)key, (void)octets, (void)len;
    return 0;
}

void line(void)
{
    uart_t uart = {.resets = 0};
    stbcam_reader_ops_t ops = {.struct_size = sizeof ops, .user = &uart, .clock_hz = 4000000, .max_bit_rate = 200000,
                               .present = present, .reset = reset, .params = params, .write = write_octets,
                               .read = read_octets, .power_off = power_off};
    stbcam_storage_ops_t storage = {.struct_size = sizeof storage, .get = get, .put_durable = put};
    stbcam_config_t config;
    stbcam_t *cam = NULL;
    ROOM(stbcam_card_t, known);

    CHECK(stbcam_config_init(&config, sizeof config), STBCAM_OK);
    config.flags = STBCAM_CONFIG_NO_THREAD;
    config.reader_ops = &ops;
    config.storage = &storage;
    memcpy(config.stb_id, "STB00001", 8);
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    memset(&ops, OWN, sizeof ops); /* the library has its copies */
    memset(&storage, OWN, sizeof storage);
    uart.cam = cam;
    for (int i = 0; i < 1000 && (i == 0 || known.it.state != STBCAM_CARD_UNUSABLE); i++) {
        CHECK(stbcam_step(cam, 20, NULL), STBCAM_OK);
        CHECK(stbcam_card(cam, &known.it), STBCAM_OK);
    }
    INTACT(known);
    CHECK(known.it.state, STBCAM_CARD_UNUSABLE);
    CHECK(known.it.reason, STBCAM_REASON_UNKNOWN_CARD);
    CHECK_TRUE(known.it.protocol == 0 && known.it.atr_len == 4 && known.it.atr[0] == 0x3B);
    CHECK_TRUE(uart.resets > 0 && uart.params > 0);
    CHECK(uart.reentrant, STBCAM_E_REENTRANT);
    uart.cam = NULL;
    CHECK(stbcam_close(cam), STBCAM_OK);
    CHECK_TRUE(uart.power_offs > 0);
}
