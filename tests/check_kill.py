#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The card's process is killed at each write to its memory in the middle of a purchase: in the end it was paid once.

Each time the memory is served anew, and the library finds out by itself what became of the purchase; not paid is
confirmed again, and killed one write later, until the kill comes too late: behind the commit. (How pages tear when the
power goes is tests/tests/tear.)

    check_kill.py DIR        scratch folder
"""

import re
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))
import story  # noqa: E402
from actors import READERS  # noqa: E402

PATIENCE_S = 20
MOST_WRITES = 100
# The events of Cinema: where in the stream they are bought, and for how much.
EVENTS = {2001: (1.0, 1200), 2002: (10.5, 850), 2003: (20.5, 1500)}


def killed_at(write):
    """strace ends the process where it is about to write for the nth time."""
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
            f"inject=pwrite64:signal=SIGKILL:when={write}")


class Scene(story.Story):
    """The stage of the demo."""

    def __init__(self, out):
        super().__init__(out, paced=False, reader=READERS[0])

    def personalisation(self, pairing):
        """Without a PIN: a kill inside VERIFY costs a try, as with any card."""
        path = super().personalisation(pairing)
        path.write_text(re.sub(r"(pin_free_per_\w+) = 0", r"\1 = 5000", path.read_text()))
        return path

    def news(self, event, before, **wanted):
        """The next event of this kind after so many."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = self.box.find(event, **wanted)
            if len(found) > before:
                return found[before]
            time.sleep(0.002)
        raise SystemExit(f"no {event} {wanted} within {PATIENCE_S} s; the last events: {self.box.events[-5:]}")

    def serve(self, *wrapper):
        """The card comes back into its reader."""
        ready = len(self.box.find("card", state="ready"))
        self.card.serve(*wrapper)
        self.news("card", ready, state="ready")
        self.box.order("flush")  # and says again what can be bought

    def killed(self, event, write):
        """A purchase that is killed at this write; whether it is paid."""
        price, request = EVENTS[event][1], self.request(event)
        before = self.card.order("status")
        told = len(self.box.find("purchase"))
        self.card.order("quit")
        self.card.died(PATIENCE_S)
        self.serve(killed_at(write))
        asked = self.box.order("buy", story.CINEMA, price, request)
        if asked["result"] != "OK" or not self.card.died(PATIENCE_S):
            self.card.order("quit")
            raise SystemExit(f"event {event}: no write {write} (buying: {asked['result']})")
        self.serve()
        settling = self.news("purchase", told)
        # What the card writes home after its answer has left is nobody's to settle.
        answered = settling["state"] == "paid"
        end = settling if answered else self.news("purchase", told + 1)
        after = self.card.order("status")
        paid = {"paid": True, "refused": False}.get(end["state"])
        moved = (before["balance"] - after["balance"], after["transactions"] - before["transactions"])
        if not (answered or settling["state"] == "settling") or paid is None or moved != ((price, 1) if paid else (0, 0)):
            raise SystemExit(f"event {event}, write {write}: {settling}, then {end}; the card: {after}")
        return paid


def main():
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    scene = Scene(out)
    scene.set_up()
    try:
        scene.box.order("watch", story.CINEMA)
        scene.play(EVENTS[2001][0])
        late = next(n for n in range(1, MOST_WRITES) if scene.killed(2001, n))
        # Behind the commit there is one purchase for each kill: two more, in the middle of the writes home and later. How
        # many pages a purchase touches in front of its commit depends on where its record lies.
        kills = []
        for event, write in ((2002, late + 1), (2003, late + 3)):
            scene.play(EVENTS[event][0])
            kills.append(next((n for n in range(write, write + late) if scene.killed(event, n)), None))
            if kills[-1] is None:
                raise SystemExit(f"event {event}: not committed with {write + late - 1} writes, event 2001 with {late}")
        status = scene.card.order("status")
    finally:
        scene.box.close()
        scene.card.close()
    print(f"killed at writes 1 to {late}, {kills[0]} and {kills[1]}: {status['transactions']} debits, "
          f"balance {status['balance']} fen")
    sys.exit((status["transactions"], status["balance"]) != (3, 10000 - sum(price for _, price in EVENTS.values())))


if __name__ == "__main__":
    main()
