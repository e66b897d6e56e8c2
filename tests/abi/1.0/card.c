/* SPDX-License-Identifier: Apache-2.0 */
/* A card of version 1.0 and a broadcast: sessions, rights, a purchase, PINs, a report, and what a field engineer asks. */
#define _XOPEN_SOURCE 700
#include "every.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t pin[] = "40962718", other_pin[] = "13571357";
enum { PIN_LEN = 8, UTC = 1796126400 };

/* ---- steps ------------------------------------------------------------------------------------------- */

/* As a host's loop does it: the descriptor says when a step is due. */
static int step_until(box_t *box, int (*done)(box_t *box))
{
    struct pollfd due = {.fd = stbcam_step_fd(box->cam), .events = POLLIN};
    CHECK_TRUE(due.fd >= 0);
    for (int i = 0; i < 20000; i++) {
        uint32_t next_ms = 0;
        stbcam_result_t result = stbcam_step(box->cam, 0, &next_ms);
        CHECK(result, STBCAM_OK);
        if (result != STBCAM_OK)
            return 0;
        take_events(box);
        if (done(box))
            return 1;
        if (poll(&due, 1, 20000) != 1)
            return 0;
    }
    return 0;
}

static int card_is_ready(box_t *box)
{
    return box->seen[STBCAM_EV_CARD] && box->last[STBCAM_EV_CARD].code == STBCAM_CARD_READY;
}

static stbcam_access_t access_of(box_t *box, stbcam_session_t session)
{
    ROOM(stbcam_access_t, access);
    CHECK(stbcam_access(box->cam, session, &access.it), STBCAM_OK);
    INTACT(access);
    CHECK(access.it.struct_size, sizeof access.it);
    return access.it;
}

static int both_are_known(box_t *box)
{
    return access_of(box, box->news).state == STBCAM_ACCESS_GRANTED &&
           access_of(box, box->cinema).state == STBCAM_ACCESS_PURCHASABLE && access_of(box, box->cinema).offers == 1 &&
           box->seen[STBCAM_EV_OFFER];
}

static int cinema_is_granted(box_t *box)
{
    return access_of(box, box->cinema).state == STBCAM_ACCESS_GRANTED;
}

static int pictures_are_seen(box_t *box)
{
    return box->packets[STBCAM_PACKET_DESCRAMBLED] >= 200 && box->start_codes > 0;
}

static int report_came(box_t *box)
{
    return box->seen[STBCAM_EV_REPORT] != 0;
}

/* ---- tables ------------------------------------------------------------------------------------------ */

static const uint8_t *pmt_of(const box_t *box, unsigned programme, size_t *len)
{
    for (size_t at = 0; at + 5 < box->broadcast_len;) {
        const uint8_t *record = box->broadcast + at, *section = record + 5;
        *len = (size_t)record[3] << 8 | record[4];
        if (record[0] == 'S' && section[0] == 0x02 && (section[3] << 8 | section[4]) == (int)programme)
            return section;
        at += 5 + *len;
    }
    fprintf(stderr, "every: the broadcast has no PMT of programme %u\n", programme);
    exit(2);
}

/* The CA_PMT object (EN 50221 8.4.3.4) of a PMT, without its tag and length: only, ok_descrambling. */
static size_t ca_pmt_of(const uint8_t *pmt, size_t len, uint8_t command, uint8_t *object)
{
    size_t info = (size_t)(pmt[10] & 0x0F) << 8 | pmt[11], at = 12 + info, out = 0;
    object[out++] = 0x03;
    object[out++] = pmt[3];
    object[out++] = pmt[4];
    object[out++] = pmt[5];
    object[out++] = (uint8_t)(0xF0 | (info + 1) >> 8);
    object[out++] = (uint8_t)(info + 1);
    object[out++] = command;
    memcpy(object + out, pmt + 12, info);
    out += info;
    while (at + 5 <= len - 4) {
        size_t es = (size_t)(pmt[at + 3] & 0x0F) << 8 | pmt[at + 4], with = es ? es + 1 : 0;
        memcpy(object + out, pmt + at, 3);
        out += 3;
        object[out++] = (uint8_t)(0xF0 | with >> 8);
        object[out++] = (uint8_t)with;
        if (es)
            object[out++] = command;
        memcpy(object + out, pmt + at + 5, es);
        out += es;
        at += 5 + es;
    }
    return out;
}

static void sessions(box_t *box)
{
    uint8_t object[512];
    size_t len;
    const uint8_t *pmt = pmt_of(box, 2, &len);
    ROOM(stbcam_ca_pmt_reply_t, reply);

    CHECK(stbcam_is_our_ca(box->cam, 0x4AF0), 1);
    CHECK(stbcam_is_our_ca(box->cam, 0x4AF1), 1);
    CHECK(stbcam_is_our_ca(box->cam, 0x0B00), 0);
    CHECK(stbcam_session_open_pmt(box->cam, SOURCE, pmt, len, &box->cinema), STBCAM_OK);
    CHECK(stbcam_session_update_pmt(box->cam, box->cinema, pmt, len), STBCAM_OK);
    CHECK(stbcam_section(box->cam, SOURCE, 0x141, pmt, len - 1), STBCAM_E_SECTION);
    pmt = pmt_of(box, 1, &len);
    CHECK(stbcam_ca_pmt(box->cam, SOURCE, object, ca_pmt_of(pmt, len, 0x03, object), &reply.it), STBCAM_OK);
    CHECK_TRUE(reply.it.session == 0 && reply.it.ca_enable == STBCAM_CA_ENABLE_POSSIBLE); /* a query */
    CHECK(stbcam_ca_pmt(box->cam, SOURCE, object, ca_pmt_of(pmt, len, 0x01, object), &reply.it), STBCAM_OK);
    INTACT(reply);
    CHECK(reply.it.ca_enable, STBCAM_CA_ENABLE_POSSIBLE);
    box->news = reply.it.session;
    CHECK_TRUE(box->news != 0 && box->news != box->cinema);
    CHECK(access_of(box, box->news).state, STBCAM_ACCESS_PENDING);
    CHECK(stbcam_flush(box->cam, 20000), STBCAM_OK);
    take_events(box);
    CHECK_TRUE(box->filter_count >= 2);
}

/* ---- what the card holds ----------------------------------------------------------------------------- */

static void rights(box_t *box, unsigned events)
{
    struct {
        stbcam_entitlement_t it[2];
        uint8_t behind[GUARD];
    } piece;
    struct {
        stbcam_service_key_t it[8];
        uint8_t behind[GUARD];
    } keys;
    uint64_t cursor = 0;
    size_t count;
    stbcam_result_t result;
    unsigned kinds[4] = {0};
    memset(&piece, OWN, sizeof piece);
    memset(&keys, OWN, sizeof keys);
    do {
        count = 2;
        result = stbcam_entitlements(box->cam, &cursor, piece.it, sizeof piece.it[0], &count);
        CHECK(result, STBCAM_OK);
        INTACT(piece);
        for (size_t i = 0; i < count && result == STBCAM_OK; i++) {
            CHECK_TRUE(piece.it[i].struct_size == sizeof piece.it[i] && piece.it[i].end_utc > piece.it[i].start_utc);
            kinds[piece.it[i].kind & 3]++;
            if (piece.it[i].kind == STBCAM_ENTITLEMENT_EVENT)
                CHECK_TRUE(piece.it[i].id == 2001 && piece.it[i].slot == 2);
        }
    } while (result == STBCAM_OK && count > 0);
    CHECK_TRUE(kinds[STBCAM_ENTITLEMENT_PACKAGE] >= 1);
    CHECK(kinds[STBCAM_ENTITLEMENT_EVENT], events);
    count = 8;
    CHECK(stbcam_service_keys(box->cam, keys.it, sizeof keys.it[0], &count), STBCAM_OK);
    INTACT(keys);
    CHECK_TRUE(count == 2 && keys.it[0].slot == 1 && keys.it[1].slot == 2 && keys.it[1].newest == 1 && keys.it[1].suite == 2);
}

static int64_t balance(box_t *box)
{
    ROOM(stbcam_wallet_t, wallet);
    size_t count = 1;
    CHECK(stbcam_wallets(box->cam, &wallet.it, sizeof wallet.it, &count), STBCAM_OK);
    INTACT(wallet);
    CHECK_TRUE(count == 1 && wallet.it.struct_size == sizeof wallet.it && wallet.it.wallet_id == 1);
    CHECK(strcmp(wallet.it.balance.currency, "CNY"), 0);
    CHECK(wallet.it.balance.exponent, 2);
    CHECK(wallet.it.pin_free_per_purchase.minor, 0);
    return wallet.it.balance.minor;
}

static void known_card(box_t *box)
{
    ROOM(stbcam_card_t, known);
    CHECK(stbcam_card(box->cam, &known.it), STBCAM_OK);
    INTACT(known);
    CHECK(known.it.struct_size, sizeof known.it);
    CHECK(known.it.state, STBCAM_CARD_READY);
    CHECK(known.it.reason, STBCAM_REASON_CARD_READY);
    CHECK(memcmp(known.it.address, "\xA1\xB2\xC3\xD4\xE5\xF6\x07\x18", 8), 0);
    CHECK_TRUE(known.it.operator_id == 0x1201 && known.it.pairing_slot == 0 && known.it.pairing_slots == 1);
    CHECK_TRUE(known.it.atr_len > 2 && known.it.atr[0] == 0x3B && known.it.clock_utc > 1700000000 && !known.it.blocked);
}

/* ---- money ------------------------------------------------------------------------------------------- */

static stbcam_receipt_t purchase_of(box_t *box, stbcam_txn_t txn)
{
    ROOM(stbcam_receipt_t, receipt);
    CHECK(stbcam_purchase(box->cam, txn, &receipt.it), STBCAM_OK);
    INTACT(receipt);
    CHECK_TRUE(receipt.it.struct_size == sizeof receipt.it && receipt.it.txn == txn);
    return receipt.it;
}

static void confirm(box_t *box, stbcam_txn_t txn, const uint8_t *digits, int32_t state, int32_t result)
{
    CHECK(stbcam_purchase_confirm(box->cam, txn, digits, PIN_LEN), STBCAM_OK);
    CHECK(stbcam_flush(box->cam, 20000), STBCAM_OK);
    take_events(box);
    CHECK(box->last[STBCAM_EV_PURCHASE].txn, txn);
    CHECK(box->last[STBCAM_EV_PURCHASE].code, state);
    CHECK(box->last[STBCAM_EV_PURCHASE].arg, result);
}

/* By members: what lies between them is nobody's. */
static int same_receipt(const stbcam_receipt_t *a, const stbcam_receipt_t *b)
{
    return a->txn == b->txn && a->state == b->state && memcmp(a->request_id, b->request_id, 16) == 0 &&
           a->offer_id == b->offer_id && a->event_id == b->event_id && a->flags == b->flags &&
           a->price_seen.minor == b->price_seen.minor && a->paid.minor == b->paid.minor &&
           a->balance_before.minor == b->balance_before.minor && a->balance_after.minor == b->balance_after.minor &&
           a->utc_s == b->utc_s && memcmp(a->card_time, b->card_time, sizeof a->card_time) == 0 &&
           a->terminal_seq == b->terminal_seq && memcmp(a->terminal_id, b->terminal_id, 6) == 0 && a->card_seq == b->card_seq &&
           memcmp(a->tac, b->tac, 4) == 0 && memcmp(a->chain, b->chain, 8) == 0 && a->card_result == b->card_result;
}

static void purchase(box_t *box)
{
    struct {
        stbcam_offer_t it[4];
        uint8_t behind[GUARD];
    } offers;
    struct {
        stbcam_receipt_t it[4];
        uint8_t behind[GUARD];
    } receipts;
    uint8_t request[16], second[16];
    uint64_t cursor = 0;
    size_t count = 4;
    stbcam_txn_t txn = 0, again = 0;
    memset(&offers, OWN, sizeof offers);
    memset(&receipts, OWN, sizeof receipts);

    CHECK(stbcam_offers(box->cam, box->cinema, offers.it, sizeof offers.it[0], &count), STBCAM_OK);
    INTACT(offers);
    const stbcam_offer_t *offer = &offers.it[0];
    CHECK_TRUE(count == 1 && offer->struct_size == sizeof *offer && offer->session == box->cinema);
    CHECK_TRUE(offer->kind == STBCAM_OFFER_EVENT && offer->event_id == 2001 && offer->flags == STBCAM_OFFER_PIN_NEEDED);
    CHECK(offer->price.minor, 1200);
    CHECK(offer->end_utc - offer->start_utc, 10);
    CHECK_TRUE(box->last[STBCAM_EV_OFFER].id == offer->offer_id && box->last[STBCAM_EV_OFFER].amount == 1200);

    CHECK(stbcam_request_new(box->cam, request), STBCAM_OK);
    CHECK(stbcam_purchase_begin(box->cam, offer->offer_id, request, &offer->price, &txn), STBCAM_OK);
    CHECK(purchase_of(box, txn).state, STBCAM_TXN_OPEN);
    CHECK(stbcam_purchase_cancel(box->cam, txn), STBCAM_OK);
    CHECK(purchase_of(box, txn).state, STBCAM_TXN_CANCELLED);
    CHECK(balance(box), 10000);

    CHECK(stbcam_request_new(box->cam, second), STBCAM_OK);
    CHECK_TRUE(memcmp(request, second, 16) != 0);
    CHECK(stbcam_purchase_begin(box->cam, offer->offer_id, second, &offer->price, &txn), STBCAM_OK);
    CHECK(stbcam_purchase_begin(box->cam, offer->offer_id, second, &offer->price, &again), STBCAM_OK);
    CHECK(again, txn);
    confirm(box, txn, other_pin, STBCAM_TXN_OPEN, STBCAM_E_PIN_WRONG);
    CHECK(box->last[STBCAM_EV_PURCHASE].flags, 2);
    CHECK(balance(box), 10000);
    confirm(box, txn, pin, STBCAM_TXN_PAID, STBCAM_OK);
    CHECK(box->last[STBCAM_EV_PURCHASE].amount, 1200);
    CHECK(balance(box), 8800);

    stbcam_receipt_t paid = purchase_of(box, txn);
    CHECK(paid.state, STBCAM_TXN_PAID);
    CHECK_TRUE(memcmp(paid.request_id, second, 16) == 0 && paid.offer_id == offer->offer_id && paid.event_id == 2001);
    CHECK_TRUE(paid.price_seen.minor == 1200 && paid.paid.minor == 1200 && paid.balance_before.minor == 10000);
    CHECK_TRUE(paid.balance_after.minor == 8800 && strlen(paid.card_time) == 19 && paid.utc_s > 1700000000);
    CHECK(memcmp(paid.terminal_id, "TERM01", 6), 0);
    count = 4;
    CHECK(stbcam_receipts(box->cam, &cursor, receipts.it, sizeof receipts.it[0], &count), STBCAM_OK);
    INTACT(receipts);
    CHECK_TRUE(count == 1 && cursor == 1 && same_receipt(&receipts.it[0], &paid));
    CHECK(stbcam_receipts(box->cam, &cursor, receipts.it, sizeof receipts.it[0], &count), STBCAM_OK);
    CHECK(count, 0);
}

static void pins(box_t *box)
{
    uint32_t tries = 99;
    CHECK(stbcam_pin_verify(box->cam, other_pin, PIN_LEN, &tries), STBCAM_E_PIN_WRONG);
    CHECK(tries, 2);
    CHECK(stbcam_pin_verify(box->cam, pin, PIN_LEN, &tries), STBCAM_OK);
    CHECK(tries, 3);
    CHECK(stbcam_pin_change(box->cam, pin, PIN_LEN, other_pin, PIN_LEN, &tries), STBCAM_OK);
    CHECK(stbcam_pin_verify(box->cam, other_pin, PIN_LEN, NULL), STBCAM_OK);
    CHECK(stbcam_pin_change(box->cam, other_pin, PIN_LEN, pin, PIN_LEN, NULL), STBCAM_OK);
}

static void report(box_t *box)
{
    uint8_t page[STBCAM_REPORT_MAX], ack[37] = {0};
    size_t len = 1;
    int32_t pages = 0;
    stbcam_result_t result;

    CHECK(stbcam_report_request(box->cam, (const uint8_t *)"\x01\x02\x03\x04\x05\x06\x07\x08", 0), STBCAM_OK);
    CHECK_TRUE(step_until(box, report_came));
    CHECK(box->last[STBCAM_EV_REPORT].code, STBCAM_REPORT_READ);
    CHECK_TRUE(box->last[STBCAM_EV_REPORT].id == 0x0102030405060708 && box->last[STBCAM_EV_REPORT].arg >= 1);
    CHECK(stbcam_report_next(box->cam, page, &len), STBCAM_E_BUFFER);
    CHECK_TRUE(len > 1 && len <= sizeof page);
    while (len = sizeof page, (result = stbcam_report_next(box->cam, page, &len)) == STBCAM_OK)
        pages++;
    CHECK(result, STBCAM_E_AGAIN);
    CHECK(pages, box->last[STBCAM_EV_REPORT].arg);
    box->seen[STBCAM_EV_REPORT] = 0;
    CHECK(stbcam_report_ack(box->cam, ack, sizeof ack), STBCAM_OK); /* nobody's: the card says so */
    CHECK_TRUE(step_until(box, report_came));
    CHECK(box->last[STBCAM_EV_REPORT].code, STBCAM_REPORT_ACKNOWLEDGED);
    CHECK(box->last[STBCAM_EV_REPORT].arg, STBCAM_E_CARD_REFUSED);
}

/* ---- operation --------------------------------------------------------------------------------------- */

static void counters(box_t *box)
{
    ROOM(stbcam_stats_t, stats);
    CHECK(stbcam_stats(box->cam, &stats.it), STBCAM_OK);
    INTACT(stats);
    CHECK(stats.it.struct_size, sizeof stats.it);
    CHECK_TRUE(stats.it.apdu > stats.it.apdu_ecm && stats.it.apdu_ecm >= stats.it.ecm_sent && stats.it.ecm_sent >= 2);
    CHECK(stats.it.cw_out, box->cws[0] + box->cws[1] + box->cws[2]);
    CHECK(stats.it.section_malformed, 1);
    CHECK_TRUE(stats.it.resets >= 1 && stats.it.emm_in[0] > 0 && stats.it.ecm_in > 0 && stats.it.ecm_latency_count > 0);
    CHECK_TRUE(stats.it.ecm_latency_max_us >= stats.it.ecm_latency_p50_us && stats.it.reserved == 0);
}

static void diagnosis(box_t *box)
{
    char *json = NULL;
    size_t need = 0;
    CHECK(stbcam_set_utc(box->cam, UTC, STBCAM_UTC_BROADCAST), STBCAM_OK);
    CHECK(stbcam_set_utc(box->cam, UTC, 77), STBCAM_E_ARG);
    CHECK(stbcam_diag_json(box->cam, NULL, 0, &need), STBCAM_E_BUFFER);
    json = calloc(1, need + 256);
    CHECK(stbcam_diag_json(box->cam, json, need + 256, &need), STBCAM_OK);
    CHECK(strlen(json) + 1, need);
    CHECK_TRUE(strstr(json, "\"source\":\"broadcast\"") && !strstr(json, (const char *)pin));
    free(json);

    unsigned cards = box->seen[STBCAM_EV_CARD], filters = box->seen[STBCAM_EV_FILTERS];
    CHECK(stbcam_resync(box->cam), STBCAM_OK);
    struct pollfd news = {.fd = stbcam_event_fd(box->cam), .events = POLLIN};
    CHECK(poll(&news, 1, 0), 1);
    take_events(box);
    CHECK(poll(&news, 1, 0), 0);
    CHECK_TRUE(box->seen[STBCAM_EV_CARD] > cards && box->seen[STBCAM_EV_FILTERS] > filters);
    CHECK_TRUE(box->last[STBCAM_EV_CARD].utc_s >= UTC && box->last[STBCAM_EV_CARD].utc_s < UTC + 600);

    box->seen[STBCAM_EV_CARD] = 0;
    CHECK(stbcam_card_reset(box->cam), STBCAM_OK);
    CHECK_TRUE(step_until(box, card_is_ready));
}

static void without_a_thread(const char *vcard, const char *folder, const factory_t *factory)
{
    static box_t box;
    char where[32];
    ROOM(stbcam_config_t, config);

    box_new(&box, folder, factory);
    int listener = listen_anywhere(where);
    long child = serve(vcard, folder, where);
    box.card = accept(listener, NULL, NULL);
    box_configure(&box, &config.it, factory);
    config.it.flags = STBCAM_CONFIG_NO_THREAD;
    config.it.reader_ops = &box.reader_ops;
    config.it.storage = &box.storage_ops;
    config.it.descrambler = &box.descrambler_ops;
    CHECK(stbcam_open(&config.it, &box.cam), STBCAM_OK);
    if (!box.cam)
        exit(1); /* all that follows would say the same */
    CHECK_TRUE(step_until(&box, card_is_ready));
    known_card(&box);
    sessions(&box);
    CHECK_TRUE(play(&box, both_are_known));
    CHECK(box.packets[STBCAM_PACKET_DESCRAMBLED], 0);
    stbcam_access_t news = access_of(&box, box.news);
    CHECK_TRUE(news.reason == STBCAM_REASON_GRANTED_SUBSCRIPTION && news.has_keys == 1 && news.ca_system_id == 0x4AF0);
    CHECK_TRUE(news.remedy == STBCAM_REMEDY_NONE && news.operator_id == 0x1201 && news.expires_utc > UTC && news.sw == 0x9000);
    CHECK(news.update_by_utc, 0); /* no level is announced */
    CHECK(access_of(&box, box.cinema).remedy, STBCAM_REMEDY_PIN); /* as the price wants it */
    rights(&box, 0);
    purchase(&box);
    CHECK_TRUE(cinema_is_granted(&box) || play(&box, cinema_is_granted));
    CHECK(access_of(&box, box.cinema).reason, STBCAM_REASON_GRANTED_EVENT);
    CHECK_TRUE(play(&box, pictures_are_seen));
    rights(&box, 1);
    pins(&box);
    report(&box);
    CHECK_TRUE(box.ladders >= 1 && box.cws[0] > 0 && box.cws[1] > 0 && box.cws[2] == 0 && box.logged > 0);
    counters(&box);
    diagnosis(&box);

    unsigned clears = box.clears;
    CHECK(stbcam_session_close(box.cam, box.cinema), STBCAM_OK);
    CHECK(stbcam_flush(box.cam, 20000), STBCAM_OK);
    CHECK(box.clears, clears + 1);
    CHECK(stbcam_session_close(box.cam, box.cinema), STBCAM_E_NO_SESSION);
    CHECK(stbcam_close(box.cam), STBCAM_OK);
    CHECK(stbcam_close(box.cam), STBCAM_E_ARG);
    CHECK_TRUE(box.power_offs > 0 && box.row_count > 1);
    close(box.card);
    close(listener);
    end(child);
    box_free(&box);
}

/* The library's own reader, storage and thread. The card has kept what was bought. */
static void with_a_thread(const char *vcard, const char *folder, const factory_t *factory)
{
    static box_t box;
    stbcam_config_t config;
    stbcam_event_t event = {.struct_size = sizeof event};
    char where[32], url[64], state[512];

    box_new(&box, folder, factory);
    close(listen_anywhere(where));
    snprintf(url, sizeof url, "vpcd:%s", where);
    snprintf(state, sizeof state, "%s/state", folder);
    box_configure(&box, &config, factory);
    config.reader = url;
    config.state_dir = state;
    CHECK(stbcam_open(&config, &box.cam), STBCAM_OK);
    CHECK(stbcam_step(box.cam, 0, NULL), STBCAM_E_STATE);
    long child = serve(vcard, folder, where);
    for (int i = 0; i < 100 && !(event.type == STBCAM_EV_CARD && event.code == STBCAM_CARD_READY); i++)
        CHECK(stbcam_next_event(box.cam, &event, 20000), STBCAM_OK);
    CHECK(event.code, STBCAM_CARD_READY);
    CHECK(stbcam_flush(box.cam, 20000), STBCAM_OK);
    rights(&box, 1);
    CHECK(balance(&box), 8800);
    CHECK(stbcam_close(box.cam), STBCAM_OK);
    end(child);
    box_free(&box);
}

void card(const char *vcard, const char *folder, const factory_t *factory)
{
    without_a_thread(vcard, folder, factory);
    with_a_thread(vcard, folder, factory);
}
