"""What the name of a column says."""

from __future__ import annotations

import math
import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDS = _set(
    "id ids uid pid iid gid vid cid sku code codes zip zipcode postcode key hash uuid guid cat category categories "
    "cate type class brand author device os tab channel city region country state language lang campaign creative "
    "adgroup placement slot shop store seller merchant user item product video ad query gender sex segment group "
    "cluster household hh serial serialno family puma fips statefip county province district zone tract postal "
    "municipality agent company employer occupation occ industry naics sic supplier vendor warehouse station route "
    "carrier airport department dept"
)
_NOT_IDS = _set("paid unpaid bid valid invalid avoid grid mid liquid fluid solid rapid void covid")
QUANTITIES = _set(
    "age amount amt avg balance cnt cost count days dividend dividends distance duration gain gains height hours "
    "income len length loss losses mean minutes months ms num number pct percent price rate ratio salary score sec "
    "seconds secs size sum total views wage wages weeks weight width years"
)
_COUNTS = _set("num number count cnt n total sum avg mean max min")
_WEIGHTS = _set("weight weights wt wts wgt perwt hhwt pwgt asecwt fnlwgt wtfinl pweight finalwt")
_WEIGHT = re.compile(r"..+wt|.*wgtp?|.+wght|wt.+")
"""Short for a weight in names such as `PWGTP`, `MARSUPWT` and `WTMEC`."""
_OF_SURVEYS = _set(
    "instance sample sampling survey design final replicate person household hh frequency freq population"
)
_OF_THINGS = _set(
    "birth birthwt body bodywt dbwt newt g gr gram grams kg lb lbs oz ton tons product item parcel package net gross "
    "vehicle car user"
)
_VISITS = _set("household hh serial serialno dwelling session visit request basket")
_PEOPLE = _set("user u member customer client visitor person patient student buyer participant respondent")
_PARTS = _set("istrain istest isvalid isvalidation isholdout fold kfold cvfold")
_KEPT = _set("sample sampling sampled downsample downsampling subsample subsampling keep kept neg negative negatives")
_SHARES = _set("rate ratio prob probability fraction share")
TIMES = _set("time times ts timestamp date datetime day dt at created updated when hour epoch ms unix moment")
CYCLES = _set("hour hours hr minute minutes weekday dow hourmin")
_HISTORY = _set(
    "count cnt counts num number rate ctr cvr avg mean hist history historical last prev previous past prior total "
    "sum average days freq frequency pred predicted est estimated expected popularity ago since"
)
_ACTIONS = _set(
    "click clicks clicked like liked follow followed comment commented share shared forward forwarded hate hated "
    "dislike disliked save saved favorite favourite favorited buy bought purchase purchased convert converted "
    "conversion install installed subscribe subscribed finish finished skip skipped enter pay payment order ordered "
    "cart addtocart download downloaded longview"
)
_STRONG = _set(
    "dwell watched clicked liked purchased bought converted conversion playtime watchtime staytime dwelltime gmv "
    "refund refunded longview"
)
_SPANS = _set("watch play played stay view viewing read reading listen listening visible")
_OF_SPANS = _set("time duration ms sec secs seconds ratio pct percent progress")
_OF_ACTIONS = _set("time ts timestamp date datetime at value amount price id delay flag label revenue quantity qty")
_ALONE = _set("rating stars revenue")
_ORDINARY = _set("order ordered pay payment share save enter cart finish rating stars revenue")
_WATCHING = _set("watch watched play played view viewing listen listening read reading playtime watchtime dwell")
LASTING = _set("duration length runtime")
RATINGS = _set("rating ratings stars star")
_SCORES = _set("score scores logit logits pctr pcvr ecpm prediction relevance")
_PLACES = _set("position pos rank place")
_TODAYS = _set("today todays current served serving production prod logged ranker ranking ranked")
_OF_PEOPLE = _set("credit test exam review")
_SCENARIOS = _set("tab page scene scenario surface placement slot country market site app domain")


def words(name: str) -> list[str]:
    """The words of `playTime_ms`: play, time, ms."""
    return [word.lower() for word in _WORD.findall(name)]


def is_id(name: str) -> bool:
    """Whether a whole number of that name is rather a code than a quantity: `size_code`, but not `item_price`."""
    parts = [part for part in words(name) if not part.isdigit()]
    if not parts or parts[0] in _COUNTS or (has_word(name, QUANTITIES) and not _names_id(parts[-1])):
        return False
    return any(map(_names_id, parts))


def _names_id(part: str) -> bool:
    return part in _IDS or (part.endswith("id") and len(part) > 3 and part not in _NOT_IDS)


def is_visit(name: str) -> bool:
    """Whether it names what a few rows belong to and nothing later: `household_id`, `SERIALNO`, `session`."""
    parts = words(name)
    return not has_word(name, QUANTITIES) and any(part.removesuffix("id") in _VISITS for part in parts)


def is_unit(name: str) -> bool:
    """Whether it names somebody, or a visit, whose rows are alike: `user_id`, but neither `item_id` nor `user_age`."""
    parts = [part for part in words(name) if part not in ("id", "no", "key", "hash", "uuid")]
    return bool(parts) and parts[-1].removesuffix("id") in _PEOPLE | _VISITS


def is_part(name: str) -> bool:
    """Whether it names the part of published data that a row belongs to: `is_train`, `fold`."""
    return "".join(words(name)) in _PARTS


def is_weight(name: str) -> bool | None:
    """Whether it names a weight of a sampling design; None where it may as well be that of a thing."""
    parts = set(words(name))
    short = any(map(_WEIGHT.fullmatch, parts))
    if not (parts & _WEIGHTS or short) or parts & _OF_THINGS:
        return False
    if parts & _OF_SURVEYS or short or not parts & {"weight", "weights"}:
        return True
    return None


def is_sampling_rate(name: str) -> bool:
    """Whether it names the share of rows that was kept: `neg_sample_rate`."""
    parts = set(words(name))
    return bool(parts & _KEPT and parts & _SHARES)


def has_word(name: str, known: frozenset[str]) -> bool:
    """Whether a word of the name is among those known."""
    return not known.isdisjoint(words(name))


def after_exposure(name: str) -> str | None:
    """Why such a name is typical of what is known only after an impression, or None.

    Counts and rates (`click_cnt_7d`, `last_purchase_days`) tell of the time before and are let through; so is the
    length of a video.
    """
    parts = words(name)
    joined = "".join(parts)
    if not parts or any(part in _HISTORY for part in parts):
        return None
    if parts[0] in ("is", "has", "did", "was") and any(part in _ACTIONS for part in parts[1:]):
        return "its name says whether something was done"
    if any(part in _STRONG for part in parts) or joined in _STRONG or ("long" in parts and "view" in parts):
        return "its name says what somebody did"
    if any(part in _SPANS for part in parts) and any(part in _OF_SPANS for part in parts):
        return "its name says how long somebody stayed"
    if any(part in _ACTIONS for part in parts) and any(part in _OF_ACTIONS for part in parts):
        return "its name says when or how something was done"
    if joined in _ACTIONS or joined in _ALONE or joined in ("addtocart", "addcart"):
        return "its name is that of an action"
    return None


def is_doubtful(name: str) -> bool:
    """Whether a name of `after_exposure` is as well that of something known before: `share`, `order`, `rating`."""
    parts = words(name)
    others = "_".join(part for part in parts if part not in _ORDINARY)
    return parts[0] not in ("is", "has", "did", "was") and after_exposure(others) is None


def is_scenario(name: str) -> bool:
    """Whether it names where something was shown: `tab`, `page_id`, but not `country_of_birth`."""
    parts = [part for part in words(name) if part not in ("id", "code", "name", "type")]
    return bool(parts) and parts[-1] in _SCENARIOS and "birth" not in parts


def is_score(name: str) -> bool:
    """Whether it names what a model or a rule says of an item: `todays_score`, `ecpm`, but not `credit_score`."""
    parts = words(name)
    return bool(parts) and parts[-1] in _SCORES and not _OF_PEOPLE & set(parts)


def is_todays_score(name: str) -> bool:
    """Whether it names the score by which a log was ranked: `todays_score`, `ranker_score`."""
    return is_score(name) and has_word(name, _TODAYS)


def is_place(name: str) -> bool:
    """Whether it names the place in a list: `position`, `rank`, but not `avg_position`."""
    return has_word(name, _PLACES) and not has_word(name, _HISTORY)


def is_watching(name: str) -> bool:
    """Whether it names how long something was watched, played or read."""
    return has_word(name, _WATCHING) or "".join(words(name)) in _WATCHING


def is_number(text: str, above: float = -math.inf, most: float = math.inf) -> bool:
    """Whether a text is a number, in (above, most]."""
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isnan(number) or above < number <= most
