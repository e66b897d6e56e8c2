/* SPDX-License-Identifier: Apache-2.0 */
/* A box whose memory another process searches: tests/check_memory.py says on stdin what to do, a line each, and reads
 * /proc/PID/mem between two lines. Whatever is secret comes and goes masked (each octet by MASK), is in clear only in
 * a buffer of the call that takes it, and is wiped behind that call: what is found is the library's.
 *
 *     secrets READER STATE_DIR
 */
#define _GNU_SOURCE
#include <stbcam.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASK 0x55

static char line[1 << 16];
static size_t line_len;
static uint8_t octets[sizeof line / 2], results[64], *planted;
static size_t planted_len;
static stbcam_t *cam;
static stbcam_session_t sessions[8];
static size_t session_count;
static stbcam_soft_descrambler_t *soft;
static stbcam_descrambler_ops_t soft_ops = {.struct_size = sizeof soft_ops};
static unsigned long taken;

/* By read alone: stdio would keep lines of its own. */
static int next_line(void)
{
    line_len = 0;
    while (line_len + 1 < sizeof line && read(STDIN_FILENO, line + line_len, 1) == 1)
        if (line[line_len++] == '\n') {
            line[line_len - 1] = 0;
            return 1;
        }
    return 0;
}

static size_t from_hex(const char *text, uint8_t *out, size_t room, uint8_t mask)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;
    for (const char *high, *low; len < room && text[0] && text[1]; text += 2, len++) {
        high = strchr(digits, text[0]), low = strchr(digits, text[1]);
        if (!high || !low)
            break;
        out[len] = (uint8_t)((high - digits) << 4 | (low - digits)) ^ mask;
    }
    return len;
}

static int32_t load_ladder(void *user, const stbcam_ladder_t *ladder)
{
    (void)user;
    printf("ladder ");
    for (size_t i = 0; i < sizeof ladder->ek2; i++)
        printf("%02x", ladder->ek2[i] ^ MASK);
    for (size_t i = 0; i < sizeof ladder->ek1; i++)
        printf("%02x", ladder->ek1[i] ^ MASK);
    puts("");
    return soft_ops.load_ladder(soft_ops.user, ladder);
}

static int32_t set_cw(void *user, const stbcam_cw_t *cw)
{
    (void)user;
    taken++;
    return soft_ops.set_cw(soft_ops.user, cw);
}

static void clear(void *user, stbcam_session_t session)
{
    (void)user;
    soft_ops.clear(soft_ops.user, session);
}

static void on_log(void *user, int32_t level, const char *origin, const char *text)
{
    (void)user, (void)level, (void)origin, (void)text;
}

static stbcam_result_t open_box(char **arguments)
{
    stbcam_descrambler_ops_t ops = {.struct_size = sizeof ops, .load_ladder = load_ladder, .set_cw = set_cw, .clear = clear};
    stbcam_config_t config;
    uint8_t root[16];
    stbcam_result_t result = stbcam_config_init(&config, sizeof config);
    from_hex(line + 5, config.box_key, 16, MASK);
    from_hex(line + 5 + 32, root, 16, MASK);
    if (result == STBCAM_OK)
        result = stbcam_soft_descrambler_new(root, &soft);
    if (result == STBCAM_OK)
        result = stbcam_soft_descrambler_ops(soft, &soft_ops);
    memcpy(config.stb_id, "STB00001", 8);
    config.box_key_len = 16;
    config.reader = arguments[1];
    config.state_dir = arguments[2];
    config.descrambler = &ops;
    config.log = on_log;
    config.log_level = 5;
    if (result == STBCAM_OK)
        result = stbcam_open(&config, &cam);
    explicit_bzero(&config, sizeof config);
    explicit_bzero(root, sizeof root);
    return result;
}

static stbcam_result_t buy(void)
{
    stbcam_result_t result = STBCAM_E_NOT_FOR_SALE;
    uint8_t request[16], pin[12];
    size_t len = from_hex(line + 4, pin, sizeof pin, MASK);
    for (size_t s = 0; s < session_count; s++) {
        stbcam_offer_t offers[16] = {{.struct_size = sizeof offers[0]}}, offer;
        size_t count = 16;
        stbcam_txn_t txn = 0;
        stbcam_receipt_t receipt = {.struct_size = sizeof receipt};
        if (stbcam_offers(cam, sessions[s], offers, sizeof offers[0], &count) != STBCAM_OK || count == 0)
            continue;
        offer = offers[0];
        result = stbcam_request_new(cam, request);
        if (result == STBCAM_OK)
            result = stbcam_purchase_begin(cam, offer.offer_id, request, &offer.price, &txn);
        if (result == STBCAM_OK)
            result = stbcam_purchase_confirm(cam, txn, pin, len);
        stbcam_flush(cam, 5000);
        if (result == STBCAM_OK)
            result = stbcam_purchase(cam, txn, &receipt);
        if (result == STBCAM_OK && receipt.state != STBCAM_TXN_PAID)
            result = STBCAM_E_NOT_PAID;
        break;
    }
    explicit_bzero(pin, sizeof pin);
    return result;
}

static stbcam_result_t card_is_ready(void)
{
    for (int i = 0; i < 500; i++) {
        stbcam_card_t card = {.struct_size = sizeof card};
        if (stbcam_card(cam, &card) == STBCAM_OK && card.state == STBCAM_CARD_READY)
            return STBCAM_OK;
        usleep(10000);
    }
    return STBCAM_E_NO_CARD;
}

static stbcam_result_t obey(char **arguments)
{
    const char *data = strrchr(line, ' ') ? strrchr(line, ' ') + 1 : "";
    unsigned pid = 0;
    if (strncmp(line, "open ", 5) == 0)
        return open_box(arguments);
    if (strcmp(line, "ready") == 0)
        return card_is_ready();
    if (strncmp(line, "pmt ", 4) == 0 && session_count < 8)
        return stbcam_session_open_pmt(cam, 0, octets, from_hex(data, octets, sizeof octets, 0), &sessions[session_count++]);
    if (strncmp(line, "cat ", 4) == 0)
        return stbcam_cat(cam, 0, octets, from_hex(data, octets, sizeof octets, 0));
    if (sscanf(line, "section %u", &pid) == 1) {
        stbcam_section(cam, 0, (uint16_t)pid, octets, from_hex(data, octets, sizeof octets, 0)); /* the library knows which */
        return stbcam_flush(cam, 5000);
    }
    if (strncmp(line, "packets ", 8) == 0) {
        size_t count = sizeof results, clear_ones = 0, len = from_hex(data, octets, sizeof octets, 0);
        stbcam_result_t result = stbcam_soft_descrambler_packets(soft, 0, octets, len, results, &count);
        for (size_t i = 0; i < count; i++)
            clear_ones += results[i] == STBCAM_PACKET_DESCRAMBLED;
        printf("descrambled %zu\n", clear_ones);
        return result;
    }
    if (strncmp(line, "pin ", 4) == 0) {
        uint8_t pin[12];
        uint32_t tries = 0;
        stbcam_result_t result = stbcam_pin_verify(cam, pin, from_hex(data, pin, sizeof pin, MASK), &tries);
        explicit_bzero(pin, sizeof pin);
        return result;
    }
    if (strncmp(line, "buy ", 4) == 0)
        return buy();
    if (strncmp(line, "plant ", 6) == 0) {
        planted_len = strlen(data) / 2;
        planted = malloc(planted_len + 1);
        from_hex(data, planted, planted_len, MASK);
        return STBCAM_OK;
    }
    if (strcmp(line, "unplant") == 0) {
        explicit_bzero(planted, planted_len);
        free(planted);
        return STBCAM_OK;
    }
    if (strcmp(line, "close") == 0) {
        stbcam_result_t result = stbcam_close(cam);
        printf("taken %lu\n", taken);
        return result == STBCAM_OK ? stbcam_soft_descrambler_free(soft) : result;
    }
    return STBCAM_E_ARG;
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (next_line())
        printf("= %d\n", obey(arguments));
    return 0;
}
