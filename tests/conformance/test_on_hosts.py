"""Faults on hosts that are reached by SSH do what tests/conformance/faults.py says: all of them in a lab of
the cluster's own, and one of each kind on hosts that a file names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster.hosts.ground import OwnLab
from harness.lab import lab
from harness.remote.hosts import read_hosts
from tests.conformance.faults import FAULTS
from tests.conformance.playing import claimed, on_hosts, one_for_each, play_real
from tests.conformance.scenarios import SCENARIOS
from tests.support.fault_words import NETEM
from tests.support.ground import Given
from tests.support.machine import network_and_mounts
from tests.support.stage import NODES, SPARE

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    *[
        pytest.mark.skipif(
            shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None,
            reason=f"{program} is not installed (apt-get install {package})",
        )
        for program, package in {
            "sshd": "openssh-server",
            "iptables": "iptables",
            "tc": "iproute2",
            "strace": "strace",
            "mkfs.ext4": "e2fsprogs",
            "cc": "gcc",
        }.items()
    ],
]


def lacking() -> frozenset[str]:
    """What hosts are not able to do for want of netem in their kernel, which in a lab is this machine's."""
    tried = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    has_netem = subprocess.run(tried, capture_output=True).returncode == 0
    return frozenset() if has_netem else frozenset({NETEM, "Distances"})


def test_a_lab_of_its_own(tmp_path: Path) -> None:
    before = network_and_mounts()
    cluster = on_hosts(OwnLab())
    scenarios = claimed((*SCENARIOS, *FAULTS), cluster, lacking())
    assert play_real(cluster, scenarios, tmp_path) == []
    assert network_and_mounts() == before


def test_hosts_of_a_file(tmp_path: Path) -> None:
    try:
        made = lab.up("conformance", len(NODES) + 1, tmp_path / "runtime")
        named = read_hosts(made.layout.ssh_config)
        names = (*NODES, SPARE)
        hosts = [
            replace(host, name=name, dial=made.client.dial) for host, name in zip(named, names, strict=True)
        ]
        cluster = on_hosts(Given(hosts))
        scenarios = one_for_each(claimed((*SCENARIOS, *FAULTS), cluster, lacking()))
        assert play_real(cluster, scenarios, tmp_path / "run") == []
    finally:
        lab.down("conformance", tmp_path / "runtime")
