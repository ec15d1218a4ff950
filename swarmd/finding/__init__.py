"""Finding a swarm: what `--swarm` names, who signed it, where its peers are, and new versions of it.

All input here is written by others: files, web pages, DNS records, packets of the local network. Sizes and
times are bounded before anything is read, and only signatures are trusted.
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
