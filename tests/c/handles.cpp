/* SPDX-License-Identifier: Apache-2.0 */
/* stbcam.hpp: a handle closes what it has once, however it is moved, and refuses as the C functions do. */
#include <stbcam.hpp>
#include <stbcam.hpp> /* twice does no harm */

#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

namespace {

int failures = 0;

void expect(bool holds, const char *what, int line)
{
    if (holds)
        return;
    failures++;
    std::printf("handles.cpp:%d: %s\n", line, what);
}

#define EXPECT(holds) expect((holds), #holds, __LINE__)

template <class Handle> constexpr bool MOVES_ONLY =
    std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle> &&
    !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(MOVES_ONLY<stbcam::Cam> && MOVES_ONLY<stbcam::Session> && MOVES_ONLY<stbcam::SoftDescrambler>);
static_assert(stbcam::number(stbcam::Result::NoCard) == STBCAM_E_NO_CARD);
static_assert(stbcam::has(STBCAM_OFFER_PRICE_UNKNOWN | STBCAM_OFFER_PIN_NEEDED, stbcam::OfferFlag::PinNeeded));
static_assert(!stbcam::has(STBCAM_OFFER_PRICE_UNKNOWN, stbcam::OfferFlag::PinNeeded));
static_assert(stbcam::sized<stbcam_card_t>().struct_size == sizeof(stbcam_card_t));

/* A reader without a card. */
struct Slot {
    int powered_off = 0;
    stbcam_reader_ops_t ops = stbcam::sized<stbcam_reader_ops_t>();

    Slot()
    {
        ops.user = this;
        ops.present = [](void *) -> std::int32_t { return 0; };
        ops.reset = [](void *, std::int32_t, std::uint8_t *, std::size_t, std::size_t *, std::uint32_t) -> std::int32_t {
            return STBCAM_READER_REMOVED;
        };
        ops.transmit = [](void *, const std::uint8_t *, std::size_t, std::uint8_t *, std::size_t, std::size_t *,
                          std::uint32_t) -> std::int32_t { return STBCAM_READER_REMOVED; };
        ops.power_off = [](void *user) { static_cast<Slot *>(user)->powered_off++; };
    }
};

/* Storage that has nothing and keeps nothing: no purchase is made here. */
stbcam_storage_ops_t no_storage()
{
    auto ops = stbcam::sized<stbcam_storage_ops_t>();
    ops.get = [](void *, const char *, std::uint8_t *, std::size_t, std::size_t *) -> std::int32_t { return 1; };
    ops.put_durable = [](void *, const char *, const std::uint8_t *, std::size_t) -> std::int32_t { return 0; };
    return ops;
}

stbcam::Result open(Slot &slot, const stbcam_storage_ops_t &storage, stbcam::Cam &cam)
{
    stbcam::Config config;
    config.flags = stbcam::number(stbcam::ConfigFlag::NoThread);
    config.reader_ops = &slot.ops;
    config.storage = &storage;
    std::memcpy(config.stb_id, "STB00001", 8);
    std::memset(config.box_key, 0x60, config.box_key_len = 16);
    return cam.open(config);
}

/* A PMT of programme 257 with an ECM PID of ours. */
const std::uint8_t PMT[] = {0x02, 0xB0, 0x1D, 0x01, 0x01, 0xC1, 0x00, 0x00, 0xE1, 0x00, 0xF0, 0x06, 0x09, 0x04, 0x4A, 0xF0,
                            0xE1, 0x10, 0x02, 0xE1, 0x01, 0xF0, 0x00, 0x03, 0xE1, 0x02, 0xF0, 0x00};

std::size_t pmt(std::uint8_t (&section)[32])
{
    std::memcpy(section, PMT, sizeof PMT);
    std::uint32_t crc = 0xFFFFFFFF;
    for (std::size_t i = 0; i < sizeof PMT; i++)
        for (int bit = 7; bit >= 0; bit--)
            crc = crc << 1 ^ (((crc >> 31 ^ PMT[i] >> bit) & 1) != 0 ? 0x04C11DB7 : 0);
    for (std::size_t i = 0; i < 4; i++)
        section[sizeof PMT + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    return sizeof PMT + 4;
}

void a_context_is_closed_once()
{
    Slot slot;
    const auto storage = no_storage();
    {
        stbcam::Cam first;
        EXPECT(!first && first.card_reset() == stbcam::Result::Arg);
        EXPECT(open(slot, storage, first) == stbcam::Result::Ok);
        stbcam::Cam second(std::move(first));
        EXPECT(second && slot.powered_off == 0);
        first = std::move(second);
        EXPECT(first && slot.powered_off == 0);
        stbcam_card_t card;
        EXPECT(first.card(card) == stbcam::Result::Ok && stbcam::as<stbcam::CardState>(card.state) == stbcam::CardState::Starting);
    }
    EXPECT(slot.powered_off == 1);
}

void a_session_is_closed_once()
{
    Slot slot;
    const auto storage = no_storage();
    std::uint8_t section[32];
    const std::size_t len = pmt(section);
    stbcam::Session outlives;
    stbcam::Cam cam;
    EXPECT(open(slot, storage, cam) == stbcam::Result::Ok);
    stbcam_session_t id = 0;
    stbcam_access_t access;
    {
        stbcam::Session session;
        EXPECT(cam.session_open_pmt(0, section, len, session) == stbcam::Result::Ok);
        id = session.id();
        {
            stbcam::Session moved(std::move(session));
            EXPECT(moved.id() == id && !session);
            session = std::move(moved);
        }
        EXPECT(session && session.access(access) == stbcam::Result::Ok);
    }
    EXPECT(cam.access(id, access) == stbcam::Result::NoSession);
    EXPECT(cam.session_open_pmt(0, section, len, outlives) == stbcam::Result::Ok);
    id = outlives.id();
    EXPECT(cam.session_open_pmt(0, section, len - 1, outlives) == stbcam::Result::Section); /* its CRC is cut off */
    EXPECT(!outlives && cam.access(id, access) == stbcam::Result::NoSession);
    EXPECT(cam.session_open_pmt(0, section, len, outlives) == stbcam::Result::Ok);
    EXPECT(cam.close() == stbcam::Result::Ok && !cam);
    EXPECT(outlives.access(access) == stbcam::Result::Arg); /* looked up, not followed */
}

void a_descrambler_is_freed_once()
{
    stbcam::SoftDescrambler first, second;
    EXPECT(first.open({}) == stbcam::Result::Ok && second.open({}) == stbcam::Result::Ok);
    second = std::move(first);
    stbcam_descrambler_ops_t ops;
    EXPECT(second.ops(ops) == stbcam::Result::Ok && ops.set_cw != nullptr);
    const std::array<std::uint8_t, 8> iv = {1};
    EXPECT(second.scte52_iv(iv) == stbcam::Result::Ok && second.scte52_iv(iv, &iv) == stbcam::Result::Ok);
    EXPECT(first.scte52_iv(iv) == stbcam::Result::Arg);
    std::uint8_t packet[188] = {0x47, 0x1F, 0xFF, 0x10};
    stbcam::Packet result = stbcam::Packet::Malformed;
    std::size_t count = 1;
    EXPECT(second.packets(0, packet, sizeof packet, &result, count) == stbcam::Result::Ok);
    EXPECT(result == stbcam::Packet::Clear && count == 1);
    EXPECT(second.packets(0, packet, sizeof packet, nullptr, count) == stbcam::Result::Ok);
    stbcam_soft_descrambler_t *gone = nullptr;
    {
        stbcam::SoftDescrambler third(std::move(second));
        EXPECT(third && !second);
        gone = third.handle();
        second = std::move(third);
        EXPECT(second.handle() == gone && second.ops(ops) == stbcam::Result::Ok);
        third = std::move(second);
    }
    EXPECT(stbcam_soft_descrambler_free(gone) == STBCAM_E_ARG);
    EXPECT(second.open({}) == stbcam::Result::Ok && second.free() == stbcam::Result::Ok && !second);
    EXPECT(second.packets(0, packet, sizeof packet, &result, count) == stbcam::Result::Arg);
}

void refusals_are_told()
{
    stbcam::Config config;
    stbcam::Cam cam;
    EXPECT(config.struct_size == sizeof(stbcam_config_t) && config.max_sessions > 0);
    EXPECT(cam.open(config) == stbcam::Result::Arg && !cam);
    EXPECT(stbcam::as<stbcam::Result>(stbcam::last_error().code) == stbcam::Result::Arg);
    EXPECT(stbcam::last_error().text[0] != '\0');
    EXPECT(std::strlen(stbcam::text(stbcam::Result::Arg)) > 0 && std::strlen(stbcam::text(stbcam::Reason::NoCard, "en")) > 0);
    EXPECT(stbcam::version() == stbcam::HEADER_VERSION && stbcam::version_string()[0] == '1');
    EXPECT(stbcam::has(stbcam::features(), stbcam::Feature::ReaderSerial));
}

} // namespace

int main()
{
    a_context_is_closed_once();
    a_session_is_closed_once();
    a_descrambler_is_freed_once();
    refusals_are_told();
    std::printf("handles: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
