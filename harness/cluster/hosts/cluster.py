"""A cluster on hosts, whole."""

from __future__ import annotations

from harness.cluster.hosts.clocks import Clocks
from harness.cluster.hosts.disks import Disks
from harness.cluster.hosts.membership import Changing
from harness.cluster.hosts.network import Network
from harness.cluster.hosts.stress import Stressing


class HostCluster(Changing, Network, Clocks, Disks, Stressing):
    """Implements every capability of `harness/cluster/base.py`."""
