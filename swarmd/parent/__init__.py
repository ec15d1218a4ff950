"""The small parent of `swarmd join`: starts the peer, passes signals on, and starts it again when it died.

A segmentation fault in a library, or the system's OOM killer, ends a process without asking it. The parent
outlives that: it holds no model and imports only the standard library (15 to 22 MiB resident, half of it in
pages shared with other processes). If the peer explains its end, by an error message, the end is final. If it
could not explain it, the parent starts another life.

    lives.py       after which deaths another life begins, after how long, and when to give up: pure
    keeping.py     the process: signals, output, waiting
    lifeline.py    what the two tell each other, and how either learns that the other is gone
"""
