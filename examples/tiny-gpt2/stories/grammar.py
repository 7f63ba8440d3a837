"""Templates to sentences, and the characters that keep their pronouns right.

A template is English with two kinds of holes:
  [one|two|three]   one of the alternatives, each as likely; they may nest
  {slot}            a value of the story; {Slot} begins with a capital letter
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from . import words

Slots = Mapping[str, "str | Callable[[], str]"]

_INNERMOST_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")
_SENTENCE_START = re.compile(r"(^|[.!?] )([a-z])")


@dataclass(frozen=True)
class Character:
    """Somebody in a story. `names` are ways to say who is meant, `calls` ways to speak to them."""

    introduction: str  # "a little fox named Pip"
    opening: str  # "the little fox", "Pip the fox": how a story may begin with them
    noun: str  # "fox"
    names: tuple[str, ...]
    calls: tuple[str, ...]
    female: bool

    def pronouns(self, prefix: str) -> dict[str, str]:
        """The slots {he} {him} {his} {himself}, with a prefix that says whose they are."""
        forms = ("she", "her", "her", "herself") if self.female else ("he", "him", "his", "himself")
        return {prefix + slot: form for slot, form in zip(("he", "him", "his", "himself"), forms)}


def child(rng: Random, female: bool) -> Character:
    """A girl or a boy with a name."""
    name = rng.choice(words.GIRLS if female else words.BOYS)
    noun = "girl" if female else "boy"
    trait = rng.choice(words.YOUNG)
    introduction = rng.choice((f"a {trait} {noun} named {name}", f"a {noun} called {name}", f"a {noun} named {name}"))
    return Character(introduction, name, noun, (name, name, name, f"the {noun}"), (name,), female)


def animal(rng: Random, female: bool, traits: tuple[str, ...], species: str) -> Character:
    """An animal, most often with a name."""
    trait = rng.choice(traits)
    plain = f"the {species}"
    if rng.random() < 0.45:
        return Character(f"a {trait} {species}", f"the {trait} {species}", species, (plain, plain, f"the {trait} {species}"),
                         (f"{trait} {species}", "my friend"), female)
    name = rng.choice(words.ANIMAL_NAMES_SHE if female else words.ANIMAL_NAMES_HE)
    introduction = rng.choice((f"a {trait} {species} named {name}", f"a {species} called {name}", f"a {trait} {species} called {name}"))
    return Character(introduction, rng.choice((f"{trait} {name} the {species}", f"{name} the {species}")), species,
                     (name, name, name, plain), (name, f"{trait} {species}"), female)


def grown_up(rng: Random, female: bool) -> Character:
    """A grown-up person, known by trade."""
    trade = rng.choice(words.WOMEN if female else words.MEN)
    trait = rng.choice(words.KIND)
    return Character(f"a {trait} {trade}", f"the {trait} {trade}", trade, (f"the {trade}", f"the {trade}", f"the {trait} {trade}"),
                     (f"dear {trade}", "my friend"), female)


def hero_and_friend(rng: Random) -> tuple[Character, Character]:
    """Two characters of different sex, so that "he" and "she" are never in doubt, and of different species."""
    female = rng.random() < 0.5
    species, other_species = rng.sample(words.SPECIES, 2)
    hero = child(rng, female) if rng.random() < 0.4 else animal(rng, female, words.YOUNG, species)
    kind = rng.random()
    if kind < 0.55:
        friend = animal(rng, not female, words.KIND, other_species)
    elif kind < 0.8:
        friend = grown_up(rng, not female)
    else:
        friend = child(rng, not female)
    return hero, friend


def pool_slots(rng: Random) -> dict[str, Callable[[], str]]:
    """One slot for each pool of words: a fresh draw at every use."""
    pools = {name.lower(): pool for name, pool in vars(words).items() if name.isupper()}
    return {name: (lambda pool=pool: rng.choice(pool)) for name, pool in pools.items()}


def capitalised(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def expand(template: str, slots: Slots, rng: Random) -> str:
    """One sentence, or a few, from a template: choices first, then slots, then "an" and capitals."""
    text, found = template, 1
    while found:
        text, found = _INNERMOST_CHOICE.subn(lambda match: rng.choice(match[1].split("|")), text)

    def fill(match: re.Match[str]) -> str:
        value = slots[match[1].lower()]
        word = value if isinstance(value, str) else value()
        return capitalised(word) if match[1][0].isupper() else word

    text = " ".join(_SLOT.sub(fill, text).split())
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text)
