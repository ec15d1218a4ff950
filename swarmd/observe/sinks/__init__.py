"""Where the numbers of steps go besides the home: TensorBoard, trackio, Weights & Biases.

One file per sink. Each is an extra (`pip install "swarmd[tensorboard]"`) and is imported only if
`observe.sinks` names it. Nothing leaves this machine unless the package's own settings say so.
"""

from swarmd.observe.sinks.interface import Sink
from swarmd.observe.sinks.opening import open_sinks, require_packages
from swarmd.observe.sinks.switching import SwitchedSink

__all__ = ["Sink", "SwitchedSink", "open_sinks", "require_packages"]
