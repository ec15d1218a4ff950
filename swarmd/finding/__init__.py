"""Finding a swarm: what `--swarm` names, whose word it is, where its peers are, and what is new.

Everything here was written by others: files, web pages, DNS records, packets of the local network. Sizes and
times are bounded before anything is read, and only a signature is believed.
"""

from swarmd.finding.author import require_charter, require_newer
from swarmd.finding.naming import Kind, find_swarm, kind_of, look_at_swarm, require_plausible

__all__ = [
    "Kind",
    "find_swarm",
    "kind_of",
    "look_at_swarm",
    "require_charter",
    "require_newer",
    "require_plausible",
]
