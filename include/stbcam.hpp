/*
 * stbcam for C++17: the same ABI as stbcam.h, with handles that close themselves and enumerations instead of macros.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is added and nothing is hidden: each function here is one call of the C function that its comment or name tells,
 * whose comment in stbcam.h is the manual. Structures are the C ones; struct_size and elem_size are set here. Nothing is
 * thrown, and it compiles with -fno-exceptions and -fno-rtti. A callback must not let an exception out: the library is C.
 *
 * Members of structures stay numbers: as<AccessState>(access.state) is an enumerator, has(access.flags, AccessFlag::PinNeeded)
 * asks for a bit.
 */
#ifndef STBCAM_HPP
#define STBCAM_HPP

#if __cplusplus < 201703L
#error "stbcam.hpp needs C++17, such as -std=c++17; stbcam.h is for every C++ from C++11 on"
#endif

#include "stbcam-enums.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stbcam {

/** The version that a program is compiled for, as version() tells that of the loaded library. */
inline constexpr std::uint32_t HEADER_VERSION =
    STBCAM_VERSION_MAJOR << 16 | STBCAM_VERSION_MINOR << 8 | STBCAM_VERSION_PATCH;

/** The number of an enumerator, for a member of a structure. */
template <class Enum> constexpr std::underlying_type_t<Enum> number(Enum value) noexcept
{
    return static_cast<std::underlying_type_t<Enum>>(value);
}

/** A number of a structure as an enumerator. One without a name, of a later version, is a value of the type all the same. */
template <class Enum, class Number> constexpr Enum as(Number value) noexcept
{
    static_assert(std::is_enum_v<Enum> && std::is_integral_v<Number>, "as<Enumeration>(number)");
    return static_cast<Enum>(value);
}

/** Whether a set of bits has this one. */
template <class Number, class Enum> constexpr bool has(Number set, Enum bit) noexcept
{
    static_assert(std::is_enum_v<Enum> && std::is_integral_v<Number>, "has(number, Enumerator)");
    return (set & number(bit)) != 0;
}

/** A structure that is zero but for its struct_size. */
template <class Structure> constexpr Structure sized() noexcept
{
    Structure made{};
    made.struct_size = sizeof(Structure);
    return made;
}

/* ---- Without a context ---------------------------------------------------------------------------------------------- */

inline std::uint32_t version() noexcept { return stbcam_version(); }
inline const char *version_string() noexcept { return stbcam_version_string(); }
inline std::uint64_t features() noexcept { return stbcam_features(); }
inline constexpr std::uint32_t filters_per_ecm_stream = STBCAM_FILTERS_PER_ECM_STREAM;
inline constexpr std::uint32_t filters_per_emm_stream = STBCAM_FILTERS_PER_EMM_STREAM;
inline std::uint32_t filters_needed(std::uint32_t ecm_streams, std::uint32_t emm_streams) noexcept
{
    return stbcam_filters_needed(ecm_streams, emm_streams);
}
inline const char *text(Result result) noexcept { return stbcam_strerror(number(result)); }
inline const char *text(Reason reason, const char *language = nullptr) noexcept
{
    return stbcam_reason_text(number(reason), language);
}

/** The details of the last call in this thread that was refused. */
inline stbcam_error_t last_error() noexcept
{
    auto error = sized<stbcam_error_t>();
    static_cast<void>(stbcam_last_error(&error));
    return error;
}

/** A configuration with its defaults: stbcam_config_init. */
struct Config : stbcam_config_t {
    Config() noexcept : stbcam_config_t{} { static_cast<void>(stbcam_config_init(this, sizeof(stbcam_config_t))); }
};

/** One wish of the subscriber to buy. */
using RequestId = std::array<std::uint8_t, 16>;

/* ---- Handles -------------------------------------------------------------------------------------------------------- */

/** A descrambler in software; freed with this. The contexts that use it are closed before: declare it before them. */
class SoftDescrambler {
public:
    SoftDescrambler() noexcept = default;
    ~SoftDescrambler() { static_cast<void>(free()); }
    SoftDescrambler(SoftDescrambler &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    SoftDescrambler &operator=(SoftDescrambler &&other) noexcept
    {
        if (this != &other) {
            static_cast<void>(free());
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }

    /** stbcam_soft_descrambler_new, in place of the one that this had. */
    Result open(const std::array<std::uint8_t, 16> &root_key) noexcept
    {
        static_cast<void>(free());
        return as<Result>(stbcam_soft_descrambler_new(root_key.data(), &handle_));
    }
    Result free() noexcept { return as<Result>(stbcam_soft_descrambler_free(std::exchange(handle_, nullptr))); }
    Result ops(stbcam_descrambler_ops_t &out) const noexcept
    {
        out = sized<stbcam_descrambler_ops_t>();
        return as<Result>(stbcam_soft_descrambler_ops(handle_, &out));
    }
    /** short_iv may be nullptr: the same as iv. */
    Result scte52_iv(const std::array<std::uint8_t, 8> &iv, const std::array<std::uint8_t, 8> *short_iv = nullptr) const noexcept
    {
        return as<Result>(stbcam_soft_descrambler_scte52_iv(handle_, iv.data(), short_iv ? short_iv->data() : nullptr));
    }
    /** results may be nullptr, for whoever does not want to know; else it has room for count. */
    Result packets(std::uint8_t source, std::uint8_t *octets, std::size_t len, Packet *results, std::size_t &count) const noexcept
    {
        static_assert(sizeof(Packet) == 1, "an octet for each packet");
        return as<Result>(stbcam_soft_descrambler_packets(handle_, source, octets, len, reinterpret_cast<std::uint8_t *>(results),
                                                          results ? &count : nullptr));
    }

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    stbcam_soft_descrambler_t *handle() const noexcept { return handle_; }

private:
    stbcam_soft_descrambler_t *handle_ = nullptr;
};

/** A session of Cam::session_open_pmt; closed with this. It may outlive its context, whose end was its own. */
class Session {
public:
    Session() noexcept = default;
    ~Session() { static_cast<void>(close()); }
    Session(Session &&other) noexcept : cam_(other.cam_), id_(std::exchange(other.id_, 0)) {}
    Session &operator=(Session &&other) noexcept
    {
        if (this != &other) {
            static_cast<void>(close());
            cam_ = other.cam_;
            id_ = std::exchange(other.id_, 0);
        }
        return *this;
    }

    Result update_pmt(const std::uint8_t *section, std::size_t len) const noexcept
    {
        return as<Result>(stbcam_session_update_pmt(cam_, id_, section, len));
    }
    Result access(stbcam_access_t &out) const noexcept
    {
        out = sized<stbcam_access_t>();
        return as<Result>(stbcam_access(cam_, id_, &out));
    }
    Result offers(stbcam_offer_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_offers(cam_, id_, array, sizeof *array, &count));
    }
    /** Ok also where none is open. */
    Result close() noexcept { return id_ == 0 ? Result::Ok : as<Result>(stbcam_session_close(cam_, std::exchange(id_, 0))); }

    explicit operator bool() const noexcept { return id_ != 0; }
    stbcam_session_t id() const noexcept { return id_; }

private:
    friend class Cam;
    stbcam_t *cam_ = nullptr;
    stbcam_session_t id_ = 0;
};

/** A context: one card reader, one card, any number of sessions; closed with this. */
class Cam {
public:
    Cam() noexcept = default;
    ~Cam() { static_cast<void>(close()); }
    Cam(Cam &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Cam &operator=(Cam &&other) noexcept
    {
        if (this != &other) {
            static_cast<void>(close());
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }

    /** In place of the context that this had, which is closed before. */
    Result open(const stbcam_config_t &config) noexcept
    {
        static_cast<void>(close());
        return as<Result>(stbcam_open(&config, &handle_));
    }
    Result close() noexcept { return as<Result>(stbcam_close(std::exchange(handle_, nullptr))); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    stbcam_t *handle() const noexcept { return handle_; }

    Result step(std::uint32_t max_ms, std::uint32_t *next_ms = nullptr) const noexcept
    {
        return as<Result>(stbcam_step(handle_, max_ms, next_ms));
    }
    /** Readable when step is due; below 0 a result. */
    std::int32_t step_fd() const noexcept { return stbcam_step_fd(handle_); }
    Result set_utc(std::int64_t utc_s, UtcSource source) const noexcept
    {
        return as<Result>(stbcam_set_utc(handle_, utc_s, number(source)));
    }

    /* Tables and sections. */

    /** 1 yes, 0 no, below 0 the number of a Result. */
    std::int32_t is_our_ca(std::uint16_t ca_system_id) const noexcept { return stbcam_is_our_ca(handle_, ca_system_id); }
    Result cat(std::uint8_t source, const std::uint8_t *section, std::size_t len) const noexcept
    {
        return as<Result>(stbcam_cat(handle_, source, section, len));
    }
    /** In place of the session that out had, which is closed before. */
    Result session_open_pmt(std::uint8_t source, const std::uint8_t *section, std::size_t len, Session &out) const noexcept
    {
        static_cast<void>(out.close());
        out.cam_ = handle_;
        return as<Result>(stbcam_session_open_pmt(handle_, source, section, len, &out.id_));
    }
    /** Its sessions are the list's, not the caller's: the objects that follow close them. */
    Result ca_pmt(std::uint8_t source, const std::uint8_t *object, std::size_t len, stbcam_ca_pmt_reply_t &reply) const noexcept
    {
        reply = sized<stbcam_ca_pmt_reply_t>();
        return as<Result>(stbcam_ca_pmt(handle_, source, object, len, &reply));
    }
    Result section(std::uint8_t source, std::uint16_t pid, const std::uint8_t *section, std::size_t len) const noexcept
    {
        return as<Result>(stbcam_section(handle_, source, pid, section, len));
    }
    Result filters(stbcam_filter_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_filters(handle_, array, sizeof *array, &count));
    }

    /* Events. */

    std::int32_t event_fd() const noexcept { return stbcam_event_fd(handle_); }
    /** text of the event lives until the next call. */
    Result next_event(stbcam_event_t &event, std::uint32_t timeout_ms = 0) const noexcept
    {
        event = sized<stbcam_event_t>();
        return as<Result>(stbcam_next_event(handle_, &event, timeout_ms));
    }

    /** Everything again, after EventType::Overflow. */
    Result resync() const noexcept { return as<Result>(stbcam_resync(handle_)); }

    /* Card, rights, PIN. */

    Result card(stbcam_card_t &out) const noexcept
    {
        out = sized<stbcam_card_t>();
        return as<Result>(stbcam_card(handle_, &out));
    }
    /** Of a session of a CA_PMT; others have Session::access. */
    Result access(stbcam_session_t session, stbcam_access_t &out) const noexcept
    {
        out = sized<stbcam_access_t>();
        return as<Result>(stbcam_access(handle_, session, &out));
    }
    Result entitlements(std::uint64_t &cursor, stbcam_entitlement_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_entitlements(handle_, &cursor, array, sizeof *array, &count));
    }
    Result service_keys(stbcam_service_key_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_service_keys(handle_, array, sizeof *array, &count));
    }
    Result pin_verify(std::string_view pin, std::uint32_t *tries_left = nullptr) const noexcept
    {
        return as<Result>(stbcam_pin_verify(handle_, octets(pin), pin.size(), tries_left));
    }
    Result pin_change(std::string_view old_pin, std::string_view new_pin, std::uint32_t *tries_left = nullptr) const noexcept
    {
        return as<Result>(
            stbcam_pin_change(handle_, octets(old_pin), old_pin.size(), octets(new_pin), new_pin.size(), tries_left));
    }

    /* Wallet and purchases. */

    Result wallets(stbcam_wallet_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_wallets(handle_, array, sizeof *array, &count));
    }
    /** Of a session of a CA_PMT; others have Session::offers. */
    Result offers(stbcam_session_t session, stbcam_offer_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_offers(handle_, session, array, sizeof *array, &count));
    }
    Result request_new(RequestId &out) const noexcept { return as<Result>(stbcam_request_new(handle_, out.data())); }
    Result purchase_begin(std::uint64_t offer, const RequestId &request, const stbcam_money_t &price_seen,
                          stbcam_txn_t &out) const noexcept
    {
        return as<Result>(stbcam_purchase_begin(handle_, offer, request.data(), &price_seen, &out));
    }
    /** An empty pin tries without. */
    Result purchase_confirm(stbcam_txn_t txn, std::string_view pin = {}) const noexcept
    {
        return as<Result>(stbcam_purchase_confirm(handle_, txn, octets(pin), pin.size()));
    }
    Result purchase_cancel(stbcam_txn_t txn) const noexcept { return as<Result>(stbcam_purchase_cancel(handle_, txn)); }
    Result purchase(stbcam_txn_t txn, stbcam_receipt_t &out) const noexcept
    {
        out = sized<stbcam_receipt_t>();
        return as<Result>(stbcam_purchase(handle_, txn, &out));
    }
    Result receipts(std::uint64_t &cursor, stbcam_receipt_t *array, std::size_t &count) const noexcept
    {
        return as<Result>(stbcam_receipts(handle_, &cursor, array, sizeof *array, &count));
    }

    /* Operation and reports. */

    Result diag_json(char *buffer, std::size_t capacity, std::size_t &need) const noexcept
    {
        return as<Result>(stbcam_diag_json(handle_, buffer, capacity, &need));
    }
    Result card_reset() const noexcept { return as<Result>(stbcam_card_reset(handle_)); }
    Result flush(std::uint32_t timeout_ms) const noexcept { return as<Result>(stbcam_flush(handle_, timeout_ms)); }
    Result stats(stbcam_stats_t &out) const noexcept
    {
        out = sized<stbcam_stats_t>();
        return as<Result>(stbcam_stats(handle_, &out));
    }
    Result report_request(const std::array<std::uint8_t, 8> &nonce, std::uint16_t from_seq = 0) const noexcept
    {
        return as<Result>(stbcam_report_request(handle_, nonce.data(), from_seq));
    }
    Result report_next(std::array<std::uint8_t, STBCAM_REPORT_MAX> &page, std::size_t &len) const noexcept
    {
        len = page.size();
        return as<Result>(stbcam_report_next(handle_, page.data(), &len));
    }
    Result report_ack(const std::uint8_t *ack, std::size_t len) const noexcept
    {
        return as<Result>(stbcam_report_ack(handle_, ack, len));
    }

private:
    static const std::uint8_t *octets(std::string_view text) noexcept
    {
        return reinterpret_cast<const std::uint8_t *>(text.data());
    }
    stbcam_t *handle_ = nullptr;
};

} // namespace stbcam

#endif /* STBCAM_HPP */
