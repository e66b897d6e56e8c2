/* SPDX-License-Identifier: Apache-2.0 */
/* The player's remote control, and everything that it says: lines of JSON on stdout. An event has a member
 * "event"; anything else is the answer to a command. No PIN and no key is ever printed. */
#define _POSIX_C_SOURCE 200809L
#include "box.h"
#include "names.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_text(const char *name, const char *text)
{
    printf(",\"%s\":\"", name);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= 0x20)
            putchar(*text);
    }
    putchar('"');
}

static void print_hex(const char *name, const uint8_t *octets, size_t len)
{
    printf(",\"%s\":\"", name);
    for (size_t i = 0; i < len; i++)
        printf("%02x", octets[i]);
    putchar('"');
}

static void begin_event(const box_t *box, const char *name, uint64_t when_us)
{
    printf("{\"event\":\"%s\",\"at\":%.6f,\"packet\":%lu,\"monotonic_us\":%llu", name, box->at, box->packet,
           (unsigned long long)when_us);
}

static void end_line(void)
{
    puts("}");
    fflush(stdout);
}

static void answer(const char *command, stbcam_result_t result)
{
    stbcam_error_t error = {.struct_size = sizeof error};
    printf("{\"command\":\"%s\",\"result\":\"%s\"", command, result_name(result));
    if (result != STBCAM_OK && stbcam_last_error(&error) == STBCAM_OK && error.code == result)
        print_text("text", error.text);
}

/* ---- events -------------------------------------------------------------------------------------- */

void print_window(const box_t *box, const service_t *service)
{
    begin_event(box, "window", monotonic_us());
    printf(",\"service\":%u,\"from\":%lu,\"to\":%lu", (unsigned)service->sid, service->clear_from, service->clear_to);
    end_line();
}

static service_t *service_of(box_t *box, stbcam_session_t session)
{
    for (int i = 0; i < box->service_count; i++)
        if (session && box->services[i].session == session)
            return &box->services[i];
    return NULL;
}

static request_t *request_of(box_t *box, const char *name)
{
    for (int i = 0; i < box->request_count; i++)
        if (strcmp(box->requests[i].name, name) == 0)
            return &box->requests[i];
    return NULL;
}

static void print_access(box_t *box, const stbcam_event_t *event, service_t *service)
{
    begin_event(box, "access", event->monotonic_us);
    printf(",\"service\":%u,\"state\":\"%s\",\"reason\":\"%s\",\"remedy\":\"%s\"", (unsigned)service->sid,
           access_name(event->code), reason_name(event->arg), remedy_name((int)event->flags));
    print_text("text", event->text);
    end_line();
    if (event->amount && !service->has_keys) {
        begin_event(box, "keys", event->monotonic_us);
        printf(",\"service\":%u,\"since_watch_us\":%llu", (unsigned)service->sid,
               (unsigned long long)(event->monotonic_us - service->watched_us));
        end_line();
    } else if (!event->amount && service->has_keys) {
        int card = event->arg == STBCAM_REASON_NO_CARD || event->arg == STBCAM_REASON_MUTE_CARD ||
                   event->arg == STBCAM_REASON_UNKNOWN_CARD || event->arg == STBCAM_REASON_READER_FAULT ||
                   event->arg == STBCAM_REASON_CARD_BUSY;
        begin_event(box, "wiped", event->monotonic_us);
        printf(",\"service\":%u,\"cause\":\"%s\"", (unsigned)service->sid, card ? "card" : "access");
        end_line();
    }
    service->has_keys = event->amount != 0;
}

static void print_receipt(const stbcam_receipt_t *receipt)
{
    printf(",\"paid\":%lld,\"balance_before\":%lld,\"balance_after\":%lld,\"event_id\":%lu",
           (long long)receipt->paid.minor, (long long)receipt->balance_before.minor,
           (long long)receipt->balance_after.minor, (unsigned long)receipt->event_id);
    printf(",\"card_sequence\":%u,\"terminal_sequence\":%lu", (unsigned)receipt->card_seq,
           (unsigned long)receipt->terminal_seq);
    print_hex("terminal", receipt->terminal_id, 6);
    print_hex("tac", receipt->tac, 4);
    print_hex("chain", receipt->chain, 8);
    printf(",\"date\":\"%.10s\",\"time\":\"%s\"", receipt->card_time, receipt->card_time + 11);
}

static void print_purchase(box_t *box, const stbcam_event_t *event)
{
    stbcam_receipt_t receipt = {.struct_size = sizeof receipt};
    stbcam_result_t known = stbcam_purchase(box->cam, event->txn, &receipt);
    begin_event(box, "purchase", event->monotonic_us);
    print_hex("request", receipt.request_id, 16);
    printf(",\"state\":\"%s\",\"result\":\"%s\"", txn_name(event->code, event->arg), result_name(event->arg));
    print_text("text", event->text);
    if (event->arg == STBCAM_E_PIN_WRONG)
        printf(",\"tries_left\":%lu", (unsigned long)event->flags);
    if (known == STBCAM_OK && (event->code == STBCAM_TXN_PAID || event->code == STBCAM_TXN_OWNED ||
                               event->code == STBCAM_TXN_REFUNDED))
        print_receipt(&receipt);
    end_line();
}

/* A key that comes into use for the first time is not a rotation. */
static void print_rotation(box_t *box, const stbcam_event_t *event)
{
    uint16_t *epoch = &box->epochs[event->code & 15];
    if (*epoch) {
        begin_event(box, "key_rotated", event->monotonic_us);
        printf(",\"slot\":%d,\"from_epoch\":%u,\"to_epoch\":%d", event->code, (unsigned)*epoch, event->arg);
        end_line();
    }
    *epoch = (uint16_t)event->arg;
}

static void learn_epochs(box_t *box)
{
    stbcam_service_key_t keys[16];
    size_t count = 16;
    stbcam_service_keys(box->cam, keys, sizeof keys[0], &count);
    for (size_t i = 0; i < count && i < 16; i++)
        if (keys[i].slot < 16 && !box->epochs[keys[i].slot])
            box->epochs[keys[i].slot] = keys[i].active;
}

void print_event(box_t *box, const stbcam_event_t *event)
{
    service_t *service = service_of(box, event->session);
    switch (event->type) {
    case STBCAM_EV_CARD:
        if (event->code == STBCAM_CARD_READY)
            learn_epochs(box);
        begin_event(box, "card", event->monotonic_us);
        printf(",\"state\":\"%s\",\"reason\":\"%s\"", card_name(event->code), reason_name(event->arg));
        print_text("text", event->text);
        end_line();
        break;
    case STBCAM_EV_ACCESS:
        if (service)
            print_access(box, event, service);
        break;
    case STBCAM_EV_TERMS:
        begin_event(box, "terms", event->monotonic_us);
        printf(",\"service\":%u,\"rating\":%ld,\"copy_control\":%lu,\"pin_needed\":%s,\"expires_utc\":%lld",
               service ? (unsigned)service->sid : 0, (long)event->code, (unsigned long)event->flags,
               event->arg ? "true" : "false", (long long)event->amount);
        if (event->id)
            printf(",\"update_by_utc\":%llu", (unsigned long long)event->id);
        end_line();
        break;
    case STBCAM_EV_OFFER:
    case STBCAM_EV_OFFER_GONE:
        begin_event(box, event->type == STBCAM_EV_OFFER ? "offer" : "offer_gone", event->monotonic_us);
        printf(",\"service\":%u,\"offer\":\"%016llx\"", service ? (unsigned)service->sid : 0,
               (unsigned long long)event->id);
        if (event->type == STBCAM_EV_OFFER && event->amount >= 0)
            printf(",\"price\":%lld,\"event_id\":%ld", (long long)event->amount, (long)event->arg);
        end_line();
        break;
    case STBCAM_EV_WALLET:
        begin_event(box, "wallet", event->monotonic_us);
        printf(",\"balance\":%lld", (long long)event->amount);
        end_line();
        break;
    case STBCAM_EV_PURCHASE:
        print_purchase(box, event);
        break;
    case STBCAM_EV_KEY_ROTATED:
        print_rotation(box, event);
        break;
    case STBCAM_EV_REPORT:
        box->report = *event;
        begin_event(box, "report", event->monotonic_us);
        if (event->code == STBCAM_REPORT_READ)
            printf(",\"state\":\"read\",\"nonce\":\"%016llx\",\"pages\":%ld", (unsigned long long)event->id,
                   (long)event->arg);
        else
            printf(",\"state\":\"acknowledged\",\"result\":\"%s\"", result_name(event->arg));
        print_text("text", event->text);
        end_line();
        break;
    case STBCAM_EV_ENTITLEMENTS:
    case STBCAM_EV_PAIRING:
    case STBCAM_EV_HEALTH:
    case STBCAM_EV_OVERFLOW:
        begin_event(box,
                    event->type == STBCAM_EV_ENTITLEMENTS ? "entitlements"
                    : event->type == STBCAM_EV_PAIRING    ? "pairing"
                    : event->type == STBCAM_EV_HEALTH     ? "health"
                                                          : "overflow",
                    event->monotonic_us);
        printf(",\"code\":%ld,\"amount\":%lld", (long)event->code, (long long)event->amount);
        print_text("text", event->text);
        end_line();
        break;
    default: /* a later version of the library knows more */
        break;
    }
}

/* ---- commands ------------------------------------------------------------------------------------ */

static void tell_access(box_t *box, const service_t *service)
{
    stbcam_access_t access = {.struct_size = sizeof access};
    stbcam_result_t result = stbcam_access(box->cam, service->session, &access);
    answer("access", result);
    if (result == STBCAM_OK) {
        printf(",\"service\":%u,\"state\":\"%s\",\"reason\":\"%s\",\"remedy\":\"%s\",\"sw\":\"%04x\"",
               (unsigned)service->sid, access_name(access.state), reason_name(access.reason),
               remedy_name(access.remedy), (unsigned)access.sw);
        printf(",\"keys\":%s,\"crypto_period\":%lu,\"pin_needed\":%s", access.has_keys ? "true" : "false",
               (unsigned long)access.crypto_period, access.flags & STBCAM_ACCESS_PIN_NEEDED ? "true" : "false");
        print_text("text", stbcam_reason_text(access.reason, NULL));
    }
    end_line();
}

/* The first offer of a service. */
static stbcam_result_t first_offer(box_t *box, const service_t *service, stbcam_offer_t *offer)
{
    size_t count = 1;
    stbcam_result_t result = stbcam_offers(box->cam, service->session, offer, sizeof *offer, &count);
    if (result == STBCAM_E_BUFFER)
        return STBCAM_OK; /* there are more, but one is enough */
    return result != STBCAM_OK ? result : count ? STBCAM_OK : STBCAM_E_AGAIN;
}

static void tell_offer(box_t *box, const service_t *service)
{
    stbcam_offer_t offer;
    stbcam_result_t result = first_offer(box, service, &offer);
    answer("offer", result);
    if (result == STBCAM_OK) {
        printf(",\"service\":%u,\"offer\":\"%016llx\",\"event_id\":%lu,\"start\":%lld,\"end\":%lld", (unsigned)service->sid,
               (unsigned long long)offer.offer_id, (unsigned long)offer.event_id, (long long)offer.start_utc,
               (long long)offer.end_utc);
        if (!(offer.flags & STBCAM_OFFER_PRICE_UNKNOWN))
            printf(",\"price\":%lld,\"currency\":\"%s\"", (long long)offer.price.minor, offer.price.currency);
        printf(",\"pin_needed\":%s", offer.flags & STBCAM_OFFER_PIN_NEEDED ? "true" : "false");
    }
    end_line();
}

/* Both steps of a purchase. The request makes asking again harmless, also after a power cut: then there need be no
 * offer any more. */
static stbcam_result_t buy(box_t *box, const service_t *service, long long price, const char *name, const char *pin)
{
    uint8_t id[16];
    request_t *request = request_of(box, name);
    stbcam_offer_t offer = {.offer_id = 0};
    stbcam_txn_t txn;
    stbcam_money_t seen = {.minor = price, .currency = "CNY", .exponent = 2};
    if (hex_octets(name, id, sizeof id) != 0)
        return STBCAM_E_ARG;
    if (!request)
        first_offer(box, service, &offer);
    stbcam_result_t result = stbcam_purchase_begin(box->cam, request ? request->offer : offer.offer_id, id, &seen, &txn);
    if (result != STBCAM_OK)
        return result;
    if (!request) {
        if (box->request_count == MAX_REQUESTS)
            return STBCAM_E_FULL;
        request = &box->requests[box->request_count++];
        strcpy(request->name, name); /* 32 digits, as hex_octets has checked */
        request->offer = offer.offer_id;
        request->txn = txn;
    }
    return stbcam_purchase_confirm(box->cam, txn, (const uint8_t *)pin, strlen(pin));
}

static void tell_wallet(box_t *box)
{
    stbcam_wallet_t wallet;
    size_t count = 1;
    stbcam_result_t result = stbcam_wallets(box->cam, &wallet, sizeof wallet, &count);
    answer("wallet", result);
    if (result == STBCAM_OK && count == 1)
        printf(",\"balance\":%lld,\"currency\":\"%s\",\"exponent\":%d,\"offline_sequence\":%u,\"online_sequence\":%u",
               (long long)wallet.balance.minor, wallet.balance.currency, wallet.balance.exponent,
               (unsigned)wallet.card_seq_offline, (unsigned)wallet.card_seq_online);
    end_line();
}

static void tell_receipts(box_t *box)
{
    stbcam_receipt_t receipt;
    uint64_t cursor = 0;
    size_t count = 1;
    answer("receipts", STBCAM_OK);
    printf(",\"receipts\":[");
    for (int i = 0; stbcam_receipts(box->cam, &cursor, &receipt, sizeof receipt, &count) == STBCAM_OK && count; i++) {
        printf("%s{\"state\":\"%s\"", i ? "," : "", txn_name(receipt.state, STBCAM_OK));
        print_hex("request", receipt.request_id, 16);
        print_receipt(&receipt);
        putchar('}');
    }
    putchar(']');
    end_line();
}

/* Has the card report, and writes what the head-end is to verify. */
static void tell_report(box_t *box, const char *name, const char *nonce)
{
    int pages = 0;
    answer("report", fetch_report(box, name, nonce, &pages));
    printf(",\"pages\":%d", pages);
    end_line();
}

static unsigned long long sum(const uint64_t of[4])
{
    return of[0] + of[1] + of[2] + of[3];
}

/* A line of the field engineer's: the library's own JSON, in an answer. */
static void tell_diag(box_t *box)
{
    char json[8192];
    size_t need = 0;
    stbcam_result_t result = stbcam_diag_json(box->cam, json, sizeof json, &need);
    answer("diag", result);
    if (result == STBCAM_OK)
        printf(",\"diag\":%s", json);
    end_line();
}

static void tell_stats(box_t *box)
{
    stbcam_stats_t stats = {.struct_size = sizeof stats};
    answer("stats", stbcam_stats(box->cam, &stats));
    const struct {
        const char *name;
        unsigned long long value;
    } rows[] = {
        {"ecm_in", stats.ecm_in},
        {"ecm_duplicate", stats.ecm_dup},
        {"ecm_sent", stats.ecm_sent},
        {"ecm_replayed", stats.ecm_replayed},
        {"ecm_replaced", stats.ecm_replaced},
        {"ecm_stale", stats.ecm_stale},
        {"ecm_refused", stats.ecm_refused},
        {"ecm_malformed", stats.ecm_malformed},
        {"ecm_us_p50", stats.ecm_latency_p50_us},
        {"ecm_us_p99", stats.ecm_latency_p99_us},
        {"ecm_us_max", stats.ecm_latency_max_us},
        {"ecm_apdus", stats.apdu_ecm},
        {"ecm_line_octets", stats.ecm_line_sent + stats.ecm_line_received},
        {"cw_out", stats.cw_out},
        {"cw_cleared", stats.cw_cleared},
        {"apdus", stats.apdu},
        {"apdus_failed", stats.apdu_failed},
        {"line_sent", stats.line_sent},
        {"line_received", stats.line_received},
        {"resets", stats.resets},
        {"emm_in", sum(stats.emm_in)},
        {"emm_not_ours", sum(stats.emm_not_ours)},
        {"emm_duplicate", sum(stats.emm_dup) + sum(stats.emm_dup_card)},
        {"emm_applied", sum(stats.emm_applied)},
        {"emm_refused", sum(stats.emm_refused)},
        {"emm_later", sum(stats.emm_later)},
        {"emm_dropped", sum(stats.emm_dropped)},
        {"emm_unknown", sum(stats.emm_unknown)},
        {"emm_malformed", stats.emm_malformed},
        {"section_malformed", stats.section_malformed},
        {"section_overflow", stats.section_overflow},
        {"section_unwanted", stats.section_unwanted},
        {"filter_turns", stats.filter_turns},
        {"event_overflow", stats.event_overflow},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf(",\"%s\":%llu", rows[i].name, rows[i].value);
    end_line();
}

static void watch(box_t *box, service_t *service, int on)
{
    if (on && !service->watched)
        service->watched_us = monotonic_us();
    service->watched = on;
    if (on) {
        tune(box, service);
    } else if (service->session) {
        stbcam_session_close(box->cam, service->session);
        service->session = 0;
        service->has_keys = 0;
    }
    answer(on ? "watch" : "stop", STBCAM_OK);
    printf(",\"service\":%u", (unsigned)service->sid);
    end_line();
}

/* One command; 0 when it was the last one, -1 when the stream is damaged. */
static int command(box_t *box, char *line)
{
    char *token[6] = {"", "", "", "", "", ""};
    int tokens = 0;
    for (char *next = strtok(line, " \t\r"); next && tokens < 6; next = strtok(NULL, " \t\r"))
        token[tokens++] = next;
    const char *verb = token[0];
    int needs_service = strcmp(verb, "watch") == 0 || strcmp(verb, "stop") == 0 || strcmp(verb, "access") == 0 ||
                        strcmp(verb, "offer") == 0 || strcmp(verb, "buy") == 0;
    service_t *service = needs_service ? find_service(box, (unsigned)strtoul(token[1], NULL, 0)) : NULL;

    if (tokens == 0) {
        return 1;
    } else if (needs_service && !service) {
        answer(verb, STBCAM_E_FULL);
        end_line();
    } else if (strcmp(verb, "play") == 0) {
        int more = play(box, strtod(token[1], NULL));
        if (more < 0)
            return -1;
        answer(verb, STBCAM_OK);
        printf(",\"at\":%.6f,\"packet\":%lu,\"end\":%s", box->at, box->ts.next, more ? "false" : "true");
        end_line();
    } else if (strcmp(verb, "watch") == 0 || strcmp(verb, "stop") == 0) {
        watch(box, service, verb[0] == 'w');
    } else if (strcmp(verb, "access") == 0) {
        tell_access(box, service);
    } else if (strcmp(verb, "offer") == 0) {
        tell_offer(box, service);
    } else if (strcmp(verb, "request") == 0) {
        uint8_t id[16];
        stbcam_result_t result = stbcam_request_new(box->cam, id);
        answer(verb, result);
        if (result == STBCAM_OK)
            print_hex("request", id, sizeof id);
        end_line();
    } else if (strcmp(verb, "buy") == 0) {
        answer(verb, buy(box, service, strtoll(token[2], NULL, 10), token[3], token[4]));
        print_text("request", token[3]);
        end_line();
    } else if (strcmp(verb, "confirm") == 0) {
        const request_t *request = request_of(box, token[1]);
        answer(verb, stbcam_purchase_confirm(box->cam, request ? request->txn : 0, (const uint8_t *)token[2],
                                             strlen(token[2])));
        end_line();
    } else if (strcmp(verb, "pin") == 0) {
        uint32_t tries = UINT32_MAX;
        answer(verb, stbcam_pin_verify(box->cam, (const uint8_t *)token[1], strlen(token[1]), &tries));
        if (tries != UINT32_MAX)
            printf(",\"tries_left\":%lu", (unsigned long)tries);
        end_line();
    } else if (strcmp(verb, "wallet") == 0) {
        tell_wallet(box);
    } else if (strcmp(verb, "receipts") == 0) {
        tell_receipts(box);
    } else if (strcmp(verb, "report") == 0) {
        tell_report(box, token[1], token[2]);
    } else if (strcmp(verb, "ack") == 0) {
        answer(verb, take_ack(box, token[1]));
        end_line();
    } else if (strcmp(verb, "stats") == 0) {
        tell_stats(box);
    } else if (strcmp(verb, "diag") == 0) {
        tell_diag(box);
    } else if (strcmp(verb, "flush") == 0) {
        stbcam_result_t result = stbcam_flush(box->cam, 10000);
        take_events(box);
        answer(verb, result);
        end_line();
    } else if (strcmp(verb, "quit") == 0) {
        return 0;
    } else {
        answer("unknown", STBCAM_E_UNSUPPORTED);
        end_line();
    }
    return 1;
}

/* Takes commands from stdin until 'quit' or its end; events are printed as they come. */
int obey(box_t *box)
{
    char line[512];
    size_t len = 0;
    int more = 1;
    struct pollfd inputs[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = stbcam_event_fd(box->cam), .events = POLLIN}};
    while (more == 1) {
        poll(inputs, 2, -1);
        take_events(box);
        if (!(inputs[0].revents & (POLLIN | POLLHUP)))
            continue;
        ssize_t got = read(STDIN_FILENO, line + len, sizeof line - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
        for (char *end; more == 1 && (end = memchr(line, '\n', len)) != NULL;) {
            size_t taken = (size_t)(end - line) + 1;
            *end = '\0';
            more = command(box, line);
            memset(line, 0, taken); /* there may have been a PIN in it */
            memmove(line, line + taken, len - taken);
            len -= taken;
            memset(line + len, 0, taken);
        }
        if (len == sizeof line - 1)
            len = 0; /* no command is so long */
    }
    memset(line, 0, sizeof line);
    return more < 0 ? 1 : 0;
}
