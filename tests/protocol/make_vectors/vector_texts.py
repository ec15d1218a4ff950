"""Vectors of the texts that have a form of their own: names, and options as canonical JSON."""

from __future__ import annotations

from vector_subjects import Json

from protocol.names import NAME_RANGES


def names_file() -> Json:
    """Both sides of every edge of the ranges, and what hostile names are made of."""
    edges = {code for pair in NAME_RANGES for code in pair}
    beyond = {code for first, last in NAME_RANGES for code in (first - 1, last + 1)}
    controls = (0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x7F, 0x85, 0x9B)
    moving = (0x061C, *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    hidden = (0x00A0, 0x00AD, 0x0300, 0x05D0, 0x0627, 0x115F, 0x180E, 0x200B, 0x200C, 0x200D, 0x2028, 0x2029,
              0x2060, 0x2800, 0x3000, 0x3164, 0xD7FF, 0xE000, 0xFDD0, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFFD, 0xFFFF,
              0x1F3FB, 0xE0001, 0xE0041, 0xE0100, 0xF0000, 0x10FFFF)  # fmt: skip
    return {
        "valid": [
            "a",
            "a b",
            "n" * 64,
            "größe-7B",
            "模型" * 10,
            *(f"a{chr(code)}z" for code in sorted(edges)),
        ],
        "invalid": [
            {"name": "empty", "text": "", "reason": "schema"},
            {"name": "65 bytes", "text": "n" * 65, "reason": "schema"},
            {"name": "66 bytes in 22 characters", "text": "模" * 22, "reason": "schema"},
            {"name": "a space alone", "text": " ", "reason": "schema"},
            {"name": "a space in front", "text": " a", "reason": "schema"},
            {"name": "a space at the end", "text": "a ", "reason": "schema"},
            *(
                {"name": f"U+{code:04X}", "text": f"a{chr(code)}z", "reason": "schema"}
                for code in sorted({*controls, *moving, *hidden, *beyond})
            ),
        ],
    }


def configs_file() -> Json:
    nest = "[" * 7 + "]" * 7
    invalid = [
        ("nothing", ""),
        ("cut off", "{"),
        ("a list", "[]"),
        ("a number", "1"),
        ("null", "null"),
        ("a second value", "{}{}"),
        ("a space before", " {}"),
        ("a line break after", "{}\n"),
        ("a space between tokens", '{"a": 1}'),
        ("a byte order mark", "\ufeff{}"),
        ("keys out of order", '{"b":1,"a":2}'),
        ("an empty key last", '{"a":1,"":2}'),
        ("keys in the order of UTF-16", '{"\U0001f600":1,"\uffff":2}'),
        ("keys out of order inside", '{"a":{"d":1,"c":2}}'),
        ("a key twice", '{"a":1,"a":1}'),
        ("a key twice, once escaped", '{"a":1,"\\u0061":1}'),
        ("a key that is not text", "{1:1}"),
        ("a comma too many", '{"a":1,}'),
        ("single quotes", "{'a':1}"),
        ("minus zero as an integer", '{"a":-0}'),
        ("a leading zero", '{"a":01}'),
        ("a plus sign", '{"a":+1}'),
        ("an integer of 2^53", '{"a":9007199254740992}'),
        ("an integer of -2^53", '{"a":-9007199254740992}'),
        ("an integer of a thousand digits", '{"a":' + "9" * 1000 + "}"),
        ("an integer with an exponent", '{"a":1e5}'),
        ("no digit after the point", '{"a":1.}'),
        ("no digit before the point", '{"a":.5}'),
        ("zeros at the end", '{"a":0.50}'),
        ("more digits than needed", '{"a":0.1000000000000000055}'),
        ("an exponent where fixed is right", '{"a":1e-3}'),
        ("fixed where an exponent is right", '{"a":0.00001}'),
        ("a large number in fixed notation", '{"a":10000000000000000.0}'),
        ("one digit of exponent", '{"a":1e-5}'),
        ("three digits of exponent", '{"a":1e-005}'),
        ("an exponent without a sign", '{"a":1e16}'),
        ("a capital E", '{"a":1E-05}'),
        ("a point before the exponent", '{"a":1.0e-05}'),
        ("a number beyond every double", '{"a":1e999}'),
        ("NaN", '{"a":NaN}'),
        ("Infinity", '{"a":Infinity}'),
        ("minus Infinity", '{"a":-Infinity}'),
        ("an escaped letter", '{"a":"\\u0062"}'),
        ("an escaped slash", '{"a":"\\/"}'),
        ("a line break as \\u000a", '{"a":"\\u000a"}'),
        ("an escape in capitals", '{"a":"\\u001F"}'),
        ("DEL escaped", '{"a":"\\u007f"}'),
        ("a letter outside ASCII escaped", '{"a":"\\u00fc"}'),
        ("a surrogate alone, escaped", '{"a":"\\ud800"}'),
        ("a pair of surrogates, escaped", '{"a":"\\ud83d\\ude00"}'),
        ("a line break as itself", '{"a":"\n"}'),
        ("True", '{"a":True}'),
        ("nested nine deep", '{"a":[' + nest + "]}"),
        ("1025 bytes", '{"a":"' + "x" * 1017 + '"}'),
    ]
    return {
        "valid": [
            "{}",
            '{"":0}',
            '{"a":null,"b":true,"c":false}',
            '{"a":[],"b":{},"c":[1,"2",[3]]}',
            '{"A":1,"a":2,"aa":3,"b":4}',
            '{"\uffff":1,"\U0001f600":2}',
            '{"a":0,"b":-1,"c":9007199254740991,"d":-9007199254740991}',
            '{"a":0.0,"b":-0.0,"c":1.0,"d":-0.5}',
            '{"a":0.1,"b":0.30000000000000004,"c":3.141592653589793}',
            '{"a":0.0001,"b":1e-05,"c":1.5e-07,"d":5e-324,"e":1e-100}',
            '{"a":9999999999999998.0,"b":1e+16,"c":1.5e+16,"d":1.7976931348623157e+308}',
            '{"a":9007199254740992.0}',
            '{"a":"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f"}',
            '{"a":"/\x7f\u2028ü\U0001f600"}',
            '{"a":' + nest + "}",
            '{"a":"' + "x" * 1016 + '"}',
        ],
        "invalid": [{"name": name, "config": config, "reason": "schema"} for name, config in invalid],
    }
