"""The small parent of `swarmd join`: starts the peer, forwards signals, and restarts it after it dies.

A segmentation fault in a library, or the system's OOM killer, ends a process without warning. The parent
survives that: it holds no model and imports only the standard library (15 to 22 MiB resident, half of it in
pages shared with other processes), and psutil to pause and to stop. If the peer explains its end with an
error message, the end is final. If it could not, the parent starts another life.

    lives.py       after which deaths another life begins, after what delay, and when to give up: pure
    keeping.py     the process: signals, output, waiting
    stops.py       which signals are a stop, and when two of them are one
    lifeline.py    what the two send each other, and how each notices that the other is gone
"""
