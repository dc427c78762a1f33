"""Units behind a number: which are the same, which differ, and which convert."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

__all__ = ["Unit", "read_unit", "same_unit"]


class Unit(NamedTuple):
    """What stands behind a number.

    Attributes:
        name: the unit in one spelling, or the words as they stand.
        dimension: what it measures; "" for words that are no unit of measure.
        factor: how many base units of the dimension it is; None where units of it do not convert.
    """

    name: str
    dimension: str = ""
    factor: Fraction | None = None


_TABLE = """
length 1/1000 mm millimeter millimetre
length 1/100 cm centimeter centimetre
length 1 m meter metre
length 1000 km kilometer kilometre
length 0.0254 inch inches
length 0.3048 ft foot feet
length 0.9144 yd yard
length 1609.344 mi mile
mass 1/1000000 mg milligram
mass 1/1000 g gram
mass 1 kg kilogram kilo
mass 1000 tonne
mass 0.45359237 lb lbs pound-mass
mass 0.028349523125 oz ounce
time 1/1000 ms millisecond
time 1 s sec second
time 60 min minute
time 3600 h hr hour
time 86400 day
time 604800 week
time - month
time - year yr
volume 1/1000 ml mL milliliter millilitre
volume 1 l L liter litre
volume - gallon
angle 1 ° degree deg
angle - rad radian
temperature - °C celsius
temperature - °F fahrenheit
dollar 1 $ dollar usd USD buck
dollar 1/100 cent ¢
euro 1 € euro eur EUR
pound 1 £ pound gbp GBP
yen - ¥ yen
speed 1 m/s mps
speed 5/18 km/h kph kmh
speed - mph
power 1 W watt
power 1000 kW kilowatt
energy 1 J joule
energy 1000 kJ kilojoule
force 1 N newton
voltage 1 V volt
current 1 A ampere amp
frequency 1 Hz hertz
pressure 1 Pa pascal
amount 1 mol mole
"""


def _table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for line in _TABLE.strip().splitlines():
        dimension, factor, name, *others = line.split()
        unit = Unit(name, dimension, None if factor == "-" else Fraction(factor))
        units |= dict.fromkeys((name, *others), unit)
    return units


_UNITS = _table()
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_SYMBOLS = frozenset("m g s h l L W J N V A".split())
# A number before one of these is part of a sentence, not an amount.
_NO_UNITS = frozenset(
    "or and is are was were be not no if to than then but nor maybe perhaps probably possibly about between from "
    "because since that which wrong right correct incorrect instead although plus minus times over modulo mod "
    "factorial choose until unless unsure guess either versus vs with remainder r base".split()
)


def read_unit(text: str) -> Unit | None:
    """The unit that ``text`` names, or None where it cannot be one.

    Args:
        text: what stands behind a number: "km", "dollars", "jars of jam", "m^2", "square feet".
    """
    text = text.strip()
    found = _known(text)
    if found is not None:
        return found
    base, caret, power = text.partition("^")
    if caret and (unit := _known(base.strip())) and (exponent := power.strip("{}() ")) in ("2", "3"):
        return _raised(unit, int(exponent))
    words = text.lower().split()
    if not 1 <= len(words) <= 6 or not all(
        word.replace("-", "").replace("'", "").isalpha() for word in words
    ):
        return None
    if words[0] in _POWERS and len(words) == 2 and (unit := _known(words[1])):
        return _raised(unit, _POWERS[words[0]])
    if any(word in _NO_UNITS for word in words) or len(words[0]) < 3:
        return None
    return Unit(" ".join(_singular(word) for word in words))


def _known(text: str) -> Unit | None:
    if text in _UNITS:
        return _UNITS[text]
    word = text.lower().rstrip(".")
    if word in _SYMBOLS or text in _SYMBOLS:
        return _UNITS.get(word)
    return _UNITS.get(word) or _UNITS.get(_singular(word))


def _raised(unit: Unit, power: int) -> Unit:
    factor = None if unit.factor is None else unit.factor**power
    return Unit(f"{unit.name}^{power}", f"{unit.dimension}^{power}", factor)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def same_unit(one: Unit, other: Unit) -> bool | None:
    """Whether two units are the same; None where only a reader could tell (jars, glass jars)."""
    if one.name == other.name:
        return True
    if one.dimension and other.dimension:
        return False
    a, b = set(one.name.split()), set(other.name.split())
    return True if a <= b or b <= a else None
