"""The characters allowed in a name (SPEC section 6.1): only those that print as themselves and leave the text
around them alone.

Names end up in terminals, logs and web pages. Controls, format characters and separators can change how
surrounding text is shown, right-to-left letters can reorder it, and combining marks can cover it. These
ranges exclude all of them, and private and unassigned code points. The list is fixed, so readers with
different versions of Unicode agree; every character in it is in Unicode 13.
"""

from __future__ import annotations

import re

NAME_RANGES = (
    (0x0020, 0x007E),  # ASCII
    (0x00A1, 0x00AC),  # Latin-1 without the soft hyphen
    (0x00AE, 0x02FF),  # Latin, phonetic and modifier letters
    (0x0370, 0x0377),  # Greek
    (0x037A, 0x037F),
    (0x0384, 0x038A),
    (0x038C, 0x038C),
    (0x038E, 0x03A1),
    (0x03A3, 0x0482),  # Greek, Cyrillic
    (0x048A, 0x052F),
    (0x0531, 0x0556),  # Armenian
    (0x0559, 0x058A),
    (0x10A0, 0x10C5),  # Georgian
    (0x10D0, 0x10FF),
    (0x1E00, 0x1EFF),  # Latin, additional
    (0x2010, 0x2027),  # punctuation
    (0x2030, 0x205E),
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x218B),  # letterlike symbols, number forms
    (0x2190, 0x22FF),  # arrows, mathematical operators
    (0x3001, 0x3029),  # CJK punctuation
    (0x3030, 0x303F),
    (0x3041, 0x3096),  # Hiragana
    (0x309B, 0x30FF),  # Katakana
    (0x3105, 0x312F),  # Bopomofo
    (0x3400, 0x4DBF),  # CJK ideographs
    (0x4E00, 0x9FFC),
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xFF01, 0xFF9F),  # fullwidth and halfwidth forms
    (0x1F300, 0x1F3FA),  # pictographs
    (0x1F400, 0x1F64F),
    (0x1F680, 0x1F6C5),
    (0x1F900, 0x1F978),
    (0x1F97A, 0x1F9CB),
    (0x1F9CD, 0x1F9FF),
    (0x20000, 0x2A6DD),  # CJK ideographs, extension B
)
"""First and last code point of each range."""

_OUTSIDE = re.compile("[^" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in NAME_RANGES) + "]")


def outside_of_names(text: str) -> str | None:
    """Return the first character of `text` that is not allowed in a name, or None."""
    found = _OUTSIDE.search(text)
    return None if found is None else found.group()
