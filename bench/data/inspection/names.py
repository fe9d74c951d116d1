"""What the name of a column says, where its values cannot: ids, visits, weights, and what is known only afterwards."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDS = _set(
    "id ids uid pid code codes zip postcode key hash uuid cat category categories type class brand author device os "
    "tab channel city country region state lang language campaign creative slot shop store seller merchant user "
    "item product video ad query segment group cluster household hh serialno puma province district agent company "
    "occupation industry supplier carrier airport department"
)
QUANTITIES = _set(
    "age amount avg balance cnt cost count days dividends distance duration gain gains height hours income len length "
    "loss losses mean minutes months ms num number pct percent price rate ratio salary score sec seconds size sum "
    "total views wage weeks weight width years"
)
TIMES = _set("time times ts timestamp date datetime day dt at created updated when hour epoch ms unix moment")
PLACES = _set("position rank")
HISTORY = _set(
    "count cnt num number rate ctr cvr avg mean hist history last prev past prior total sum days freq pred predicted "
    "expected ago since"
)
"""Words of what happened before a row."""
_VISITS = _set("household hh hhnum serialno session visit request basket")
_RANKED = _set("request session visit search impression")
_PEOPLE = _set("user u customer client visitor person patient student buyer")
_RANKERS = _set("today todays ranker served")
_DRAWN = _set("rand random randomized")
_SHOWN = _set("is shown at by was exposure")
_WEIGHT = re.compile(r"(sample|sampling|survey|design|instance|person|household).*weights?|p?wgtp\d*|fnlwgt")
_ACTIONS = _set(
    "click clicks clicked like liked follow followed comment commented shared forward forwarded hate buy bought "
    "purchase purchased conversion converted install installed subscribe skip addtocart download longview"
)
_ALSO_THINGS = _set("share save finish enter pay payment order cart view play rating")
"""They are actions after `is` and `has`; elsewhere a share or an order may be known before."""
_STAYS = _set("dwell watched playtime watchtime gmv refund refunded")
_SPANS = _set("watch play stay view reading listen")
_MEASURES = _set("time ts timestamp date duration ms seconds ratio percent progress at value id")


def words(name: str) -> list[str]:
    """The words of `playTime_ms`: play, time, ms."""
    return [word.lower() for word in _WORD.findall(name)]


def has_word(name: str, known: frozenset[str]) -> bool:
    """Whether a word of the name is among those known."""
    return not known.isdisjoint(words(name))


def is_id(name: str) -> bool:
    """Whether a whole number of that name is rather a code than a quantity: `size_code`, but not `item_price`."""
    parts = [part for part in words(name) if not part.isdigit()]
    ids = [part in _IDS or (part.endswith("id") and len(part) > 3) for part in parts]
    counts = parts[:1] != [] and parts[0] in QUANTITIES & HISTORY
    return any(ids) and not counts and (ids[-1] or not has_word(name, QUANTITIES))


def is_visit(name: str) -> bool:
    """Whether it names what a few rows belong to and nothing later: `household_id`, `SERIALNO`, `session`."""
    return not has_word(name, QUANTITIES) and any(part.removesuffix("id") in _VISITS for part in words(name))


def is_request(name: str) -> bool:
    """Whether it names what rows are ranked within, and nothing later: `request_id`, `session`."""
    parts = [part for part in words(name) if part not in ("id", "key", "hash")]
    return len(parts) == 1 and parts[0].removesuffix("id") in _RANKED


def is_person(name: str) -> bool:
    """Whether it names somebody: `user_id`, but neither `session` nor `user_age`."""
    return is_unit(name) and not is_visit(name)


def is_unit(name: str) -> bool:
    """Whether it names somebody, or a visit, whose rows are alike: `user_id`, but neither `item_id` nor `user_age`."""
    parts = [part for part in words(name) if part not in ("id", "key", "hash")]
    return bool(parts) and parts[-1].removesuffix("id") in _PEOPLE | _VISITS


def is_weight(name: str) -> bool:
    """Whether it names a weight of a sampling design, as `PWGTP` and `sample_weight` do; `weight` may be a thing's."""
    return _WEIGHT.fullmatch("".join(words(name))) is not None


def is_afterwards(name: str) -> bool:
    """Whether it names what somebody did, or for how long, so that it is known only after an impression.

    Counts and rates (`click_cnt_7d`, `last_purchase_days`) tell of the time before and are let through; so is the
    length of a video.
    """
    parts, whole = words(name), "".join(words(name))
    found = {whole, *parts}
    if found & HISTORY:
        return False
    if parts[:1] in (["is"], ["has"]):
        return bool(found & (_ACTIONS | _ALSO_THINGS))
    return bool(whole in _ACTIONS or found & _STAYS or (found & (_ACTIONS | _SPANS) and found & _MEASURES))


def is_todays_score(name: str) -> bool:
    """Whether it names the score by which a log was ranked: `todays_score`, `ranker_score`, but not `credit_score`."""
    return words(name)[-1:] in (["score"], ["scores"]) and has_word(name, _RANKERS)


def exposure_key(name: str) -> str | None:
    """The card's key for a column that says how a row came to be shown: `propensity`, `is_rand`."""
    parts = frozenset(words(name))
    return "propensity" if "propensity" in parts else "random" if parts & _DRAWN and parts <= _SHOWN | _DRAWN else None
