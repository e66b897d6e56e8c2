/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of stbcam.h as words for a machine that reads our JSON. */
#ifndef WORDS_H
#define WORDS_H

#include "stbcam.h"

static const char *result_word(stbcam_result_t result)
{
#define WORD(name) case STBCAM_E_##name: return #name
    switch (result) {
    case STBCAM_OK: return "OK";
    WORD(ARG); WORD(STRUCT_SIZE); WORD(NOMEM); WORD(BUFFER); WORD(STATE); WORD(REENTRANT); WORD(BUSY);
    WORD(TIMEOUT); WORD(UNSUPPORTED); WORD(PANIC); WORD(STORAGE); WORD(CLOCK); WORD(OVERFLOW); WORD(NO_SESSION);
    WORD(NO_TXN); WORD(NOT_FOUND); WORD(AGAIN); WORD(FULL); WORD(SECTION); WORD(NO_READER); WORD(NO_CARD);
    WORD(CARD_MUTE); WORD(CARD_UNKNOWN); WORD(CARD_PROTOCOL); WORD(CARD_REFUSED); WORD(CARD_BLOCKED);
    WORD(CARD_FULL); WORD(PIN_WRONG); WORD(PIN_BLOCKED); WORD(PIN_REQUIRED); WORD(PRICE_CHANGED); WORD(FUNDS);
    WORD(OFFER_EXPIRED); WORD(ALREADY_OWNED); WORD(OUTCOME_UNKNOWN); WORD(REQUEST_REUSED); WORD(NOT_PAID);
    WORD(REQUEST_FORGOTTEN); WORD(LIMIT); WORD(SEQUENCE); WORD(RATING); WORD(NO_KEY); WORD(NOT_FOR_SALE);
    WORD(OFFER_FORGED); WORD(OFFER_MALFORMED);
    default: return "UNKNOWN";
    }
#undef WORD
}

static const char *reason_word(int reason)
{
#define WORD(name, word) case STBCAM_REASON_##name: return word
    switch (reason) {
    WORD(PENDING, "pending"); WORD(GRANTED_SUBSCRIPTION, "subscription"); WORD(GRANTED_EVENT, "event");
    WORD(GRANTED_TIME, "time"); WORD(GRANTED_TIER, "tier"); WORD(GRANTED_FREE, "free"); WORD(PREVIEW, "preview");
    WORD(PURCHASABLE, "purchasable"); WORD(NO_RIGHT, "no_right"); WORD(NOT_YET_VALID, "not_yet_valid");
    WORD(EXPIRED, "expired"); WORD(UNKNOWN_OPERATOR, "unknown_operator"); WORD(REGION, "region");
    WORD(BLACKOUT, "blackout"); WORD(RATING, "rating"); WORD(NOT_PAIRED, "not_paired");
    WORD(PAIRED_ELSEWHERE, "paired_elsewhere"); WORD(CARD_BLOCKED, "card_blocked");
    WORD(CARD_EXPIRED, "card_expired"); WORD(FUNDS, "funds"); WORD(LOG_FULL, "log_full");
    WORD(PREVIEW_USED, "preview_used"); WORD(EMM_NEEDED, "emm_needed"); WORD(NO_CARD, "no_card");
    WORD(MUTE_CARD, "mute_card"); WORD(UNKNOWN_CARD, "unknown_card"); WORD(CARD_BUSY, "card_busy");
    WORD(NO_KEY, "no_key"); WORD(MALFORMED_ECM, "malformed_ecm"); WORD(REFUSED_ECM, "refused_ecm");
    WORD(CLOCK, "clock"); WORD(READER_FAULT, "reader_fault"); WORD(OUTCOME_UNKNOWN, "outcome_unknown");
    WORD(CHANNEL_MISMATCH, "channel_mismatch"); WORD(FOREIGN_SYSTEM, "foreign_system");
    WORD(NO_ECM, "no_ecm"); WORD(DESCRAMBLER, "descrambler"); WORD(TOO_MANY_STREAMS, "too_many_streams");
    WORD(CLEAR, "clear");
    default: return "other";
    }
#undef WORD
}

static const char *word_of(const char *const *words, int count, int number)
{
    return number >= 0 && number < count ? words[number] : "OTHER";
}

static const char *access_word(int state)
{
    static const char *const words[] = {"PENDING", "CLEAR", "GRANTED", "PREVIEW", "PURCHASABLE", "DENIED", "TECHNICAL"};
    return word_of(words, 7, state);
}

static const char *remedy_word(int remedy)
{
    static const char *const words[] = {"none", "wait", "emm", "pin", "money", "technician"};
    return word_of(words, 6, remedy);
}

static const char *card_word(int state)
{
    static const char *const words[] = {"absent", "starting", "unusable", "unpaired", "ready"};
    return word_of(words, 5, state);
}

static const char *txn_word(int state, stbcam_result_t result)
{
    static const char *const words[] = {"none", "open", "sent", "paid", "refused", "cancelled", "settling",
                                        "owned", "refunded", "forgotten"};
    /* The card says that it was not paid after all: the subscriber may confirm again, and pays once. */
    return result == STBCAM_E_NOT_PAID ? "refused" : word_of(words, 10, state);
}

#endif
