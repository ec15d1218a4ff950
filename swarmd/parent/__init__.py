"""The small parent of `swarmd join`: starts the peer, passes signals on, and starts it again when it died.

A library's segmentation fault or the system's OOM killer ends a process without asking it. The parent
outlives that: it holds no model and imports nothing but the standard library
(15 to 22 MiB resident, half of it pages that are shared with others).
An end that the peer explains, by an error message, is final; one that it could not explain is survived.

    lives.py       after which deaths another life begins, after how long, and when to give up: pure
    keeping.py     the process: signals, output, waiting
    lifeline.py    what the two tell each other, and how either learns that the other is gone
"""
