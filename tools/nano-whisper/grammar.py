"""Aligned English and Italian sentences.

`sentence(rng)` gives a sentence and its translation, made by the same draw of the same template, so
each Italian sentence has exactly one right English translation.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from lexicon import (
    ADJ,
    ANIMALS,
    CITIES,
    COLOURS,
    DAYS,
    DRINKS,
    FAMILY,
    FEEL,
    FIXED,
    FOODS,
    FRUITS,
    FUT,
    LANGS,
    MONTHS,
    NAMES_F,
    NAMES_M,
    NUM_EN,
    NUM_IT,
    OBJECTS,
    PAST,
    PEOPLE,
    PLACES,
    SEASONS,
    SUBJ,
    SURNAMES,
    VEHICLES,
    VINTR,
    VOBJ,
    VWORK,
    WEATHER,
    WHEN,
    WORK,
)

Pair = tuple[str, str]
Item = TypeVar("Item")
Noun = Sequence[str]

# A sentence is held out when the first byte of its SHA-1 is below this: 13 of 256, 5 %.
HELDOUT_BYTES = 13

_V = "aeiouAEIOUàèéìòù"


def _impure(w: str) -> bool:
    """Whether Italian puts lo, uno, gli before the word."""
    return w[:1] in "zxyZ" or (w[:1] in "sS" and w[1:2] not in _V) or w[:2] in ("ps", "gn", "pn")


def g1(n: Noun) -> str:
    """Gender of the singular."""
    return n[4][0]


def g2(n: Noun) -> str:
    """Gender of the plural."""
    return n[4][-1]


def art(w: str, g: str, pl: bool = False) -> str:
    """The word with its definite article."""
    if pl:
        if g == "f":
            return "le " + w
        return ("gli " if w[0] in _V or _impure(w) else "i ") + w
    if w[0] in _V:
        return "l'" + w
    if g == "f":
        return "la " + w
    return ("lo " if _impure(w) else "il ") + w


def una(w: str, g: str) -> str:
    """The word with its indefinite article."""
    if g == "f":
        return ("un'" if w[0] in _V else "una ") + w
    return ("uno " if _impure(w) else "un ") + w


_PREP = {"in": "ne", "su": "su", "di": "de", "a": "a", "da": "da"}


def prep(p: str, w: str, g: str) -> str:
    """The word after a preposition that merges with its article."""
    a = art(w, g)
    b = _PREP[p]
    if a.startswith("il "):
        return {"in": "nel", "su": "sul", "di": "del", "a": "al", "da": "dal"}[p] + " " + w
    if a.startswith("l'"):
        return b + "ll'" + w
    if a.startswith("lo "):
        return b + "llo " + w
    return b + "lla " + w


def an(w: str) -> str:
    return ("an " if w[0] in "aeio" or (w[0] == "u" and not w.startswith("us")) or w.startswith("hour") else "a ") + w


def adj(a: Sequence[str], g: str, pl: bool = False) -> str:
    return a[{("m", False): 1, ("f", False): 2, ("m", True): 3, ("f", True): 4}[(g, pl)]]


def cap(s: str) -> str:
    return s[0].upper() + s[1:]


class Draw:
    """The parts of one sentence, drawn at random: English, Italian, and a gender where it shows."""

    def __init__(self, rng: random.Random) -> None:
        self.r = rng

    def c(self, items: Sequence[Item]) -> Item:
        return self.r.choice(items)

    def number(self) -> Pair:
        """A number above one: words up to twelve, digits beyond."""
        r = self.r
        n = (
            r.randint(2, 12)
            if r.random() < 0.6
            else r.choice([r.randint(13, 99), r.randint(2, 9) * 100, r.randint(13, 99)])
        )
        return (NUM_EN[n], NUM_IT[n]) if n <= 12 else (str(n), str(n))

    def name(self) -> Pair:
        return (self.c(NAMES_M), "m") if self.r.random() < 0.5 else (self.c(NAMES_F), "f")

    def person(self) -> tuple[str, str, str]:
        r = self.r.random()
        if r < 0.45:
            n, g = self.name()
            return n, n, g
        if r < 0.6:
            f = self.c(FAMILY)
            if self.r.random() < 0.6:
                return "my " + f[0], ("mia " if f[2] == "f" else "mio ") + f[1], f[2]
            return "your " + f[0], ("tua " if f[2] == "f" else "tuo ") + f[1], f[2]
        if r < 0.7:
            s = self.c(SURNAMES)
            return (
                ("Mr. " + s, "il signor " + s, "m") if self.r.random() < 0.5 else ("Mrs. " + s, "la signora " + s, "f")
            )
        p = self.c(PEOPLE)
        return "the " + p[0], art(p[2], g1(p)), g1(p)

    def adjc(self) -> Sequence[str]:
        return self.c(COLOURS) if self.r.random() < 0.5 else self.c(ADJ)

    def thing(self, pool: Sequence[Noun] | None = None) -> tuple[str, str, str]:
        """One thing, definite or not, with an adjective or not."""
        n = self.c(pool or self.c([OBJECTS, OBJECTS, OBJECTS, ANIMALS, FRUITS]))
        g = g1(n)
        en, it = n[0], n[2]
        if self.r.random() < 0.4:
            a = self.c(COLOURS) if self.r.random() < 0.6 else self.c(ADJ)
            en, it = a[0] + " " + en, it + " " + adj(a, g)
        if self.r.random() < 0.55:
            return "the " + en, art(it, g), g
        return an(en), una(it, g), g

    def things(self, pool: Sequence[Noun] | None = None) -> Pair:
        n = self.c(pool or self.c([OBJECTS, OBJECTS, ANIMALS, FRUITS, PEOPLE]))
        e, i = self.number()
        if self.r.random() < 0.3:
            a = self.adjc()
            return f"{e} {a[0]} {n[1]}", f"{i} {n[3]} {adj(a, g2(n), True)}"
        return f"{e} {n[1]}", f"{i} {n[3]}"

    def work(self) -> tuple[str, str, str]:
        n = self.c(WORK)
        return "the " + n[0], art(n[2], g1(n)), g1(n)

    def place(self) -> tuple[str, str, str]:
        """English, Italian with "in", Italian with its article."""
        n = self.c(PLACES)
        return "the " + n[0], prep("in", n[2], g1(n)), art(n[2], g1(n))

    def hour(self) -> Pair:
        r = self.r
        h = r.randint(2, 12)
        k = r.random()
        if k < 0.5:
            return f"at {NUM_EN[h]} o'clock", f"alle {NUM_IT[h]}"
        if k < 0.75:
            return f"at half past {NUM_EN[h]}", f"alle {NUM_IT[h]} e mezza"
        return f"at a quarter past {NUM_EN[h]}", f"alle {NUM_IT[h]} e un quarto"


Template = Callable[[Draw], Pair]
# Filled by `t`, in this order: a seed gives the same sentences only while the order stands.
TEMPLATES: list[tuple[float, Template]] = []


def t(weight: float) -> Callable[[Template], Template]:
    """Register a template; a weight of 2 is drawn twice as often as 1."""

    def register(template: Template) -> Template:
        TEMPLATES.append((weight, template))
        return template

    return register


@t(3)
def _(g: Draw) -> Pair:
    p, v, o = g.person(), g.c(VOBJ), g.thing()
    return f"{p[0]} {v[0]} {o[0]}", f"{p[1]} {v[2]} {o[1]}"


@t(3)
def _(g: Draw) -> Pair:
    p, v, o, w = g.person(), g.c(VOBJ), g.thing(), g.c(PAST)
    return f"{p[0]} {v[1]} {o[0]} {w[0]}", f"{p[1]} ha {v[3]} {o[1]} {w[1]}"


@t(2)
def _(g: Draw) -> Pair:
    v, o, w = g.c(VOBJ), g.thing(), g.c(FUT)
    return f"I want to {v[4]} {o[0]} {w[0]}", f"voglio {v[5]} {o[1]} {w[1]}"


@t(2)
def _(g: Draw) -> Pair:
    v, o, w = g.c(VWORK), g.work(), g.c(FUT)
    return f"we must {v[4]} {o[0]} {w[0]}", f"dobbiamo {v[5]} {o[1]} {w[1]}"


@t(2)
def _(g: Draw) -> Pair:
    p, v, o, w = g.person(), g.c(VWORK), g.work(), g.c(PAST)
    return f"{p[0]} {v[1]} {o[0]} {w[0]}", f"{p[1]} ha {v[3]} {o[1]} {w[1]}"


@t(2)
def _(g: Draw) -> Pair:
    p, v, o = g.person(), g.c(VWORK), g.work()
    return f"{p[0]} {v[0]} {o[0]} with {(q := g.name())[0]}", f"{p[1]} {v[2]} {o[1]} con {q[0]}"


@t(2)
def _(g: Draw) -> Pair:
    p, v, w = g.person(), g.c(VINTR), g.c(WHEN)
    return f"{p[0]} {v[0]} {w[0]}", f"{p[1]} {v[1]} {w[1]}"


@t(2)
def _(g: Draw) -> Pair:
    p, v, pl = g.person(), g.c(VINTR), g.place()
    return f"{p[0]} {v[0]} in {pl[0]}", f"{p[1]} {v[1]} {pl[1]}"


@t(2)
def _(g: Draw) -> Pair:
    p, f = g.person(), g.c(FEEL)
    w = g.c([("very ", "molto "), ("", ""), ("not ", None), ("always ", "sempre ")])
    if f[0] == "late" and w[0] == "very ":
        w = ("", "")
    a = f[1] if p[2] == "m" else f[2]
    return f"{p[0]} is {w[0]}{f[0]}", f"{p[1]} non è {a}" if w[1] is None else f"{p[1]} è {w[1]}{a}"


@t(2)
def _(g: Draw) -> Pair:
    n, a = g.c(g.c([OBJECTS, PLACES, VEHICLES])), g.adjc()
    w = g.c([("", ""), ("very ", "molto "), ("too ", "troppo ")]) if a not in COLOURS else ("", "")
    return f"the {n[0]} is {w[0]}{a[0]}", f"{art(n[2], g1(n))} è {w[1]}{adj(a, g1(n))}"


@t(1.5)
def _(g: Draw) -> Pair:
    n, a = g.c(g.c([OBJECTS, ANIMALS, PLACES])), g.adjc()
    return f"the {n[1]} are {a[0]}", f"{art(n[3], g2(n), True)} sono {adj(a, g2(n), True)}"


@t(2.5)
def _(g: Draw) -> Pair:
    x, pl = g.things(), g.place()
    return f"there are {x[0]} in {pl[0]}", f"ci sono {x[1]} {pl[1]}"


@t(2)
def _(g: Draw) -> Pair:
    a, b = g.c(OBJECTS), g.c(OBJECTS)
    return f"the {a[0]} is on the {b[0]}", f"{art(a[2], g1(a))} è {prep('su', b[2], g1(b))}"


@t(2)
def _(g: Draw) -> Pair:
    p, x = g.person(), g.things()
    return f"{p[0]} has {x[0]}", f"{p[1]} ha {x[1]}"


@t(2)
def _(g: Draw) -> Pair:
    p, c, d = g.person(), g.c(CITIES), g.c(DAYS)
    return f"{p[0]} goes to {c[0]} on {d[0]}", f"{p[1]} va a {c[1]} {d[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    c, _day, h = g.c(CITIES), g.c(DAYS), g.hour()
    v = g.c(VEHICLES)
    return f"the {v[0]} to {c[0]} leaves {h[0]}", f"{art(v[2], g1(v))} per {c[1]} parte {h[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    o, d, h = g.work(), g.c(DAYS), g.hour()
    return f"{o[0]} is on {d[0]} {h[0]}", f"{o[1]} è {d[1]} {h[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    v, o, q = g.c(VWORK), g.work(), g.name()
    return f"can you {v[4]} {o[0]} for {q[0]}?", f"puoi {v[5]} {o[1]} per {q[0]}?"


@t(1.5)
def _(g: Draw) -> Pair:
    n = g.c(g.c([OBJECTS, PLACES, WORK]))
    return f"where is the {n[0]}?", f"dov'è {art(n[2], g1(n))}?"


@t(1.5)
def _(g: Draw) -> Pair:
    n = g.c(g.c([OBJECTS, FRUITS, ANIMALS]))
    return f"how many {n[1]} do you have?", f"{'quante' if g2(n) == 'f' else 'quanti'} {n[3]} hai?"


@t(1.5)
def _(g: Draw) -> Pair:
    a, b = g.c(FOODS), g.c(FOODS + DRINKS)
    return f"I like {a[0]} and {b[0]}", f"mi piacciono {art(a[1], a[2])} e {art(b[1], b[2])}"


@t(1.5)
def _(g: Draw) -> Pair:
    p, a, w = g.person(), g.c(FOODS), g.c(WHEN[:9])
    return f"{p[0]} eats {a[0]} {w[0]}", f"{p[1]} mangia {art(a[1], a[2])} {w[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    p, a = g.person(), g.c(DRINKS)
    v = g.c([("drinks", "beve"), ("wants", "vuole"), ("prefers", "preferisce"), ("orders", "ordina")])
    w = g.c(["restaurant|ristorante|m", "bar|bar|m", "hotel|albergo|m"]).split("|")
    return (
        f"{p[0]} {v[0]} {a[0]} at the {w[0]}",
        f"{p[1]} {v[1]} {art(a[1], a[2])} {prep('a', w[1], w[2])}",
    )


@t(1)
def _(g: Draw) -> Pair:
    c, w = g.c(CITIES), g.c(WEATHER)
    d = g.c(
        [
            ("today", "oggi"),
            ("now", "adesso"),
            ("this morning", "stamattina"),
            ("tonight", "stasera"),
        ]
    )
    return f"{d[0]} it is {w[0]} in {c[0]}", f"{d[1]} {w[1]} a {c[1]}"


@t(1)
def _(g: Draw) -> Pair:
    p, x = g.person(), g.c(LANGS)
    v = g.c(
        [
            ("speaks", "parla"),
            ("studies", "studia"),
            ("teaches", "insegna"),
            ("understands", "capisce"),
        ]
    )
    return f"{p[0]} {v[0]} {x[0]} very well", f"{p[1]} {v[1]} molto bene {x[1]}"


@t(1)
def _(g: Draw) -> Pair:
    p, x = g.person(), g.c(SUBJ)
    v = g.c([("loves", "ama"), ("teaches", "insegna"), ("studies", "studia"), ("hates", "odia")])
    s = g.c(
        [
            ("at school", "a scuola"),
            ("at the university", "all'università"),
            ("in Italy", "in Italia"),
            ("in England", "in Inghilterra"),
            ("at home", "a casa"),
        ]
    )
    return f"{p[0]} {v[0]} {x[0]} {s[0]}", f"{p[1]} {v[1]} {x[1]} {s[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    p, c, x = g.person(), g.c(CITIES), g.number()
    y = g.c([("years", "anni"), ("months", "mesi"), ("days", "giorni"), ("weeks", "settimane")])
    return (
        f"{p[0]} stayed in {c[0]} for {x[0]} {y[0]}",
        f"{p[1]} è rimast{'a' if p[2] == 'f' else 'o'} a {c[1]} per {x[1]} {y[1]}",
    )


@t(1.5)
def _(g: Draw) -> Pair:
    n, x = g.c(g.c([OBJECTS, VEHICLES])), g.number()
    return f"the {n[0]} costs {x[0]} euros", f"{art(n[2], g1(n))} costa {x[1]} euro"


@t(1)
def _(g: Draw) -> Pair:
    m, o, n = g.c(MONTHS), g.work(), g.r.randint(2, 30)
    x = (str(n), str(n)) if n > 12 else (NUM_EN[n], NUM_IT[n])
    return f"{o[0]} starts on {m[0]} {x[0]}", f"{o[1]} comincia il {x[1]} {m[1]}"


@t(1)
def _(g: Draw) -> Pair:
    s, n, _city = g.c(SEASONS), g.c(PLACES), g.c(CITIES)
    a = g.c(ADJ)
    return f"in {s[0]} the {n[0]} is {a[0]}", f"in {s[1]} {art(n[2], g1(n))} è {adj(a, g1(n))}"


@t(1.5)
def _(g: Draw) -> Pair:
    p, q, o = g.person(), g.name(), g.thing(OBJECTS)
    v = g.c([("gives", "dà"), ("shows", "mostra"), ("sends", "manda"), ("brings", "porta")])
    return f"{p[0]} {v[0]} {o[0]} to {q[0]}", f"{p[1]} {v[1]} {o[1]} a {q[0]}"


@t(1.5)
def _(g: Draw) -> Pair:
    n, m, pl = g.c(ANIMALS), g.c(ANIMALS), g.place()
    v = g.c([("sees", "vede"), ("follows", "segue"), ("hears", "sente"), ("hides from", None)])
    if v[1] is None:
        return (
            f"the {n[0]} hides from the {m[0]}",
            f"{art(n[2], g1(n))} si nasconde {prep('da', m[2], g1(m))}",
        )
    return (
        f"the {n[0]} {v[0]} the {m[0]} in {pl[0]}",
        f"{art(n[2], g1(n))} {v[1]} {art(m[2], g1(m))} {pl[1]}",
    )


@t(1.5)
def _(g: Draw) -> Pair:
    v, o = g.c(VOBJ), g.thing(OBJECTS)
    return f"don't {v[4]} {o[0]}, please", f"non {v[5]} {o[1]}, per favore"


@t(1)
def _(g: Draw) -> Pair:
    p, v = g.person(), g.c(VINTR)
    w = g.c(FUT)
    return f"{p[0]} doesn't want to {v[2]} {w[0]}", f"{p[1]} non vuole {v[3]} {w[1]}"


@t(1)
def _(g: Draw) -> Pair:
    p, q = g.person(), g.c(PEOPLE)
    return f"{p[0]} is not {an(q[0])}", f"{p[1]} non è {una(q[2], g1(q))}"


@t(1)
def _(g: Draw) -> Pair:
    a, b, c = g.name(), g.name(), g.name()
    v = g.c(
        [
            ("are friends", "sono amici"),
            ("work together", "lavorano insieme"),
            ("are at home", "sono a casa"),
            ("play tennis", "giocano a tennis"),
            ("live in London", "vivono a Londra"),
            ("are waiting", "stanno aspettando"),
            ("agree", "sono d'accordo"),
        ]
    )
    return f"{a[0]}, {b[0]} and {c[0]} {v[0]}", f"{a[0]}, {b[0]} e {c[0]} {v[1]}"


@t(1.5)
def _(g: Draw) -> Pair:
    # lists of nouns: grounds the acoustics without much help from the template
    pools = [OBJECTS, ANIMALS, FRUITS, PLACES, WORK, PEOPLE]
    ns = [g.c(g.c(pools)) for _ in range(g.r.randint(3, 5))]
    return ", ".join(n[0] for n in ns), ", ".join(n[2] for n in ns)


@t(1)
def _(g: Draw) -> Pair:
    ns = [g.number() for _ in range(g.r.randint(3, 5))]
    return ", ".join(n[0] for n in ns), ", ".join(n[1] for n in ns)


@t(1)
def _(g: Draw) -> Pair:
    colours = [colour[:2] for colour in COLOURS]
    words: Sequence[Noun] = g.c([DAYS, MONTHS, CITIES, colours, [*SEASONS, *DAYS]])
    ns = [g.c(words) for _ in range(g.r.randint(3, 4))]
    return ", ".join(n[0] for n in ns), ", ".join(n[1] for n in ns)


@t(1)
def _(g: Draw) -> Pair:
    p, o, v = g.person(), g.work(), g.c(VWORK)
    return (
        f"{p[0]} must {v[4]} {o[0]} after the meeting",
        f"{p[1]} deve {v[5]} {o[1]} dopo la riunione",
    )


@t(1)
def _(g: Draw) -> Pair:
    o, a = g.work(), g.c(ADJ)
    return f"I think that {o[0]} is {a[0]}", f"penso che {o[1]} sia {adj(a, o[2])}"


@t(1)
def _(g: Draw) -> Pair:
    p, n, x = g.person(), g.c(PLACES), g.c(FUT)
    return (
        f"{p[0]} will arrive at the {n[0]} {x[0]}",
        f"{p[1]} arriverà {prep('a', n[2], g1(n))} {x[1]}",
    )


CONNECTIVES = [
    (" and ", " e "),
    (", but ", ", ma "),
    (" because ", " perché "),
    (" while ", " mentre "),
]


def _clause(g: Draw) -> Pair:
    weights = [weight for weight, _ in TEMPLATES]
    return g.r.choices([template for _, template in TEMPLATES], weights)[0](g)


def _joined(g: Draw, en: str, it: str) -> Pair:
    for _ in range(10):
        en2, it2 = _clause(g)
        if not en2.endswith("?") and len(en) + len(en2) < 90:
            k = g.c(CONNECTIVES)
            return en + k[0] + en2, it + k[1] + it2
    return en, it


def sentence(rng: random.Random) -> Pair:
    """One sentence: English, Italian."""
    g = Draw(rng)
    if rng.random() < 0.05:
        return g.c(FIXED)
    en, it = _clause(g)
    if rng.random() < 0.22 and not en.endswith("?"):
        en, it = _joined(g, en, it)
    if not en.endswith("?"):
        e = "!" if rng.random() < 0.04 else "."
        en, it = en + e, it + e
    return cap(en), cap(it)


def is_list(en: str) -> bool:
    """Whether the sentence is mostly a list of nouns, names or numbers."""
    return en.count(", ") >= 2


def split_of(en: str) -> str:
    """`train` or `heldout`, by the sentence alone. The fixed phrases are all for training."""
    if any(en == phrase for phrase, _ in FIXED):
        return "train"
    return "heldout" if hashlib.sha1(en.encode()).digest()[0] < HELDOUT_BYTES else "train"
