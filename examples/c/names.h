/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of stbcam.h as names for a machine that reads our JSON. */
#ifndef NAMES_H
#define NAMES_H

#include "stbcam.h"

static const char *result_name(stbcam_result_t result)
{
#define NAME(name) case STBCAM_E_##name: return #name
    switch (result) {
    case STBCAM_OK: return "OK";
    NAME(ARG); NAME(STRUCT_SIZE); NAME(NOMEM); NAME(BUFFER); NAME(STATE); NAME(REENTRANT); NAME(BUSY);
    NAME(TIMEOUT); NAME(UNSUPPORTED); NAME(PANIC); NAME(STORAGE); NAME(CLOCK); NAME(OVERFLOW); NAME(NO_SESSION);
    NAME(NO_TXN); NAME(AGAIN); NAME(FULL); NAME(SECTION); NAME(NO_READER); NAME(NO_CARD);
    NAME(CARD_MUTE); NAME(CARD_UNKNOWN); NAME(CARD_PROTOCOL); NAME(CARD_REFUSED); NAME(CARD_BLOCKED);
    NAME(CARD_FULL); NAME(PIN_WRONG); NAME(PIN_BLOCKED); NAME(PIN_REQUIRED); NAME(PRICE_CHANGED); NAME(FUNDS);
    NAME(OFFER_EXPIRED); NAME(ALREADY_OWNED); NAME(OUTCOME_UNKNOWN); NAME(REQUEST_REUSED); NAME(NOT_PAID);
    NAME(REQUEST_FORGOTTEN); NAME(LIMIT); NAME(SEQUENCE); NAME(RATING); NAME(NO_KEY); NAME(NOT_FOR_SALE);
    NAME(OFFER_FORGED); NAME(OFFER_MALFORMED);
    default: return "UNKNOWN";
    }
#undef NAME
}

static const char *reason_name(int reason)
{
#define NAME(name, text) case STBCAM_REASON_##name: return text
    switch (reason) {
    NAME(PENDING, "pending"); NAME(GRANTED_SUBSCRIPTION, "subscription"); NAME(GRANTED_EVENT, "event");
    NAME(GRANTED_TIME, "time"); NAME(GRANTED_TIER, "tier"); NAME(GRANTED_FREE, "free"); NAME(PREVIEW, "preview");
    NAME(PURCHASABLE, "purchasable"); NAME(NO_RIGHT, "no_right"); NAME(NOT_YET_VALID, "not_yet_valid");
    NAME(EXPIRED, "expired"); NAME(UNKNOWN_OPERATOR, "unknown_operator"); NAME(REGION, "region");
    NAME(BLACKOUT, "blackout"); NAME(RATING, "rating"); NAME(NOT_PAIRED, "not_paired");
    NAME(PAIRED_ELSEWHERE, "paired_elsewhere"); NAME(CARD_BLOCKED, "card_blocked");
    NAME(CARD_EXPIRED, "card_expired"); NAME(FUNDS, "funds"); NAME(LOG_FULL, "log_full");
    NAME(PREVIEW_USED, "preview_used"); NAME(EMM_NEEDED, "emm_needed"); NAME(NO_CARD, "no_card");
    NAME(MUTE_CARD, "mute_card"); NAME(UNKNOWN_CARD, "unknown_card"); NAME(CARD_BUSY, "card_busy");
    NAME(NO_KEY, "no_key"); NAME(MALFORMED_ECM, "malformed_ecm"); NAME(REFUSED_ECM, "refused_ecm");
    NAME(CLOCK, "clock"); NAME(READER_FAULT, "reader_fault"); NAME(OUTCOME_UNKNOWN, "outcome_unknown");
    NAME(CHANNEL_MISMATCH, "channel_mismatch"); NAME(FOREIGN_SYSTEM, "foreign_system");
    NAME(NO_ECM, "no_ecm"); NAME(DESCRAMBLER, "descrambler"); NAME(TOO_MANY_STREAMS, "too_many_streams");
    NAME(PAIRING_UNREADABLE, "pairing_unreadable"); NAME(CHANNELS, "channels"); NAME(CARD_READY, "card_ready"); NAME(CLEAR, "clear");
    default: return "other";
    }
#undef NAME
}

static const char *name_of(const char *const *names, int count, int number)
{
    return number >= 0 && number < count ? names[number] : "OTHER";
}

static const char *access_name(int state)
{
    static const char *const names[] = {"PENDING", "CLEAR", "GRANTED", "PREVIEW", "PURCHASABLE", "DENIED", "TECHNICAL"};
    return name_of(names, 7, state);
}

static const char *remedy_name(int remedy)
{
    static const char *const names[] = {"none", "wait", "emm", "pin", "money", "technician"};
    return name_of(names, 6, remedy);
}

static const char *card_name(int state)
{
    static const char *const names[] = {"absent", "starting", "unusable", "unpaired", "ready"};
    return name_of(names, 5, state);
}

static const char *txn_name(int state, stbcam_result_t result)
{
    static const char *const names[] = {"none", "open", "sent", "paid", "refused", "cancelled", "settling",
                                        "owned", "refunded", "forgotten"};
    /* The card says that it was not paid after all: the subscriber may confirm again, and pays once. */
    return result == STBCAM_E_NOT_PAID ? "refused" : name_of(names, 10, state);
}

#endif
