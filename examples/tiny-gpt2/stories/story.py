"""One story: draw the characters and things, then tell a plot beat by beat."""

from random import Random

from . import plots, words
from .grammar import Character, Slots, expand, hero_and_friend, pool_slots

_FEARS = ("the dark", "thunder", "deep water", "high places", "big dogs", "spiders", "the old bridge", "loud noises",
          "strangers", "the cold river", "steep hills", "dark tunnels", "ghosts", "the black cave", "the night wind")
_INJURIES = ("leg", "foot", "ear", "back", "eye")
_NOT_IN_SUMMER = {"snowy", "frosty", "cold", "chilly"}
_NOT_IN_WINTER = {"hot", "warm"}


def _spot(place: str) -> str:
    """The noun of a place: "the river" for "by the river"."""
    return place.split(" ", 1)[1]


def _friend_slots(friend: Character, rng: Random) -> Slots:
    """{f} and {fintro}: the introduction at the first mention, a name afterwards."""
    known = False

    def mention() -> str:
        nonlocal known
        first, known = not known, True
        return friend.introduction if first else rng.choice(friend.names)

    return {"f": mention, "fintro": mention, "fnoun": friend.noun, "fcall": lambda: rng.choice(friend.calls),
            **friend.pronouns("f")}


def _hero_slots(hero: Character, rng: Random) -> Slots:
    return {"intro": hero.introduction, "opening": hero.opening, "h": lambda: rng.choice(hero.names),
            "hnoun": hero.noun, "hcall": lambda: rng.choice(hero.calls), **hero.pronouns("")}


def _setting_slots(season: str, rng: Random) -> Slots:
    """Where and when: the same for the whole story, so that it does not contradict itself."""
    place, other_place, near_place = rng.sample(words.PLACES, 3)
    home = rng.choice(words.HOMES)
    unfit = {"summer": _NOT_IN_SUMMER, "winter": _NOT_IN_WINTER}.get(season, set())
    skies = [sky for sky in words.SKY if sky not in unfit]
    return {"place": place, "spot": _spot(place), "other_place": other_place, "other_spot": _spot(other_place),
            "near_place": near_place, "home": home, "home_short": "the " + home.split(" with ")[0].split(" ", 1)[1],
            "season": season, "late_season": rng.choice(("summer", "autumn", "the end of summer", "harvest time")),
            "sky": lambda: rng.choice(skies), "day": rng.choice(words.DAYS), "days_one": rng.choice(words.DAYS)}


def _object_slots(taken: set[str], rng: Random) -> Slots:
    """The things that a story is about; its little creature is not of a species in `taken`."""
    color, stone_color = rng.sample(words.COLOR, 2)
    thing = rng.choice(words.THING)
    creature = rng.choice([pet for pet in words.PET_BIRD + words.PET_FURRY if pet not in taken])
    hiding = rng.sample(words.HIDING, 4)
    injured = rng.choice(_INJURIES)
    return {"thing": thing, "color_thing": f"{color} {thing}", "color2": color, "things": lambda: rng.choice(words.THING),
            "a_color_stone": f"a {stone_color} stone", "pretty_": rng.choice(("pretty", "beautiful", "lovely", "fine", "special")),
            "hiding": hiding[0], "hiding2": hiding[1], "hiding3": hiding[2], "hiding4": hiding[3],
            "meal": rng.choice(words.FOOD), "meal_word": rng.choice(("lunch", "dinner", "supper", "picnic", "breakfast")),
            "treat": f"{rng.choice(words.FLAVOR)} {rng.choice(words.DISH)}", "project": rng.choice(words.CRAFT),
            "part": rng.choice(words.PART), "tool_": rng.choice(words.TOOL), "seed": rng.choice(words.PLANT),
            "creature": creature, "color_animal": f"{rng.choice(('white', 'brown', 'gray', 'young', 'tiny'))} {creature}",
            "trap_": rng.choice(words.TRAP), "game_": rng.choice(words.GAME), "fear": rng.choice(_FEARS),
            "injured": injured, "injury": f"{rng.choice(('sore', 'hurt', 'swollen', 'bad'))} {injured}",
            "box_": rng.choice(("box", "basket", "bag", "bucket")), "sound2": lambda: rng.choice(words.SOUND),
            "a_worker": "the " + rng.choice(words.MEN + words.WOMEN),
            "loudly_end": rng.choice(("happily", "merrily", "peacefully", "quietly"))}


def tell(rng: Random) -> str:
    """One story, as a single paragraph."""
    plot = rng.choice(plots.PLOTS)
    hero, friend = hero_and_friend(rng)
    season = "spring" if plot is plots.GARDEN else rng.choice(words.SEASON)
    slots = {**pool_slots(rng), **_setting_slots(season, rng), **_object_slots({hero.noun, friend.noun}, rng), **_hero_slots(hero, rng),
             **_friend_slots(friend, rng)}
    slots["lesson"] = lambda: expand(rng.choice(plot.lessons), slots, rng)
    beats = (plots.Beat(plots.OPENING), plots.HABIT, plots.Beat(plots.DETAIL, 0.4), *plot.beats, plots.Beat(plots.ENDING))
    return " ".join(expand(rng.choice(beat.templates), slots, rng) for beat in beats if rng.random() < beat.chance)
