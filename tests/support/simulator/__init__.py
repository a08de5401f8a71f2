"""A Milvus 2.4, 2.5 or 2.6 that needs no binary: gRPC and REST on one port, management on another.

It answers as the real 2.5.27 and 2.6.18 were recorded to (`tests/fixtures/rest_*.jsonl`); beyond that as
their source says. Imports read the objects that they are asked for, and keep their rows. It has no
clients that write: tests put rows and deletes into its store, where a flush seals them. It has no indexes
that hold anything; queries are those of an iterator.
"""

from tests.support.simulator.adopt import adopt
from tests.support.simulator.model import SimulatedMilvus
from tests.support.simulator.server import Simulator, simulator

__all__ = ["SimulatedMilvus", "Simulator", "adopt", "simulator"]
