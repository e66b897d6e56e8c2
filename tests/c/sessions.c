/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of the abuse test: sessions, sections, lists, money and the software descrambler. */
#include "abuse.h"

#include <pthread.h>
#include <stdlib.h>

static uint32_t crc32_mpeg(const uint8_t *octets, size_t len)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)octets[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04C11DB7 : crc << 1;
    }
    return crc;
}

void seal(uint8_t *section, size_t len)
{
    uint32_t crc = crc32_mpeg(section, len - 4);
    for (size_t i = 0; i < 4; i++)
        section[len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

size_t pmt(uint8_t *section)
{
    static const uint8_t body[] = {0x02, 0xB0, 0x1B, 0x00, 0x01, 0xC1, 0x00, 0x00, 0xE1, 0x00, 0xF0, 0x09,
                                   0x09, 0x07, 0x4A, 0xF0, 0xE1, 0x40, 0x12, 0x01, 0x02,
                                   0x1B, 0xE1, 0x00, 0xF0, 0x00};
    memcpy(section, body, sizeof body);
    seal(section, sizeof body + 4);
    return sizeof body + 4;
}

/* What is no PMT of the session's programme that is current is refused, and the session goes on. */
static void foreign_tables(stbcam_t *cam, stbcam_session_t session)
{
    uint8_t section[64];
    size_t len = pmt(section);
    stbcam_session_t other = 0;
    stbcam_error_t error = {.struct_size = sizeof error};

    section[5] = 0xC0; /* current_next_indicator */
    seal(section, len);
    CHECK(stbcam_session_update_pmt(cam, session, section, len), STBCAM_E_SECTION);
    CHECK(stbcam_last_error(&error), STBCAM_OK);
    CHECK_TRUE(strstr(error.text, "current_next_indicator") != NULL);
    CHECK(stbcam_session_open_pmt(cam, 0, section, len, &other), STBCAM_E_SECTION);
    len = pmt(section);
    section[4] = 2; /* program_number */
    seal(section, len);
    CHECK(stbcam_session_update_pmt(cam, session, section, len), STBCAM_E_SECTION);
    CHECK(stbcam_last_error(&error), STBCAM_OK);
    CHECK_TRUE(strstr(error.text, "programme 2") != NULL);
    len = pmt(section);
    CHECK(stbcam_session_update_pmt(cam, session, section, len), STBCAM_OK);
}

/* CA_PMT with tag and length and without; a query, a list management that is none, and no component. */
static void ca_pmt(stbcam_t *cam)
{
    uint8_t object[] = {0x9F, 0x80, 0x32, 0x15, 0x03, 0x00, 0x07, 0xC1, 0xF0, 0x0A, 0x01, 0x09, 0x07,
                        0x4A, 0xF0, 0xE1, 0x40, 0x12, 0x01, 0x02, 0x1B, 0xE1, 0x00, 0xF0, 0x00};
    enum { HEAD = 4, LIST = 4, COMMAND = 10 };
    stbcam_ca_pmt_reply_t reply = {.struct_size = sizeof reply};

    CHECK(stbcam_ca_pmt(cam, 0, object, sizeof object, &reply), STBCAM_OK);
    stbcam_session_t session = reply.session;
    CHECK_TRUE(session != 0);
    CHECK(reply.ca_enable, STBCAM_CA_ENABLE_TECHNICAL); /* there is no card */
    object[LIST] = 5;
    CHECK(stbcam_ca_pmt(cam, 0, object + HEAD, sizeof object - HEAD, &reply), STBCAM_OK);
    CHECK(reply.session, session);
    object[COMMAND] = 3;
    CHECK(stbcam_ca_pmt(cam, 0, object, sizeof object, &reply), STBCAM_OK);
    CHECK(reply.session, 0);
    CHECK(reply.ca_enable, STBCAM_CA_ENABLE_TECHNICAL);
    object[COMMAND] = 9;
    CHECK(stbcam_ca_pmt(cam, 0, object, sizeof object, &reply), STBCAM_E_SECTION);
    object[COMMAND] = 4;
    object[LIST] = 9;
    CHECK(stbcam_ca_pmt(cam, 0, object, sizeof object, &reply), STBCAM_E_SECTION);
    object[LIST] = 5;
    CHECK(stbcam_ca_pmt(cam, 0, object, sizeof object, &reply), STBCAM_OK);
    CHECK(reply.ca_enable, 0);
    CHECK(stbcam_session_close(cam, session), STBCAM_E_NO_SESSION);
}

static void tables(stbcam_t *cam)
{
    uint8_t section[64], ecm[] = {0x80, 0x70, 0x04, 1, 2, 3, 4};
    size_t len = pmt(section);
    stbcam_session_t session = 0, next = 0;
    stbcam_access_t access = {.struct_size = sizeof access};
    stbcam_ca_pmt_reply_t reply = {.struct_size = sizeof reply};

    CHECK(stbcam_is_our_ca(cam, 0x4AF0), 1);
    CHECK(stbcam_is_our_ca(cam, 0x0B00), 0);
    CHECK(stbcam_session_open_pmt(cam, 0, section, len, NULL), STBCAM_E_ARG);
    CHECK(stbcam_session_open_pmt(cam, 16, section, len, &session), STBCAM_E_ARG);
    CHECK(stbcam_session_open_pmt(cam, 0, NULL, len, &session), STBCAM_E_ARG);
    CHECK(stbcam_session_open_pmt(cam, 0, section, 0, &session), STBCAM_E_SECTION);
    section[9] ^= 1;
    CHECK(stbcam_session_open_pmt(cam, 0, section, len, &session), STBCAM_E_SECTION);
    section[9] ^= 1;
    for (size_t cut = 0; cut < len; cut++)
        CHECK(stbcam_session_open_pmt(cam, 0, section, cut, &session), STBCAM_E_SECTION);
    CHECK(stbcam_session_open_pmt(cam, 0, section, len, &session), STBCAM_OK);
    CHECK(stbcam_access(cam, session, NULL), STBCAM_E_ARG);
    CHECK(stbcam_access(cam, session, &access), STBCAM_OK);
    CHECK(stbcam_access(cam, session + 1, &access), STBCAM_E_NO_SESSION);
    access.struct_size = 8;
    CHECK(stbcam_access(cam, session, &access), STBCAM_E_STRUCT_SIZE);
    CHECK(stbcam_cat(cam, 0, section, len), STBCAM_E_SECTION);
    CHECK(stbcam_ca_pmt(cam, 0, section, 2, &reply), STBCAM_E_SECTION);
    foreign_tables(cam, session);
    ca_pmt(cam);

    CHECK(stbcam_section(cam, 0, 0x140, ecm, sizeof ecm), STBCAM_OK);
    CHECK(stbcam_section(cam, 0, 0x140, ecm, sizeof ecm - 1), STBCAM_E_SECTION);
    CHECK(stbcam_section(cam, 0, 0x140, ecm, 0), STBCAM_E_SECTION);
    CHECK(stbcam_section(cam, 0, 0x140, NULL, 7), STBCAM_E_ARG);
    CHECK(stbcam_section(cam, 0, 0x2000, ecm, sizeof ecm), STBCAM_E_ARG);
    CHECK(stbcam_section(cam, 16, 0x140, ecm, sizeof ecm), STBCAM_E_ARG);

    CHECK(stbcam_session_close(cam, session), STBCAM_OK);
    CHECK(stbcam_session_close(cam, session), STBCAM_E_NO_SESSION);
    CHECK(stbcam_session_update_pmt(cam, session, section, len), STBCAM_E_NO_SESSION);
    CHECK(stbcam_session_open_pmt(cam, 0, section, len, &next), STBCAM_OK);
    CHECK_TRUE(next != session);
    CHECK(stbcam_session_close(cam, session), STBCAM_E_NO_SESSION);

    int opened = 1;
    stbcam_result_t result;
    while ((result = stbcam_session_open_pmt(cam, 1, section, len, &session)) == STBCAM_OK && opened < 100)
        opened++;
    CHECK(result, STBCAM_E_FULL);
    CHECK(opened, 16);
}

/* The lists: NULL, no room, too little room, elements of a later version. */
static void lists(stbcam_t *cam)
{
    struct {
        stbcam_filter_t filter;
        uint64_t later;
    } grown[8];
    stbcam_filter_t filters[8];
    size_t count = 0;

    CHECK(stbcam_filters(cam, filters, sizeof filters[0], NULL), STBCAM_E_ARG);
    CHECK(stbcam_filters(cam, NULL, sizeof filters[0], &count), STBCAM_E_BUFFER);
    CHECK_TRUE(count > 1 && count <= 8);
    size_t all = count;
    CHECK(stbcam_filters(cam, NULL, sizeof filters[0], &count), STBCAM_E_ARG);
    count = 1;
    CHECK(stbcam_filters(cam, filters, sizeof filters[0], &count), STBCAM_E_BUFFER);
    CHECK(count, all);
    CHECK(filters[0].pid, 0x140);
    CHECK(stbcam_filters(cam, filters, 8, &count), STBCAM_E_STRUCT_SIZE);
    CHECK(stbcam_filters(cam, filters, sizeof filters[0] + 1, &count), STBCAM_E_STRUCT_SIZE);
    memset(grown, 0xAA, sizeof grown);
    CHECK(stbcam_filters(cam, &grown[0].filter, sizeof grown[0], &count), STBCAM_OK);
    CHECK(count, all);
    CHECK_TRUE(grown[0].later == 0 && grown[0].filter.struct_size == sizeof grown[0]);
    CHECK_TRUE(grown[all - 1].filter.pid == 0x140);
}

static void report(stbcam_t *cam)
{
    uint8_t page[STBCAM_REPORT_MAX] = {0};
    size_t len = sizeof page;
    CHECK(stbcam_report_request(cam, NULL, 0), STBCAM_E_ARG);
    CHECK(stbcam_report_request(cam, (const uint8_t *)"head-end", 0), STBCAM_E_NO_CARD);
    CHECK(stbcam_report_next(cam, page, NULL), STBCAM_E_ARG);
    CHECK(stbcam_report_next(cam, NULL, &len), STBCAM_E_ARG);
    CHECK(stbcam_report_next(cam, page, &len), STBCAM_E_AGAIN);
    CHECK(len, sizeof page);
    CHECK(stbcam_report_ack(cam, NULL, 37), STBCAM_E_ARG);
    CHECK(stbcam_report_ack(cam, page, 36), STBCAM_E_ARG);
    CHECK(stbcam_report_ack(cam, page, SIZE_MAX), STBCAM_E_ARG);
    CHECK(stbcam_report_ack(cam, page, 37), STBCAM_E_NO_CARD);
}

static void money(stbcam_t *cam)
{
    uint8_t id[16] = {1};
    uint32_t txn, tries;
    size_t count = 0;
    uint64_t cursor = 0;
    stbcam_money_t price = {.minor = 100, .currency = "CNY", .exponent = 2};
    stbcam_receipt_t receipt = {.struct_size = sizeof receipt};

    CHECK(stbcam_purchase_begin(cam, 99, NULL, &price, &txn), STBCAM_E_ARG);
    CHECK(stbcam_purchase_begin(cam, 99, id, NULL, &txn), STBCAM_E_ARG);
    CHECK(stbcam_purchase_begin(cam, 99, id, &price, NULL), STBCAM_E_ARG);
    CHECK(stbcam_request_new(cam, NULL), STBCAM_E_ARG);
    CHECK(stbcam_request_new(cam, id), STBCAM_E_NO_CARD);
    CHECK_TRUE(id[0] == 1);
    /* Whether an id names a request is seen with the card that it was given out for. */
    CHECK(stbcam_purchase_begin(cam, 99, id, &price, &txn), STBCAM_E_NO_CARD);
    price.minor = -1;
    CHECK(stbcam_purchase_begin(cam, 99, id, &price, &txn), STBCAM_E_ARG);
    price.minor = 1LL << 32;
    CHECK(stbcam_purchase_begin(cam, 99, id, &price, &txn), STBCAM_E_ARG);
    price.minor = 100;
    price.exponent = 3;
    CHECK(stbcam_purchase_begin(cam, 99, id, &price, &txn), STBCAM_E_ARG);
    CHECK(stbcam_purchase_confirm(cam, 7, (const uint8_t *)"1234", 4), STBCAM_E_NO_TXN);
    CHECK(stbcam_purchase_confirm(cam, 7, NULL, 4), STBCAM_E_ARG);
    CHECK(stbcam_purchase_cancel(cam, 0), STBCAM_E_NO_TXN);
    CHECK(stbcam_purchase(cam, 7, &receipt), STBCAM_E_NO_TXN);
    CHECK(stbcam_wallets(cam, NULL, sizeof(stbcam_wallet_t), &count), STBCAM_OK);
    CHECK(count, 0);
    CHECK(stbcam_receipts(cam, NULL, &receipt, sizeof receipt, &count), STBCAM_E_ARG);
    count = 1;
    cursor = UINT64_MAX;
    CHECK(stbcam_receipts(cam, &cursor, &receipt, sizeof receipt, &count), STBCAM_OK);
    CHECK(count, 0);
    CHECK(stbcam_offers(cam, 12345, NULL, sizeof(stbcam_offer_t), &count), STBCAM_E_NO_SESSION);
    report(cam);
    CHECK(stbcam_pin_verify(cam, NULL, 4, &tries), STBCAM_E_ARG);
    CHECK_TRUE(stbcam_pin_verify(cam, (const uint8_t *)"12x4", 4, &tries) < 0);
    CHECK(stbcam_pin_verify(cam, (const uint8_t *)"1234", 4, NULL), STBCAM_E_NO_CARD);
    CHECK(stbcam_pin_change(cam, (const uint8_t *)"1234", 4, NULL, 4, NULL), STBCAM_E_ARG);
    CHECK(stbcam_pin_change(cam, (const uint8_t *)"1234", 4, (const uint8_t *)"12", 2, NULL), STBCAM_E_ARG);
}

static void operation(stbcam_t *cam)
{
    stbcam_event_t event = {.struct_size = sizeof event};
    char json[8192];
    size_t need = 0;

    CHECK(stbcam_step(cam, 0, NULL), STBCAM_E_STATE);
    CHECK(stbcam_set_utc(cam, 1796126400, 9), STBCAM_E_ARG);
    CHECK(stbcam_set_utc(cam, 1796126400, STBCAM_UTC_BROADCAST), STBCAM_OK);
    CHECK(stbcam_diag_json(cam, json, sizeof json, &need), STBCAM_OK);
    CHECK_TRUE(strstr(json, "\"utc\":{\"source\":\"broadcast\",\"now\":17961264"));
    CHECK(stbcam_set_utc(cam, 1796126400, STBCAM_UTC_UNKNOWN), STBCAM_OK);
    CHECK(stbcam_diag_json(cam, json, sizeof json, &need), STBCAM_OK);
    CHECK_TRUE(strstr(json, "\"utc\":{\"source\":\"unknown\",\"now\":0}"));
    CHECK(stbcam_set_utc(cam, INT64_MIN, STBCAM_UTC_RTC), STBCAM_E_CLOCK);
    CHECK(stbcam_set_utc(cam, 1796126400, STBCAM_UTC_RTC), STBCAM_OK);
    CHECK(stbcam_flush(cam, 5000), STBCAM_OK);
    CHECK_TRUE(stbcam_event_fd(cam) >= 0);
    CHECK(stbcam_next_event(cam, NULL, 0), STBCAM_E_ARG);
    event.struct_size = 8;
    CHECK(stbcam_next_event(cam, &event, 0), STBCAM_E_STRUCT_SIZE);
    event.struct_size = sizeof event;
    CHECK(stbcam_next_event(cam, &event, 0), STBCAM_OK);
    CHECK_TRUE(event.text && event.seq == 1 && event.utc_s > 1796126400 - 3600);
    while (stbcam_next_event(cam, &event, 0) == STBCAM_OK)
        CHECK_TRUE(event.type != 0);
    CHECK(stbcam_diag_json(cam, NULL, 0, NULL), STBCAM_E_ARG);
    CHECK(stbcam_diag_json(cam, NULL, 0, &need), STBCAM_E_BUFFER);
    CHECK(stbcam_diag_json(cam, json, need - 1, &need), STBCAM_E_BUFFER);
    CHECK(stbcam_diag_json(cam, json, sizeof json, &need), STBCAM_OK);
    CHECK(strlen(json) + 1, need);
    CHECK(stbcam_card_reset(cam), STBCAM_OK);
}

static void descrambler(void)
{
    uint8_t key[16] = {0}, packets[2 * 188 + 5] = {0x47}, results[3];
    size_t count = 3;
    stbcam_soft_descrambler_t *soft = NULL;
    stbcam_descrambler_ops_t ops = {.struct_size = sizeof ops};
    stbcam_ladder_t ladder = {.struct_size = 8};
    stbcam_cw_t cw = {.struct_size = 8, .flags = STBCAM_CW_IS_WRAPPED};

    packets[188] = 0x47;
    packets[188 + 3] = 0x90; /* scrambled, even */
    CHECK(stbcam_soft_descrambler_new(NULL, &soft), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_new(key, NULL), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_new(key, &soft), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_ops(soft, NULL), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_ops(soft, &ops), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_scte52_iv(soft, NULL, key), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_scte52_iv(NULL, key, key), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_scte52_iv(soft, key, NULL), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_scte52_iv(soft, key, key + 8), STBCAM_OK);
    CHECK(ops.set_cw(ops.user, NULL), STBCAM_E_ARG);
    CHECK(ops.load_ladder(ops.user, NULL), STBCAM_E_ARG);
    CHECK(ops.set_cw(ops.user, &cw), STBCAM_E_STRUCT_SIZE);
    CHECK(ops.load_ladder(ops.user, &ladder), STBCAM_E_STRUCT_SIZE);
    cw.struct_size = sizeof cw;
    cw.flags |= 0x80;
    CHECK(ops.set_cw(ops.user, &cw), STBCAM_E_ARG);
    CHECK_TRUE(strstr(last_text(), "flags 0x80"));
    ladder.struct_size = sizeof ladder;
    ladder.flags = 0x80;
    CHECK(ops.load_ladder(ops.user, &ladder), STBCAM_E_ARG);
    CHECK_TRUE(strstr(last_text(), "flags 0x80"));
    CHECK(stbcam_soft_descrambler_packets(soft, 0, NULL, 188, results, &count), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, sizeof packets, results, NULL), STBCAM_E_ARG);
    count = 2;
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, sizeof packets, results, &count), STBCAM_E_BUFFER);
    CHECK(count, 3);
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, sizeof packets, results, &count), STBCAM_OK);
    CHECK(results[0], STBCAM_PACKET_CLEAR);
    CHECK(results[1], STBCAM_PACKET_NO_KEY);
    CHECK(results[2], STBCAM_PACKET_MALFORMED);
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, 188, NULL, NULL), STBCAM_OK);
    CHECK(stbcam_stats((stbcam_t *)soft, NULL), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_free(NULL), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_free(soft), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_free(soft), STBCAM_E_ARG);
    CHECK_TRUE(ops.load_ladder(ops.user, NULL) < 0);
    ops.clear(ops.user, 1);
}

/* ---- many threads at once ------------------------------------------------------------------------- */

static void *hammer(void *argument)
{
    stbcam_t *cam = argument;
    uint8_t section[64], ecm[64] = {0x80, 0x70, 61};
    size_t len = pmt(section);
    for (int i = 0; i < 200; i++) {
        stbcam_session_t session;
        stbcam_stats_t stats = {.struct_size = sizeof stats};
        stbcam_event_t event = {.struct_size = sizeof event};
        stbcam_result_t result = stbcam_section(cam, 0, 0x140, ecm, sizeof ecm);
        CHECK_TRUE(result == STBCAM_OK || result == STBCAM_E_BUSY || result == STBCAM_E_OVERFLOW);
        if (stbcam_session_open_pmt(cam, 0, section, len, &session) == STBCAM_OK)
            CHECK(stbcam_session_close(cam, session), STBCAM_OK);
        CHECK(stbcam_stats(cam, &stats), STBCAM_OK);
        stbcam_next_event(cam, &event, 0);
    }
    return NULL;
}

static void threads(void)
{
    enum { THREADS = 4 };
    stbcam_config_t config;
    stbcam_t *cam;
    pthread_t workers[THREADS];
    good_config(&config);
    config.event_queue = 8; /* overflows: that is told, and harms nobody */
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&workers[i], NULL, hammer, cam) != 0)
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i], NULL);
    CHECK(stbcam_close(cam), STBCAM_OK);
}

void sessions(void)
{
    stbcam_config_t config;
    stbcam_t *cam;
    good_config(&config);
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    tables(cam);
    lists(cam);
    money(cam);
    operation(cam);
    CHECK(stbcam_close(cam), STBCAM_OK);
    descrambler();
    threads();
}
