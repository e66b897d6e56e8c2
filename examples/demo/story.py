#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole path once: two services, one card, a purchase, a key rotation, two power cuts, a pulled card.

    story.py [--out DIR] [--unpaced] [--reader NAME] [--break NAME] [--plant HEX]
             [--player COMMAND] [--wrapper COMMAND]

STBCAM_DEMO_READER names the reader too.

Exit status 0 only when every claim was checked and held. The last line is the report's summary as JSON.
"""

import argparse
import json
import os
import shutil
import sys
import time
import tomllib
from pathlib import Path

import breaks
import outcome
import timeline
from actors import BIN, HERE, READERS, ROOT, ActorError, Box, Card, Headend
from claims import Claims

NEWS, CINEMA = 1, 2
EVENT_S = 6  # un-paced runs wait at most so long for an event; nothing in the story takes longer
WIPED_S = 1.5  # from the pulled card to the last key: it is asked for a sign of life, and is silent for 1 s
UNDER_WAY = ("OK", "OUTCOME_UNKNOWN")  # what the library answers when events of a purchase follow


def owners(path, text):
    """A file with keys in it is its owner's alone."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


class Story:
    """The steps in order. `at` is stream time in seconds."""

    def __init__(self, out, paced, reader, break_name=None, player=(), wrapper=(), planted=""):
        self.out, self.paced, self.reader, self.wrapper = out, paced, reader, wrapper
        self.player = player or [BIN / "player"]
        self.twist = breaks.BREAKS.get(break_name, breaks.Break())
        self.planted = planted
        self.claims = Claims()
        self.marks, self.purchases = [], []
        self.requests = {}
        self.card_file = tomllib.loads((HERE / "card.toml").read_text())
        self.operator = tomllib.loads((HERE / "operator.toml").read_text())

    # ---- the stage -------------------------------------------------------------------------------

    def set_up(self):
        self.say(None, "The head-end pairs card and box, and packages the stream")
        head_end = self.head_end = Headend(self.out, self.schedule(), self.twist.headend)
        pairing = head_end.pair(self.card_file["card_id"], self.operator["box"][0]["stb_id"])
        self.packaged = head_end.package()
        self.seconds = self.packaged["duration_ms"] / 1000
        for service in self.packaged["services"]:
            print(f"     {service['name']}: {service['algorithm']}, {service['scrambled']} packets scrambled, "
                  f"{service['too_short']} too short, ECMs at most {service['ecm']['worst_interval_ms']:.0f} ms apart")
        self.say(None, f"A card behind the reader '{self.reader}', and a box with the pairing")
        state = self.out / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        shutil.copy(pairing / "box-pair.section", state / "pairing.0")
        options = ["--historical", self.planted] if self.planted else []
        self.card = Card(self.out, self.personalisation(pairing), self.twist.card, self.reader, options)
        self.box = Box(self.out, self.card, self.received(), state, self.box_file(), self.paced,
                       [*self.wrapper, *self.player])
        self.card.await_reader()
        if not self.paced:
            self.box.await_event("card", EVENT_S, state="ready")

    def received(self):
        """The stream as it comes to the box: as the head-end sent it."""
        return self.head_end.scrambled

    def schedule(self):
        """The schedule; News takes the name that is to be planted."""
        if not self.planted:
            return HERE / "schedule.toml"
        path = self.out / "schedule.toml"
        path.write_text((HERE / "schedule.toml").read_text().replace('name = "News"', f'name = "{self.planted}"'))
        return path

    def personalisation(self, pairing):
        """The card's file with the pairing EMM made a moment ago."""
        text = (HERE / "card.toml").read_text()
        path = self.out / "card.toml"
        owners(path, f'factory_emm = ["{pairing / "card-pair.emm"}"]\n{text}')
        return path

    def box_file(self):
        """What the factory of the box wrote into it."""
        box = self.operator["box"][0]
        path = self.out / "box.txt"
        owners(path, "".join(f"{name} {box[name]}\n" for name in ("stb_id", "box_key", "ladder_key")))
        return path

    # ---- words and waiting -----------------------------------------------------------------------

    def say(self, at, text, mark=None):
        when = "       " if at is None else f"{at:5.1f} s"
        print(f"{when}  {text}", flush=True)
        if mark:
            self.marks.append({"at_s": at, "what": mark})

    def play(self, until):
        return self.box.order("play", until)

    # In a run that is not paced the stream waits for what in a paced one simply comes in time, and for nothing that
    # cannot come any more.

    def buy(self, *order, request):
        """Buys or confirms, and sees the purchase to its end, unless the library has refused it."""
        told = len(self.box.find("purchase", request=request))
        answer = self.box.order(*order)
        if not self.paced and answer["result"] in UNDER_WAY:
            self.box.await_purchase(request, told, EVENT_S)
        return answer

    def await_keys(self, services):
        """Until each of these services has keys."""
        until = time.monotonic() + EVENT_S
        for service in services:
            if not self.paced and self.card.inserted:
                self.box.await_keys(service, until - time.monotonic())

    def balance(self):
        return self.card.order("status")["balance"]

    # ---- the story ---------------------------------------------------------------------------------

    def tell(self):
        self.zap()
        self.buy_first_event()
        self.attacks()
        self.cut_before_commit()
        self.rotation()
        self.cut_after_commit()
        self.pull_card()
        self.play(self.seconds + 1)
        self.box.order("flush")
        if self.planted:
            self.box.order("buy", NEWS, 1, self.planted)
        self.stats = self.box.order("stats")
        (self.out / "diag.json").write_text(json.dumps(self.box.order("diag")) + "\n")
        self.card_status = self.card.order("status")
        self.report_purchases()
        status = self.box.close()
        self.box_power_cut()
        self.card.close()
        if status != 0:
            raise ActorError(f"player ended with status {status}: {(self.out / 'box.err').read_text().strip()}")

    def zap(self):
        self.say(0, "The subscriber zaps to News and to Cinema", "zap")
        self.box.order("watch", NEWS)
        self.box.order("watch", CINEMA)
        self.play(1.0)
        news = self.box.order("access", NEWS)
        first = self.box.find("keys", service=NEWS)
        self.zap_us = first[0]["since_watch_us"] if first else None
        at = first[0]["at"] if first else None
        self.claims.check("news-at-once", bool(first) and at < 0.5 and news["state"] == "GRANTED"
                          and news["reason"] == "subscription",
                          (f"first key at {at:.2f} s" if first else "no key")
                          + f", {news['state']} {news['reason']}")
        cinema, offer = self.box.order("access", CINEMA), self.box.order("offer", CINEMA)
        self.claims.check("cinema-purchasable", cinema["state"] == "PURCHASABLE" and offer.get("price") == 1200,
                          f"{cinema['state']}, {yuan(offer.get('price'))}")

    def buy_first_event(self):
        pin, wrong = self.card_file["pin"], "11112222"
        before = self.balance()
        guard = 1200 if "true-price" in self.twist.subscriber else 999
        answer = self.box.order("buy", CINEMA, guard, self.request(0), pin)
        self.claims.check("price-guard", answer["result"] == "PRICE_CHANGED" and self.balance() == before,
                          f"9.99 instead of 12.00: {answer['result']}")
        self.say(1.5, "Buying Cinema with a wrong PIN", "wrong PIN")
        self.play(1.5)
        self.buy("buy", CINEMA, 1200, self.request(1), wrong, request=self.request(1))
        self.play(2.0)
        refused = last(self.box.find("purchase", request=self.request(1)))
        tries = refused.get("tries_left")
        self.claims.check("wrong-pin", refused.get("result") == "PIN_WRONG" and refused.get("state") == "open"
                          and tries == self.card_file["pin_tries"] - 1 and self.balance() == before,
                          f"{refused.get('result')}, {tries} tries left")
        self.say(2.0, "Buying Cinema with the right PIN", "buys event 2001")
        self.buy("confirm", self.request(1), pin, request=self.request(1))
        self.play(3.0)
        paid = last(self.box.find("purchase", request=self.request(1), state="paid"))
        self.claims.check("purchase", self.paid_once(paid, 2001, 1200, before), self.receipt_text(paid))
        self.keep(2001, 2.0, paid)
        if "zap-away" in self.twist.subscriber:
            self.box.order("stop", NEWS)
        self.say(3.0, "Asking again with the same request id")
        transactions = self.card.order("status")["transactions"]
        again = self.request(9) if "new-request" in self.twist.subscriber else self.request(1)
        answer = self.box.order("buy", CINEMA, 1200, again, pin)
        self.play(3.5)
        status = self.card.order("status")
        known = last(self.box.find("purchase", request=again, state="paid"))
        same = (status["transactions"], status["balance"]) == (transactions, before - 1200)
        self.claims.check("same-request", same and known.get("card_sequence") == paid.get("card_sequence"),
                          f"{answer['result']}, {status['transactions']} debits on the card, "
                          f"balance {yuan(status['balance'])}")

    def attacks(self):
        self.say(7.0, "A replayed EMM, a forged EMM and a forged ECM go on air", "attacks")
        self.play(6.9)
        before, stats = self.card.order("status"), self.box.order("stats")
        self.play(9.9)
        after, now = self.card.order("status"), self.box.order("stats")
        self.counted = {k: now[k] - stats[k] for k in ("emm_duplicate", "emm_refused", "ecm_refused")}
        unchanged = before["digest"] == after["digest"]
        memory = "the card's memory is " + ("unchanged" if unchanged else "changed")
        replayed, forged, ecms = (self.aired(f"attack-{n}", 6.9, 9.9) for n in ("replay", "forged-emm", "forged-ecm"))
        # Between 6.9 and 9.9 s the carousel also repeats the key update, which the card has already. A forgery
        # that the card has refused is not shown to it again: its repetitions are duplicates.
        refused = self.counted["emm_refused"]
        duplicates = self.counted["emm_duplicate"] - self.aired("news-key", 6.9, 9.9) - (forged - refused)
        self.claims.check("replayed-emm", unchanged and duplicates == replayed > 0,
                          f"{replayed} on air, {duplicates} counted, {memory}")
        self.claims.check("forged-emm", unchanged and 0 < refused <= forged,
                          f"{forged} on air, {refused} refused by the card, {memory}")
        self.claims.check("forged-ecm", unchanged and 0 < self.counted["ecm_refused"] <= ecms,
                          f"{ecms} on air, {self.counted['ecm_refused']} refused by the card, {memory}")

    def aired(self, name, first, last):
        """How often this message of the schedule was on air between two moments."""
        carousel = [e for e in self.packaged["emms"] if e["name"] == name]
        return sum(first * 1000 <= at < last * 1000 for e in carousel for at in e["at_ms"])

    def cut_before_commit(self):
        pin, before = self.card_file["pin"], self.balance()
        self.play(11.0)
        self.say(11.0, "Buying the next event; the card's power is cut before it commits", "power cut before commit")
        self.card.order("cut after-commit" if "swap-cuts" in self.twist.subscriber else "cut before-commit")
        self.buy("buy", CINEMA, 850, self.request(2), pin, request=self.request(2))
        self.play(13.0)
        settling = self.box.find("purchase", request=self.request(2), state="settling")
        refused = self.box.find("purchase", request=self.request(2), state="refused")
        unchanged = self.balance() == before
        if refused:
            self.marks.append({"at_s": refused[-1]["at"], "what": "settled: not paid"})
        self.say(13.0, "Confirming it again", "buys event 2002")
        self.buy("confirm", self.request(2), pin, request=self.request(2))
        self.play(14.0)
        paid = last(self.box.find("purchase", request=self.request(2), state="paid"))
        self.claims.check("cut-before-commit",
                          bool(settling and refused) and unchanged and self.paid_once(paid, 2002, 850, before),
                          ("being settled → " if settling else "never settled, ")
                          + (f"not paid, balance {yuan(before)}; then " if refused and unchanged else "no end; then ")
                          + self.receipt_text(paid))
        self.keep(2002, 13.0, paid)

    def rotation(self):
        self.say(15.0, "News goes over to epoch 2 of its service key", "rotation")
        self.play(20.5)
        self.rotated = self.box.find("key_rotated", slot=1)
        for event in self.rotated:
            self.say(event["at"], f"The card opens News with epoch {event['to_epoch']} in place of {event['from_epoch']}")

    def cut_after_commit(self):
        pin, before = self.card_file["pin"], self.balance()
        self.play(21.0)
        self.say(21.0, "Buying the last event; power is cut after the commit, before the answer", "power cut after commit")
        self.card.order("cut after-commit")
        self.buy("buy", CINEMA, 1500, self.request(3), pin, request=self.request(3))
        self.play(23.5)
        settling = self.box.find("purchase", request=self.request(3), state="settling")
        paid = last(self.box.find("purchase", request=self.request(3), state="paid"))
        if paid:
            self.marks.append({"at_s": paid["at"], "what": "settled: paid"})
        self.claims.check("cut-after-commit", bool(settling) and self.paid_once(paid, 2003, 1500, before),
                          ("being settled → " if settling else "never settled, ") + self.receipt_text(paid))
        self.keep(2003, paid.get("at", 21.0), paid)

    def pull_card(self):
        self.play(25.5)
        self.say(25.5, "The card is pulled", "card pulled")
        in_clear = [service for service in (NEWS, CINEMA) if self.box.has_keys(service)]
        pulled = time.monotonic()
        if "leave-card" not in self.twist.subscriber:
            self.card.order("remove")
        for service in in_clear:
            if not self.paced:
                self.box.await_wiped(service, pulled + WIPED_S - time.monotonic())
        self.play(27.0)
        wiped = [last(self.box.find("wiped", service=s, cause="card")) for s in (NEWS, CINEMA)]
        waits = [w["monotonic_us"] / 1e6 - pulled for w in wiped if w]
        self.claims.check("card-pulled", len(waits) == 2 and 0 <= min(waits) and max(waits) < WIPED_S,
                          f"keys wiped after {', '.join(f'{w*1000:.0f} ms' for w in waits) or 'never'}")
        self.say(27.0, "The card is put back", "card back")
        if "keep-card" not in self.twist.subscriber:
            self.card.order("insert")
        self.await_keys(in_clear)
        self.play(29.0)
        states = [self.box.order("access", s).get("state") for s in (NEWS, CINEMA)]
        self.claims.check("card-back", states == ["GRANTED", "GRANTED"], f"News {states[0]}, Cinema {states[1]}")

    def box_power_cut(self):
        """Another evening. The card debits, and the box has no power when the answer would come."""
        scene, pin = self.out / "power-cut", self.card_file["pin"]
        shutil.rmtree(scene, ignore_errors=True)
        scene.mkdir()
        schedule = scene / "schedule.toml"
        schedule.write_text(self.schedule().read_text().replace("id = 2001", "id = 2004"))
        evening = Headend(scene, schedule)
        evening.package()

        def switch_on(name):
            folder = scene / name
            folder.mkdir()
            box = Box(folder, self.card, evening.scrambled, self.out / "state", self.out / "box.txt", self.paced,
                      self.player)
            if self.card.inserted:
                box.await_event("card", EVENT_S, state="ready")
            return box

        self.say(None, "Another evening: Cinema's event 2004, and the box loses its power before the answer comes")
        box = switch_on("bought")
        box.order("watch", CINEMA)
        box.order("play", 1.0)
        before, cuts = self.card.order("status"), self.card.power_cuts()
        request = box.order("request").get("request", "0" * 32)
        self.card.order("cut after-commit")  # the answer is never sent, and the box waits for it
        begun = box.order("buy", CINEMA, 1200, request, pin)["result"] in UNDER_WAY
        deadline = time.monotonic() + EVENT_S
        while begun and time.monotonic() < deadline and self.card.power_cuts() == cuts:
            time.sleep(0.001)
        box.power_off()
        told = [e["state"] for e in box.find("purchase")]
        self.say(None, "On again: the box settles it by itself")
        box = switch_on("settled")
        settled = (begun and box.await_event("purchase", EVENT_S, request=request, state="paid")) or {}
        box.order("flush")
        box.close()
        self.say(None, "Off and on again, its storage emptied: the same request id")
        for row in (self.out / "state").glob("purchase.*"):
            row.unlink()
        box = switch_on("emptied")
        box.order("watch", CINEMA)
        box.order("play", 1.0)
        if "forget-request" in self.twist.subscriber:
            request = box.order("request").get("request", request)
        asked = box.order("buy", CINEMA, 1200, request, pin)["result"]
        found = (asked in UNDER_WAY and box.await_event("purchase", EVENT_S, request=request, state="paid")) or {}
        box.order("flush")
        box.close()
        after = self.card.order("status")
        moved = (before["balance"] - after["balance"], after["transactions"] - before["transactions"])
        self.claims.check("box-power-cut",
                          "paid" not in told and moved == (1200, 1) and settled.get("paid") == found.get("paid") == 1200
                          and settled.get("balance_after") == after["balance"] and settled["tac"] == found["tac"],
                          f"being settled → {self.receipt_text(settled)}; storage emptied, asked again: {asked}, being "
                          f"settled → {'the same receipt' if found and found['tac'] == settled.get('tac') else 'nothing'}, "
                          f"{moved[1]} debits of {yuan(moved[0])} in all")

    def report_purchases(self):
        """The card's records, sealed, to the head-end; its acknowledgement back to the card."""
        self.say(None, "The head-end asks for a report; whoever carries it cannot open it")
        folder = self.out / "purchases"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (self.out / "cards.json").unlink(missing_ok=True)

        def ask(name):
            nonce = os.urandom(8).hex()
            told = self.box.order("report", folder / name, nonce)
            return nonce, [folder / f"{name}.{n + 1}" for n in range(told["pages"])]

        nonce, pages = ask("report")
        spoilt = folder / "spoilt"
        octets = bytearray(pages[0].read_bytes()) if pages else bytearray(1)
        octets[-1] ^= 1
        spoilt.write_bytes(octets)
        refused = [not self.head_end.verify(*attempt, folder / "no.ack")[0]
                   for attempt in ((nonce, [spoilt, *pages[1:]]), (os.urandom(8).hex(), pages))]
        holds, said = self.head_end.verify(nonce, pages, folder / "ack")
        taken = self.box.order("ack", folder / "ack")["result"] if holds else "never sent"
        nonce_after, rest = ask("rest")
        done, left = self.head_end.verify(nonce_after, rest, folder / "no.ack")
        self.card_report = {"nonce": nonce, "pages": [page.read_bytes().hex() for page in pages],
                            "ack": (folder / "ack").read_bytes().hex() if holds else ""}
        count = len(self.purchases)
        self.claims.check("report", holds and all(refused) and f"{count} new records, 0 known" in said and taken == "OK"
                          and done and "0 new records, 0 known" in left,
                          said.splitlines()[0] + f", acknowledgement {taken}; altered or replayed: "
                          + ("refused" if all(refused) else "taken") if holds else said.strip().replace("\n", "; "))

    # ---- purchases -----------------------------------------------------------------------------------

    def request(self, wish):
        """The request id of one wish to buy: the library gives it out, whoever wishes keeps it."""
        if wish not in self.requests:
            self.requests[wish] = self.box.order("request")["request"]
        return self.requests[wish]

    def paid_once(self, receipt, event, price, before):
        """The receipt is whole, and the card holds exactly one debit of the price."""
        return (receipt.get("event_id") == event and receipt.get("paid") == price
                and receipt.get("balance_before") == before and receipt.get("balance_after") == before - price
                and self.balance() == before - price and len(receipt.get("tac", "")) == 8
                and receipt.get("card_sequence") == len(self.purchases) + 1)

    @staticmethod
    def receipt_text(receipt):
        if not receipt:
            return "no receipt"
        return (f"paid {yuan(receipt['paid'])}, balance {yuan(receipt['balance_before'])} → "
                f"{yuan(receipt['balance_after'])}, card sequence {receipt['card_sequence']}, "
                f"TAC {receipt['tac'].upper()}")

    def keep(self, event, at, receipt):
        if receipt:
            self.purchases.append({**receipt, "event": event, "at_s": at})


def last(items):
    return items[-1] if items else {}


def yuan(fen):
    return "no price" if fen is None else f"{fen // 100}.{fen % 100:02}"


def compact(value):
    """One line for a machine: `{"demo":"ok",…}`."""
    return json.dumps(value, separators=(",", ":"))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=ROOT / "target" / "demo")
    options.add_argument("--unpaced", action="store_true", help="as fast as the machine goes")
    options.add_argument("--reader", choices=READERS, default=os.environ.get("STBCAM_DEMO_READER", READERS[0]),
                         help="what stands between box and card")
    options.add_argument("--break", dest="break_name", choices=sorted(breaks.BREAKS), metavar="NAME",
                         help="break one claim on purpose: " + ", ".join(sorted(breaks.BREAKS)))
    options.add_argument("--plant", default="", metavar="HEX",
                         help="write these eight octets through every recorder: a search for secrets must find them")
    options.add_argument("--player", default="",
                         help="the player's command, such as qemu-aarch64 with a player of that processor")
    options.add_argument("--wrapper", default="", help="command in front of the player, such as valgrind")
    given = options.parse_args()
    if given.reader not in READERS:
        options.error(f"STBCAM_DEMO_READER is '{given.reader}', expected {', '.join(READERS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    story = Story(given.out.resolve(), not given.unpaced, given.reader, given.break_name,
                  given.player.split(), given.wrapper.split(), given.plant)
    try:
        story.set_up()
        story.tell()
    except ActorError as error:
        print(f"     ✗ {error}")
        print(compact({"demo": "failed", "error": str(error), "failed": sorted(story.claims.failed)}))
        return 1
    report = outcome.judge(story)
    (given.out / "timeline.svg").write_text(timeline.draw(report))
    (given.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    outcome.print_table(report)
    print(compact(outcome.summary(report)))
    return 0 if report["demo"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
