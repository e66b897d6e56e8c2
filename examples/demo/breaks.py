# SPDX-License-Identifier: Apache-2.0
"""Ways to break the demo on purpose: the demo must fail and name the claims."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """Faults of the head-end and the card, and what the subscriber does wrong."""

    claims: tuple = ()
    headend: tuple = ()
    card: tuple = ()
    subscriber: tuple = ()


BREAKS = {
    "no-subscription": Break(("news-at-once",), card=("refuse-subscription",)),
    "wrong-price": Break(("cinema-purchasable",), headend=("wrong-price",)),
    "true-price": Break(("price-guard",), subscriber=("true-price",)),
    "any-pin": Break(("wrong-pin",), card=("accept-any-pin",)),
    "stuck-tries": Break(("wrong-pin",), card=("pin-tries-stuck",)),
    "wrong-balance": Break(("purchase",), card=("wrong-balance",)),
    "double-debit": Break(("purchase", "money"), card=("double-debit",)),
    "new-request": Break(("same-request",), subscriber=("new-request",)),
    "lost-key-update": Break(("rotation",), headend=("lost-key-update",)),
    "swapped-cuts": Break(("cut-before-commit",), subscriber=("swap-cuts",)),
    "forgotten-commit": Break(("cut-after-commit",), card=("forget-commit",)),
    "ignored-query": Break(("cut-after-commit",), card=("ignore-query",)),
    "forgotten-request": Break(("box-power-cut",), subscriber=("forget-request",)),
    "omitted-record": Break(("report",), card=("report-omits",)),
    "altered-record": Break(("report",), card=("report-alters",)),
    "no-replay": Break(("replayed-emm",), headend=("no-replay",)),
    "fresh-replay": Break(("replayed-emm",), headend=("fresh-replay",)),
    "no-forgeries": Break(("forged-emm",), headend=("no-forgeries",)),
    "accepted-forgery": Break(("forged-emm",), card=("accept-forged",)),
    "answered-forgery": Break(("forged-ecm",), card=("accept-forged-ecm",)),
    "zapped-away": Break(("coverage",), subscriber=("zap-away",)),
    "card-left-in": Break(("card-pulled",), subscriber=("leave-card",)),
    "card-not-back": Break(("card-back",), subscriber=("keep-card",)),
    "clear-packet": Break(("on-air",), headend=("clear-packet",)),
    "shifted-packet": Break(("places",), headend=("shifted-packet",)),
    "late-next-word": Break(("next-word",), headend=("late-next",)),
    "wrong-control-word": Break(("picture",), headend=("wrong-control-word",)),
    "wrong-card-answer": Break(("picture",), card=("wrong-ecw",)),
    "lost-key": Break(("no-gap",), headend=("lost-ecm",)),
}
