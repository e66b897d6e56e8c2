/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of purchases: from the card into files, and the head-end's acknowledgement to the card. */
#define _POSIX_C_SOURCE 200809L
#include "box.h"

#include <poll.h>

/* Waits for the card's answer to a report or acknowledgement; 0 when there is none in time. */
static int await_report(box_t *box, int32_t code)
{
    struct pollfd news = {.fd = stbcam_event_fd(box->cam), .events = POLLIN};
    for (uint64_t due = monotonic_us() + 10000000, now; (now = monotonic_us()) < due;) {
        take_events(box);
        if (box->report.type && box->report.code == code)
            return 1;
        poll(&news, 1, (int)((due - now) / 1000) + 1);
    }
    return 0;
}

/* Writes the pages of a report that was read. */
static stbcam_result_t save_pages(box_t *box, const char *name, int *pages)
{
    uint8_t page[STBCAM_REPORT_MAX];
    char path[512];
    size_t len = sizeof page;
    stbcam_result_t result;
    for (*pages = 0; (result = stbcam_report_next(box->cam, page, &len)) == STBCAM_OK; len = sizeof page) {
        snprintf(path, sizeof path, "%s.%d", name, ++*pages);
        FILE *file = fopen(path, "wb");
        if (!file)
            return STBCAM_E_STORAGE;
        size_t written = fwrite(page, 1, len, file);
        if (fclose(file) != 0 || written != len)
            return STBCAM_E_STORAGE;
    }
    return result == STBCAM_E_AGAIN ? STBCAM_OK : result;
}

/* Has the card report, and writes FILE.1, FILE.2 … for the head-end. */
stbcam_result_t fetch_report(box_t *box, const char *name, const char *nonce_hex, int *pages)
{
    uint8_t nonce[8];
    if (!*name || hex_octets(nonce_hex, nonce, sizeof nonce) != 0)
        return STBCAM_E_ARG;
    box->report.type = 0;
    stbcam_result_t result = stbcam_report_request(box->cam, nonce, 0);
    if (result != STBCAM_OK)
        return result;
    if (!await_report(box, STBCAM_REPORT_READ))
        return STBCAM_E_TIMEOUT;
    return box->report.arg ? save_pages(box, name, pages) : STBCAM_E_CARD_REFUSED;
}

/* Takes the head-end's acknowledgement to the card; what the card says of it. */
stbcam_result_t take_ack(box_t *box, const char *name)
{
    uint8_t ack[64];
    FILE *file = fopen(name, "rb");
    if (!file)
        return STBCAM_E_ARG;
    size_t len = fread(ack, 1, sizeof ack, file);
    fclose(file);
    box->report.type = 0;
    stbcam_result_t result = stbcam_report_ack(box->cam, ack, len);
    if (result != STBCAM_OK)
        return result;
    return await_report(box, STBCAM_REPORT_ACKNOWLEDGED) ? box->report.arg : STBCAM_E_TIMEOUT;
}
