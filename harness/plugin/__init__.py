"""What a test of one's own service needs, beside the fixtures: `from harness.plugin import Node, Refused`.

node        a node, as client functions and command lines see it
mortal      starts a program that ends with whoever started it
process     one node as a child process
relay       two-way links between nodes, that can be cut in each direction
cluster     the nodes, as a `Cluster` that can be killed, paused and partitioned
session     what becomes of one call of a client function
asking      client functions as a workload
run         from functions, faults and a model to a verdict
fixtures    `chaos_cluster` and `chaos_run`
"""

from harness.plugin.node import Node, Refused

__all__ = ["Node", "Refused"]
