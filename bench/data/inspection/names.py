"""What the name of a column says, where its values cannot: ids, visits, weights, and what is known
only afterwards.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDS = _set(
    "id ids uid pid code codes zip postcode key hash uuid cat category categories type class "
    "brand author device os tab channel city country region state lang language campaign creative "
    "slot shop store seller merchant user item product video ad query segment group cluster "
    "household hh serialno puma province district agent company occupation industry supplier "
    "carrier airport department"
)
QUANTITIES = _set(
    "age amount avg balance cnt cost count days dividends distance duration gain gains height "
    "hours income len length loss losses mean minutes months ms num number pct percent price rate "
    "ratio salary score sec seconds size sum total views wage weeks weight width years"
)
TIMES = _set(
    "time times ts timestamp date datetime day dt at created updated when hour epoch ms unix moment"
)
PLACES = _set("position pos place rank slot")
SURE_PLACES = _set("position slot")
"""Those that name nothing else, so that a group need not show it."""
HISTORY = _set(
    "count cnt num number rate ctr cvr avg mean hist history last prev past prior total sum days "
    "freq pred predicted expected ago since"
)
"""Words of what happened before a row."""
_ID_WORDS = _set("id ids key hash uuid no nr num number code")
_VISITS = _set("household hh hhid hhnum hhx hid serialno session visit request basket")
_NUMBERED_VISITS = _set(
    "case dwelling family fam hrhh impression invoice order receipt search serial transaction trip"
)
"""They are things of other kinds, too, where no word of an id stands beside them."""
_PEOPLE = _set("user u uid customer client visitor person patient student buyer")
_ITEMS = _set("item product video ad goods sku movie song article document")
_RANKERS = _set("today todays ranker served")
_DRAWN = _set("rand random randomized")
_SHOWN = _set("is shown at by was exposure")
_WEIGHT = re.compile(
    r"(sampl|survey|svy|design|instance|person|household|replicate|final).*(weights?|wgt|wt)\d*"
    r"|(per|pop|hh?|p|d|an|psp|samp|fnl)(weights?|wgt|wt)\d*"
    r"|p?wgtp\d*|asecwt|wtfinl|pwsswgt|llcpwt|wt(mec|int)\d*yr"
)
"""Names of a survey's weights; the last line has those of ACS, CPS, BRFSS and NHANES."""
_COUNTS = _set(
    "cnt count counts adults babies bathrooms bedrooms bookings cancellations changes children "
    "clicks comments follows guests impressions kids likes nights orders purchases requests "
    "reviews rooms sessions shares views visits"
)
_EVENTS = _set("event impression log request server")
_ACTIONS = _set(
    "click clicks clicked like liked follow followed comment commented shared forward forwarded "
    "hate buy bought purchase purchased conversion converted install installed subscribe skip "
    "addtocart download longview"
)
_ALSO_THINGS = _set("share save finish enter pay payment order cart view play rating")
"""They are actions after `is` and `has`; elsewhere a share or an order may be known before."""
_STAYS = _set("dwell watched playtime watchtime gmv refund refunded")
_SPANS = _set("watch play stay view reading listen")
_MEASURES = _set("time ts timestamp date duration ms seconds ratio percent progress at value id")


def words(name: str) -> list[str]:
    """The words of `playTime_ms`: play, time, ms."""
    return [word.lower() for word in _WORD.findall(name)]


def has_word(name: str, vocabulary: frozenset[str]) -> bool:
    """Whether a word of the name is in the vocabulary."""
    return not vocabulary.isdisjoint(words(name))


def is_count(name: str) -> bool:
    """Whether it says how many: `clicks_7d`, `num_items` and `user_like_count`, but not
    `orders_id`.
    """
    parts = words(name)
    begins_so = len(parts) > 1 and parts[0] in ("num", "number", "nb", "n")
    return (begins_so or not _COUNTS.isdisjoint(parts)) and parts[-1] not in _IDS


def is_id(name: str) -> bool:
    """Whether a whole number of that name is rather a code than a quantity: `size_code`, but not
    `item_price`.
    """
    parts = [part for part in words(name) if not part.isdigit()]
    is_id_word = [part in _IDS or (part.endswith("id") and len(part) > 3) for part in parts]
    if not any(is_id_word) or is_count(name):
        return False
    return is_id_word[-1] or not has_word(name, QUANTITIES)


def _thing(name: str) -> tuple[str, bool]:
    """The last word that is none of an id, and whether the name has one: `household` and true of
    `household_id`.
    """
    parts = words(name)
    things = [part for part in parts if part not in _ID_WORDS] or parts or [""]
    last = things[-1]
    thing = last.removesuffix("id") if len(last) > 4 else last
    return thing, thing != last or len(things) < len(parts)


def is_visit(name: str) -> bool:
    """Whether it names what a few rows belong to and nothing later: `household_id`, `SERIALNO`,
    `session`.
    """
    thing, numbered = _thing(name)
    return thing in _VISITS or (numbered and thing in _NUMBERED_VISITS)


def is_request(name: str) -> bool:
    """Whether it names what rows are ranked within: `request_id`, `session`."""
    thing, numbered = _thing(name)
    if numbered and thing in ("impression", "search", "visit"):
        return True
    return thing in ("request", "session")


def is_person(name: str) -> bool:
    """Whether it names somebody: `user_id`, but neither `item_id` nor `user_age`."""
    return _thing(name)[0] in _PEOPLE


def is_named_otherwise(name: str) -> bool:
    """Whether it names somebody, an item, a time or a quantity, so that the order of rows makes no
    visit of it.
    """
    return is_person(name) or has_word(name, QUANTITIES | TIMES | _ITEMS)


def is_event_time(name: str) -> bool:
    """Whether it names the time of a row: `event_time`, `ts`, `date`, but neither `signup_date` nor
    `click_time`.
    """
    parts = [part for part in words(name) if not part.isdigit()]
    return not TIMES.isdisjoint(parts) and TIMES.union(_EVENTS).issuperset(parts)


def is_weight(name: str) -> bool:
    """Whether it names a weight of a sampling design, as `PWGTP` and `sample_weight` do; `weight`
    may be a thing's.
    """
    return _WEIGHT.fullmatch("".join(words(name))) is not None


def is_afterwards(name: str) -> bool:
    """Whether it names what somebody did, or for how long, so that it is known only after an
    impression.

    Counts and rates (`click_cnt_7d`, `last_purchase_days`) tell of the time before and are let
    through; so is the length of a video.
    """
    parts = words(name)
    joined = "".join(parts)
    forms = {joined, *parts}
    if forms & HISTORY:
        return False
    if parts[:1] in (["is"], ["has"]):
        return bool(forms & (_ACTIONS | _ALSO_THINGS))
    if joined in _ACTIONS or forms & _STAYS:
        return True
    return bool(forms & (_ACTIONS | _SPANS) and forms & _MEASURES)


def is_todays_score(name: str) -> bool:
    """Whether it names the score by which a log was ranked: `todays_score`, `ranker_score`, but not
    `credit_score`.
    """
    return words(name)[-1:] in (["score"], ["scores"]) and has_word(name, _RANKERS)


def exposure_key(name: str) -> str | None:
    """The card's key for a column that says how a row came to be shown: `propensity`, `is_rand`."""
    parts = frozenset(words(name))
    if "propensity" in parts:
        return "propensity"
    if parts & _DRAWN and parts <= _SHOWN | _DRAWN:
        return "random"
    return None
