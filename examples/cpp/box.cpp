/* SPDX-License-Identifier: Apache-2.0 */
/* The card side of a box in C++17: opens a reader, a context and, with a PMT, a session, and tells what happens. The whole box,
 * with demultiplexer and purchases, is in C: examples/c/player.c. */
#include <stbcam.hpp>

#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

constexpr const char *USAGE =
    "usage: box --reader URL --box FILE --state DIR [--pmt FILE] [--seconds N]\n"
    "  --reader URL   the card reader, such as serial:/dev/ttyS1?reset=rts (docs/spec/abi.md)\n"
    "  --box FILE     what the factory wrote into the box: lines 'stb_id HEX', 'box_key HEX', 'ladder_key HEX'\n"
    "  --state DIR    where the library keeps what must survive a power cut\n"
    "  --pmt FILE     a PMT section: its programme is opened\n"
    "  --seconds N    ends after this time; without it after 10 s\n";

struct Options {
    std::string reader, box, state, pmt;
    int seconds = 10;
};

struct Factory {
    std::array<std::uint8_t, 8> stb_id{};
    std::array<std::uint8_t, 16> box_key{}, ladder_key{};
};

int failed(const char *what)
{
    std::cerr << "box: " << what << ": " << stbcam::last_error().text << '\n';
    return EXIT_FAILURE;
}

bool parse(int argc, char **argv, Options &options)
{
    for (int i = 1; i < argc; i += 2) {
        const std::string name = argv[i];
        if (i + 1 == argc)
            return false;
        if (name == "--reader")
            options.reader = argv[i + 1];
        else if (name == "--box")
            options.box = argv[i + 1];
        else if (name == "--state")
            options.state = argv[i + 1];
        else if (name == "--pmt")
            options.pmt = argv[i + 1];
        else if (name == "--seconds")
            options.seconds = std::atoi(argv[i + 1]);
        else
            return false;
    }
    return !options.reader.empty() && !options.box.empty() && !options.state.empty() && options.seconds > 0;
}

template <std::size_t N> bool octets(const std::string &hex, std::array<std::uint8_t, N> &out)
{
    if (hex.size() != 2 * N || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        return false;
    for (std::size_t i = 0; i < N; i++)
        out[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    return true;
}

/* What is missing or wrong in the box's file; empty when it is whole. */
std::string read_factory(const std::string &name, Factory &factory)
{
    std::ifstream file(name);
    if (!file)
        return name + " cannot be read";
    bool id = false, key = false, ladder = false;
    for (std::string field, value; file >> field >> value;) {
        if (field == "stb_id")
            id = octets(value, factory.stb_id);
        else if (field == "box_key")
            key = octets(value, factory.box_key);
        else if (field == "ladder_key")
            ladder = octets(value, factory.ladder_key);
    }
    if (id && key && ladder)
        return {};
    return name + " needs lines 'stb_id' with 16, 'box_key' and 'ladder_key' with 32 hexadecimal digits";
}

void tell_balance(const stbcam::Cam &cam)
{
    std::array<stbcam_wallet_t, 1> wallets;
    std::size_t count = wallets.size();
    if (cam.wallets(wallets.data(), count) == stbcam::Result::Ok && count == 1)
        std::cout << "balance " << wallets[0].balance.minor << ' ' << wallets[0].balance.currency << " minor units\n";
}

void tell(const stbcam::Cam &cam, const stbcam::Session &session, const stbcam_event_t &event)
{
    switch (stbcam::as<stbcam::EventType>(event.type)) {
    case stbcam::EventType::Card:
        std::cout << "card: " << event.text << '\n';
        break;
    case stbcam::EventType::Wallet:
        tell_balance(cam);
        break;
    case stbcam::EventType::Access: {
        stbcam_access_t access;
        if (session.access(access) == stbcam::Result::Ok)
            std::cout << "access: " << event.text << (access.has_keys ? ", with keys\n" : ", without keys\n");
        break;
    }
    case stbcam::EventType::Health:
        std::cout << "health: " << event.text << '\n';
        break;
    default: /* Filters, offers, purchases: examples/c/player.c */
        break;
    }
}

int watch(const stbcam::Cam &cam, const stbcam::Session &session, int seconds)
{
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(seconds);
    pollfd news{cam.event_fd(), POLLIN, 0};
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
        poll(&news, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(end - now).count()) + 1);
        stbcam_event_t event;
        while (cam.next_event(event) == stbcam::Result::Ok)
            tell(cam, session, event);
    }
    return EXIT_SUCCESS;
}

int run(const Options &options, const Factory &factory)
{
    stbcam::SoftDescrambler descrambler; /* before the context that uses it: it is freed after it */
    stbcam_descrambler_ops_t ops;
    if (descrambler.open(factory.ladder_key) != stbcam::Result::Ok || descrambler.ops(ops) != stbcam::Result::Ok)
        return failed("descrambler");

    stbcam::Config config;
    config.reader = options.reader.c_str();
    config.state_dir = options.state.c_str();
    config.descrambler = &ops;
    std::memcpy(config.stb_id, factory.stb_id.data(), factory.stb_id.size());
    std::memcpy(config.box_key, factory.box_key.data(), factory.box_key.size());
    config.box_key_len = static_cast<std::uint8_t>(factory.box_key.size());

    stbcam::Cam cam;
    if (cam.open(config) != stbcam::Result::Ok)
        return failed("open");
    stbcam::Session session; /* closed before the context */
    if (!options.pmt.empty()) {
        std::ifstream file(options.pmt, std::ios::binary);
        const std::vector<char> pmt{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        const auto *section = reinterpret_cast<const std::uint8_t *>(pmt.data());
        if (cam.session_open_pmt(0, section, pmt.size(), session) != stbcam::Result::Ok)
            return failed(options.pmt.c_str());
    }
    return watch(cam, session, options.seconds);
}

} // namespace

int main(int argc, char **argv)
{
    Options options;
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
        std::cout << USAGE;
        return EXIT_SUCCESS;
    }
    if (!parse(argc, argv, options)) {
        std::cerr << USAGE;
        return 2;
    }
    Factory factory;
    if (const std::string wrong = read_factory(options.box, factory); !wrong.empty()) {
        std::cerr << "box: " << wrong << '\n';
        return EXIT_FAILURE;
    }
    return run(options, factory);
}
