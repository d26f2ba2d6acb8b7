"""Where a cluster's hosts come from: a lab made for the run, a lab that is up, or a file that names them.

Blocking; nothing is looked up before `hosts`, so a cluster can be made, and asked what it is able to do, on a
machine where its hosts are not.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from harness.cluster.base import ClusterError
from harness.cluster.members import spare_names
from harness.lab import lab
from harness.lab.layout import LabError
from harness.remote.errors import HostsFileError
from harness.remote.host import Host
from harness.remote.hosts import read_hosts

RUN_LABS: Final = "run-"
"""How the names of labs begin that belong to a run."""


class Ground(Protocol):
    """`name` is what the cluster is called, `spares` how many hosts more than its nodes it needs."""

    name: str

    def hosts(self, nodes: Sequence[str], spares: int) -> tuple[Host, ...]:
        """A host for each of `nodes`, called as they are, and then the spare ones. Raises `ClusterError`."""
        ...

    def leave(self) -> None:
        """Remove what was made. Safe at any moment, and twice."""
        ...


class OwnLab:
    """A lab made for one run, which goes with this process, however that ends."""

    name = "netns"

    def __init__(self) -> None:
        self._lab = ""
        self._tether: lab.Pipe | None = None

    def hosts(self, nodes: Sequence[str], spares: int) -> tuple[Host, ...]:
        try:
            lab.sweep(RUN_LABS)
            self._tether = lab.Pipe(*os.pipe())
            self._lab = f"{RUN_LABS}{secrets.token_hex(4)}"
            made = lab.up(self._lab, len(nodes) + spares, tether=self._tether).hosts
        except LabError as error:
            raise ClusterError(str(error)) from None
        names = (*nodes, *spare_names(nodes, spares))
        return tuple([replace(host, name=name) for name, host in zip(names, made, strict=True)])

    def leave(self) -> None:
        try:
            if self._lab:
                lab.down(self._lab)
        except LabError as error:
            raise ClusterError(str(error)) from None
        finally:
            for end in self._tether or ():
                os.close(end)
            self._tether = None


class StandingLab:
    """A lab that is up, and stays."""

    name = "netns"

    def __init__(self, lab_name: str) -> None:
        self._lab = lab_name

    def hosts(self, nodes: Sequence[str], spares: int) -> tuple[Host, ...]:
        try:
            return _chosen(lab.find(self._lab).hosts, nodes, spares, f"lab {self._lab}")
        except LabError as error:
            raise ClusterError(str(error)) from None

    def leave(self) -> None:
        pass


class HostsFile:
    """Hosts that are there already, named in a file (`harness/remote/hosts.py`)."""

    name = "ssh"

    def __init__(self, path: Path) -> None:
        self._path = path

    def hosts(self, nodes: Sequence[str], spares: int) -> tuple[Host, ...]:
        try:
            return _chosen(read_hosts(self._path), nodes, spares, str(self._path))
        except HostsFileError as error:
            raise ClusterError(str(error)) from None

    def leave(self) -> None:
        pass


def _chosen(there: Sequence[Host], nodes: Sequence[str], spares: int, where: str) -> tuple[Host, ...]:
    by_name = {host.name: host for host in there}
    missing = [node for node in nodes if node not in by_name]
    if missing:
        raise ClusterError(f"{where} has no host {missing[0]}: it has {', '.join(by_name)}")
    rest = [host for host in there if host.name not in set(nodes)]
    if len(rest) < spares:
        raise ClusterError(
            f"a membership fault needs a host that is no node at first, and {where} has none left: "
            "name fewer by --nodes"
        )
    return (*[by_name[node] for node in nodes], *rest[:spares])
