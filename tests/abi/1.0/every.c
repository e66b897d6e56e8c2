/* SPDX-License-Identifier: Apache-2.0 */
/* A program of version 1.0: it calls every function that the header of that day has, with the structures and numbers of
 * that day, and is run against the library of every later day. It is compiled with the header beside it and is not changed
 * once that version is released.
 *
 *     every VCARD FOLDER
 *
 * VCARD: the virtual card's program. FOLDER: what tests/check_abi.py has made: card.nvm and box.txt, state/pairing.0, and
 * broadcast.bin.
 */
#define _XOPEN_SOURCE 700
#include "every.h"

#include <signal.h>

int failures;

size_t own(const uint8_t *octets, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += octets[i] == OWN;
    return count;
}

const char *last_text(void)
{
    static stbcam_error_t error;
    error.struct_size = sizeof error;
    return stbcam_last_error(&error) == STBCAM_OK ? error.text : "stbcam_last_error is refused";
}

/* ---- what needs no context ------------------------------------------------------------------------ */

static void version(void)
{
    char text[32];
    uint32_t number = stbcam_version();
    const int minor = STBCAM_VERSION_MINOR;
    CHECK(number >> 16, STBCAM_VERSION_MAJOR);
    CHECK_TRUE((int)(number >> 8 & 0xFF) >= minor);
    snprintf(text, sizeof text, "%u.%u.%u", (unsigned)(number >> 16), (unsigned)(number >> 8 & 0xFF),
             (unsigned)(number & 0xFF));
    CHECK(strcmp(stbcam_version_string(), text), 0);
    const uint64_t here = STBCAM_FEATURE_READER_SERIAL | STBCAM_FEATURE_SOFT_DESCRAMBLER | STBCAM_FEATURE_SOFT_CSA2 |
                          STBCAM_FEATURE_SOFT_CISSA | STBCAM_FEATURE_READER_VPCD | STBCAM_FEATURE_READER_GEMPC |
                          STBCAM_FEATURE_READER_ISO7816 | STBCAM_FEATURE_SOFT_SCTE52 | STBCAM_FEATURE_SOFT_IDSA;
    CHECK(stbcam_features() & here, here);
}

static void texts(void)
{
    static const stbcam_result_t results[] = {STBCAM_OK, STBCAM_E_ARG, STBCAM_E_STRUCT_SIZE, STBCAM_E_BUFFER,
                                              STBCAM_E_PIN_WRONG, STBCAM_E_NOT_PAID, STBCAM_E_OFFER_MALFORMED};
    static const int32_t reasons[] = {STBCAM_REASON_GRANTED_SUBSCRIPTION, STBCAM_REASON_PURCHASABLE, STBCAM_REASON_NO_CARD,
                                      STBCAM_REASON_DESCRAMBLER, STBCAM_REASON_CLEAR};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        for (size_t k = 0; k < i; k++)
            CHECK_TRUE(strcmp(stbcam_strerror(results[i]), stbcam_strerror(results[k])) != 0);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        for (size_t k = 0; k < i; k++)
            CHECK_TRUE(strcmp(stbcam_reason_text(reasons[i], NULL), stbcam_reason_text(reasons[k], "en")) != 0);
}

static void errors(void)
{
    ROOM(stbcam_error_t, error);
    CHECK(stbcam_last_error(&error.it), STBCAM_OK);
    INTACT(error);
    CHECK(error.it.code, STBCAM_OK);
    CHECK(stbcam_close((stbcam_t *)&error), STBCAM_E_ARG);
    CHECK(stbcam_last_error(&error.it), STBCAM_OK);
    INTACT(error);
    CHECK_TRUE(error.it.code == STBCAM_E_ARG && error.it.text[0] && error.it.struct_size == sizeof error.it);
    error.it.struct_size = sizeof error.it - 1;
    CHECK(stbcam_last_error(&error.it), STBCAM_E_STRUCT_SIZE);
}

/* The defaults of the day, and zeros for what this program does not know. */
static void defaults(void)
{
    ROOM(stbcam_config_t, config);
    CHECK(stbcam_config_init(&config.it, sizeof config.it), STBCAM_OK);
    INTACT(config);
    CHECK(config.it.struct_size, sizeof config.it);
    CHECK(config.it.card_timeout_ms, 5000);
    CHECK(config.it.max_sessions, 16);
    CHECK(config.it.emm_queue, 64);
    CHECK(config.it.event_queue, 256);
    CHECK(config.it.section_ring, 65536);
    CHECK(config.it.section_filters, 65535);
    CHECK(config.it.log_level, STBCAM_LOG_WARN);
    CHECK(config.it.box_key_len, 16);
    CHECK_TRUE(!config.it.reader && !config.it.reader_ops && !config.it.state_dir && !config.it.storage && !config.it.log);
    stbcam_t *cam = NULL;
    CHECK(stbcam_open(&config.it, &cam), STBCAM_E_ARG);
    CHECK_TRUE(cam == NULL && strstr(last_text(), "reader"));
}

static void filters_needed(void)
{
    CHECK(stbcam_filters_needed(0, 0), 0);
    CHECK(stbcam_filters_needed(2, 3), 2 * STBCAM_FILTERS_PER_ECM_STREAM + 3 * STBCAM_FILTERS_PER_EMM_STREAM);
    CHECK_TRUE(stbcam_filters_needed(UINT32_MAX, 1) == UINT32_MAX);
}

/* ---- the descrambler by itself --------------------------------------------------------------------- */

/* The published example of SCTE 52: 24 octets, behind an adaptation field that fills the packet. Its key is wrapped here under
 * the ladder of the root key 01 00 .. 00 and two loaded keys of zeros. */
static void cable(stbcam_soft_descrambler_t *soft, const stbcam_descrambler_ops_t *ops, stbcam_cw_t cw)
{
    static const uint8_t key[16] = {0x50, 0x0B, 0xB9, 0xB8, 0xE1, 0xAC, 0xB8, 0xCB,
                                     0xA9, 0x2E, 0xC4, 0xE1, 0x9B, 0x29, 0xF1, 0x2B};
    static const uint8_t iv[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
    static const uint8_t plain[24] = {0xDE, 0x7A, 0x43, 0x63, 0xBA, 0x55, 0x5C, 0x20, 0xFD, 0x78, 0x9E, 0x2A,
                                      0x88, 0x24, 0x77, 0xE7, 0x18, 0xB6, 0x43, 0x38, 0x6C, 0x60, 0xC3, 0x89};
    static const uint8_t on_air[24] = {0x95, 0x69, 0x1A, 0xB2, 0x7D, 0x89, 0x55, 0x54, 0x3F, 0xEE, 0x8E, 0xAE,
                                       0x7F, 0x93, 0x01, 0x27, 0x3B, 0x08, 0xDF, 0xF0, 0x20, 0x21, 0x4F, 0x23};
    uint8_t packet[188], result = 9;
    size_t count = 1;
    CHECK(stbcam_soft_descrambler_scte52_iv(soft, NULL, NULL), STBCAM_E_ARG);
    CHECK(stbcam_soft_descrambler_scte52_iv(soft, iv, NULL), STBCAM_OK);
    cw.algo = STBCAM_ALGO_SCTE52;
    cw.scrambling_mode = 0xDE;
    memcpy(cw.even, key, sizeof key);
    CHECK(ops->set_cw(ops->user, &cw), STBCAM_OK);
    for (int i = 0; i < 4; i++) {
        memset(packet, 0xFF, sizeof packet);
        const uint8_t head[] = {0x47, 0x01, 0x00, (uint8_t)(0xB0 | i), 188 - 24 - 5, 0x00};
        memcpy(packet, head, sizeof head);
        memcpy(packet + 188 - 24, on_air, sizeof on_air);
        CHECK(stbcam_soft_descrambler_packets(soft, 0, packet, sizeof packet, &result, &count), STBCAM_OK);
    }
    CHECK(result, STBCAM_PACKET_DESCRAMBLED);
    CHECK(memcmp(packet + 188 - 24, plain, sizeof plain), 0);
}

static void descrambler(void)
{
    static const uint8_t root[16] = {1};
    static const uint16_t pids[] = {0x100};
    uint8_t packets[2 * 188] = {0x47, 0x01, 0x00, 0x10}, results[2] = {9, 9};
    size_t count = 2;
    stbcam_soft_descrambler_t *soft = NULL;
    ROOM(stbcam_descrambler_ops_t, ops);
    stbcam_ladder_t ladder = {.struct_size = sizeof ladder, .flags = STBCAM_LADDER_CLEAR_ALLOWED, .pairing_slot = 3};
    stbcam_cw_t cw = {.struct_size = sizeof cw, .session = 7, .flags = STBCAM_CW_IS_WRAPPED, .crypto_period = 4,
                      .ecm_pid = 0x140, .algo = STBCAM_ALGO_CSA, .scrambling_mode = 0x02,
                      .parity_mask = STBCAM_CW_EVEN | STBCAM_CW_ODD, .key_len = 16, .es_pids = pids, .es_pid_count = 1};

    CHECK(stbcam_soft_descrambler_new(root, &soft), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_ops(soft, &ops.it), STBCAM_OK);
    INTACT(ops);
    CHECK(ops.it.set_cw(ops.it.user, &cw), STBCAM_E_STATE);
    CHECK(ops.it.load_ladder(ops.it.user, &ladder), STBCAM_OK);
    CHECK(ops.it.set_cw(ops.it.user, &cw), STBCAM_OK);
    packets[188] = 0x48;
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, sizeof packets, results, &count), STBCAM_OK);
    CHECK_TRUE(count == 2 && results[0] == STBCAM_PACKET_CLEAR && results[1] == STBCAM_PACKET_MALFORMED);
    packets[3] = 0x90; /* scrambled, even: two decide */
    for (int i = 0; i < 4; i++) {
        packets[3] = (uint8_t)(0x90 | (i & 0x0F));
        CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, 188, results, &count), STBCAM_OK);
    }
    CHECK(results[0], STBCAM_PACKET_DESCRAMBLED);
    CHECK(packets[3] >> 6, 0);
    ops.it.clear(ops.it.user, 7);
    packets[3] = 0x94;
    CHECK(stbcam_soft_descrambler_packets(soft, 0, packets, 188, results, &count), STBCAM_OK);
    CHECK(results[0], STBCAM_PACKET_NO_KEY);
    cw.scrambling_mode = 0x00;
    CHECK(ops.it.set_cw(ops.it.user, &cw), STBCAM_E_UNSUPPORTED);
    cable(soft, &ops.it, cw);
    CHECK(stbcam_soft_descrambler_free(soft), STBCAM_OK);
    CHECK(stbcam_soft_descrambler_free(soft), STBCAM_E_ARG);
}

static int read_factory(const char *folder, factory_t *factory)
{
    const struct {
        const char *name;
        uint8_t *octets;
        size_t len;
    } fields[] = {{"stb_id", factory->stb_id, 8}, {"box_key", factory->box_key, 16}, {"ladder_key", factory->ladder_key, 16}};
    char name[512], field[32], value[64];
    snprintf(name, sizeof name, "%s/box.txt", folder);
    FILE *file = fopen(name, "r");
    size_t found = 0;
    while (file && fscanf(file, "%31s %63s", field, value) == 2)
        for (size_t i = 0; i < 3; i++)
            if (strcmp(field, fields[i].name) == 0 && strlen(value) == 2 * fields[i].len) {
                unsigned octet;
                for (size_t k = 0; k < fields[i].len && sscanf(value + 2 * k, "%2x", &octet) == 1; k++)
                    fields[i].octets[k] = (uint8_t)octet;
                found++;
            }
    if (file)
        fclose(file);
    return found == 3;
}

int main(int argc, char **argv)
{
    factory_t factory;
    if (argc != 3 || !read_factory(argv[2], &factory)) {
        fprintf(stderr, "usage: every VCARD FOLDER, where FOLDER/box.txt has stb_id, box_key and ladder_key\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    version();
    errors(); /* before anything is refused */
    texts();
    defaults();
    filters_needed();
    descrambler();
    line();
    card(argv[1], argv[2], &factory);
    fprintf(stderr, failures ? "%d failures\n" : "every: ok\n", failures);
    return failures != 0;
}
