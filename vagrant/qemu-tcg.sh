#!/bin/sh
# The emulator for libvirt where there is no hardware virtualisation. The cache of translated code would grow to
# 1 GiB a host; libvirt has no setting for it.
for argument in "$@"; do
    shift
    [ "$argument" = tcg ] && argument=tcg,tb-size=128
    set -- "$@" "$argument"
done
exec qemu-system-x86_64 "$@"
