/* SPDX-License-Identifier: Apache-2.0 */
/* The third part of the abuse test: a demultiplexer that brings too much, or has too few filters. */
#include "abuse.h"

enum { CROWD = 1500, EMM_LEN = 91, ECM_PID = 0x140, EMM_PID = 0x150 };

/* The CAT: our EMMs are on EMM_PID, and on so many PIDs behind it. */
static size_t cat(uint8_t *section, uint8_t pids)
{
    static const uint8_t head[] = {0x01, 0xB0, 0x00, 0xFF, 0xFF, 0xC1, 0x00, 0x00};
    static const uint8_t descriptor[] = {0x09, 0x07, 0x4A, 0xF0, 0xE1, 0x50, 0x12, 0x01, 0x02};
    size_t len = sizeof head;
    memcpy(section, head, sizeof head);
    for (uint8_t n = 0; n < pids; n++, len += sizeof descriptor) {
        memcpy(section + len, descriptor, sizeof descriptor);
        section[len + 5] = (uint8_t)(descriptor[5] + n);
    }
    len += 4;
    section[2] = (uint8_t)(len - 3);
    seal(section, len);
    return len;
}

/* An EMM to the box of this number. */
static void emm(uint8_t *section, const char *stb)
{
    memset(section, 7, EMM_LEN);
    section[0] = 0x8A, section[1] = 0x70, section[2] = EMM_LEN - 3;
    memcpy(section + 3, stb, 8);
}

static stbcam_t *tuned(stbcam_config_t *config, uint8_t emm_pids, stbcam_session_t *session)
{
    uint8_t section[256];
    stbcam_t *cam = NULL;
    config->flags = STBCAM_CONFIG_NO_THREAD; /* nothing leaves the rings but by stbcam_step */
    CHECK(stbcam_open(config, &cam), STBCAM_OK);
    CHECK(stbcam_cat(cam, 0, section, cat(section, emm_pids)), STBCAM_OK);
    CHECK(stbcam_session_open_pmt(cam, 0, section, pmt(section), session), STBCAM_OK);
    return cam;
}

static stbcam_stats_t counters(stbcam_t *cam)
{
    stbcam_stats_t stats = {.struct_size = sizeof stats};
    CHECK(stbcam_stats(cam, &stats), STBCAM_OK);
    return stats;
}

/* 1,500 EMMs in front of an ECM cost EMMs; those of others cost nothing. */
static void crowds(void)
{
    static const uint8_t ecm[] = {0x80, 0x70, 0x04, 1, 2, 3, 4};
    uint8_t ours[EMM_LEN], other[EMM_LEN];
    stbcam_config_t config;
    stbcam_session_t session;
    unsigned lost = 0, told = 0;
    good_config(&config);
    stbcam_t *cam = tuned(&config, 1, &session);
    emm(ours, "STB00001");
    emm(other, "STB00002");

    for (int n = 0; n < CROWD; n++)
        CHECK(stbcam_section(cam, 0, EMM_PID, other, sizeof other), STBCAM_OK);
    CHECK(counters(cam).section_unwanted, CROWD);
    for (int n = 0; n < CROWD; n++) {
        stbcam_result_t result = stbcam_section(cam, 0, EMM_PID, ours, sizeof ours);
        CHECK_TRUE(result == STBCAM_OK || result == STBCAM_E_OVERFLOW);
        lost += result == STBCAM_E_OVERFLOW;
    }
    CHECK_TRUE(lost > 0 && lost < CROWD);
    CHECK(stbcam_section(cam, 0, ECM_PID, ecm, sizeof ecm), STBCAM_OK);
    CHECK(counters(cam).section_overflow, lost);

    /* All that was taken arrives, the ECM too, and what was lost is told. */
    for (int n = 0; n < 100 && counters(cam).emm_in[3] < CROWD - lost; n++)
        CHECK(stbcam_step(cam, 0, NULL), STBCAM_OK);
    CHECK(counters(cam).emm_in[3], CROWD - lost);
    CHECK(counters(cam).ecm_in, 1);
    stbcam_event_t event = {.struct_size = sizeof event};
    while (stbcam_next_event(cam, &event, 0) == STBCAM_OK)
        if (event.type == STBCAM_EV_OVERFLOW && event.code == 1)
            told += (unsigned)event.amount;
    CHECK(told, lost);

    /* What no session wants any more is nobody's from the call on. */
    CHECK(stbcam_session_close(cam, session), STBCAM_OK);
    CHECK(stbcam_section(cam, 0, ECM_PID, ecm, sizeof ecm), STBCAM_OK);
    CHECK(counters(cam).section_unwanted, CROWD + 1);
    CHECK(stbcam_close(cam), STBCAM_OK);
}

/* Never more filters than the box has; too few PIDs' worth of them is told. */
static void few_filters(void)
{
    enum { EMM_PIDS = 3, PIDS = EMM_PIDS + 1, WANTED = 2 + EMM_PIDS };
    CHECK(stbcam_filters_needed(1, EMM_PIDS),
          STBCAM_FILTERS_PER_ECM_STREAM + EMM_PIDS * STBCAM_FILTERS_PER_EMM_STREAM);
    CHECK_TRUE(stbcam_filters_needed(UINT32_MAX, UINT32_MAX) == UINT32_MAX);
    for (uint32_t limit = 0; limit <= WANTED + 1; limit++) {
        stbcam_config_t config;
        stbcam_session_t session;
        stbcam_filter_t filters[16];
        size_t count = sizeof filters / sizeof filters[0];
        int short_told = 0;
        char json[4096];
        size_t need = 0;
        good_config(&config);
        config.section_filters = limit;
        stbcam_t *cam = tuned(&config, EMM_PIDS, &session);
        CHECK(stbcam_filters(cam, filters, sizeof filters[0], &count), STBCAM_OK);
        CHECK(count, limit == 0 || limit > WANTED ? WANTED : limit);
        CHECK(filters[0].pid, ECM_PID);
        CHECK(filters[0].urgent, 1);
        CHECK(counters(cam).filter_turns > 0, limit > 0 && limit < PIDS);
        CHECK(stbcam_diag_json(cam, json, sizeof json, &need), STBCAM_OK);
        CHECK_TRUE(strstr(json, limit > 0 && limit < PIDS ? "\"in_turns\":true" : "\"in_turns\":false") != NULL);
        CHECK(stbcam_step(cam, 0, NULL), STBCAM_OK);
        stbcam_event_t event = {.struct_size = sizeof event};
        while (stbcam_next_event(cam, &event, 0) == STBCAM_OK)
            short_told += event.type == STBCAM_EV_HEALTH && strstr(event.text, "section_filters is") != NULL;
        CHECK(short_told, limit > 0 && limit < PIDS);
        CHECK(stbcam_close(cam), STBCAM_OK);
    }
}

void demux(void)
{
    crowds();
    few_filters();
}
