"""What runs inside a lab: the scripts of its keeper and of each host, and the files of sshd. Pure.

The keeper is the first process of a process namespace, in a network namespace that holds nothing but the
switch, with mounts of its own. Each host is a process namespace below, whose first process is its sshd. So
when the keeper ends, the kernel ends every process of the lab, and with the last of them go its
namespaces, interfaces and mounts: there is nothing that would have to be undone, whoever was killed when.
"""

from __future__ import annotations

from shlex import quote
from typing import Final

from harness.lab.layout import PREFIX, LabHost, Layout

_NAMESPACES: Final = "unshare --mount --propagation slave --net --pid sh -e -c"
_HOST: Final = (
    "unshare --mount --propagation slave --uts --ipc --pid --fork --kill-child --mount-proc sh -e -c"
)
ETC: Final = ("hosts", "hostname", "passwd", "shadow")
"""Files in `/etc` that a host has for itself."""
SHADOW: Final = "root:*:20000:0:99999:7:::\n"
"""No password lets root in, and root's account is not locked either, as it may be on the machine; then it
would let no key in."""


def keeper(layout: Layout, sshd: str, tethered: bool) -> list[str]:
    """The argv of what starts the keeper, prints its number outside of the lab, and ends. The keeper waits
    for a line on its input, so that nothing is there before it is written down where; if its input ends
    first, it ends, and if it is `tethered` also when it ends later."""
    switch = ["link set lo up", "link add br0 type bridge", "link set br0 up"]
    for i, station in enumerate(layout.stations):
        switch += [f"link add p{i} type veth peer name eth0 netns {station.name}"]
        switch += [f"link set p{i} master br0 up"]
    lines = [
        "read -r _ <&3" if tethered else "read -r _ <&3; exec 3<&-",
        "mount -t proc -o nosuid,nodev,noexec proc /proc",
        f"mount --bind {quote(str(layout.directory))} /run",
        "mkdir /run/netns",
        _batch("ip", [f"netns add {station.name}" for station in layout.stations]),
        _batch("ip", switch),
    ]
    for station in layout.stations:
        plug = ["link set lo up", f"addr add {station.address}/{PREFIX} dev eth0", "link set eth0 up"]
        lines.append(_batch(f"ip -n {station.name}", plug))
    for host in layout.hosts:
        entered = f"nsenter --net=/run/netns/{host.name} {_HOST} {quote(_host(host, sshd))}"
        lines.append(f"{entered} >/run/hosts/{host.name}/log 2>&1 &")
    lines.append("read -r _ <&3 || exit 0" if tethered else "wait")
    body = "\n".join(lines)
    return [*_NAMESPACES.split(), f"exec 3<&0; sh -e -c {quote(body)} >&2 & echo $!"]


def sshd_config(host: LabHost) -> str:
    return "\n".join(
        [
            f"ListenAddress {host.address}:22",
            "HostKey /run/lab/host_key",
            "AuthorizedKeysFile /run/lab/authorized_keys",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitUserRC no",
            "PrintMotd no",
            "PrintLastLog no",
            "LogLevel INFO",
            "Subsystem sftp internal-sftp",
            "MaxStartups 100",
            "",
        ]
    )


def etc_hosts(layout: Layout) -> str:
    return "127.0.0.1 localhost\n" + "".join(f"{host.address} {host.name}\n" for host in layout.hosts)


def etc_passwd(of_machine: str) -> str:
    """The machine's users; but root's shell is one that reads no file of root's own before each command."""
    lines = of_machine.splitlines()
    return "".join(_with_plain_shell(line) + "\n" for line in lines)


def ssh_config(layout: Layout) -> str:
    """For OpenSSH, from inside the client namespace."""
    common = (
        f'Host *\n  User root\n  IdentityFile "{layout.identity}"\n  IdentitiesOnly yes\n'
        f'  UserKnownHostsFile "{layout.known_hosts}"\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n'
    )
    return "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in layout.hosts) + common


def _host(host: LabHost, sshd: str) -> str:
    """Makes it a host of its own, and becomes its sshd. `/run` is covered last: the rest is found there."""
    own = f"/run/hosts/{host.name}"
    covers = [f"[ ! -e /etc/{file} ] || mount --bind {own}/etc/{file} /etc/{file}" for file in ETC]
    return "\n".join(
        [
            f"echo {host.name} >/proc/sys/kernel/hostname",
            *covers,
            f"mount --bind {own}/srv /srv",
            f"mount --bind {own}/run /run",
            f"exec {quote(sshd)} -D -e -f /run/lab/sshd_config",
        ]
    )


def _with_plain_shell(line: str) -> str:
    return f"{line.rpartition(':')[0]}:/bin/sh" if line.startswith("root:") else line


def _batch(ip: str, commands: list[str]) -> str:
    return f"{ip} -batch - <<END\n" + "".join(f"{command}\n" for command in commands) + "END"
