/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a host can do wrong is answered by a result, never by undefined behaviour: NULL, wrong sizes,
 * stale handles, wrong order, calls from inside a callback, a forked child. Needs no card.
 *
 *     abuse [READER]     a pseudo terminal by default, which qemu-user cannot set
 */
#define _XOPEN_SOURCE 700
#include "abuse.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int failures;

static int master = -1;
static char state_dir[] = "/tmp/stbcam-abuse-XXXXXX";

static char url[128];

const char *port(void)
{
    if (!url[0]) {
        master = posix_openpt(O_RDWR | O_NOCTTY);
        if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
            abort();
        snprintf(url, sizeof url, "serial:%s", ptsname(master));
    }
    return url;
}

const char *last_text(void)
{
    static stbcam_error_t error;
    error.struct_size = sizeof error;
    stbcam_last_error(&error);
    return error.text;
}

void good_config(stbcam_config_t *config)
{
    CHECK(stbcam_config_init(config, sizeof *config), STBCAM_OK);
    config->reader = port();
    config->state_dir = state_dir;
    memcpy(config->stb_id, "STB00001", 8);
    memset(config->box_key, 0x42, 16);
}

/* ---- every function with a handle that is none ----------------------------------------------- */

static void with_no_context(stbcam_t *cam)
{
    uint8_t octets[16] = {0};
    size_t count = 0;
    uint64_t cursor = 0;
    uint32_t number = 0;
    stbcam_event_t event = {.struct_size = sizeof event};
    stbcam_access_t access = {.struct_size = sizeof access};
    stbcam_card_t card = {.struct_size = sizeof card};
    stbcam_receipt_t receipt = {.struct_size = sizeof receipt};
    stbcam_stats_t stats = {.struct_size = sizeof stats};
    stbcam_ca_pmt_reply_t reply = {.struct_size = sizeof reply};
    stbcam_money_t price = {.minor = 1, .currency = "CNY", .exponent = 2};

    CHECK(stbcam_step(cam, 0, NULL), STBCAM_E_ARG);
    CHECK(stbcam_step_fd(cam), STBCAM_E_ARG);
    CHECK(stbcam_set_utc(cam, 0, STBCAM_UTC_RTC), STBCAM_E_ARG);
    CHECK(stbcam_is_our_ca(cam, 0x4AF0), STBCAM_E_ARG);
    CHECK(stbcam_cat(cam, 0, octets, sizeof octets), STBCAM_E_ARG);
    CHECK(stbcam_session_open_pmt(cam, 0, octets, sizeof octets, &number), STBCAM_E_ARG);
    CHECK(stbcam_session_update_pmt(cam, 1, octets, sizeof octets), STBCAM_E_ARG);
    CHECK(stbcam_ca_pmt(cam, 0, octets, sizeof octets, &reply), STBCAM_E_ARG);
    CHECK(stbcam_session_close(cam, 1), STBCAM_E_ARG);
    CHECK(stbcam_section(cam, 0, 1, octets, sizeof octets), STBCAM_E_ARG);
    CHECK(stbcam_filters(cam, NULL, sizeof(stbcam_filter_t), &count), STBCAM_E_ARG);
    CHECK(stbcam_event_fd(cam), STBCAM_E_ARG);
    CHECK(stbcam_next_event(cam, &event, 0), STBCAM_E_ARG);
    CHECK(stbcam_access(cam, 1, &access), STBCAM_E_ARG);
    CHECK(stbcam_card(cam, &card), STBCAM_E_ARG);
    CHECK(stbcam_entitlements(cam, &cursor, NULL, sizeof(stbcam_entitlement_t), &count), STBCAM_E_ARG);
    CHECK(stbcam_service_keys(cam, NULL, sizeof(stbcam_service_key_t), &count), STBCAM_E_ARG);
    CHECK(stbcam_pin_verify(cam, octets, 4, &number), STBCAM_E_ARG);
    CHECK(stbcam_pin_change(cam, octets, 4, octets, 4, &number), STBCAM_E_ARG);
    CHECK(stbcam_wallets(cam, NULL, sizeof(stbcam_wallet_t), &count), STBCAM_E_ARG);
    CHECK(stbcam_offers(cam, 1, NULL, sizeof(stbcam_offer_t), &count), STBCAM_E_ARG);
    CHECK(stbcam_request_new(cam, octets), STBCAM_E_ARG);
    CHECK(stbcam_purchase_begin(cam, 1, octets, &price, &number), STBCAM_E_ARG);
    CHECK(stbcam_purchase_confirm(cam, 1, octets, 4), STBCAM_E_ARG);
    CHECK(stbcam_purchase_cancel(cam, 1), STBCAM_E_ARG);
    CHECK(stbcam_purchase(cam, 1, &receipt), STBCAM_E_ARG);
    CHECK(stbcam_receipts(cam, &cursor, NULL, sizeof receipt, &count), STBCAM_E_ARG);
    CHECK(stbcam_stats(cam, &stats), STBCAM_E_ARG);
    CHECK(stbcam_diag_json(cam, NULL, 0, &count), STBCAM_E_ARG);
    CHECK(stbcam_card_reset(cam), STBCAM_E_ARG);
    CHECK(stbcam_resync(cam), STBCAM_E_ARG);
    CHECK(stbcam_flush(cam, 0), STBCAM_E_ARG);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int32_t storage_get(void *user, const char *key, uint8_t *octets, size_t capacity, size_t *len)
{
    (void)key, (void)octets, (void)capacity, (void)len;
    return *(int32_t *)user;
}

static int32_t storage_put(void *user, const char *key, const uint8_t *octets, size_t len)
{
    (void)key, (void)octets, (void)len;
    return *(int32_t *)user;
}

static void opening(void)
{
    stbcam_config_t config;
    stbcam_t *cam = (stbcam_t *)&config;
    struct {
        stbcam_config_t config;
        uint64_t later;
    } grown;

    CHECK(stbcam_config_init(NULL, sizeof config), STBCAM_E_ARG);
    CHECK(stbcam_config_init(&config, sizeof config - 8), STBCAM_E_STRUCT_SIZE);
    CHECK(stbcam_config_init(&config, 3), STBCAM_E_STRUCT_SIZE);
    CHECK(stbcam_config_init(&config, 1 << 20), STBCAM_E_STRUCT_SIZE);

    good_config(&config);
    CHECK(stbcam_open(NULL, &cam), STBCAM_E_ARG);
    CHECK_TRUE(cam == NULL);
    CHECK(stbcam_open(&config, NULL), STBCAM_E_ARG);
    config.struct_size = 8;
    CHECK(stbcam_open(&config, &cam), STBCAM_E_STRUCT_SIZE);

#define REFUSED(change, expected, text)              \
    do {                                             \
        good_config(&config);                        \
        change;                                      \
        CHECK(stbcam_open(&config, &cam), expected); \
        CHECK_TRUE(strstr(last_text(), text));       \
        CHECK_TRUE(cam == NULL);                     \
    } while (0)
    REFUSED(config.reader = NULL, STBCAM_E_ARG, "reader");
    REFUSED(config.reader = "\xFF\xFE", STBCAM_E_ARG, "reader");
    REFUSED(config.reader = "carrier-pigeon:1", STBCAM_E_ARG, "carrier-pigeon");
    REFUSED(config.reader = "serial:/no/such/port", STBCAM_E_NO_READER, "/no/such/port");
    REFUSED(config.state_dir = NULL, STBCAM_E_ARG, "state_dir");
    REFUSED(config.state_dir = "/proc/no/such", STBCAM_E_STORAGE, "/proc/no/such");
    REFUSED(config.state_dir = "/proc/self", STBCAM_E_STORAGE, "/proc/self");
    REFUSED(config.state_dir = "/dev/null", STBCAM_E_STORAGE, "no directory");
    REFUSED(config.max_sessions = 256, STBCAM_E_ARG, "max_sessions is 256, expected 1 to 255");
    REFUSED(config.event_queue = UINT32_MAX, STBCAM_E_ARG, "event_queue");
    REFUSED(config.section_ring = 1, STBCAM_E_ARG, "section_ring");
    REFUSED(config.section_filters = 65536, STBCAM_E_ARG, "section_filters");
    REFUSED(config.box_key_len = 15, STBCAM_E_ARG, "box_key_len");
    REFUSED(config.flags = 0x80, STBCAM_E_ARG, "flags");
    REFUSED((config.flags = STBCAM_CONFIG_EMV, config.reader = "vpcd:127.0.0.1:0"), STBCAM_E_ARG, "serial:, iso7816:");
    REFUSED(config.ca_system_id_count = 3, STBCAM_E_ARG, "ca_system_ids");

    stbcam_descrambler_ops_t descrambler = {.struct_size = sizeof descrambler};
    REFUSED(config.descrambler = &descrambler, STBCAM_E_ARG, "descrambler.load_ladder is NULL");

    int32_t storage_answer = -1;
    stbcam_storage_ops_t storage = {.struct_size = sizeof storage, .user = &storage_answer, .get = storage_get};
    REFUSED(config.storage = &storage, STBCAM_E_ARG, "storage");
    storage.put_durable = storage_put;
    REFUSED(config.storage = &storage, STBCAM_E_STORAGE, "-1");
    storage.struct_size = 4;
    REFUSED(config.storage = &storage, STBCAM_E_STRUCT_SIZE, "struct_size");

    /* Zeros are as good as stbcam_config_init. */
    good_config(&config);
    memset(&grown, 0, sizeof grown);
    grown.config.struct_size = sizeof config;
    grown.config.reader = config.reader;
    grown.config.state_dir = state_dir;
    CHECK(stbcam_open(&grown.config, &cam), STBCAM_OK);

    /* One context for a state_dir; in it only files. */
    stbcam_t *second = cam;
    CHECK(stbcam_open(&config, &second), STBCAM_E_BUSY);
    CHECK_TRUE(second == NULL && strstr(last_text(), state_dir));
    CHECK(stbcam_close(cam), STBCAM_OK);
    char fifo[64];
    snprintf(fifo, sizeof fifo, "%s/pairing.0", state_dir);
    CHECK_TRUE(mkfifo(fifo, 0600) == 0);
    REFUSED((void)0, STBCAM_E_STORAGE, "'pairing.0': is a FIFO");
    CHECK_TRUE(unlink(fifo) == 0);

    /* A program built for a later version: what it does not set is fine, what we do not know is not. */
    memset(&grown, 0, sizeof grown);
    good_config(&grown.config);
    grown.config.struct_size = sizeof grown;
    CHECK(stbcam_open(&grown.config, &cam), STBCAM_OK);
    CHECK(stbcam_close(cam), STBCAM_OK);
    grown.later = 1;
    CHECK(stbcam_open(&grown.config, &cam), STBCAM_E_STRUCT_SIZE);
}

static void closing(void)
{
    stbcam_config_t config;
    stbcam_t *cam, *other;
    struct timespec before, after;

    CHECK(stbcam_close(NULL), STBCAM_OK);
    CHECK(stbcam_close((stbcam_t *)&config), STBCAM_E_ARG);
    good_config(&config);
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    clock_gettime(CLOCK_MONOTONIC, &before);
    CHECK(stbcam_close(cam), STBCAM_OK);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK_TRUE(after.tv_sec - before.tv_sec <= 5);
    CHECK(stbcam_close(cam), STBCAM_E_ARG);
    with_no_context(cam);
    CHECK(stbcam_open(&config, &other), STBCAM_OK);
    CHECK_TRUE(other != cam);
    CHECK(stbcam_stats(cam, NULL), STBCAM_E_ARG);
    CHECK(stbcam_close(other), STBCAM_OK);
}

/* ---- callbacks ----------------------------------------------------------------------------------- */

static stbcam_t *logged;
static int reentrant, logs;

static void on_log(void *user, int32_t level, const char *origin, const char *text)
{
    stbcam_stats_t stats = {.struct_size = sizeof stats};
    stbcam_t *cam = NULL;
    (void)user, (void)level, (void)origin, (void)text;
    logs++;
    reentrant += stbcam_stats(logged, &stats) == STBCAM_E_REENTRANT;
    CHECK(stbcam_close(logged), STBCAM_E_REENTRANT);
    CHECK(stbcam_open(NULL, &cam), STBCAM_E_REENTRANT);
    CHECK_TRUE(stbcam_version() == 0x010000);
}

static void callbacks(void)
{
    stbcam_config_t config;
    good_config(&config);
    config.log = on_log;
    config.log_level = STBCAM_LOG_TRACE;
    config.flags = STBCAM_CONFIG_NO_THREAD;
    CHECK(stbcam_open(&config, &logged), STBCAM_OK);
    for (int i = 0; i < 20; i++)
        CHECK(stbcam_step(logged, 20, NULL), STBCAM_OK);
    CHECK(stbcam_close(logged), STBCAM_OK);
    CHECK_TRUE(logs > 0);
    CHECK(reentrant, logs);
    int before = logs;
    CHECK(stbcam_close(logged), STBCAM_E_ARG);
    CHECK(logs, before);
}

/* ---- a forked child -------------------------------------------------------------------------------- */

static void forked(void)
{
    stbcam_config_t config;
    stbcam_t *cam;
    int status = -1;
    good_config(&config);
    CHECK(stbcam_open(&config, &cam), STBCAM_OK);
    pid_t child = fork();
    if (child == 0) {
        stbcam_stats_t stats = {.struct_size = sizeof stats};
        int refused = stbcam_stats(cam, &stats) == STBCAM_E_STATE && stbcam_close(cam) == STBCAM_E_STATE &&
                      stbcam_open(&config, &cam) == STBCAM_E_STATE;
        /* Killed when all is well: an exit would have valgrind look for leaks in the copy. */
        if (refused)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    CHECK_TRUE(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(stbcam_flush(cam, 5000), STBCAM_OK);
    CHECK(stbcam_close(cam), STBCAM_OK);
}

/* ---- results ---------------------------------------------------------------------------------------- */

static void results(void)
{
    stbcam_error_t error = {.struct_size = sizeof error};
    char version[16];
    snprintf(version, sizeof version, "%d.%d.%d", STBCAM_VERSION_MAJOR, STBCAM_VERSION_MINOR, STBCAM_VERSION_PATCH);
    CHECK_TRUE(stbcam_version() == (STBCAM_VERSION_MAJOR << 16 | STBCAM_VERSION_MINOR << 8 | STBCAM_VERSION_PATCH));
    CHECK_TRUE(strcmp(stbcam_version_string(), version) == 0);
    CHECK_TRUE(stbcam_features() & STBCAM_FEATURE_READER_SERIAL);
    for (int32_t result = 10; result > -100; result--)
        CHECK_TRUE(stbcam_strerror(result) && stbcam_strerror(result)[0]);
    CHECK_TRUE(stbcam_reason_text(STBCAM_REASON_NO_CARD, NULL)[0]);
    CHECK_TRUE(stbcam_reason_text(-1, "zh-CN")[0]);
    CHECK_TRUE(stbcam_reason_text(100000, "\xFF")[0]);
    CHECK(stbcam_last_error(NULL), STBCAM_E_ARG);
    CHECK(stbcam_flush(NULL, 0), STBCAM_E_ARG);
    CHECK(stbcam_last_error(&error), STBCAM_OK);
    CHECK(error.code, STBCAM_E_ARG);
    CHECK_TRUE(error.text[0]);
    error.struct_size = 1;
    CHECK(stbcam_last_error(&error), STBCAM_E_STRUCT_SIZE);
}

int main(int argc, char **argv)
{
    if (argc > 2 || !mkdtemp(state_dir))
        return 1;
    if (argc == 2)
        snprintf(url, sizeof url, "%s", argv[1]);
    results();
    with_no_context(NULL);
    with_no_context((stbcam_t *)&failures);
    opening();
    closing();
    callbacks();
    sessions();
    demux();
    forked();
    if (master >= 0)
        close(master);
    rmdir(state_dir);
    fprintf(stderr, failures ? "%d failures\n" : "abuse: ok\n", failures);
    return failures != 0;
}
