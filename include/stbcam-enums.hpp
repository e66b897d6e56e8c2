/*
 * The enumerations of stbcam.hpp: the macros of stbcam.h by families.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * An enumerator is named as its macro behind the family's prefix: STBCAM_E_NO_CARD is Result::NoCard. What it means stands in
 * stbcam.h. A value that has no name here can come from a later version of the library, and is one of the type.
 */
#ifndef STBCAM_ENUMS_HPP
#define STBCAM_ENUMS_HPP

#include "stbcam.h"

#include <cstdint>

namespace stbcam {

/** What a call returns: Ok, or why not. */
enum class [[nodiscard]] Result : stbcam_result_t {
    Ok = STBCAM_OK,
    Arg = STBCAM_E_ARG,
    StructSize = STBCAM_E_STRUCT_SIZE,
    Nomem = STBCAM_E_NOMEM,
    Buffer = STBCAM_E_BUFFER,
    State = STBCAM_E_STATE,
    Reentrant = STBCAM_E_REENTRANT,
    Busy = STBCAM_E_BUSY,
    Timeout = STBCAM_E_TIMEOUT,
    Unsupported = STBCAM_E_UNSUPPORTED,
    Panic = STBCAM_E_PANIC,
    Storage = STBCAM_E_STORAGE,
    Clock = STBCAM_E_CLOCK,
    Overflow = STBCAM_E_OVERFLOW,
    NoSession = STBCAM_E_NO_SESSION,
    NoTxn = STBCAM_E_NO_TXN,
    Again = STBCAM_E_AGAIN,
    Full = STBCAM_E_FULL,
    Section = STBCAM_E_SECTION,
    NoReader = STBCAM_E_NO_READER,
    NoCard = STBCAM_E_NO_CARD,
    CardMute = STBCAM_E_CARD_MUTE,
    CardUnknown = STBCAM_E_CARD_UNKNOWN,
    CardProtocol = STBCAM_E_CARD_PROTOCOL,
    CardRefused = STBCAM_E_CARD_REFUSED,
    CardBlocked = STBCAM_E_CARD_BLOCKED,
    CardFull = STBCAM_E_CARD_FULL,
    PinWrong = STBCAM_E_PIN_WRONG,
    PinBlocked = STBCAM_E_PIN_BLOCKED,
    PinRequired = STBCAM_E_PIN_REQUIRED,
    PriceChanged = STBCAM_E_PRICE_CHANGED,
    Funds = STBCAM_E_FUNDS,
    OfferExpired = STBCAM_E_OFFER_EXPIRED,
    AlreadyOwned = STBCAM_E_ALREADY_OWNED,
    OutcomeUnknown = STBCAM_E_OUTCOME_UNKNOWN,
    RequestReused = STBCAM_E_REQUEST_REUSED,
    NotPaid = STBCAM_E_NOT_PAID,
    RequestForgotten = STBCAM_E_REQUEST_FORGOTTEN,
    Limit = STBCAM_E_LIMIT,
    Sequence = STBCAM_E_SEQUENCE,
    Rating = STBCAM_E_RATING,
    NoKey = STBCAM_E_NO_KEY,
    NotForSale = STBCAM_E_NOT_FOR_SALE,
    OfferForged = STBCAM_E_OFFER_FORGED,
    OfferMalformed = STBCAM_E_OFFER_MALFORMED,
};

/** A bit of features(). */
enum class Feature : std::uint64_t {
    ReaderSerial = STBCAM_FEATURE_READER_SERIAL,
    SoftDescrambler = STBCAM_FEATURE_SOFT_DESCRAMBLER,
    SoftCsa2 = STBCAM_FEATURE_SOFT_CSA2,
    SoftCissa = STBCAM_FEATURE_SOFT_CISSA,
    ReaderVpcd = STBCAM_FEATURE_READER_VPCD,
    ReaderPcsc = STBCAM_FEATURE_READER_PCSC,
    ReaderGempc = STBCAM_FEATURE_READER_GEMPC,
    ReaderIso7816 = STBCAM_FEATURE_READER_ISO7816,
    SoftIdsa = STBCAM_FEATURE_SOFT_IDSA,
    SoftScte52 = STBCAM_FEATURE_SOFT_SCTE52,
};

/** config.log_level, and level of the log. */
enum class LogLevel : std::int32_t {
    Off = STBCAM_LOG_OFF,
    Error = STBCAM_LOG_ERROR,
    Warn = STBCAM_LOG_WARN,
    Info = STBCAM_LOG_INFO,
    Debug = STBCAM_LOG_DEBUG,
    Trace = STBCAM_LOG_TRACE,
};

/** algo of control words. */
enum class Algorithm : std::uint8_t {
    Other = STBCAM_ALGO_OTHER,
    Csa = STBCAM_ALGO_CSA,
    Scte52 = STBCAM_ALGO_SCTE52,
    Cissa = STBCAM_ALGO_CISSA,
    Idsa = STBCAM_ALGO_IDSA,
};

/** A bit of parity_mask of control words. */
enum class Parity : std::uint8_t {
    Even = STBCAM_CW_EVEN,
    Odd = STBCAM_CW_ODD,
};

/** A bit of flags of control words. */
enum class CwFlag : std::uint32_t {
    IsWrapped = STBCAM_CW_IS_WRAPPED,
    Preview = STBCAM_CW_PREVIEW,
};

/** A bit of flags of a key ladder. */
enum class LadderFlag : std::uint32_t {
    ClearAllowed = STBCAM_LADDER_CLEAR_ALLOWED,
};

/** What the box's own reader returns. */
enum class ReaderResult : std::int32_t {
    Ok = STBCAM_READER_OK,
    Removed = STBCAM_READER_REMOVED,
    Lost = STBCAM_READER_LOST,
    Timeout = STBCAM_READER_TIMEOUT,
    Damaged = STBCAM_READER_DAMAGED,
};

/** A bit of config.flags. */
enum class ConfigFlag : std::uint32_t {
    NoThread = STBCAM_CONFIG_NO_THREAD,
    Emv = STBCAM_CONFIG_EMV,
};

/** Where the time of set_utc comes from. */
enum class UtcSource : std::int32_t {
    Unknown = STBCAM_UTC_UNKNOWN,
    Broadcast = STBCAM_UTC_BROADCAST,
    Network = STBCAM_UTC_NETWORK,
    Rtc = STBCAM_UTC_RTC,
};

/** ca_enable of the answer to a CA_PMT. */
enum class CaEnable : std::uint8_t {
    Possible = STBCAM_CA_ENABLE_POSSIBLE,
    Purchase = STBCAM_CA_ENABLE_PURCHASE,
    Dialogue = STBCAM_CA_ENABLE_DIALOGUE,
    NoRight = STBCAM_CA_ENABLE_NO_RIGHT,
    Technical = STBCAM_CA_ENABLE_TECHNICAL,
};

/** type of an event. */
enum class EventType : std::uint32_t {
    Card = STBCAM_EV_CARD,
    Access = STBCAM_EV_ACCESS,
    Filters = STBCAM_EV_FILTERS,
    Entitlements = STBCAM_EV_ENTITLEMENTS,
    Wallet = STBCAM_EV_WALLET,
    Offer = STBCAM_EV_OFFER,
    OfferGone = STBCAM_EV_OFFER_GONE,
    Purchase = STBCAM_EV_PURCHASE,
    KeyRotated = STBCAM_EV_KEY_ROTATED,
    Pairing = STBCAM_EV_PAIRING,
    Health = STBCAM_EV_HEALTH,
    Overflow = STBCAM_EV_OVERFLOW,
    Report = STBCAM_EV_REPORT,
    Terms = STBCAM_EV_TERMS,
};

/** state of an access, and code of EventType::Access. */
enum class AccessState : std::int32_t {
    Pending = STBCAM_ACCESS_PENDING,
    Clear = STBCAM_ACCESS_CLEAR,
    Granted = STBCAM_ACCESS_GRANTED,
    Preview = STBCAM_ACCESS_PREVIEW,
    Purchasable = STBCAM_ACCESS_PURCHASABLE,
    Denied = STBCAM_ACCESS_DENIED,
    Technical = STBCAM_ACCESS_TECHNICAL,
};

/** A bit of flags of an access. */
enum class AccessFlag : std::uint32_t {
    PinNeeded = STBCAM_ACCESS_PIN_NEEDED,
};

/** Who or what can change an access. */
enum class Remedy : std::int32_t {
    None = STBCAM_REMEDY_NONE,
    Wait = STBCAM_REMEDY_WAIT,
    Emm = STBCAM_REMEDY_EMM,
    Pin = STBCAM_REMEDY_PIN,
    Money = STBCAM_REMEDY_MONEY,
    Technician = STBCAM_REMEDY_TECHNICIAN,
};

/** state of a card, and code of EventType::Card. */
enum class CardState : std::int32_t {
    Absent = STBCAM_CARD_ABSENT,
    Starting = STBCAM_CARD_STARTING,
    Unusable = STBCAM_CARD_UNUSABLE,
    Unpaired = STBCAM_CARD_UNPAIRED,
    Ready = STBCAM_CARD_READY,
};

/** kind of a right on the card. */
enum class EntitlementKind : std::uint32_t {
    Package = STBCAM_ENTITLEMENT_PACKAGE,
    Event = STBCAM_ENTITLEMENT_EVENT,
    Slice = STBCAM_ENTITLEMENT_SLICE,
};

/** Why a card or an access is as it is. A newer card may have others. */
enum class Reason : std::int32_t {
    Pending = STBCAM_REASON_PENDING,
    GrantedSubscription = STBCAM_REASON_GRANTED_SUBSCRIPTION,
    GrantedEvent = STBCAM_REASON_GRANTED_EVENT,
    GrantedTime = STBCAM_REASON_GRANTED_TIME,
    GrantedTier = STBCAM_REASON_GRANTED_TIER,
    GrantedFree = STBCAM_REASON_GRANTED_FREE,
    Preview = STBCAM_REASON_PREVIEW,
    Purchasable = STBCAM_REASON_PURCHASABLE,
    NoRight = STBCAM_REASON_NO_RIGHT,
    NotYetValid = STBCAM_REASON_NOT_YET_VALID,
    Expired = STBCAM_REASON_EXPIRED,
    UnknownOperator = STBCAM_REASON_UNKNOWN_OPERATOR,
    Region = STBCAM_REASON_REGION,
    Blackout = STBCAM_REASON_BLACKOUT,
    Rating = STBCAM_REASON_RATING,
    NotPaired = STBCAM_REASON_NOT_PAIRED,
    PairedElsewhere = STBCAM_REASON_PAIRED_ELSEWHERE,
    CardBlocked = STBCAM_REASON_CARD_BLOCKED,
    CardExpired = STBCAM_REASON_CARD_EXPIRED,
    Funds = STBCAM_REASON_FUNDS,
    LogFull = STBCAM_REASON_LOG_FULL,
    PreviewUsed = STBCAM_REASON_PREVIEW_USED,
    EmmNeeded = STBCAM_REASON_EMM_NEEDED,
    ForeignSystem = STBCAM_REASON_FOREIGN_SYSTEM,
    NoCard = STBCAM_REASON_NO_CARD,
    MuteCard = STBCAM_REASON_MUTE_CARD,
    UnknownCard = STBCAM_REASON_UNKNOWN_CARD,
    CardBusy = STBCAM_REASON_CARD_BUSY,
    NoKey = STBCAM_REASON_NO_KEY,
    MalformedEcm = STBCAM_REASON_MALFORMED_ECM,
    RefusedEcm = STBCAM_REASON_REFUSED_ECM,
    Clock = STBCAM_REASON_CLOCK,
    ReaderFault = STBCAM_REASON_READER_FAULT,
    OutcomeUnknown = STBCAM_REASON_OUTCOME_UNKNOWN,
    ChannelMismatch = STBCAM_REASON_CHANNEL_MISMATCH,
    NoEcm = STBCAM_REASON_NO_ECM,
    Descrambler = STBCAM_REASON_DESCRAMBLER,
    TooManyStreams = STBCAM_REASON_TOO_MANY_STREAMS,
    PairingUnreadable = STBCAM_REASON_PAIRING_UNREADABLE,
    Channels = STBCAM_REASON_CHANNELS,
    CardReady = STBCAM_REASON_CARD_READY,
    Clear = STBCAM_REASON_CLEAR,
};

/** kind of an offer. */
enum class OfferKind : std::int32_t {
    Event = STBCAM_OFFER_EVENT,
    Slice = STBCAM_OFFER_SLICE,
    Sealed = STBCAM_OFFER_SEALED,
};

/** A bit of flags of an offer. */
enum class OfferFlag : std::uint32_t {
    PinNeeded = STBCAM_OFFER_PIN_NEEDED,
    PriceUnknown = STBCAM_OFFER_PRICE_UNKNOWN,
};

/** state of a purchase, and code of EventType::Purchase. */
enum class TxnState : std::int32_t {
    Open = STBCAM_TXN_OPEN,
    Sent = STBCAM_TXN_SENT,
    Paid = STBCAM_TXN_PAID,
    Refused = STBCAM_TXN_REFUSED,
    Cancelled = STBCAM_TXN_CANCELLED,
    Recovering = STBCAM_TXN_RECOVERING,
    Owned = STBCAM_TXN_OWNED,
    Refunded = STBCAM_TXN_REFUNDED,
    Forgotten = STBCAM_TXN_FORGOTTEN,
};

/** A bit of flags of a receipt. */
enum class ReceiptFlag : std::uint32_t {
    Refunded = STBCAM_RECEIPT_REFUNDED,
};

/** What became of a transport packet. */
enum class Packet : std::uint8_t {
    Clear = STBCAM_PACKET_CLEAR,
    Descrambled = STBCAM_PACKET_DESCRAMBLED,
    NoKey = STBCAM_PACKET_NO_KEY,
    Malformed = STBCAM_PACKET_MALFORMED,
};

/** code of EventType::Report. */
enum class ReportCode : std::int32_t {
    Read = STBCAM_REPORT_READ,
    Acknowledged = STBCAM_REPORT_ACKNOWLEDGED,
};

} // namespace stbcam

#endif /* STBCAM_ENUMS_HPP */
