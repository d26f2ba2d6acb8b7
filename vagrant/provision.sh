#!/bin/sh
# Makes a Debian 12 machine a host of the lab: its name, what the faults need, a clock that nobody sets right, the store.
# Fetches only packages that are missing, so it needs no network in our own box. May be run again.
# Usage (as root): provision.sh NAME ADDRESS ADDRESS=NAME,... PACKAGE...; the store is in /tmp/store.tar.gz.
set -eu
name=$1 address=$2 hosts=$3
shift 3

echo "$name" >/etc/hostname
hostname "$name"
{ echo "127.0.0.1 localhost"; echo "$hosts" | tr ',=' '\n '; } >/etc/hosts

if ! ip -brief address | grep -qF " $address/"; then # Vagrant was told to leave the network to us
    printf 'auto eth1\niface eth1 inet static\n address %s/24\n' "$address" >/etc/network/interfaces.d/lab
    ip link set eth1 up
    ip address add "$address/24" dev eth1
fi

missing=
for package; do
    [ -e "/var/lib/dpkg/info/$package.list" ] || [ -e "/var/lib/dpkg/info/$package:amd64.list" ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    # shellcheck disable=SC2086 # a list of words
    apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing
fi

for keeper in systemd-timesyncd chrony ntpsec vboxadd-service virtualbox-guest-utils; do
    if [ -e "/lib/systemd/system/$keeper.service" ]; then systemctl disable --now --quiet "$keeper"; fi
done

rm -rf /opt/stormcellar
python3 -m venv --without-pip /opt/stormcellar
packages=/opt/stormcellar/lib/python3.11/site-packages
[ -d "$packages" ] || { echo "$0: the store was packed for Python 3.11, and this host has $(python3 --version)" >&2; exit 1; }
tar -xzf /tmp/store.tar.gz -C "$packages"
rm /tmp/store.tar.gz
