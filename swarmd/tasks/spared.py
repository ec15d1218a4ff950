"""Imported before all else of the worker, which encodes, decodes, and needs nothing more of the protocol."""

from swarmd.spared import spare_protocol

spare_protocol()
