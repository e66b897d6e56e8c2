/*
 * stbcam: conditional access for set-top boxes.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * This header is the manual of libstbcam. It is generated from the library's source (crate ffi); do
 * not edit it. The wider picture, the events' payload and the table of readers are in
 * docs/spec/abi.md, how to bring the library to a box in docs/porting.md; examples/c/player.c is a
 * whole box. Names of files are those of the source, and below share/doc/stbcam where the library
 * is installed. stbcam.hpp is the same for C++17.
 *
 * Everywhere:
 *  - A function that can be refused returns a result, 0 or below 0; stbcam_last_error() has the
 *    details. NULL, a stale handle, a wrong size or a wrong order is refused, never undefined.
 *  - The caller sets struct_size of every structure that it hands in, also of those that are
 *    filled. Zero what you do not set.
 *  - Nothing that the library returns is freed by the caller, unless its comment says so.
 *  - A process that was forked from one that uses the library must not use it.
 *
 * C99, C11, C++11 and later.
 */
#ifndef STBCAM_H
#define STBCAM_H

#include <stddef.h>
#include <stdint.h>

#ifndef STBCAM_API
#if defined(__GNUC__)
#define STBCAM_API __attribute__((visibility("default")))
#else
#define STBCAM_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Version and capabilities ---------------------------------------------------------------
 *
 * One box may meet two versions of the library: ask the one that is loaded. Structures grow at
 * their end only; their first member says how long the caller's one is.
 */

/** Incremented when a program must be changed. The shared library's name carries it. */
#define STBCAM_VERSION_MAJOR 1
/** Incremented when functions, members or numbers are added. */
#define STBCAM_VERSION_MINOR 0
/** Incremented by corrections. */
#define STBCAM_VERSION_PATCH 0

/**
 * The version of the loaded library: major, minor and patch in one octet each,
 * 0x00MMmmpp.
 *
 * Threads: any, also from a callback.
 */
STBCAM_API uint32_t stbcam_version(void);

/**
 * The version as text, such as "1.0.0". Static: never freed.
 *
 * Threads: any, also from a callback.
 */
STBCAM_API const char *stbcam_version_string(void);

/** Card readers on a serial port ("serial:"). */
#define STBCAM_FEATURE_READER_SERIAL 0x01
/** A software descrambler with a software key ladder. */
#define STBCAM_FEATURE_SOFT_DESCRAMBLER 0x02
/** The software descrambler knows DVB-CSA2. */
#define STBCAM_FEATURE_SOFT_CSA2 0x04
/** The software descrambler knows DVB-CISSA version 1. */
#define STBCAM_FEATURE_SOFT_CISSA 0x08
/** Virtual cards over TCP ("vpcd:"). */
#define STBCAM_FEATURE_READER_VPCD 0x10
/** Readers behind PC/SC ("pcsc:"). Only in a library that was built with FEATURES=pcsc. */
#define STBCAM_FEATURE_READER_PCSC 0x20
/** Readers with the frames of a GemPC Twin ("gempc:"). */
#define STBCAM_FEATURE_READER_GEMPC 0x40
/** UARTs in the kernel's ISO 7816 mode ("iso7816:"). */
#define STBCAM_FEATURE_READER_ISO7816 0x80
/** The software descrambler knows ATIS-0800006 (IDSA). */
#define STBCAM_FEATURE_SOFT_IDSA 0x100
/** The software descrambler knows SCTE 52. */
#define STBCAM_FEATURE_SOFT_SCTE52 0x200

/**
 * What the loaded library can do: a set of STBCAM_FEATURE_*.
 *
 * Threads: any, also from a callback.
 */
STBCAM_API uint64_t stbcam_features(void);

/* ---- 2. Results --------------------------------------------------------------------------------
 *
 * Every function that can be refused returns a result: 0 is done, a negative number says why
 * not. A number is never used again for something else. stbcam_last_error has the details.
 */

/** 0 (STBCAM_OK) or one of STBCAM_E_*. */
typedef int32_t stbcam_result_t;

/** Done. */
#define STBCAM_OK 0
/** A pointer is NULL, a number out of range, a handle stale or a text malformed. */
#define STBCAM_E_ARG (-1)
/** struct_size or elem_size is too small, or longer with something unknown in the rest. */
#define STBCAM_E_STRUCT_SIZE (-2)
/** No memory. */
#define STBCAM_E_NOMEM (-3)
/** The caller's buffer is too small; the length that is needed was stored. */
#define STBCAM_E_BUFFER (-4)
/** Not in this state: wrong order of calls, or a process that was forked. */
#define STBCAM_E_STATE (-5)
/** Called from inside a callback of the library. */
#define STBCAM_E_REENTRANT (-6)
/** Another thread is doing just this; of stbcam_open: another context uses state_dir. */
#define STBCAM_E_BUSY (-7)
/** Not done in time. */
#define STBCAM_E_TIMEOUT (-8)
/** Not in this build. */
#define STBCAM_E_UNSUPPORTED (-9)
/** A defect of the library was caught; this context answers so from now on. Close it. */
#define STBCAM_E_PANIC (-10)
/** What must survive a power cut could not be stored. */
#define STBCAM_E_STORAGE (-11)
/** The clock is not known or out of range. */
#define STBCAM_E_CLOCK (-12)
/** A queue is full: what was offered is lost and counted. */
#define STBCAM_E_OVERFLOW (-13)
/** No open session has this id. */
#define STBCAM_E_NO_SESSION (-20)
/** No purchase has this id. */
#define STBCAM_E_NO_TXN (-21)
/** Nothing there now. */
#define STBCAM_E_AGAIN (-23)
/** All places are taken. */
#define STBCAM_E_FULL (-24)
/** A malformed section or table: it reached nobody. */
#define STBCAM_E_SECTION (-30)
/** The reader cannot be opened or has gone. */
#define STBCAM_E_NO_READER (-40)
/** No card, or one that is not in session; the details have the reason. */
#define STBCAM_E_NO_CARD (-41)
/** There is a card, and it does not answer. */
#define STBCAM_E_CARD_MUTE (-42)
/** The card in the reader is not one of this system. */
#define STBCAM_E_CARD_UNKNOWN (-43)
/** The card's answer cannot be read: it does not keep the protocol of its commands. */
#define STBCAM_E_CARD_PROTOCOL (-44)
/** The card says no; the status word or its result is in the details. */
#define STBCAM_E_CARD_REFUSED (-45)
/** The operator has blocked the card. */
#define STBCAM_E_CARD_BLOCKED (-46)
/** The card's log of purchases is full. */
#define STBCAM_E_CARD_FULL (-47)
/** The PIN is wrong; the tries left were stored. */
#define STBCAM_E_PIN_WRONG (-50)
/** No tries are left. */
#define STBCAM_E_PIN_BLOCKED (-51)
/** The card wants the PIN. */
#define STBCAM_E_PIN_REQUIRED (-52)
/** The price is not the one that the subscriber saw. No money has moved. */
#define STBCAM_E_PRICE_CHANGED (-60)
/** The balance does not cover the price. No money has moved. */
#define STBCAM_E_FUNDS (-61)
/** The offer has ended. No money has moved. */
#define STBCAM_E_OFFER_EXPIRED (-62)
/** It is bought already. No money has moved. */
#define STBCAM_E_ALREADY_OWNED (-63)

/**
 * The answer was lost. Never pay again by yourself: the library asks the card and tells the
 * outcome by an event.
 */
#define STBCAM_E_OUTCOME_UNKNOWN (-64)
/** The request id belongs to another purchase. */
#define STBCAM_E_REQUEST_REUSED (-65)

/**
 * The answer was lost, and the card now says that it was not paid. No money has moved. When the
 * purchase is open again, confirming it again pays once; after a restart it is refused, and the
 * wish needs a new request id.
 */
#define STBCAM_E_NOT_PAID (-66)

/**
 * Neither the storage nor the card knows this request, or no longer. Nothing is debited for it
 * from now on.
 */
#define STBCAM_E_REQUEST_FORGOTTEN (-67)
/** The price is over the card's limit of a purchase. No money has moved. */
#define STBCAM_E_LIMIT (-68)

/**
 * The card knows a later purchase of this box, or the numbers of purse or terminal are used up. No
 * money has moved; unless they are used up, a new request id serves.
 */
#define STBCAM_E_SEQUENCE (-69)
/** Above the rating that the card allows without its PIN. No money has moved. */
#define STBCAM_E_RATING (-70)
/** The card has no key for the offer. No money has moved. */
#define STBCAM_E_NO_KEY (-71)

/**
 * Nothing is sold to this card by this offer: no price, not in this region, or messages missing.
 * No money has moved.
 */
#define STBCAM_E_NOT_FOR_SALE (-72)
/** The offer is not authentic. No money has moved. */
#define STBCAM_E_OFFER_FORGED (-73)
/** The card cannot read the offer. No money has moved. */
#define STBCAM_E_OFFER_MALFORMED (-74)

/**
 * A result as text, in English. Static: never freed, never NULL.
 *
 * Threads: any, also from a callback.
 */
STBCAM_API const char *stbcam_strerror(stbcam_result_t result);

/** The details of a refusal. */
typedef struct stbcam_error_t {
    /** sizeof(stbcam_error_t), by the caller. */
    size_t struct_size;
    /** What the refused function returned; 0 (STBCAM_OK) when none was refused yet. */
    stbcam_result_t code;
    /** errno of the system call behind it, or 0. */
    int32_t os_errno;
    /** The card's status word, or 0. */
    uint16_t sw;
    /** The card's result inside an answer with status word 9000, or 0. */
    uint8_t card_result;
    /** 0. */
    uint8_t reserved[5];
    /** A text for a log: what was got and what was expected. Ends with a zero. */
    char text[192];
} stbcam_error_t;

/**
 * The details of the last call in the calling thread that was refused. A call that was not
 * refused does not change them, and neither does this one when it is. code is 0 when none was
 * refused yet. A text that is too long has lost its middle.
 *
 * Threads: any, also from a callback.
 *
 * The caller promises:
 *
 * * out points to a stbcam_error_t whose struct_size is set, or is NULL (refused).
 */
STBCAM_API stbcam_result_t stbcam_last_error(struct stbcam_error_t *out);

/* ---- Handles -----------------------------------------------------------------------------------
 *
 * None of them is a pointer to something: a handle or number that is closed, made up or from
 * another kind is refused with a result. A handle is given out once in a process. The numbers of
 * sessions and purchases are their context's: another context gives out the same ones, and one of
 * a session comes again when 65,535 others have had its place.
 */

/** One card reader, one card, any number of sessions. */
typedef struct stbcam_t stbcam_t;

/** A descrambler in software. */
typedef struct stbcam_soft_descrambler_t stbcam_soft_descrambler_t;

/** A session: one programme of one source. Never 0. */
typedef uint32_t stbcam_session_t;

/** A purchase. Never 0. */
typedef uint32_t stbcam_txn_t;

/* ---- 3. What the box gives the library ---------------------------------------------------------
 *
 * Tables of functions, each with a user pointer that is handed back as it is. The library
 * copies the tables; what user points to must live until stbcam_close has returned. The
 * functions of one table are called one at a time, on the card thread (inside stbcam_step when
 * there is none); clear also on the thread that closes. They must not call the library: that is
 * refused with STBCAM_E_REENTRANT, not deadlocked.
 */

/**
 * Receives the log. level is one of STBCAM_LOG_*, origin names the part of the library, both
 * texts are UTF-8 and end with a zero; they are gone when the call returns. Never holds a key, a
 * control word or a PIN, at no level.
 *
 * Called by any thread that calls the library and by the card thread, one call at a time. It must
 * not call the library (STBCAM_E_REENTRANT).
 */
typedef void (*stbcam_log_fn)(void *user, int32_t level, const char *origin, const char *text);

/** Log nothing: below all others, for 0 is the default of config.log_level. */
#define STBCAM_LOG_OFF (-1)
/** What does not work. */
#define STBCAM_LOG_ERROR 1
/** What should not happen. */
#define STBCAM_LOG_WARN 2
/** What changes. */
#define STBCAM_LOG_INFO 3
/** What is done. */
#define STBCAM_LOG_DEBUG 4
/** Everything. */
#define STBCAM_LOG_TRACE 5

/**
 * Not an algorithm with a number here; scrambling_mode says which. Whether the chip can do it is
 * for set_cw to say: 0 says that it can.
 */
#define STBCAM_ALGO_OTHER 0
/** DVB-CSA, 64-bit control words. */
#define STBCAM_ALGO_CSA 1

/**
 * SCTE 52: DES in CBC, 64-bit control words, each payload ended as the standard ends it. Its
 * initialisation vectors are constants of the network: whoever builds the box knows them.
 */
#define STBCAM_ALGO_SCTE52 2
/** DVB-CISSA version 1, 128-bit control words, AES-128-CBC with a fixed IV. */
#define STBCAM_ALGO_CISSA 5

/**
 * ATIS-0800006 (IDSA): AES-128 in CBC with an IV of zeros, 128-bit control words, each payload
 * ended as SCTE 52 ends it.
 */
#define STBCAM_ALGO_IDSA 8

/** even is set. */
#define STBCAM_CW_EVEN 0x01
/** odd is set. */
#define STBCAM_CW_ODD 0x02

/**
 * The control words are encrypted under the key at the foot of the key ladder. This version of
 * the library sets it always.
 */
#define STBCAM_CW_IS_WRAPPED 0x01
/** The control words were given for a preview. */
#define STBCAM_CW_PREVIEW 0x02

/**
 * The control words of a crypto period and the one after it. Everything is gone when the call
 * returns.
 */
typedef struct stbcam_cw_t {
    /** sizeof(stbcam_cw_t), by the library. */
    size_t struct_size;
    /** The session that they belong to. */
    stbcam_session_t session;
    /** STBCAM_CW_IS_WRAPPED, STBCAM_CW_PREVIEW. */
    uint32_t flags;
    /**
     * The crypto period on air. Its bit 0 is the parity of its control word: 0 even, 1 odd. The
     * other belongs to the next period.
     */
    uint32_t crypto_period;
    /**
     * The length of a crypto period in milliseconds, as measured; 0 before a whole one was seen.
     */
    uint32_t crypto_period_ms;
    /** The PID of the ECM that they came by. */
    uint16_t ecm_pid;
    /** The source (demultiplexer or tuner) of the session. */
    uint8_t source;
    /** One of STBCAM_ALGO_*. */
    uint8_t algo;
    /**
     * scrambling_mode (EN 300 468) of the PMT's scrambling_descriptor; 0xDE is SCTE 52, which has
     * no number there. Where there is none, as in every CA_PMT, or its mode has control words of
     * another length than the ECM's: 0x10, DVB-CISSA, for 16 octets, 0x02, DVB-CSA2, for 8.
     */
    uint8_t scrambling_mode;
    /** STBCAM_CW_EVEN and STBCAM_CW_ODD. */
    uint8_t parity_mask;
    /**
     * Octets that count in even and odd: 16. The first 8 of what leaves the key ladder are the
     * control word of DVB-CSA and of SCTE 52.
     */
    uint8_t key_len;
    /** Octets that count in iv: 16 for CISSA and IDSA, else 0. */
    uint8_t iv_len;
    /** Copy control information, as the ECM carries it. */
    uint8_t copy_control;
    /** 0. */
    uint8_t reserved[7];
    /** The even control word. */
    uint8_t even[32];
    /** The odd control word. */
    uint8_t odd[32];
    /** The initialisation vector. */
    uint8_t iv[16];
    /** The PIDs of the elementary streams that they scramble. */
    const uint16_t *es_pids;
    /** How many. */
    size_t es_pid_count;
} stbcam_cw_t;

/** The operator lets this box have control words outside the key ladder. */
#define STBCAM_LADDER_CLEAR_ALLOWED 0x01

/**
 * The encrypted keys of a pairing, for the chip's key ladder (ETSI TS 103 162): with the chip's
 * root key K3, K2 = D(K3, EK2), K1 = D(K2, EK1), control word = D(K1, encrypted control word); D
 * is AES-128 decryption of one block.
 */
typedef struct stbcam_ladder_t {
    /** sizeof(stbcam_ladder_t), by the library. */
    size_t struct_size;
    /** STBCAM_LADDER_CLEAR_ALLOWED. */
    uint32_t flags;
    /** The pairing slot of the card, 0 to 3. */
    uint8_t pairing_slot;
    /** 0. */
    uint8_t reserved[3];
    /** K2, encrypted under K3. */
    uint8_t ek2[16];
    /** K1, encrypted under K2. */
    uint8_t ek1[16];
} stbcam_ladder_t;

/**
 * The box's descrambler. All three functions are needed: stbcam_open refuses a table without one
 * of them (STBCAM_E_ARG). Whoever wants control words to go nowhere sets config.descrambler to
 * NULL.
 */
typedef struct stbcam_descrambler_ops_t {
    /** sizeof(stbcam_descrambler_ops_t). */
    size_t struct_size;
    /** Handed back to every function. */
    void *user;
    /**
     * Loads the key ladder. Comes before the first control words, and again when another card is
     * paired otherwise. 0 is done. With anything else every session that would have control words
     * shows STBCAM_REASON_DESCRAMBLER, none are handed over, and the ladder's keys come again
     * before the next ones, or once a second while ECMs are repeated on air.
     */
    int32_t (*load_ladder)(void *user, const struct stbcam_ladder_t *ladder);
    /**
     * Takes control words: the latency path, so it must return within 5 ms. A key whose period is
     * over must not be used on a later one of the same parity. 0 is done. With anything else the
     * session shows STBCAM_REASON_DESCRAMBLER until control words of its stream are taken again;
     * the same come again once a second while their ECM is repeated on air.
     */
    int32_t (*set_cw)(void *user, const struct stbcam_cw_t *cw);
    /**
     * Wipes the control words of a session, at once: it was closed, access is lost, the card is
     * out.
     */
    void (*clear)(void *user, stbcam_session_t session);
} stbcam_descrambler_ops_t;

/**
 * Where the library keeps what must survive a power cut: pairings (sealed under the box's key)
 * and the numbers of purchases. key is a text of letters, digits, -, _ and ., at most 64
 * octets long.
 */
typedef struct stbcam_storage_ops_t {
    /** sizeof(stbcam_storage_ops_t). */
    size_t struct_size;
    /** Handed back to every function. */
    void *user;
    /**
     * Reads: stores the length, and the octets if they fit capacity. 0 is done, 1 is "there is
     * none", anything else an error. Called by stbcam_open only.
     */
    int32_t (*get)(void *user, const char *key, uint8_t *octets, size_t capacity, size_t *len);
    /**
     * Writes: on return all of it is on flash, and after a power cut either the old or the new
     * octets are there. 0 is done.
     */
    int32_t (*put_durable)(void *user, const char *key, const uint8_t *octets, size_t len);
} stbcam_storage_ops_t;

/** Done, or yes. */
#define STBCAM_READER_OK 0
/** The card is out. A card that is put back in shows by present, or by its answer to reset. */
#define STBCAM_READER_REMOVED (-1)
/** The reader itself is gone. It is looked for again by present and reset. */
#define STBCAM_READER_LOST (-2)

/**
 * The time is over. From reset and transmit: the card is mute; from read: nothing came,
 * which is no error; from write: the reader is stuck, and counts as lost.
 */
#define STBCAM_READER_TIMEOUT (-3)
/** The card has said something, but not readably (a parity error, for example). */
#define STBCAM_READER_DAMAGED (-4)

/** How the line to the card runs. */
typedef struct stbcam_line_t {
    /** sizeof(stbcam_line_t), by the library. */
    size_t struct_size;
    /** Clock rate conversion integer F; 372 after reset. */
    uint32_t f;
    /** Baud rate adjustment integer D; 1 after reset. */
    uint32_t d;
    /** The card's clock in Hz, as the table of functions has it. */
    uint32_t clock_hz;
    /** Bits per second: clock_hz * D / F, rounded. */
    uint32_t bit_rate;
    /**
     * From the leading edge of one character to that of the next, on the way to the card, in etu:
     * 12 after reset, 11 with T=1 and N=255, more when the card asks for extra guard time.
     */
    uint32_t guard_etu;
    /** 1: the card has the inverse convention. On a UART that knows no conventions: odd parity. */
    uint32_t inverse;
    /**
     * T of the protocol that runs, 0 before one does: for a UART that keeps times or, with T=0,
     * repeats characters by itself.
     */
    uint32_t protocol;
    /** 0. */
    uint32_t reserved;
} stbcam_line_t;

/**
 * The box's card reader, in place of config.reader.
 *
 * There are two kinds. One moves characters: it has params, write and read; the library
 * speaks T=0 or T=1, PPS included, and keeps every time. The other takes whole APDUs: it has
 * transmit, and everything between is its own business. Both have reset and power_off.
 *
 * All functions are called on the card thread (inside stbcam_step and the calls that wait for
 * the card when there is none), one at a time; present also once inside stbcam_open. They must
 * not call the library (STBCAM_E_REENTRANT). stbcam_close calls nothing but power_off, which
 * is the last call, and waits for a function that is running. While one runs, everything else
 * waits: return as soon as there is something to return, and at timeout_ms at the latest.
 *
 * They return 0 or more for done, or one of STBCAM_READER_*. Any other number below 0 is told in
 * STBCAM_EV_HEALTH and counts as STBCAM_READER_LOST.
 *
 * Octets are logical ones in both directions, whichever convention the card's TS has announced; a
 * reader that does not know conventions passes octets as its UART has them, and the answer to
 * reset through read. Pointers are good until the function returns.
 */
typedef struct stbcam_reader_ops_t {
    /** sizeof(stbcam_reader_ops_t). */
    size_t struct_size;
    /** Handed back to every function. */
    void *user;
    /** The card's clock in Hz. 0: 3579545. */
    uint32_t clock_hz;
    /** The highest bit rate that params can set; PPS asks for no higher one. 0: 1000000. */
    uint32_t max_bit_rate;
    /**
     * Whether a card is in: 1 yes, 0 no. Asked every 100 ms, so it must not wait. NULL: the reader
     * cannot tell; an idle card is then asked for a sign of life every 300 ms.
     */
    int32_t (*present)(void *user);
    /**
     * Resets the card: throws away what was received before, sets the line to F 372, D 1 and 12
     * etu, and switches the card off and on (cold 1) or pulls its reset line (cold 0; as 1
     * where there is none). The answer to reset comes in one of two ways. Either through read:
     * then return 0 as soon as the reset line has risen, and leave *len 0. Or whole, as from a
     * chip that reads it by itself, and always with transmit: then put it into atr, which has
     * capacity octets, TS first, and its length into *len; wait timeout_ms for its first
     * character, and return STBCAM_READER_TIMEOUT if there is none.
     */
    int32_t (*reset)(void *user,
                     int32_t cold,
                     uint8_t *atr,
                     size_t capacity,
                     size_t *len,
                     uint32_t timeout_ms);
    /** From the next character on the line runs like this. Must not wait. */
    int32_t (*params)(void *user, const struct stbcam_line_t *line);
    /** Sends characters, all of them. May return when they are on their way. */
    int32_t (*write)(void *user, const uint8_t *octets, size_t len, uint32_t timeout_ms);
    /**
     * Takes characters that have come, as many as there are and fit capacity, and says in *len
     * how many. When there are none it waits for the first, at most timeout_ms, which is 10 or
     * less; with 0 it does not wait. It does not wait for more. None may be lost between two
     * calls: keep at least 512. STBCAM_READER_DAMAGED: one of the *len had a parity error.
     */
    int32_t (*read)(void *user, uint8_t *octets, size_t capacity, size_t *len, uint32_t timeout_ms);
    /**
     * Takes a command APDU to the card and brings its response, status word last, of which
     * *response_len says the length. 61xx and 6Cxx of T=0 are the reader's business. Never sends
     * a command twice. timeout_ms is config.card_timeout_ms. STBCAM_READER_TIMEOUT: the card
     * did not answer; it will be reset.
     */
    int32_t (*transmit)(void *user,
                        const uint8_t *command,
                        size_t len,
                        uint8_t *response,
                        size_t capacity,
                        size_t *response_len,
                        uint32_t timeout_ms);
    /** Takes the power off the card, in the order of ISO/IEC 7816-3. */
    void (*power_off)(void *user);
} stbcam_reader_ops_t;

/* ---- 4. Life of a context ----------------------------------------------------------------------
 *
 * stbcam_config_init, fill in, stbcam_open; then any thread may call any function until
 * stbcam_close. A context has one card thread, or none: with STBCAM_CONFIG_NO_THREAD nothing
 * happens but inside stbcam_step and the calls that wait for the card. No lock is held while
 * the card is spoken to.
 */

/** No card thread: nothing runs unless stbcam_step is called. */
#define STBCAM_CONFIG_NO_THREAD 0x01

/**
 * The card is held to EMV contact level 1: no PPS, no odd answer to reset, and every failure ends
 * with its power off. Few pay-TV cards are made for that. For readers with characters: serial: and
 * iso7816:, where "policy=emv" in the address says the same, and reader_ops without transmit.
 */
#define STBCAM_CONFIG_EMV 0x02

/**
 * What a context is told once. The library copies it; nothing needs to live after stbcam_open
 * but what the user pointers point to.
 *
 * 0 or NULL is a member's default, where it has one: a structure of zeros with struct_size set
 * is as good as one that stbcam_config_init has filled. A number outside the limits given here
 * is refused by stbcam_open (STBCAM_E_ARG), never cut.
 */
typedef struct stbcam_config_t {
    /** sizeof(stbcam_config_t); set by stbcam_config_init. Never 0. */
    size_t struct_size;
    /** STBCAM_CONFIG_NO_THREAD, STBCAM_CONFIG_EMV, both, or 0. */
    uint32_t flags;
    /**
     * The longest that a call waits for the card, and that stbcam_close waits. At most 600000
     * (ten minutes); 0: 5000.
     */
    uint32_t card_timeout_ms;
    /**
     * The card reader: "serial:/dev/ttyS1?reset=rts&detect=cts"; docs/spec/abi.md has the table.
     * NULL with reader_ops.
     */
    const char *reader;
    /** The box's own card reader. NULL with reader. */
    const stbcam_reader_ops_t *reader_ops;
    /**
     * A directory of the library's own, made when it is not there, with those above it: one for
     * each context, and only its owner can read it. Needed unless storage is set.
     */
    const char *state_dir;
    /**
     * The language of texts for the subscriber, BCP 47. NULL: "en", which is also what an unknown
     * language gives.
     */
    const char *language;
    /** The CA_system_ids that are ours. NULL: 0x4AF0 alone. */
    const uint16_t *ca_system_ids;
    /** How many, at most 256. 0 with NULL, and only then. */
    size_t ca_system_id_count;
    /** The box's number, from its factory. */
    uint8_t stb_id[8];
    /** The purse's name for this terminal; all zero: the last six octets of stb_id. */
    uint8_t terminal_id[6];
    /** Octets that count in box_key: 16; 0: 16. */
    uint8_t box_key_len;
    /** 0. */
    uint8_t reserved;
    /**
     * The box's own key, from its factory, under which its pairings arrive. The library wipes its
     * copy; wipe yours once stbcam_open has returned.
     */
    uint8_t box_key[32];
    /** The box's descrambler, or NULL: control words go nowhere. */
    const stbcam_descrambler_ops_t *descrambler;
    /** The box's storage, or NULL: files in state_dir. */
    const stbcam_storage_ops_t *storage;
    /** Receives the log, or NULL. */
    stbcam_log_fn log;
    /** Handed back to log. */
    void *log_user;
    /** The most talkative level that is logged, one of STBCAM_LOG_*. 0: STBCAM_LOG_WARN. */
    int32_t log_level;
    /** The most sessions that are open at once. At most 255; 0: 16. */
    uint32_t max_sessions;
    /**
     * The most EMMs of each addressing (to one card, to a group, to all) that wait for the card.
     * At most 16384; 0: 64.
     */
    uint32_t emm_queue;
    /** The most events that wait for the host. At most 65536; 0: 256. */
    uint32_t event_queue;
    /**
     * Octets of the ring between a source and the card thread; ECMs have a second one of the same
     * size. A section takes 4 octets more than its length. 4100, which is room for the longest
     * section, to 16777216; 0: 65536.
     */
    uint32_t section_ring;
    /**
     * How many section filters the box has for the library, of all sources: stbcam_filters never
     * lists more. With fewer than it wants it widens them, and at last PIDs take turns
     * (docs/spec/abi.md, Sections). At most 65535, more than it ever wants; 0: 65535.
     */
    uint32_t section_filters;
} stbcam_config_t;

/**
 * Fills a configuration with what has a default; everything else becomes zero or NULL. Whoever
 * would rather not call it sets the structure to zeros, and its struct_size.
 * struct_size is sizeof(stbcam_config_t) of the caller.
 *
 * STBCAM_E_ARG: config is NULL. STBCAM_E_STRUCT_SIZE: no version of the library has a
 * structure of this size.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * config points to struct_size writable octets, or is NULL (refused).
 */
STBCAM_API stbcam_result_t stbcam_config_init(struct stbcam_config_t *config, size_t struct_size);

/**
 * Opens a card reader and everything behind it. The reader must be there; a card need not be.
 * On success *out is a new context, to be closed by stbcam_close.
 *
 * STBCAM_E_ARG: a member is missing, malformed, or not for this reader; the details name it.
 * STBCAM_E_NO_READER: the port is not there or cannot do what is asked of it. STBCAM_E_STORAGE:
 * the storage does not work; state_dir is full, read-only or holds what is no file.
 * STBCAM_E_BUSY: another context, of this
 * process or another, uses state_dir; one that ended with STBCAM_E_TIMEOUT until it has ended.
 * STBCAM_E_NOMEM: no thread or descriptor is to be had.
 *
 * Threads: any, but not from a callback.
 *
 * The caller promises:
 *
 * * config points to a configuration that stbcam_config_init has filled or that was all zero
 *   but for its struct_size, and its pointers to what their comments say; out is writable.
 *   Either may be NULL (refused).
 */
STBCAM_API stbcam_result_t stbcam_open(const struct stbcam_config_t *config, stbcam_t **out);

/**
 * Closes a context: wipes the control words of every session (clear is called before this
 * returns), ends the card thread and takes the power off the card. The handle is stale from the
 * first moment; calls under way in other threads end with a result. NULL is closed already. Waits
 * at most card_timeout_ms for the card thread, and for a callback that is running as long as it
 * runs; no callback is called once this has returned.
 *
 * STBCAM_E_ARG: closed before. STBCAM_E_TIMEOUT: closed, but the card thread was still waiting for
 * its reader and ends by itself.
 *
 * Threads: any, but not from a callback.
 */
STBCAM_API stbcam_result_t stbcam_close(stbcam_t *cam);

/**
 * Does the card thread's work for at most max_ms milliseconds, in the calling thread; returns
 * earlier when something was done. *next_ms is how long it may take until the next call if
 * nothing else happens, UINT32_MAX when there is nothing to wait for; next_ms may be NULL.
 *
 * A host with a loop of its own waits for stbcam_step_fd and calls this with max_ms 0, until
 * the descriptor is no longer readable. Who waits *next_ms alone is late for what comes
 * meanwhile from the card, by other calls and other threads.
 *
 * STBCAM_E_STATE: the context has a card thread. STBCAM_E_BUSY: another thread is in this call.
 *
 * Threads: any one at a time.
 *
 * The caller promises:
 *
 * * next_ms is NULL or writable.
 */
STBCAM_API stbcam_result_t stbcam_step(stbcam_t *cam, uint32_t max_ms, uint32_t *next_ms);

/**
 * A descriptor that poll() finds readable as long as stbcam_step is due: the card or its reader
 * has something to say, a call has left something to do, or a time is up. It is one number until
 * stbcam_close and belongs to the library: do not read, write or close it; it is good for
 * poll(), select() and epoll, level-triggered. It is readable from the start. Below 0: a result.
 *
 * A reader of reader_ops with characters has no descriptor that we could wait for: while
 * something is expected of the card, the time is up every millisecond.
 *
 * STBCAM_E_STATE: the context has a card thread.
 *
 * Threads: any.
 */
STBCAM_API int32_t stbcam_step_fd(stbcam_t *cam);

/** Where the time of stbcam_set_utc comes from: the time is not known any more. */
#define STBCAM_UTC_UNKNOWN 0
/** From the broadcast's TDT or TOT. */
#define STBCAM_UTC_BROADCAST 1
/** From the network. */
#define STBCAM_UTC_NETWORK 2
/** From the box's own clock. */
#define STBCAM_UTC_RTC 3

/**
 * Tells the time: seconds of the Unix epoch. It is used for the utc_s of events and nothing
 * else: rights and purchases go by the card's own clock, which only the operator can move. The
 * last call counts, whatever its source, which stbcam_diag_json tells with the time; with
 * STBCAM_UTC_UNKNOWN the time is forgotten, and utc_s is not looked at.
 *
 * STBCAM_E_ARG: source is not one of STBCAM_UTC_*. STBCAM_E_CLOCK: utc_s is below 1 or more
 * than an event can tell; what was known stays.
 *
 * Threads: any.
 */
STBCAM_API stbcam_result_t stbcam_set_utc(stbcam_t *cam, int64_t utc_s, int32_t source);

/* ---- 5. Tables and sections --------------------------------------------------------------------
 *
 * The host gives PMT and CAT sections, or EN 50221 CA_PMT objects, or both; the library says
 * which sections it wants (stbcam_filters, after every STBCAM_EV_FILTERS); the host passes
 * those on. A source is the host's number, 0 to 15, of a demultiplexer or tuner: two tuners with
 * the same PID are told apart.
 */

/**
 * Whether a CA_system_id is one of ours: 1 yes, 0 no, below 0 a result.
 *
 * Threads: any.
 */
STBCAM_API int32_t stbcam_is_our_ca(stbcam_t *cam, uint16_t ca_system_id);

/**
 * Takes a section of the CAT: EMM PIDs of the source. Give every new version. One that is not yet
 * applicable (current_next_indicator 0) changes nothing. 256 EMM streams of each source are
 * served; more are told once by STBCAM_EV_HEALTH.
 *
 * STBCAM_E_SECTION: not a CAT section or its CRC is wrong.
 *
 * Threads: any. The octets may be reused as soon as the call returns.
 *
 * The caller promises:
 *
 * * section points to len readable octets.
 */
STBCAM_API
stbcam_result_t stbcam_cat(stbcam_t *cam,
                           uint8_t source,
                           const uint8_t *section,
                           size_t len);

/**
 * Opens a session for the programme of a PMT section. *out is its number. Access is told by
 * STBCAM_EV_ACCESS and stbcam_access.
 *
 * STBCAM_E_SECTION: not a PMT section, its CRC is wrong, or it is not yet applicable
 * (current_next_indicator 0). STBCAM_E_FULL: max_sessions are open.
 *
 * Threads: any. The octets may be reused as soon as the call returns.
 *
 * The caller promises:
 *
 * * section points to len readable octets; out is writable or NULL (refused).
 */
STBCAM_API
stbcam_result_t stbcam_session_open_pmt(stbcam_t *cam,
                                        uint8_t source,
                                        const uint8_t *section,
                                        size_t len,
                                        stbcam_session_t *out);

/**
 * Tells a session that the PMT of its programme has changed. Keys stay where ECM PID and streams
 * stay.
 *
 * STBCAM_E_NO_SESSION: not open. STBCAM_E_SECTION: not a PMT section, its CRC is wrong, it is of
 * another programme or not yet applicable (current_next_indicator 0); the session goes on as it
 * was.
 *
 * Threads: any. The octets may be reused as soon as the call returns.
 *
 * The caller promises:
 *
 * * section points to len readable octets.
 */
STBCAM_API
stbcam_result_t stbcam_session_update_pmt(stbcam_t *cam,
                                          stbcam_session_t session,
                                          const uint8_t *section,
                                          size_t len);

/**
 * CA_enable: descrambling is possible: not scrambled, granted, a trial, or nothing is known yet
 * that speaks against it.
 */
#define STBCAM_CA_ENABLE_POSSIBLE 0x01
/** CA_enable: possible after a purchase. */
#define STBCAM_CA_ENABLE_PURCHASE 0x02
/** CA_enable: possible after a dialogue: the programme is rated, and the PIN opens it. */
#define STBCAM_CA_ENABLE_DIALOGUE 0x03

/**
 * CA_enable: not possible, no right: the card denies it, or it is another operator's or CA
 * system's.
 */
#define STBCAM_CA_ENABLE_NO_RIGHT 0x71

/**
 * CA_enable: not possible for technical reasons: the card is out or starts, or the access is
 * technical.
 */
#define STBCAM_CA_ENABLE_TECHNICAL 0x73

/** The answer to a CA_PMT object. */
typedef struct stbcam_ca_pmt_reply_t {
    /** sizeof(stbcam_ca_pmt_reply_t), by the caller. */
    size_t struct_size;
    /** The session that the object opened or changed; 0 for none. */
    stbcam_session_t session;
    /**
     * One of STBCAM_CA_ENABLE_* (EN 50221 §8.4.3.5), as things stand now; 0 when the object
     * selects no component.
     */
    uint8_t ca_enable;
    /** 0. */
    uint8_t reserved[3];
} stbcam_ca_pmt_reply_t;

/**
 * Takes an EN 50221 CA_PMT object, with ca_pmt_tag and length_field or from
 * ca_pmt_list_management on.
 *
 * List management: first and only close the sessions of the former list; with the others, and
 * for a programme that the list has, the session goes on with what the object says. add of a
 * known programme is update, update of an unknown one is add. Each source has its list, and
 * no list holds a session that stbcam_session_open_pmt opened.
 *
 * Commands, for each component its own or else the programme's:
 *  - ok_descrambling, ok_mmi: the component is descrambled. A dialogue is the host's, by offers
 *    and PIN. Answered with the session, and ca_enable by its access.
 *  - query, when no component is to be descrambled: changes nothing. ca_enable is by the access
 *    of an open session of the programme on this source, else by what its CA_descriptors are to
 *    the card.
 *  - not_selected: the component is left scrambled. When that is all of them, or the object has
 *    no component, the session of the programme ends; a list is emptied so.
 *
 * STBCAM_E_SECTION: malformed, not yet applicable (current_next_indicator 0), or a
 * ca_pmt_list_management or ca_pmt_cmd_id that EN 50221 does not have; nothing has changed.
 * STBCAM_E_FULL: max_sessions are open, and first or only would close none; nothing has
 * changed.
 *
 * Threads: any. The octets may be reused as soon as the call returns.
 *
 * The caller promises:
 *
 * * object points to len readable octets; reply points to a stbcam_ca_pmt_reply_t whose
 *   struct_size is set.
 */
STBCAM_API
stbcam_result_t stbcam_ca_pmt(stbcam_t *cam,
                              uint8_t source,
                              const uint8_t *object,
                              size_t len,
                              struct stbcam_ca_pmt_reply_t *reply);

/**
 * Closes a session; its control words are wiped. The number is stale from now on, also when its
 * place is taken by another session.
 *
 * STBCAM_E_NO_SESSION: not open.
 *
 * Threads: any.
 */
STBCAM_API stbcam_result_t stbcam_session_close(stbcam_t *cam, stbcam_session_t session);

/**
 * Offers one complete section, an ECM, an EMM or an offer. Never waits for the card.
 *
 * The library copies what it needs: section may be reused as soon as the call returns. What
 * none of its filters asks for is dropped and counted (section_unwanted): it takes no room from
 * anything, and is no error. ECMs have a ring of their own and go to the card before all others.
 *
 * STBCAM_E_SECTION: its section_length is not its length; counted, and it reaches nobody.
 * STBCAM_E_OVERFLOW: the card has not kept up; the section is lost, counted and told by
 * STBCAM_EV_OVERFLOW. STBCAM_E_BUSY: another thread is offering a section of the same source.
 *
 * Threads: any, one at a time for each source.
 *
 * The caller promises:
 *
 * * section points to len readable octets.
 */
STBCAM_API
stbcam_result_t stbcam_section(stbcam_t *cam,
                               uint8_t source,
                               uint16_t pid,
                               const uint8_t *section,
                               size_t len);

/** A section filter that the library wants set now. */
typedef struct stbcam_filter_t {
    /** The elem_size of the caller's array, by the library. */
    size_t struct_size;
    /** The PID to filter, 13 bits. */
    uint16_t pid;
    /** The host's number of the demultiplexer or tuner, 0 to 15. */
    uint8_t source;
    /** Octets of match and mask that count. */
    uint8_t depth;
    /** 1 for ECMs: do not let them wait. Else 0. */
    uint8_t urgent;
    /** 0. */
    uint8_t reserved[3];
    /**
     * What the section must hold: match[0] is the table_id, and match[1] is compared with
     * octet 3 of the section, the first one behind section_length, and so on. This is the rule of
     * DVB demultiplexers.
     */
    uint8_t match[16];
    /** The bits that are compared. */
    uint8_t mask[16];
} stbcam_filter_t;

/** Section filters of one ECM stream, at most. */
#define STBCAM_FILTERS_PER_ECM_STREAM 2
/** Section filters of one EMM stream, at most: for a card that is in eight groups. */
#define STBCAM_FILTERS_PER_EMM_STREAM 11

/**
 * How many section filters the library wants at most, each as narrow as can be:
 * STBCAM_FILTERS_PER_ECM_STREAM * ecm_streams + STBCAM_FILTERS_PER_EMM_STREAM * emm_streams, or
 * UINT32_MAX if that is more. ecm_streams are those of all sessions (usually one for each, at
 * most 16), emm_streams those of all sources (usually one for each, at most 256). A box that has
 * so many for us leaves section_filters of the configuration 0. With ecm_streams + emm_streams
 * nothing is missed either, but sections for others come along; with fewer, PIDs take turns.
 *
 * Threads: any, also from a callback.
 */
STBCAM_API uint32_t stbcam_filters_needed(uint32_t ecm_streams, uint32_t emm_streams);

/**
 * Lists the section filters that the library wants set now: of all sources, and no others. They
 * are at most section_filters of the configuration, what matters most first: ECMs, EMMs to the
 * card, to the box, to groups and all, offers.
 * *count says how many fit array, whose elements are elem_size apart, and becomes how many
 * there are.
 *
 * STBCAM_E_BUFFER: there are more than fit; the first ones were copied.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets, or *count is 0.
 */
STBCAM_API
stbcam_result_t stbcam_filters(stbcam_t *cam,
                               struct stbcam_filter_t *array,
                               size_t elem_size,
                               size_t *count);

/* ---- 6. Events ---------------------------------------------------------------------------------
 *
 * Events are pulled: no callback runs on a hidden thread. The queue is bounded; what does not fit
 * is counted, and told by one STBCAM_EV_OVERFLOW in its place. A host that takes that one with
 * code 2 forgets the offers that it knows, calls stbcam_resync and goes on taking events: they
 * tell everything again as it stands. With code 1 sections were lost, and there is nothing to
 * do: ECMs and EMMs are repeated on air. Members that the table in docs/spec/abi.md does not name
 * for a type are 0.
 */

/** The card: code its state (STBCAM_CARD_*), arg the reason (STBCAM_REASON_*), text. */
#define STBCAM_EV_CARD 1

/**
 * A session's access: session, code its state (STBCAM_ACCESS_*), arg the reason, flags
 * the remedy (STBCAM_REMEDY_*), amount 1 when the descrambler holds keys of it, text the
 * reason for the subscriber. It comes once for a new session, then when one of these has changed.
 */
#define STBCAM_EV_ACCESS 2
/** Other filters are wanted: call stbcam_filters. */
#define STBCAM_EV_FILTERS 3
/** The rights on the card changed: call stbcam_entitlements. */
#define STBCAM_EV_ENTITLEMENTS 4
/** The purse changed: amount the balance. */
#define STBCAM_EV_WALLET 5

/**
 * Something can be bought from now on, or what is told of it has changed: session, id the
 * offer, code its kind, amount the price (-1 when only the card knows it), flags
 * STBCAM_OFFER_*, arg the event.
 */
#define STBCAM_EV_OFFER 6
/** An offer has ended, or the card that would sell it has gone: session, id. */
#define STBCAM_EV_OFFER_GONE 7

/**
 * A purchase moved on: txn, id the offer, code its state (STBCAM_TXN_*), arg a result
 * (STBCAM_OK when paid, else why not), amount what was paid or, when refused, the balance (-1
 * when not told), flags the PIN tries left with STBCAM_E_PIN_WRONG, text.
 */
#define STBCAM_EV_PURCHASE 8
/** A service key slot works with a newer key: code the slot, arg the generation. */
#define STBCAM_EV_KEY_ROTATED 9
/** A pairing for this box came on air: code the slot on the card, arg 1 when it was withdrawn. */
#define STBCAM_EV_PAIRING 15

/**
 * The reader, the storage or the descrambler does not work, or the broadcast signals what cannot
 * be, or names more EMM streams than are served: text, and session where it is about one.
 */
#define STBCAM_EV_HEALTH 18

/**
 * Something was lost: code 1 sections (then arg is the source), 2 events (then
 * stbcam_resync gives everything again); amount how many.
 */
#define STBCAM_EV_OVERFLOW 19

/**
 * A report of purchases: code one of STBCAM_REPORT_READ, _ACKNOWLEDGED. READ: id the nonce
 * of the request, big endian, arg how many pages stbcam_report_next has, 0 when the card did
 * not report. ACKNOWLEDGED: arg 0 (STBCAM_OK) or why not, flags the card's own number,
 * text.
 */
#define STBCAM_EV_REPORT 20

/**
 * What may be done with a session's programme has changed: session, code the rating, flags
 * the copy control information, arg 1 when the card wants the PIN, amount the end of the right
 * that opened it, in seconds of the Unix epoch, 0 for none, id until when the operator's message
 * has to come, or 0 (update_by_utc of stbcam_access_t). It stands beside STBCAM_EV_ACCESS,
 * which says whether it may be watched.
 */
#define STBCAM_EV_TERMS 21

/** Something that happened, as stbcam_next_event gives it out. */
typedef struct stbcam_event_t {
    /** sizeof(stbcam_event_t), by the caller. */
    size_t struct_size;
    /** One of STBCAM_EV_*, which says what the members hold. */
    uint32_t type;
    /** See the type. */
    uint32_t flags;
    /** Counts every event, lost ones included. */
    uint64_t seq;
    /** When it happened: microseconds of CLOCK_MONOTONIC. */
    uint64_t monotonic_us;
    /** When it happened, as seconds of the Unix epoch; 0 before stbcam_set_utc. */
    int64_t utc_s;
    /** See the type. */
    stbcam_session_t session;
    /** See the type. */
    stbcam_txn_t txn;
    /** See the type. */
    int32_t code;
    /** See the type. */
    int32_t arg;
    /** See the type. */
    uint64_t id;
    /** See the type. Amounts of money are in minor units (fen). */
    int64_t amount;
    /**
     * See the type. Of CARD, ACCESS and PURCHASE for the subscriber, in the configured language;
     * of the others for a log, in English. Ends with a zero, never NULL; lives until the next call
     * of stbcam_next_event or stbcam_close on this context.
     */
    const char *text;
    /** Octets of text, without the zero. */
    size_t text_len;
} stbcam_event_t;

/**
 * A descriptor that poll() finds readable as long as there is an event. It belongs to the library:
 * do not read, write or close it. Below 0: a result.
 *
 * Threads: any.
 */
STBCAM_API int32_t stbcam_event_fd(stbcam_t *cam);

/**
 * Takes the oldest event; waits up to timeout_ms for one. Without a card thread events come of
 * stbcam_step and nothing else, and this does not call it: give 0.
 *
 * STBCAM_E_AGAIN: there is none.
 *
 * Threads: any; one at a time, as long as text is used.
 *
 * The caller promises:
 *
 * * event points to a stbcam_event_t whose struct_size is set.
 */
STBCAM_API
stbcam_result_t stbcam_next_event(stbcam_t *cam,
                                  struct stbcam_event_t *event,
                                  uint32_t timeout_ms);

/* ---- 7. Access, card, entitlements -------------------------------------------------------------
 *
 * What the subscriber may see and why, as things stand now. STBCAM_EV_ACCESS, STBCAM_EV_CARD
 * and STBCAM_EV_ENTITLEMENTS say when it has changed.
 */

/** The card has not been asked yet. */
#define STBCAM_ACCESS_PENDING 0
/** The programme is not scrambled. */
#define STBCAM_ACCESS_CLEAR 1
/** Keys are given. */
#define STBCAM_ACCESS_GRANTED 2
/** Keys are given for a trial. */
#define STBCAM_ACCESS_PREVIEW 3
/** It can be bought: see stbcam_offers. */
#define STBCAM_ACCESS_PURCHASABLE 4
/** The card says no. */
#define STBCAM_ACCESS_DENIED 5
/** Something does not work. */
#define STBCAM_ACCESS_TECHNICAL 6

/** Nothing needs to change. */
#define STBCAM_REMEDY_NONE 0
/** It passes by itself: wait. */
#define STBCAM_REMEDY_WAIT 1
/** A message of the operator: keep the box on its channel. */
#define STBCAM_REMEDY_EMM 2
/** The subscriber's PIN. */
#define STBCAM_REMEDY_PIN 3
/** Money: buy it, or load the purse. */
#define STBCAM_REMEDY_MONEY 4
/** Somebody who looks at the box or the card. */
#define STBCAM_REMEDY_TECHNICIAN 5

/** The card wants the PIN for the programme on air. */
#define STBCAM_ACCESS_PIN_NEEDED 0x01

/** What a session may show, and why. */
typedef struct stbcam_access_t {
    /** sizeof(stbcam_access_t), by the caller. */
    size_t struct_size;
    /** One of STBCAM_ACCESS_*. */
    int32_t state;
    /** One of STBCAM_REASON_*. */
    int32_t reason;
    /** One of STBCAM_REMEDY_*: who or what can change it. */
    int32_t remedy;
    /** STBCAM_ACCESS_PIN_NEEDED. */
    uint32_t flags;
    /** The card's last status word for this session, 0 before it has spoken. */
    uint16_t sw;
    /** The CA system in use, 0 for none of ours. */
    uint16_t ca_system_id;
    /**
     * The card's operator that the ECMs in use are for; 0 before a card is known, and where the
     * PMT does not name it.
     */
    uint16_t operator_id;
    /** Copy control information of the last answer. */
    uint8_t copy_control;
    /** The rating of the last answer. */
    uint8_t rating;
    /** The crypto period of the keys in use, if has_keys. */
    uint32_t crypto_period;
    /** 1 when the descrambler holds keys of this session. */
    uint32_t has_keys;
    /** How many offers stbcam_offers has. */
    uint32_t offers;
    /** 0. */
    uint32_t reserved;
    /**
     * The end of the right that opened the programme, as the card told it with its last answer, in
     * seconds of the Unix epoch. Of several rights it is the one that lasts longest. 0 where no
     * right opened it (free, a preview, refused), or the card does not tell it.
     */
    int64_t expires_utc;
    /**
     * It opens until this moment, in seconds of the Unix epoch, and from then on only if the
     * operator's message has reached the card before (STBCAM_REASON_EMM_NEEDED, remedy
     * STBCAM_REMEDY_EMM): the subscriber is to leave the box on. 0 where nothing is missing.
     */
    int64_t update_by_utc;
} stbcam_access_t;

/**
 * The access of a session now.
 *
 * STBCAM_E_NO_SESSION: not open.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * out points to a stbcam_access_t whose struct_size is set.
 */
STBCAM_API
stbcam_result_t stbcam_access(stbcam_t *cam,
                              stbcam_session_t session,
                              struct stbcam_access_t *out);

/** No card answers. */
#define STBCAM_CARD_ABSENT 0
/** Its reset or selection is on the way; or nobody has looked yet whether there is one. */
#define STBCAM_CARD_STARTING 1
/** A card that cannot be used; the reason says why. */
#define STBCAM_CARD_UNUSABLE 2
/** Not paired with this box: it takes EMMs only. */
#define STBCAM_CARD_UNPAIRED 3
/** In session. */
#define STBCAM_CARD_READY 4

/** What is known of the card. */
typedef struct stbcam_card_t {
    /** sizeof(stbcam_card_t), by the caller. */
    size_t struct_size;
    /** One of STBCAM_CARD_*. */
    int32_t state;
    /** One of STBCAM_REASON_*: why it is in this state. In session CARD_READY, or CARD_BLOCKED. */
    int32_t reason;
    /** The card's clock as seconds of the Unix epoch, 0 when not known. */
    int64_t clock_utc;
    /** Its pseudonym, by which the operator's messages address it. */
    uint8_t address[8];
    /** Its operator, 0 when not known. */
    uint16_t operator_id;
    /** The status word of its last refusal, or 0. */
    uint16_t sw;
    /** Its answer to reset. */
    uint8_t atr[33];
    /** Octets that count in atr. */
    uint8_t atr_len;
    /** The transmission protocol, 0 or 1. */
    uint8_t protocol;
    /** PIN tries left, 255 when not known. */
    uint8_t pin_tries_left;
    /** The pairing slot in use, 255 for none. */
    uint8_t pairing_slot;
    /** The pairing slots that are taken: bit n for slot n. */
    uint8_t pairing_slots;
    /** 1 when the operator has blocked it. */
    uint8_t blocked;
    /** 0. */
    uint8_t reserved[5];
} stbcam_card_t;

/**
 * The card now.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * out points to a stbcam_card_t whose struct_size is set.
 */
STBCAM_API stbcam_result_t stbcam_card(stbcam_t *cam, struct stbcam_card_t *out);

/** A subscription to a package. */
#define STBCAM_ENTITLEMENT_PACKAGE 1
/** A bought event. */
#define STBCAM_ENTITLEMENT_EVENT 2
/** A bought slice of time. */
#define STBCAM_ENTITLEMENT_SLICE 3

/** A right on the card. */
typedef struct stbcam_entitlement_t {
    /** The elem_size of the caller's array, by the library. */
    size_t struct_size;
    /** One of STBCAM_ENTITLEMENT_*. */
    uint32_t kind;
    /** The package or event. */
    uint32_t id;
    /** The first second of it, as seconds of the Unix epoch. */
    int64_t start_utc;
    /** The first second after it, as seconds of the Unix epoch. */
    int64_t end_utc;
    /** The tier of an event. */
    uint8_t tier;
    /** The service key slot that it is good for. */
    uint8_t slot;
    /** As the card tells them (docs/spec/card.md). */
    uint8_t flags;
    /** 0. */
    uint8_t reserved;
    /** The generation of the slot's key that opens ECMs now; 0 when not known. */
    uint32_t key_version;
} stbcam_entitlement_t;

/**
 * Lists the rights on the card, piece by piece: *cursor is 0 at the start and is moved on;
 * *count says how many fit array and becomes how many were copied, 0 at the end.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets; cursor is writable.
 */
STBCAM_API
stbcam_result_t stbcam_entitlements(stbcam_t *cam,
                                    uint64_t *cursor,
                                    struct stbcam_entitlement_t *array,
                                    size_t elem_size,
                                    size_t *count);

/** The generations of a service key, as the card tells them. */
typedef struct stbcam_service_key_t {
    /** The elem_size of the caller's array, by the library. */
    size_t struct_size;
    /** The service key slot. */
    uint8_t slot;
    /** The suite of the key (docs/spec/ecm.md). */
    uint8_t suite;
    /** The newest generation that opened an ECM. */
    uint16_t active;
    /** The newest generation on the card. */
    uint16_t newest;
    /** Everything below is erased. */
    uint16_t floor;
} stbcam_service_key_t;

/**
 * Lists the versions of the service keys on the card. *count says how many fit array and
 * becomes how many there are.
 *
 * STBCAM_E_BUFFER: there are more than fit; the first ones were copied.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets, or *count is 0.
 */
STBCAM_API
stbcam_result_t stbcam_service_keys(stbcam_t *cam,
                                    struct stbcam_service_key_t *array,
                                    size_t elem_size,
                                    size_t *count);

/* ---- Reasons -----------------------------------------------------------------------------------
 *
 * The same numbers as the card's answer (docs/spec/card.md). A number that is not here can come
 * from a newer card; stbcam_reason_text has a text for it.
 *
 * Where some scrambled components of a programme are served and others cannot be, the served ones
 * have their keys, and the reason is that of the others: FOREIGN_SYSTEM, UNKNOWN_OPERATOR, NO_KEY
 * or TOO_MANY_STREAMS, the first of these that holds. A refusal of the served ones goes before it.
 * A host that wants only the served ones leaves the others out of its CA_PMT.
 */

/** The card has not been asked yet. */
#define STBCAM_REASON_PENDING 0x00
/** By subscription. */
#define STBCAM_REASON_GRANTED_SUBSCRIPTION 0x01
/** By a bought event. */
#define STBCAM_REASON_GRANTED_EVENT 0x02
/** By a bought slice of time. */
#define STBCAM_REASON_GRANTED_TIME 0x03
/** By a bought tier. */
#define STBCAM_REASON_GRANTED_TIER 0x04
/** Free to every card. */
#define STBCAM_REASON_GRANTED_FREE 0x05
/** A trial. */
#define STBCAM_REASON_PREVIEW 0x10
/** It can be bought. */
#define STBCAM_REASON_PURCHASABLE 0x20
/** The card has no right to it. */
#define STBCAM_REASON_NO_RIGHT 0x30
/** The right has not begun. */
#define STBCAM_REASON_NOT_YET_VALID 0x31
/** The right has ended. */
#define STBCAM_REASON_EXPIRED 0x32

/**
 * The card does not belong to this operator: the programme, or a component of it, is for others.
 */
#define STBCAM_REASON_UNKNOWN_OPERATOR 0x33
/** Not in this region. */
#define STBCAM_REASON_REGION 0x34
/** Blacked out. */
#define STBCAM_REASON_BLACKOUT 0x35
/** Above the allowed rating. */
#define STBCAM_REASON_RATING 0x36
/** The card is paired with no box. */
#define STBCAM_REASON_NOT_PAIRED 0x37
/** The card is paired with another box. */
#define STBCAM_REASON_PAIRED_ELSEWHERE 0x38
/** The operator has blocked the card. */
#define STBCAM_REASON_CARD_BLOCKED 0x39
/** The card has expired. */
#define STBCAM_REASON_CARD_EXPIRED 0x3A
/** Not enough money. */
#define STBCAM_REASON_FUNDS 0x3B
/** The purchase log is full. */
#define STBCAM_REASON_LOG_FULL 0x3C
/** The trial is used up. */
#define STBCAM_REASON_PREVIEW_USED 0x3D
/** The card needs its messages first. */
#define STBCAM_REASON_EMM_NEEDED 0x3E

/**
 * The programme, or a component of it, is scrambled by other CA systems only: none of
 * config.ca_system_ids is there.
 */
#define STBCAM_REASON_FOREIGN_SYSTEM 0x3F
/** There is no card in the reader. */
#define STBCAM_REASON_NO_CARD 0x40
/** The card does not answer. */
#define STBCAM_REASON_MUTE_CARD 0x41
/** Not a card of this system. */
#define STBCAM_REASON_UNKNOWN_CARD 0x42
/** The card is busy. */
#define STBCAM_REASON_CARD_BUSY 0x43

/**
 * No key for this period; or the programme, or a component of it, is the card's operator's in a
 * suite that the card does not have yet.
 */
#define STBCAM_REASON_NO_KEY 0x44
/** The card could not read the ECM. */
#define STBCAM_REASON_MALFORMED_ECM 0x45
/** The ECM is not authentic. */
#define STBCAM_REASON_REFUSED_ECM 0x46
/** The ECM's time is out of range. */
#define STBCAM_REASON_CLOCK 0x47
/** The reader does not work. */
#define STBCAM_REASON_READER_FAULT 0x48
/** A purchase is not settled yet. */
#define STBCAM_REASON_OUTCOME_UNKNOWN 0x49
/** The ECM belongs to another channel. */
#define STBCAM_REASON_CHANNEL_MISMATCH 0x4A
/** No ECM of the service is on air. It passes by itself with the next one. */
#define STBCAM_REASON_NO_ECM 0x4B

/**
 * The descrambler has refused the control words or the key ladder: set_cw or load_ladder did
 * not return 0, or the software descrambler does not know the scrambling mode.
 */
#define STBCAM_REASON_DESCRAMBLER 0x4C

/**
 * The programme has more than 16 ECM streams or 256 scrambled components: the first ones are
 * served and keep their keys, the others stay scrambled.
 */
#define STBCAM_REASON_TOO_MANY_STREAMS 0x4D

/**
 * What the box has stored of its pairing does not open: config.box_key is not the key that it
 * was made for, or the row is damaged.
 */
#define STBCAM_REASON_PAIRING_UNREADABLE 0x4E
/** The card opens more channels than one household watches: it is asked again every two seconds. */
#define STBCAM_REASON_CHANNELS 0x53
/** The card is in session: of STBCAM_EV_CARD and stbcam_card alone. */
#define STBCAM_REASON_CARD_READY 0x7E
/** Not scrambled. */
#define STBCAM_REASON_CLEAR 0x7F

/**
 * A reason (STBCAM_REASON_*) as text for the subscriber. language is BCP 47; NULL or a
 * language that is not there gives English. Static: never freed, never NULL.
 *
 * Threads: any, also from a callback.
 *
 * The caller promises:
 *
 * * language is NULL or a text that ends with a zero.
 */
STBCAM_API const char *stbcam_reason_text(int32_t reason, const char *language);

/* ---- 8. Subscriber -----------------------------------------------------------------------------
 *
 * PINs are ASCII digits, 4 to 12 of them. The library keeps no PIN longer than the card needs to
 * answer.
 */

/**
 * Asks the card whether this is its PIN, and waits for the answer, at most card_timeout_ms.
 * *tries_left is stored with STBCAM_OK, STBCAM_E_PIN_WRONG and STBCAM_E_PIN_BLOCKED, UINT32_MAX
 * when the card has not told it; it may be NULL. With STBCAM_OK the programmes that were refused
 * for their rating are asked about at once: STBCAM_EV_ACCESS follows. It pays nothing: the PIN of
 * a purchase goes to stbcam_purchase_confirm, and lifts no rating.
 *
 * STBCAM_E_PIN_WRONG: tries are left. STBCAM_E_PIN_BLOCKED: none are. STBCAM_E_ARG: not 4 to 12
 * digits. STBCAM_E_NO_CARD: no card in session (STBCAM_E_CARD_UNKNOWN, _MUTE where there is one).
 * STBCAM_E_CARD_REFUSED: the card takes no PIN now; the status word is in the details.
 * STBCAM_E_CARD_PROTOCOL: its answer cannot be read. STBCAM_E_TIMEOUT: no answer.
 *
 * Threads: any. Waits for the card: not for the thread that tunes.
 *
 * The caller promises:
 *
 * * pin points to len readable octets; tries_left is NULL or writable.
 */
STBCAM_API
stbcam_result_t stbcam_pin_verify(stbcam_t *cam,
                                  const uint8_t *pin,
                                  size_t len,
                                  uint32_t *tries_left);

/**
 * Gives the card another PIN, and waits for the answer, at most card_timeout_ms. The results are
 * those of stbcam_pin_verify for the old one; with STBCAM_OK the new one is the card's. After
 * STBCAM_E_TIMEOUT the card has the one or the other: verify.
 *
 * Threads: any. Waits for the card: not for the thread that tunes.
 *
 * The caller promises:
 *
 * * old_pin points to old_len and new_pin to new_len readable octets; tries_left is NULL
 *   or writable.
 */
STBCAM_API
stbcam_result_t stbcam_pin_change(stbcam_t *cam,
                                  const uint8_t *old_pin,
                                  size_t old_len,
                                  const uint8_t *new_pin,
                                  size_t new_len,
                                  uint32_t *tries_left);

/* ---- 9. Wallet and purchases -------------------------------------------------------------------
 *
 * A purchase has two steps: stbcam_purchase_begin names what is bought, for which price, under
 * which request id; stbcam_purchase_confirm pays. The outcome comes as STBCAM_EV_PURCHASE and
 * is paid, refused or being settled, never guessed. Money is counted in minor units, never in a
 * float. docs/spec/purchase.md tells the whole of it.
 *
 * A request id is one wish of the subscriber. stbcam_request_new gives it out; a host that wants
 * to know after a power cut what became of the wish keeps it, with offer and price, before
 * confirming. The same request id never pays twice: whoever is unsure begins again with the same
 * three, and gets the same purchase back as long as the storage or the card knows it. It is paid
 * only while the library that gave it out is open: after that it is asked after, and what was not
 * paid needs a new id.
 */

/** An amount: minor / 10^exponent of currency. */
typedef struct stbcam_money_t {
    /** Minor units: fen. */
    int64_t minor;
    /** ISO 4217 and a zero: "CNY". */
    char currency[4];
    /** Decimal places: 2. */
    int8_t exponent;
    /** 0. */
    uint8_t reserved[3];
} stbcam_money_t;

/** The purse on the card. The balance is what is left. */
typedef struct stbcam_wallet_t {
    /** The elem_size of the caller's array, by the library. */
    size_t struct_size;
    /** Names the purse on the card: 1. */
    uint32_t wallet_id;
    /** The card's number of its last debit. */
    uint16_t card_seq_offline;
    /** The card's number of its last load. */
    uint16_t card_seq_online;
    /** What is left. */
    struct stbcam_money_t balance;
    /** Up to this price a purchase needs no PIN. */
    struct stbcam_money_t pin_free_per_purchase;
    /** Up to this sum a day. */
    struct stbcam_money_t pin_free_per_day;
} stbcam_wallet_t;

/**
 * Lists the purses on the card: none or one. *count says how many fit array and becomes how
 * many there are.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets, or *count is 0.
 */
STBCAM_API
stbcam_result_t stbcam_wallets(stbcam_t *cam,
                               struct stbcam_wallet_t *array,
                               size_t elem_size,
                               size_t *count);

/** One event. */
#define STBCAM_OFFER_EVENT 1
/** A slice of time. */
#define STBCAM_OFFER_SLICE 2
/** An offer that only the card can read: event and price are not known before it is bought. */
#define STBCAM_OFFER_SEALED 3

/** It needs the PIN. */
#define STBCAM_OFFER_PIN_NEEDED 0x02
/** price is not known here; the card compares the one that the subscriber was told. */
#define STBCAM_OFFER_PRICE_UNKNOWN 0x04

/** Something that can be bought. */
typedef struct stbcam_offer_t {
    /** The elem_size of the caller's array, by the library. */
    size_t struct_size;
    /** Names it. */
    uint64_t offer_id;
    /** The session that it belongs to. */
    stbcam_session_t session;
    /** One of STBCAM_OFFER_EVENT, _SLICE, _SEALED. */
    int32_t kind;
    /** STBCAM_OFFER_PIN_NEEDED, _PRICE_UNKNOWN. */
    uint32_t flags;
    /** The event, 0 when not known. */
    uint32_t event_id;
    /** What it costs. */
    struct stbcam_money_t price;
    /**
     * When the event begins, as seconds of the Unix epoch. A slice and a sealed offer have none:
     * 946684800, which is 2000-01-01.
     */
    int64_t start_utc;
    /**
     * The first second after the event, as seconds of the Unix epoch; without one, as start_utc.
     */
    int64_t end_utc;
    /** Seconds of a trial, 0 for none. */
    uint32_t preview_s;
    /** Seconds of one slice, 0 for an event. */
    uint32_t slice_s;
} stbcam_offer_t;

/**
 * Lists what can be bought in a session now; what is bought already is not among it. *count says
 * how many fit array and becomes how many there are.
 *
 * STBCAM_E_NO_SESSION: not open. STBCAM_E_BUFFER: there are more than fit.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets, or *count is 0.
 */
STBCAM_API
stbcam_result_t stbcam_offers(stbcam_t *cam,
                              stbcam_session_t session,
                              struct stbcam_offer_t *array,
                              size_t elem_size,
                              size_t *count);

/** Waits to be confirmed. No money has moved. */
#define STBCAM_TXN_OPEN 1
/** Confirmed, on its way to the card. */
#define STBCAM_TXN_SENT 2
/** Paid: the receipt is there. */
#define STBCAM_TXN_PAID 3
/** Refused; or begun before a restart, and not paid. No money has moved. */
#define STBCAM_TXN_REFUSED 4
/** Cancelled. No money has moved. */
#define STBCAM_TXN_CANCELLED 5
/** The answer was lost; the card will be asked. */
#define STBCAM_TXN_RECOVERING 6
/** The card had the right already: no debit, the receipt is the first one's. */
#define STBCAM_TXN_OWNED 7
/** Paid, and given back later: the right has ended. The receipt is there. */
#define STBCAM_TXN_REFUNDED 8

/**
 * The card does not know this request, or no longer. Nothing is debited for it from now on;
 * whether it was paid long ago, the receipts tell.
 */
#define STBCAM_TXN_FORGOTTEN 9

/** It was refunded later. */
#define STBCAM_RECEIPT_REFUNDED 0x01

/** A purchase: where it stands and, once paid, its receipt. */
typedef struct stbcam_receipt_t {
    /** sizeof(stbcam_receipt_t) or the elem_size of an array. */
    size_t struct_size;
    /** Names the purchase. */
    stbcam_txn_t txn;
    /**
     * One of STBCAM_TXN_*. What was paid is 0 unless PAID, REFUNDED or OWNED; of an OWNED one
     * also when the card's log has no place for its record any more.
     */
    int32_t state;
    /** The host's wish, as stbcam_request_new gave it out. */
    uint8_t request_id[16];
    /** What was bought. */
    uint64_t offer_id;
    /** The event, 0 when not known. */
    uint32_t event_id;
    /** STBCAM_RECEIPT_REFUNDED. */
    uint32_t flags;
    /** The price that the subscriber saw. */
    struct stbcam_money_t price_seen;
    /** What the card debited for it; 0 while there is no receipt. */
    struct stbcam_money_t paid;
    /** What the purse held before it; 0 while there is no receipt. */
    struct stbcam_money_t balance_before;
    /** What the purse held after it; 0 while there is no receipt. */
    struct stbcam_money_t balance_after;
    /** The card's time as seconds of the Unix epoch. */
    int64_t utc_s;
    /** The same as the purse writes it, UTC+8: "YYYY-MM-DD hh:mm:ss" and a zero. */
    char card_time[20];
    /** The terminal's number of the transaction. */
    uint32_t terminal_seq;
    /** The box, by its name for the purse (config.terminal_id); 0 while there is no receipt. */
    uint8_t terminal_id[6];
    /** The card's number of the transaction. */
    uint16_t card_seq;
    /** The purse's transaction certificate. */
    uint8_t tac[4];
    /** The link in the card's chain of receipts: deleting or reordering receipts shows. */
    uint8_t chain[8];
    /** The card's last result (docs/spec/card.md), 0 for none. Set in every state. */
    uint8_t card_result;
    /** 0. */
    uint8_t reserved[3];
} stbcam_receipt_t;

/**
 * Gives out a request id, 16 octets, for one wish of the subscriber. It has the terminal's number
 * of its purchase inside: numbers are paid in the order in which they were given out, and one that
 * was overtaken is refused (STBCAM_E_SEQUENCE).
 *
 * It is for the card in session, and no other's. Ask when an offer is there.
 *
 * STBCAM_E_NO_CARD: no card in session. STBCAM_E_AGAIN: it has not told its clock and numbers yet,
 * which takes it two commands. STBCAM_E_SEQUENCE: the terminal has no number left with this card.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * out points to 16 writable octets.
 */
STBCAM_API stbcam_result_t stbcam_request_new(stbcam_t *cam, uint8_t *out);

/**
 * Begins a purchase; no money moves. request_id is 16 octets of stbcam_request_new;
 * price_seen is what the subscriber was shown. *out names the purchase. The same request id
 * gives the same purchase back, whatever became of it, and is refused for another offer. One that
 * was given out before a restart, and that the storage does not know, is looked for on the card
 * (STBCAM_TXN_RECOVERING), and never paid.
 *
 * STBCAM_E_ARG: the request id was not given out for this box. STBCAM_E_OFFER_EXPIRED: no such
 * offer now. STBCAM_E_PRICE_CHANGED: it costs something else. STBCAM_E_REQUEST_REUSED: the request
 * was for another offer. STBCAM_E_REQUEST_FORGOTTEN: its number went to another request.
 * STBCAM_E_NO_CARD: the card must be asked, and there is none in session. STBCAM_E_FULL: too many
 * purchases are open. No money has moved by any of them.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * request_id points to 16 readable octets, price_seen to a stbcam_money_t; out is
 *   writable.
 */
STBCAM_API
stbcam_result_t stbcam_purchase_begin(stbcam_t *cam,
                                      uint64_t offer_id,
                                      const uint8_t *request_id,
                                      const struct stbcam_money_t *price_seen,
                                      stbcam_txn_t *out);

/**
 * Confirms a purchase: the money moves. pin is ASCII digits, or len is 0 to try without. Never
 * waits; the outcome comes as STBCAM_EV_PURCHASE. After a wrong PIN the purchase stays open. A
 * purchase that has ended tells its end again by an event, without a debit.
 *
 * STBCAM_E_NO_TXN: no such purchase. STBCAM_E_STATE: cancelled, or on its way already.
 * STBCAM_E_OUTCOME_UNKNOWN: being settled. STBCAM_E_NO_CARD: no card in session. STBCAM_E_ARG: not
 * a PIN.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * pin points to len readable octets.
 */
STBCAM_API
stbcam_result_t stbcam_purchase_confirm(stbcam_t *cam,
                                        stbcam_txn_t txn,
                                        const uint8_t *pin,
                                        size_t len);

/**
 * Cancels a purchase that was not confirmed. No money has moved.
 *
 * STBCAM_E_NO_TXN: no such purchase. STBCAM_E_STATE: confirmed or ended.
 *
 * Threads: any.
 */
STBCAM_API stbcam_result_t stbcam_purchase_cancel(stbcam_t *cam, stbcam_txn_t txn);

/**
 * How a purchase stands.
 *
 * STBCAM_E_NO_TXN: no such purchase.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * out points to a stbcam_receipt_t whose struct_size is set.
 */
STBCAM_API
stbcam_result_t stbcam_purchase(stbcam_t *cam,
                                stbcam_txn_t txn,
                                struct stbcam_receipt_t *out);

/**
 * Lists the receipts of purchases made with this box, also refunded ones, oldest first, piece by
 * piece: *cursor is 0 at the start and is moved on; *count says how many fit array and
 * becomes how many were copied, 0 at the end.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * array points to *count writable elements of elem_size octets; cursor is writable.
 */
STBCAM_API
stbcam_result_t stbcam_receipts(stbcam_t *cam,
                                uint64_t *cursor,
                                struct stbcam_receipt_t *array,
                                size_t elem_size,
                                size_t *count);

/* ---- 10. Software descrambler ------------------------------------------------------------------
 *
 * For boxes and hosts without one in hardware: it takes what set_cw carries, holds a software
 * key ladder, and descrambles transport packets in place (DVB-CSA, DVB-CISSA, IDSA, SCTE 52). Make
 * one for each context: keys go by session, and two contexts give out the same session numbers.
 */

/**
 * Makes a software descrambler. root_key is 16 octets: K3, the root of the key ladder, as the
 * operator has it for this box. The library wipes its copy.
 *
 * STBCAM_E_ARG: a pointer is NULL.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * root_key points to 16 readable octets; out is writable.
 */
STBCAM_API
stbcam_result_t stbcam_soft_descrambler_new(const uint8_t *root_key,
                                            stbcam_soft_descrambler_t **out);

/**
 * Fills the table to put into stbcam_config_t. Its functions may be called by the host itself,
 * also from inside a callback of its own. set_cw answers STBCAM_E_UNSUPPORTED to a
 * scrambling_mode other than 0x01, 0x02, 0x10, 0x70 and 0xDE, and STBCAM_E_STATE before
 * load_ladder; details are in stbcam_last_error of that thread, and in STBCAM_EV_HEALTH.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * ops points to a stbcam_descrambler_ops_t whose struct_size is set.
 */
STBCAM_API
stbcam_result_t stbcam_soft_descrambler_ops(stbcam_soft_descrambler_t *descrambler,
                                            stbcam_descrambler_ops_t *ops);

/**
 * The initialisation vectors of the network's SCTE 52, 8 octets each, for control words that come
 * after: call it right after stbcam_soft_descrambler_new. iv begins the chain of each payload.
 * short_iv is for payloads of less than 8 octets; NULL, as in the edition of 2003: the same as
 * iv. Without this call both are zeros. The copies are the library's own.
 *
 * STBCAM_E_ARG: iv is NULL.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * iv points to 8 readable octets, short_iv too if it is not NULL.
 */
STBCAM_API
stbcam_result_t stbcam_soft_descrambler_scte52_iv(stbcam_soft_descrambler_t *descrambler,
                                                  const uint8_t *iv,
                                                  const uint8_t *short_iv);

/** The packet was not scrambled; it is untouched. */
#define STBCAM_PACKET_CLEAR 0
/** It was scrambled and is now in clear; its transport_scrambling_control is 00. */
#define STBCAM_PACKET_DESCRAMBLED 1
/** It is scrambled and its key is not here, or not known for certain; it is untouched. */
#define STBCAM_PACKET_NO_KEY 2

/**
 * It is no transport packet of 188 octets, or damaged: transport_error_indicator is set, or its
 * header makes no sense. It is untouched.
 */
#define STBCAM_PACKET_MALFORMED 3

/**
 * Descrambles len octets of transport packets of source, in place, where the key is there.
 * results[i] is what became of packet i (STBCAM_PACKET_*); a last piece shorter than 188
 * octets is malformed. *result_count says how many results fit and becomes how many there are;
 * results and result_count may both be NULL. Hand packets over as they come in: a pause of
 * half a crypto period between two calls is taken for a loss of signal, behind which the next ECM
 * or the start of a PES packet has to tell which key is on (docs/spec/abi.md).
 *
 * STBCAM_E_BUFFER: results for fewer packets than given; nothing was touched. STBCAM_E_ARG:
 * source is over 15.
 *
 * Threads: any, also while the card thread sets keys.
 *
 * The caller promises:
 *
 * * packets points to len writable octets, results to *result_count writable octets.
 */
STBCAM_API
stbcam_result_t stbcam_soft_descrambler_packets(stbcam_soft_descrambler_t *descrambler,
                                                uint8_t source,
                                                uint8_t *packets,
                                                size_t len,
                                                uint8_t *results,
                                                size_t *result_count);

/**
 * Wipes all keys and frees the descrambler. NULL is freed already. Close the contexts that use it
 * before; control words that come later are refused.
 *
 * STBCAM_E_ARG: freed before.
 *
 * Threads: any.
 */
STBCAM_API stbcam_result_t stbcam_soft_descrambler_free(stbcam_soft_descrambler_t *descrambler);

/* ---- 11. Operation -----------------------------------------------------------------------------
 *
 * The field engineer's part: nothing here holds a secret.
 */

/**
 * Everything that a field engineer asks for, as one JSON object without secrets: version, card,
 * time (with its source), purse, keys' versions, filters, counters. *need becomes the length
 * with its zero; buffer may be NULL if capacity is 0.
 *
 * STBCAM_E_BUFFER: *need is more than capacity; nothing was written.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * buffer points to capacity writable octets; need is writable.
 */
STBCAM_API
stbcam_result_t stbcam_diag_json(stbcam_t *cam,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *need);

/**
 * Resets the card. Control words in use stay until it has answered.
 *
 * Threads: any. Does not wait for the card.
 */
STBCAM_API stbcam_result_t stbcam_card_reset(stbcam_t *cam);

/**
 * Tells everything again: after STBCAM_EV_OVERFLOW with code 2, or whenever the host has lost its
 * way. What waits for the host and only said how things stood is dropped; in its place come, in
 * this order, CARD, FILTERS, ENTITLEMENTS, WALLET if the purse was read, of each session ACCESS
 * and its OFFERs, PURCHASE of each purchase with something to say (also of an earlier run, by its
 * number in stbcam_receipts), and REPORT for one whose pages were not all taken. They all have
 * room, whatever event_queue is.
 *
 * Before the call forget all offers: those that are still good come, and no OFFER_GONE for others.
 * A session, wallet or purchase is overwritten by what comes. KEY_ROTATED, PAIRING, a report that
 * failed or was acknowledged, and HEALTH are news and not told twice; stbcam_service_keys and
 * stbcam_card say what became of the first two.
 *
 * Threads: any. Does not wait for the card.
 */
STBCAM_API stbcam_result_t stbcam_resync(stbcam_t *cam);

/**
 * Waits until every section that was offered and every purchase that was confirmed before the
 * call has been dealt with as far as the card now present allows: sections are out of their
 * ring, no command is under way, and control words and events that follow from them have been
 * handed out. A card that is just being reset is waited for; a card that is not there is not.
 * For players of files, which know no real time, and for tests: a box on air has no use for it.
 *
 * STBCAM_E_TIMEOUT: not within timeout_ms; everything goes on.
 *
 * Threads: any, but it waits for the card.
 */
STBCAM_API stbcam_result_t stbcam_flush(stbcam_t *cam, uint32_t timeout_ms);

/**
 * Counters since the context was opened. They only grow. Arrays of four are by addressing: to one
 * card, to a group, to all, to the box.
 */
typedef struct stbcam_stats_t {
    /** sizeof(stbcam_stats_t), by the caller. */
    size_t struct_size;
    /** Command APDUs sent. */
    uint64_t apdu;
    /** Of these: with an ECM. */
    uint64_t apdu_ecm;
    /** Exchanges that got no answer. */
    uint64_t apdu_failed;
    /** Activations of the card. */
    uint64_t resets;
    /** Secure channels opened with the card. */
    uint64_t channels;
    /** Characters sent to the card. */
    uint64_t line_sent;
    /** Characters received from the card. */
    uint64_t line_received;
    /** Of those sent: in exchanges with an ECM. */
    uint64_t ecm_line_sent;
    /** Of those received: in exchanges with an ECM. */
    uint64_t ecm_line_received;
    /** ECM sections that reached the engine. */
    uint64_t ecm_in;
    /** Repetitions of an ECM that is known. */
    uint64_t ecm_dup;
    /** ECMs that the card received: one for all sessions that have it. */
    uint64_t ecm_sent;
    /** Of these: sent again after a reset, a purchase or a lost answer. */
    uint64_t ecm_replayed;
    /** ECMs that gave way to another one before the card was free. */
    uint64_t ecm_replaced;
    /** Older ECMs than the one on air. */
    uint64_t ecm_stale;
    /** ECMs that the card refused: not authentic, no key, out of time. */
    uint64_t ecm_refused;
    /** Malformed sections on an ECM PID. */
    uint64_t ecm_malformed;
    /** Pairs of control words handed out. */
    uint64_t cw_out;
    /** Times that a session's control words were wiped. */
    uint64_t cw_cleared;
    /** Offer sections that reached the engine. */
    uint64_t offer_in;
    /** EMM sections that reached the engine. */
    uint64_t emm_in[4];
    /** For others. */
    uint64_t emm_not_ours[4];
    /** Repetitions, seen before the card was asked. */
    uint64_t emm_dup[4];
    /** Repetitions, as the card says. */
    uint64_t emm_dup_card[4];
    /** Carried out by the card, or by the box. */
    uint64_t emm_applied[4];
    /** Refused by the card. */
    uint64_t emm_refused[4];
    /** Not applicable yet. */
    uint64_t emm_later[4];
    /** Dropped: their queue was full, or no card was there. */
    uint64_t emm_dropped[4];
    /** Their answer was lost, and they were not asked again: the card may have carried them out. */
    uint64_t emm_unknown[4];
    /** Malformed sections on an EMM PID. */
    uint64_t emm_malformed;
    /** Malformed CAT and PMT sections. */
    uint64_t table_malformed;
    /** Sections refused because their section_length is not their length. */
    uint64_t section_malformed;
    /** Sections lost because a ring was full. */
    uint64_t section_overflow;
    /**
     * Sections dropped because no filter of the library's asks for them: those of a demultiplexer
     * that filters less than it was asked to.
     */
    uint64_t section_unwanted;
    /** Turns of PIDs that share the box's section filters: 0 as long as it has enough of them. */
    uint64_t filter_turns;
    /** Events lost because nobody took them. */
    uint64_t event_overflow;
    /** ECMs whose latency was measured, from the section's arrival to its control words. */
    uint64_t ecm_latency_count;
    /** Median of the last 1024, in microseconds. */
    uint32_t ecm_latency_p50_us;
    /** 99th percentile of the last 1024, in microseconds. */
    uint32_t ecm_latency_p99_us;
    /** The longest of all, in microseconds. */
    uint32_t ecm_latency_max_us;
    /** 0. */
    uint32_t reserved;
} stbcam_stats_t;

/**
 * The counters now.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * out points to a stbcam_stats_t whose struct_size is set.
 */
STBCAM_API stbcam_result_t stbcam_stats(stbcam_t *cam, struct stbcam_stats_t *out);

/* ---- 12. Reports -------------------------------------------------------------------------------
 *
 * The card reports its purchases to the operator, sealed: whoever carries a report can lose it and
 * no more. STBCAM_EV_REPORT says that one was read, because the operator asked for it over the
 * air or the host did; its pages are taken with stbcam_report_next and brought to the head-end
 * in their order, over IP or as QR codes. The head-end's answer goes back to the card with
 * stbcam_report_ack; over the air it comes without the host.
 */

/** code of STBCAM_EV_REPORT: a report was read. */
#define STBCAM_REPORT_READ 1
/** code of STBCAM_EV_REPORT: the card has answered an acknowledgement. */
#define STBCAM_REPORT_ACKNOWLEDGED 2

/**
 * Asks the card for a report. nonce is 8 octets of the head-end's for this one request: it tells
 * an old report from a new one. from_seq is the card's number of the first purchase wanted, 0
 * for all that the operator has not acknowledged. Never waits; the report comes as
 * STBCAM_EV_REPORT. A later request takes the place of an earlier one.
 *
 * STBCAM_E_NO_CARD: no card in session.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * nonce points to 8 readable octets.
 */
STBCAM_API
stbcam_result_t stbcam_report_request(stbcam_t *cam,
                                      const uint8_t *nonce,
                                      uint16_t from_seq);

/** Octets of the longest page of a report. */
#define STBCAM_REPORT_MAX 238

/**
 * Takes the next page of the report that was read last, the first one first. *len is the room in
 * page before, the page's octets after; STBCAM_REPORT_MAX is always enough. Another report
 * that is read takes the place of pages that were not taken.
 *
 * STBCAM_E_AGAIN: there is no page (left). STBCAM_E_BUFFER: *len is what is needed; the page
 * stays.
 *
 * Threads: any; one at a time, or pages go to whoever comes first.
 *
 * The caller promises:
 *
 * * page points to *len writable octets, or *len is 0; len is writable.
 */
STBCAM_API stbcam_result_t stbcam_report_next(stbcam_t *cam, uint8_t *page, size_t *len);

/**
 * Takes the head-end's acknowledgement to the card. Never waits; the card's answer comes as
 * STBCAM_EV_REPORT. The same acknowledgement again does no harm.
 *
 * STBCAM_E_NO_CARD: no card. STBCAM_E_ARG: not of the length of an acknowledgement.
 *
 * Threads: any.
 *
 * The caller promises:
 *
 * * ack points to len readable octets.
 */
STBCAM_API stbcam_result_t stbcam_report_ack(stbcam_t *cam, const uint8_t *ack, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* STBCAM_H */
