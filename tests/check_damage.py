#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo on a bad signal: 1 % of the packets damaged and flagged, 0.1 % damaged and not flagged (damage.py).

    check_damage.py DIR [--seed N]     packages, damages, plays and judges
    check_damage.py DIR --judge        judges what is in DIR

The rule. A window of a service begins with the packet at which the box had its keys (the first ECM was answered) and
ends with the one at which they were gone. Every undamaged packet in a window equals the source; at its beginning, for
one crypto period at most and until the first packet that does, packets may be left as they came. Anywhere else, and of
anything else, an undamaged packet is the source's or as it came: none is garbled. What happens to a packet that is
damaged without saying so is not judged; a flagged one is left as it came. When the windows are, follows from schedule,
purchases and the hand at the card.

DIR: scrambled.ts as sent, damaged.ts as received, damage.json, descrambled.ts, windows.json.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import ts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))
from actors import SOURCE, ActorError  # noqa: E402
from breaks import Break  # noqa: E402
from story import CINEMA, EVENT_S, NEWS, Story  # noqa: E402

PERIOD_S = 5
# (event, price, second of its purchase), the last one while it is on air to the end.
BOUGHT = ((2001, 1200, 2.0), (2002, 850, 13.0), (2003, 1500, 22.0))
ENDS = {2001: 10.0, 2002: 20.0, 2003: None}
PULLED, BACK = 25.5, 27.0
SHARES = {"flagged": 0.01, "silent": 0.001}


class BadSignal(Story):
    """The demo's subscriber, without its attacks on money: watches both services, buys what is on, pulls the card."""

    def __init__(self, out, seed):
        super().__init__(out, paced=False, reader="serial")
        self.seed = seed
        self.twist = Break((), headend=("no-forgeries",))  # they are random in any case

    def schedule(self):
        """Control words that repeat; Cinema's come from a scrambler that reduces them."""
        path = self.out / "schedule.toml"
        text = (ROOT / "examples" / "demo" / "schedule.toml").read_text()
        cinema = 'scrambling = "csa2"'
        assert text.count(cinema) == 1
        path.write_text('seed = "00112233445566778899aabbccddeeff"\n'
                        + text.replace(cinema, 'entropy = "reduced"\n' + cinema))
        return path

    def received(self):
        damaged = self.out / "damaged.ts"
        subprocess.run([sys.executable, ROOT / "tests" / "damage.py", self.head_end.scrambled, damaged,
                        self.out / "damage.json", "--seed", str(self.seed)], check=True)
        return damaged

    def tell(self):
        self.box.order("watch", NEWS)
        self.box.order("watch", CINEMA)
        for wish, (_, price, at) in enumerate(BOUGHT):
            self.play(at)
            self.buy("buy", CINEMA, price, self.request(wish), self.card_file["pin"], request=self.request(wish))
            self.await_keys(CINEMA)
        self.play(PULLED)
        self.card.order("remove")
        for service in (NEWS, CINEMA):
            self.box.await_wiped(service, EVENT_S)
        self.play(BACK)
        self.card.order("insert")
        for service in (NEWS, CINEMA):
            self.await_keys(service)
        self.play(self.seconds + 1)
        self.box.order("flush")
        status = self.box.close()
        self.card.close()
        if status != 0:
            raise ActorError(f"player ended with status {status}: {(self.out / 'box.err').read_text().strip()}")

    def await_keys(self, service):
        if not self.box.await_keys(service, EVENT_S):
            print(f"         service {service} gets no keys")

    def windows(self, service):
        """[first, last] packet with keys, by what the box said of them."""
        windows, count = [], len(ts.read(SOURCE))
        for event in self.box.events:
            if event.get("service") != service:
                continue
            if event["event"] == "keys":
                windows.append([event["packet"], count - 1])
            elif event["event"] == "wiped" and windows:
                windows[-1][1] = event["packet"] - 1
        return windows


def play(out, seed):
    out.mkdir(parents=True, exist_ok=True)
    story = BadSignal(out.resolve(), seed)
    story.set_up()
    story.tell()
    windows = {service: story.windows(service) for service in (NEWS, CINEMA)}
    (out / "windows.json").write_text(json.dumps(windows) + "\n")


class Judge:
    """Walks source, received stream and result side by side."""

    def __init__(self, out):
        self.failed = 0
        self.source, self.sent = ts.read(SOURCE), ts.read(out / "scrambled.ts")
        self.received, self.result = ts.read(out / "damaged.ts"), ts.read(out / "descrambled.ts")
        places = json.loads((out / "damage.json").read_text())
        self.flagged, self.silent = set(places["flagged"]), set(places["silent"])
        self.damaged = self.flagged | self.silent
        windows = json.loads((out / "windows.json").read_text())
        self.windows = {int(service): windows[service] for service in windows}
        pmts = {n: ts.Pmt(next(ts.sections(self.source, pid))[1]) for n, pid in ts.programs(self.source).items()}
        self.owner = {pid: number for number, pmt in pmts.items() for pid in pmt.streams}
        self.times = ts.packet_times(self.source)

    def check(self, name, good, detail=""):
        self.failed += not good
        print(("ok      " if good else "FAILED  ") + name + (f": {detail}" if detail else ""))

    def signal(self):
        """The signal is damaged as the list says, and nowhere else."""
        moved = sum(a.data != b.data for a, b in zip(self.sent, self.received) if a.index not in self.damaged)
        idle = sum(self.sent[i].data == self.received[i].data for i in self.damaged)
        shown = sum(bool(p.data[1] & 0x80) != (p.index in self.flagged) for p in self.received)
        shares = {kind: len(places) / len(self.sent) for kind, places in
                  (("flagged", self.flagged), ("silent", self.silent))}
        good = all(SHARES[kind] / 3 < share < SHARES[kind] * 3 for kind, share in shares.items())
        self.check("the signal is damaged where the list says", good and moved == idle == shown == 0,
                   ", ".join(f"{share:.2%} {kind}" for kind, share in shares.items())
                   + f", {moved} others changed, {idle} unchanged, {shown} flags wrong")

    def rights(self):
        """Keys are there when schedule, purchases and the hand at the card say so."""
        end = self.times[-1]
        wanted = {NEWS: [(0.0, PULLED), (BACK, end)],
                  CINEMA: [(at, ENDS[event] or PULLED) for event, _, at in BOUGHT] + [(BACK, end)]}
        for service, parts in wanted.items():
            seen = [(self.times[a], self.times[b]) for a, b in self.windows[service]]
            good = len(seen) == len(parts) and all(
                begin - 0.1 <= a <= begin + 0.5 and stop - 0.1 <= b <= stop + 0.5
                for (a, b), (begin, stop) in zip(seen, parts))
            self.check(f"service {service}: keys are there when it was paid for, and the card is in", good,
                       ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in seen))

    def picture(self):
        """In the windows of the services, and everywhere else."""
        first_of_window = {(service, index): first for service, windows in self.windows.items()
                           for first, last in windows for index in range(first, last + 1)}
        right, late, dark, garbled, begun = 0, 0, [], [], set()
        for before, came, after in zip(self.source, self.received, self.result):
            if before.index in self.damaged:
                continue
            service = self.owner.get(before.pid)
            window = (service, first_of_window.get((service, before.index)))
            if after.data != came.data and not (service and after.data == before.data):
                garbled.append(before.index)
            elif window[1] is None:
                continue
            elif after.data == before.data:
                right += 1
                if before.payload:
                    begun.add(window)
            elif window not in begun and self.times[before.index] < self.times[window[1]] + PERIOD_S:
                late += 1
            else:
                dark.append(before.index)
        self.check("every undamaged packet of a window equals the source", right and not dark,
                   f"{right} equal, {late} before the first, {len(dark)} not descrambled" + first_of(dark))
        self.check("no undamaged packet is garbled", not garbled, f"{len(garbled)} wrong" + first_of(garbled))

    def flags(self):
        """Nothing in a flagged packet can be relied on, not even that it was scrambled."""
        touched = [i for i in sorted(self.flagged) if self.received[i].data != self.result[i].data]
        self.check("a flagged packet stays as it came", not touched, f"{len(touched)} touched" + first_of(touched))


def first_of(places):
    return f", the first is packet {places[0]}" if places else ""


def judge(out):
    judged = Judge(out)
    whole = len(judged.source) == len(judged.sent) == len(judged.received) == len(judged.result)
    judged.check("the stream keeps its length", whole, f"{len(judged.result)} packets")
    judged.signal()
    judged.rights()
    judged.picture()
    judged.flags()
    return judged.failed


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("out", type=Path, metavar="DIR")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--judge", action="store_true", help="judge what is in DIR")
    given = options.parse_args()
    try:
        if not given.judge:
            play(given.out, given.seed)
    except ActorError as error:
        print(f"FAILED  {error}")
        return 1
    return judge(given.out) != 0


if __name__ == "__main__":
    sys.exit(main())
