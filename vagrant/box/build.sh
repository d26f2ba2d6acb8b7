#!/bin/sh
# Builds a Debian 12 box for vagrant-libvirt from the mirror that this machine's own apt uses: a small system that
# boots quickly even where the processor is emulated. Without udev, logind and consoles, with the kernel's modules.
# Usage: build.sh BOX_FILE, as root. Takes a few minutes, and 1.5 GB beside BOX_FILE while it works.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
suite=bookworm

fail() { echo "$0: $1" >&2; exit 1; }

check() {
    [ "$(id -u)" = 0 ] || fail "a box is built by root (debootstrap needs it): use sudo"
    missing=
    for need in debootstrap:debootstrap qemu-img:qemu-utils mkfs.ext4:e2fsprogs; do
        command -v "${need%:*}" >/dev/null || missing="$missing ${need#*:}"
    done
    [ -z "$missing" ] || fail "not installed:$missing; to install: apt-get install --no-install-recommends$missing"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Component: main" "Created-By: Packages" | head -n 1)
    [ -n "$mirror" ] || fail "apt has no $suite/main in its sources, so there is no mirror to build the box from"
    key=$(find /usr/share /opt/vagrant -path '*/vagrant-[0-9]*/keys/vagrant.pub' 2>/dev/null | head -n 1)
    [ -n "$key" ] || fail "Vagrant's public key, which lets Vagrant into the box, was not found: is Vagrant installed?"
}

unpack_debian() { # into $root
    packages=$(cat "$here/packages.txt" "$here/../packages.txt" | paste -s -d , -)
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        fail "debootstrap failed: $(tail -n 1 "$work/debootstrap.log")"
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/usr/share/doc/* "$root"/usr/share/man/* \
        "$root"/usr/share/locale/* "$root"/etc/update-motd.d/* "$root"/etc/ssh/ssh_host_*
}

furnish() { # $root
    cp -r "$here/root/." "$root"
    chmod 440 "$root/etc/sudoers.d/vagrant"
    : >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    rm -f "$root/etc/resolv.conf"
    chroot "$root" useradd --create-home --shell /bin/bash --user-group vagrant
    install -d -m 700 "$root/home/vagrant/.ssh"
    # Vagrant's well-known key: whoever reaches such a host may do anything there, so its networks lead nowhere.
    install -m 600 "$key" "$root/home/vagrant/.ssh/authorized_keys"
    chroot "$root" chown -R vagrant:vagrant /home/vagrant
    mask_units
}

mask_units() { # all that starts by itself and is not in units.txt
    for link in "$root"/usr/lib/systemd/system/*.wants/* "$root"/etc/systemd/system/*.wants/*; do
        unit=${link##*/}
        case $unit in *.target) continue ;; esac
        grep -qxF "$unit" "$here/units.txt" || ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    ln -sf /dev/null "$root/etc/systemd/system/ifupdown-pre.service" # waits for udev
}

make_initrd() { # $work/box/initrd
    initrd=$work/initrd
    kernel=$(ls "$root/lib/modules")
    mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/root" "$initrd/modules"
    cp "$root/usr/bin/busybox" "$initrd/bin/"
    install -m 755 "$here/init" "$initrd/init"
    for module in virtio_pci virtio_blk virtio_net virtio_rng loop; do
        chroot "$root" modprobe --set-version "$kernel" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules"
    while read -r file; do
        cp "$root$file" "$initrd/modules/"
        echo "${file##*/}" >>"$initrd/modules/order"
    done <"$work/modules"
    (cd "$initrd" && find . | "$root/usr/bin/busybox" cpio -o -H newc 2>/dev/null) >"$work/box/initrd"
}

make_image() { # $work/box/box.img; no partitions, so nothing has to be mounted
    truncate -s 4G "$work/disk"
    mkfs.ext4 -q -F -L root -d "$root" "$work/disk"
    qemu-img convert -c -O qcow2 -o compression_type=zstd "$work/disk" "$work/box/box.img"
}

build() { # BOX_FILE
    work=$1.build
    root=$work/root
    rm -rf "$work"
    mkdir -p "$work/box"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    echo "debootstrap: $suite from $mirror"
    unpack_debian
    furnish
    make_initrd
    cp -L "$root/vmlinuz" "$work/box/vmlinuz"
    cp "$here/Vagrantfile" "$here/metadata.json" "$work/box/"
    echo "disk image"
    make_image
    tar --create --file "$work/done" --directory "$work/box" metadata.json Vagrantfile vmlinuz initrd box.img
    mv "$work/done" "$1"
    echo "$1 ($(du -h "$1" | cut -f 1))"
}

[ $# -ge 1 ] || fail "which file is the box to be? usage: build.sh BOX_FILE"
check
if [ "${2:-}" != inside ]; then
    mkdir -p "$(dirname "$1")"
    box=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
    # In namespaces of its own: whatever debootstrap mounts and starts ends with it, however it ends.
    exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$here/${0##*/}" "$box" inside
fi
build "$1"
