"""Import this first in the worker, which needs nothing of the protocol except encoding and decoding."""

from swarmd.spared import spare_protocol

spare_protocol()
