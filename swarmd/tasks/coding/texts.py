"""Problem families about strings."""

from __future__ import annotations

from swarmd.tasks.chance import Chance
from swarmd.tasks.coding.problem import Problem, of, text

_WORD = text(1, 9, "abcdeiou")
_SENTENCE_WORDS = ("sun", "tree", "a", "river", "of", "green", "stone", "bird", "in", "winter")


def _sentence(chance: Chance) -> str:
    return " ".join(chance.pick(_SENTENCE_WORDS) for _ in range(chance.between(1, 6)))


def reversing(chance: Chance, level: int) -> Problem:
    """Reversal and repetition."""
    k, mark = chance.between(2, 4), chance.pick("-+.:!?")
    if level == 1:
        return Problem(
            f"s, then '{mark}', then s again, {k} copies of s in all",
            of(_WORD),
            lambda s: mark.join([s] * k),
            f"'{mark}'.join([s] * {k})",
            ("s",),
        )
    if level == 2:
        return Problem(
            f"s in reverse order with '{mark}' in front of it and behind it",
            of(_WORD),
            lambda s: mark + "".join(reversed(s)) + mark,
            f"'{mark}' + s[::-1] + '{mark}'",
            ("s",),
        )
    return Problem(
        f"s in blocks of {k} characters (the last may be shorter), each block reversed, joined by '{mark}'",
        of(_WORD),
        lambda s: mark.join("".join(reversed(s[at : at + k])) for at in range(0, len(s), k)),
        f"blocks = []\nfor start in range(0, len(s), {k}):\n    blocks.append(s[start:start + {k}][::-1])\n"
        f"return '{mark}'.join(blocks)",
        ("s",),
    )


def letters(chance: Chance, level: int) -> Problem:
    """Counting and replacing letters."""
    one, other, c = chance.pick("aeiou"), chance.pick("bcd"), chance.between(1, 9)
    if level == 1:
        return Problem(
            f"how often the letter {one} is in s, plus {c}",
            of(_WORD),
            lambda s: len([x for x in s if x == one]) + c,
            f"s.count('{one}') + {c}",
            ("s",),
        )
    if level == 2:
        return Problem(
            f"s with each {one} turned into {other} and each {other} turned into {one}",
            of(_WORD),
            lambda s: s.translate({ord(one): other, ord(other): one}),
            f"swapped = ''\nfor letter in s:\n    if letter == '{one}':\n        swapped += '{other}'\n"
            f"    elif letter == '{other}':\n        swapped += '{one}'\n    else:\n"
            "        swapped += letter\nreturn swapped",
            ("s",),
        )
    return Problem(
        f"the letter that is most often in s, times {c} (repeated); of several letters, the one that comes "
        "first in the alphabet",
        of(_WORD),
        lambda s: min(s, key=lambda x: (-s.count(x), x)) * c,
        f"best = ''\nfor letter in sorted(s):\n    if best == '' or s.count(letter) > s.count(best):\n"
        f"        best = letter\nreturn best * {c}",
        ("s",),
    )


def words(chance: Chance, level: int) -> Problem:
    """Words of a text, separated by single spaces."""
    k, mark = chance.between(2, 4), chance.pick("-+.:!?")
    if level == 1:
        return Problem(
            f"the number of words in s, times {k} (words are parted by one space)",
            of(_sentence),
            lambda s: (s.count(" ") + 1) * k,
            f"len(s.split()) * {k}",
            ("s",),
        )
    if level == 2:
        return Problem(
            f"the words of s that have more than {k} letters, joined by '{mark}' (words are parted by one "
            "space)",
            of(_sentence),
            lambda s: mark.join(filter(lambda x: len(x) > k, s.split(" "))),
            f"'{mark}'.join(word for word in s.split() if len(word) > {k})",
            ("s",),
        )
    return Problem(
        "the words of s by length, the longest first, equally long ones in the order of s, joined by "
        f"'{mark}' (words are parted by one space)",
        of(_sentence),
        lambda s: mark.join(sorted(s.split(" "), key=lambda x: -len(x))),
        f"'{mark}'.join(sorted(s.split(), key=len, reverse=True))",
        ("s",),
    )
