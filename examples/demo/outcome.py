# SPDX-License-Identifier: Apache-2.0
"""Judges a finished story packet by packet and writes its report."""

from actors import SOURCE

PACKET = 188
NULL_PID = 0x1FFF
SDT_PID = 0x0011  # free_CA_mode says there that the services are scrambled
SHARE = {1: 0.80, 2: 0.40}


def packets(path):
    data = path.read_bytes()
    return [data[o : o + PACKET] for o in range(0, len(data), PACKET)]


def pid(packet):
    return (packet[1] & 0x1F) << 8 | packet[2]


def payload(packet):
    """What stands behind header and adaptation field."""
    if not packet[3] & 0x10:
        return b""
    return packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]


def pmt_pids(stream):
    """The PIDs of the PMTs, from the first PAT (one section in one packet)."""
    pat = payload(next(p for p in stream if pid(p) == 0))
    length = (pat[2] & 0x0F) << 8 | pat[3]
    loop = pat[9 : 4 + length - 4]
    return {int.from_bytes(loop[o + 2 : o + 4], "big") & 0x1FFF for o in range(0, len(loop), 4)}


class Service:
    """One service's packets, counted."""

    def __init__(self, described):
        self.number, self.name = described["service"], described["name"]
        self.algorithm, self.pids = described["algorithm"], set(described["pids"])
        self.shortest = {"DVB-CSA2": 8, "DVB-CISSA": 16, "ATIS-IDSA": 1, "SCTE-52": 1}[self.algorithm]
        self.total = self.scrambled = self.short = self.on_air_clear = self.descrambled = self.mismatched = 0
        self.clear = []

    def windows(self):
        """Runs of packets in clear, as [first, last] indices into the multiplex, from the first to the last
        packet of this service in each run."""
        runs, previous = [], None
        for index, in_clear in self.clear:
            if in_clear and not previous:
                runs.append([index, index])
            elif in_clear:
                runs[-1][1] = index
            previous = in_clear
        return runs


def compare(story):
    """Walks source, broadcast and result side by side."""
    services = [Service(s) for s in story.packaged["services"]]
    owner = {p: s for s in services for p in s.pids}
    source, air, result = (packets(p) for p in (SOURCE, story.out / "scrambled.ts", story.box.descrambled))
    moved = int(len(source) != len(air)) + int(len(air) != len(result))
    rewritten = {SDT_PID, *pmt_pids(source)}
    for index, (before, sent, seen) in enumerate(zip(source, air, result)):
        if pid(before) == NULL_PID:
            continue
        service = owner.get(pid(before))
        if service is None:
            moved += sent[:4] != before[:4] or (pid(before) not in rewritten and sent != before)
            continue
        body = payload(before)
        moved += sent[:3] != before[:3] or sent[3] & 0x3F != before[3] & 0x3F
        moved += sent[4 : PACKET - len(body)] != before[4 : PACKET - len(body)]
        if not body:
            continue
        service.total += 1
        if len(body) < service.shortest:
            service.short += 1
        else:
            service.scrambled += 1
            service.on_air_clear += sent[3] < 0x80 or payload(sent) == body
        in_clear = seen[3] < 0x40
        if in_clear and len(body) >= service.shortest:
            service.descrambled += 1
        service.mismatched += seen != (before if in_clear else sent)
        if len(body) >= service.shortest:
            service.clear.append((index, in_clear))
    return services, moved, len(source)


def judge(story):
    """The claims that only the finished files can prove, and the report."""
    services, moved, count = compare(story)
    claims, seconds = story.claims, story.seconds
    at = lambda index: round(index / count * seconds, 3)  # noqa: E731
    print("         The files, packet by packet")
    clear = sum(s.on_air_clear for s in services)
    claims.check("on-air", clear == 0, f"{sum(s.scrambled for s in services)} scrambled, {clear} in clear")
    claims.check("places", moved == 0, f"{count} packets, {moved} moved or changed")
    ahead = min(s["worst_next_lead_ms"] for s in story.packaged["services"]) / 1000
    claims.check("next-word", ahead >= 1.0, f"at least {ahead:.2f} s")
    mismatched = sum(s.mismatched for s in services)
    claims.check("picture", mismatched == 0,
                 f"{sum(s.descrambled for s in services)} descrambled, {mismatched} mismatched")
    windows = {s.number: s.windows() for s in services}
    # A power cut ends a socket's connection: for the box the card was pulled, and a stream that goes on meanwhile shows
    # it. On a line the card is reset before its keys go. Cinema is not bought at those moments.
    cuts = 2 if story.paced and story.reader == "vpcd" else 0
    expected = {1: 2 + cuts, 2: 4}
    claims.check("no-gap", all(len(windows[n]) == expected[n] for n in expected),
                 "; ".join(f"{s.name} {', '.join(f'{at(a):.2f}–{at(b):.2f} s' for a, b in windows[s.number])}"
                           for s in services))
    news = services[0]
    lost = sum(1 for index, in_clear in news.clear if 14.0 <= at(index) <= 17.0 and not in_clear)
    epochs = [(e["from_epoch"], e["to_epoch"]) for e in story.rotated]
    claims.check("rotation", lost == 0 and epochs == [(1, 2)] and moved == 0 and news.clear != [],
                 f"{lost} lost, key epochs {epochs}")
    shares = {s.number: s.descrambled / s.scrambled for s in services}
    claims.check("coverage", all(shares[n] >= SHARE[n] for n in SHARE),
                 ", ".join(f"{s.name} {shares[s.number]:.1%}" for s in services))
    start = story.card_file["purse"]["balance"]
    spent = sum(p["paid"] for p in story.purchases)
    claims.check("money", len(story.purchases) == 3 and story.card_status["balance"] == start - spent
                 and story.card_status["transactions"] == 3,
                 f"{start} − {spent} = {story.card_status['balance']} fen, "
                 f"{story.card_status['transactions']} debits")
    return report(story, services, windows, at, lost, mismatched)


def report(story, services, windows, at, lost, mismatched):
    """Everything that was seen, for report.json."""
    stats, claims = story.stats, story.claims
    unchecked = claims.unchecked()
    described = {s["service"]: s for s in story.packaged["services"]}
    return {
        "demo": "ok" if not claims.failed and not unchecked else "failed",
        "claims": {"held": claims.held, "failed": claims.failed, "unchecked": unchecked},
        "seconds": story.seconds,
        "reader": story.reader,
        "paced": story.paced,
        "packets": {
            "scrambled": sum(s.scrambled for s in services), "too_short": sum(s.short for s in services),
            "descrambled": sum(s.descrambled for s in services), "mismatched": mismatched,
            "lost_at_rotation": lost,
        },
        "zap_to_first_key_us": story.zap_us,
        "ecm": {
            "count": stats["ecm_sent"], "median_us": stats["ecm_us_p50"], "p99_us": stats["ecm_us_p99"],
            "apdus_per_ecm": round(stats["ecm_apdus"] / max(stats["ecm_sent"], 1), 2),
            "line_octets_per_ecm": round(stats["ecm_line_octets"] / max(stats["ecm_sent"], 1), 1),
            "refused": stats["ecm_refused"], "duplicate": stats["ecm_duplicate"],
        },
        "emm": {"applied": stats["emm_applied"], "duplicate": stats["emm_duplicate"],
                "refused": stats["emm_refused"], "not_ours": stats["emm_not_ours"]},
        "purse": {"balance_start": story.card_file["purse"]["balance"],
                  "balance_end": story.card_status["balance"]},
        "purchases": [
            {"event": p["event"], "at_s": p["at_s"], "price": p["paid"], "balance_before": p["balance_before"],
             "balance_after": p["balance_after"],
             "card_sequence": p["card_sequence"], "terminal": p["terminal"],
             "terminal_sequence": p["terminal_sequence"], "date": p["date"], "time": p["time"], "tac": p["tac"]}
            for p in story.purchases
        ],
        "card_report": story.card_report,
        "services": {
            str(s.number): {
                "name": s.name, "algorithm": s.algorithm, "share_in_clear": round(s.descrambled / s.scrambled, 4),
                "windows": windows[s.number],
                "windows_s": [[at(a), at(b)] for a, b in windows[s.number]],
                "wiped_s": wiped(story, s.number, windows[s.number], at),
                "crypto_periods": [
                    {"number": c["number"], "epoch": c["epoch"], "from_s": at(c["first_packet"]),
                     "to_s": at(c["last_packet"] + 1)} for c in described[s.number]["crypto_periods"]
                ],
                "ecms_s": [at(i) for i in described[s.number]["ecm"]["packets"]],
                "worst_ecm_interval_ms": described[s.number]["ecm"]["worst_interval_ms"],
            }
            for s in services
        },
        "marks": story.marks,
    }


def wiped(story, number, windows, at):
    """From each wiping because of the card to the next key."""
    spans = []
    for event in story.box.find("wiped", service=number, cause="card"):
        after = [at(first) for first, _ in windows if at(first) > event["at"]]
        spans.append([event["at"], after[0] if after else story.seconds])
    return spans


def print_table(report):
    """The end of the story as a table."""
    p, e, m = report["packets"], report["ecm"], report["emm"]
    rows = [
        ("packets scrambled", f"{p['scrambled']} ({p['too_short']} too short for a block)"),
        ("packets descrambled", f"{p['descrambled']}, {p['mismatched']} mismatched"),
        ("packets lost at the key rotation", p["lost_at_rotation"]),
        ("zap to first key", f"{(report['zap_to_first_key_us'] or 0)/1000:.1f} ms"),
        ("ECMs to the card", f"{e['count']}: median {e['median_us']/1000:.2f} ms, p99 {e['p99_us']/1000:.2f} ms"),
        ("on the line per ECM", f"{e['apdus_per_ecm']} APDUs, {e['line_octets_per_ecm']} octets"),
        ("EMMs", f"{m['applied']} applied, {m['duplicate']} duplicate, {m['refused']} refused"),
        ("balance", f"{report['purse']['balance_start']} → {report['purse']['balance_end']} fen"),
    ]
    rows += [(f"event {x['event']}", f"{x['price']} fen, card sequence {x['card_sequence']}, TAC {x['tac'].upper()}")
             for x in report["purchases"]]
    rows += [(f"{s['name']} in clear", f"{s['share_in_clear']:.1%}") for s in report["services"].values()]
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    for name, why in report["claims"]["failed"].items():
        print(f"\n  FAILED {name}: {why}")
    for name in report["claims"]["unchecked"]:
        print(f"\n  NOT CHECKED {name}")
    print()


def summary(report):
    """The last line."""
    out = {"demo": report["demo"]}
    if report["demo"] != "ok":
        out["failed"] = sorted(report["claims"]["failed"]) + report["claims"]["unchecked"]
    out.update({k: report[k] for k in ("packets", "zap_to_first_key_us", "ecm", "emm", "purse")})
    out["purchases"] = [{k: p[k] for k in ("event", "price", "balance_before", "balance_after", "card_sequence", "tac")}
                        for p in report["purchases"]]
    return out
