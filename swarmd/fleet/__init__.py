"""One peer per device, from one command: `swarmd join --devices cuda:0,cuda:1`.

The command becomes a parent that starts one `swarmd join` per device, forwards their output with the device's
name, and stops them together. Each is a complete peer with its own home; they share through the swarm like
any other peers. The parent holds no model, driver or key and does not import torch, because it lives as long
as its children and must leave the devices' memory to them. `swarmd testnet` and experiments run their peers
with the same `Fleet`.
"""

from swarmd.fleet.devices import Device, Equipment, choose_devices, look_at_machine
from swarmd.fleet.homes import device_homes, give_ports, prepare_homes, share_swarm
from swarmd.fleet.members import Member, members_of, require_addresses_apart, under_parent
from swarmd.fleet.output import Listener, Printed
from swarmd.fleet.supervision import FORCED_EXIT_CODE, Fleet, supervise

__all__ = [
    "FORCED_EXIT_CODE",
    "Device",
    "Equipment",
    "Fleet",
    "Listener",
    "Member",
    "Printed",
    "choose_devices",
    "device_homes",
    "give_ports",
    "look_at_machine",
    "members_of",
    "prepare_homes",
    "require_addresses_apart",
    "share_swarm",
    "supervise",
    "under_parent",
]
