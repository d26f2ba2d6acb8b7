#!/bin/sh
# Runs a command among Debian VMs on a machine without a libvirtd, and without hardware virtualisation if need be.
# Usage: lab.sh COMMAND [ARGUMENT...], as root. The command's STORMCELLAR_HOSTS is the file for `--nodes-file`; its
# exit code is lab.sh's. With no command: a shell.
#
# Network, processes and mounts are namespaces of the lab's own: a libvirtd with its settings and images in memory,
# over which the machine's own are never seen. They end with the first process in them, which ends with this one;
# so nothing is left, however it ends.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/stormcellar/vagrant
box=$cache/debian12.box
lab=/run/stormcellar # in the lab's own /run

fail() { echo "$0: $1" >&2; exit 2; }

check() {
    [ "$(id -u)" = 0 ] || fail "the lab makes network namespaces and starts a libvirtd, for which it must be root: use sudo"
    missing=
    for need in vagrant:vagrant libvirtd:libvirt-daemon-system qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils \
        dnsmasq:dnsmasq-base ip:iproute2 iptables:iptables ssh:openssh-client; do
        command -v "${need%:*}" >/dev/null || missing="$missing ${need#*:}"
    done
    dpkg-query --show vagrant-libvirt >/dev/null 2>&1 || missing="$missing vagrant-libvirt"
    [ -z "$missing" ] || fail "not installed:$missing; to install: apt-get install --no-install-recommends$missing"
    [ -e "$box" ] || fail "there is no box at $box: make vagrant-box builds it"
    [ -e "$here/store.tar.gz" ] || fail "the store is not packed for the hosts: make wheels does it"
}

start_libvirtd() {
    mount -t sysfs sysfs /sys # this network's interfaces
    for directory in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
        mount -t tmpfs -o mode=755 tmpfs "$directory"
    done
    mkdir -p "$lab"
    ip link set lo up
    cat >/etc/libvirt/qemu.conf <<-'END'
		user = "root"
		group = "root"
		security_driver = "none"
		stdio_handler = "file"
		cgroup_controllers = []
		namespaces = []
		remember_owner = 0
	END
    cat >/etc/libvirt/libvirtd.conf <<-'END'
		unix_sock_group = "root"
		unix_sock_rw_perms = "0700"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
	END
    setsid libvirtd >"$lab/libvirtd.log" 2>&1 </dev/null &
    until [ -S /run/libvirt/libvirt-sock ]; do
        kill -0 $! 2>/dev/null || fail "libvirtd did not start: $(tail -n 1 "$lab/libvirtd.log")"
        sleep 0.1
    done
}

start_hosts() { # standard output is the command's: all that Vagrant says goes to standard error
    export VAGRANT_HOME="$lab/vagrant" VAGRANT_DOTFILE_PATH="$lab/machines" VAGRANT_CWD="$here"
    export VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_DEFAULT_PROVIDER=libvirt STORMCELLAR_BOX=stormcellar/debian12
    export STORMCELLAR_HOSTS="$lab/hosts"
    vagrant --no-tty box add --name "$STORMCELLAR_BOX" "$box" >&2
    vagrant --no-tty up >&2
    vagrant ssh-config >"$STORMCELLAR_HOSTS"
}

if [ "${1:-}" = --inside ]; then
    shift
    trap 'exit 130' INT TERM
    start_libvirtd
    start_hosts
    "${@:-${SHELL:-sh}}" && code=0 || code=$?
    exit $code # not the shell's last command, which it would become: this process is the lab
fi

check
# ctrl-C reaches the command by itself, and this waits; a process in the background would ignore it.
setpriv --pdeathsig KILL env --default-signal=INT \
    unshare --net --mount --pid --fork --kill-child --mount-proc "$here/${0##*/}" --inside "$@" <&0 &
trap 'kill -KILL $!' TERM HUP
trap : INT
while :; do
    wait $! && code=0 || code=$?
    kill -0 $! 2>/dev/null || exit $code
done
