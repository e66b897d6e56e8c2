# SPDX-License-Identifier: Apache-2.0
"""What the demo claims. Each claim has a name, is checked once, and fails the demo when it does not hold."""

CLAIMS = {
    "news-at-once": "News comes at once, by subscription",
    "cinema-purchasable": "Cinema says PURCHASABLE, with its price",
    "price-guard": "a price other than the one seen is refused",
    "wrong-pin": "a wrong PIN is refused, with the tries left",
    "purchase": "the right PIN buys: price, balance before and after, card sequence, TAC",
    "same-request": "the same request id again changes nothing",
    "rotation": "the service key is rotated in mid-programme and no packet is lost",
    "cut-before-commit": "power cut before the card commits: not paid, balance unchanged, confirming again pays once",
    "cut-after-commit": "power cut after the card commits: settled as paid, with the receipt",
    "box-power-cut": "power cut of the box before the answer came: settled as paid, once, also when its storage is lost",
    "report": "the card reports its purchases, the head-end verifies and acknowledges them, and what is altered is refused",
    "replayed-emm": "a replayed EMM changes nothing and is counted",
    "forged-emm": "a forged EMM changes nothing and is counted",
    "forged-ecm": "a forged ECM changes nothing and is counted",
    "card-pulled": "card pulled: keys are wiped after 1 s of silence",
    "card-back": "card back: the picture returns",
    "on-air": "on air every long enough payload is scrambled",
    "places": "every packet keeps its place",
    "next-word": "the next control word is on air at least 1 s before its period",
    "picture": "what was descrambled equals the source",
    "no-gap": "no packet is lost inside a granted window",
    "coverage": "News is in clear for at least 80 % of the file, Cinema for at least 40 %",
    "money": "every fen adds up",
}


class Claims:
    """The claims that held, and those that did not with the reason."""

    def __init__(self):
        self.held, self.failed = [], {}

    def check(self, name, holds, detail):
        """Judges a claim; prints it in plain words."""
        text = CLAIMS[name]
        if holds:
            self.held.append(name)
            print(f"     ✓ {text} ({detail})", flush=True)
        else:
            self.failed[name] = detail
            print(f"     ✗ {text}: {detail}", flush=True)

    def unchecked(self):
        return [name for name in CLAIMS if name not in self.held and name not in self.failed]
