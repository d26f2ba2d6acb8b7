#!/bin/sh
# Makes wheels/ (this checkout's wheel and the locked dependencies, for Debian 12 on x86-64) and of them store.tar.gz,
# what provision.sh unpacks: an installed tree, so that no host needs an index, pip or a compiler.
# Usage: wheels.sh PYTHON, a Python with pip and the build tools of requirements.lock.
set -eu
umask 022
python=$1
here=$(cd "$(dirname "$0")" && pwd)
target_version=3.11
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }

# pip takes the tags one by one: a manylinux tag promises that the wheel runs with that glibc or a newer one, and Debian 12 has 2.36.
set -- --only-binary=:all: --implementation cp --python-version "$target_version"
for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do set -- "$@" --platform "manylinux_${glibc}_x86_64"; done
set -- "$@" --platform manylinux2014_x86_64

wheels=$here/wheels
lock=$here/../requirements.lock
packed=$here/store.tar.gz
tree=$(mktemp -d)
clean() {
    rm -rf "$tree" "$packed.part"
    [ "$(id -u)" = 0 ] || return 0
    for made in "$wheels" "$packed"; do # under sudo: they belong to whom the checkout does
        [ ! -e "$made" ] || chown -R --reference="$here" "$made"
    done
}
trap clean EXIT
trap 'exit 130' INT TERM
mkdir -p "$wheels"
rm -f "$wheels"/stormcellar-*.whl
pip wheel --no-deps --no-build-isolation --wheel-dir "$wheels" "$here/.."
if ! cmp -s "$lock" "$wheels/requirements.lock"; then
    find "$wheels" -name '*.whl' ! -name 'stormcellar-*' -delete
    pip download "$@" --no-deps --require-hashes --requirement "$lock" --dest "$wheels"
    cp "$lock" "$wheels/requirements.lock"
fi

chmod 755 "$tree"
pip install "$@" --no-index --find-links "$wheels" --no-compile --target "$tree" stormcellar
rm -rf "$tree/bin"
# Emulated hosts compile for minutes; bytecode that is not checked against its source's time survives the journey.
# Another Python's bytecode would not be read: then the hosts compile what they import.
if "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$target_version')"; then
    "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -s "$tree" -p "/opt/stormcellar/lib/python$target_version/site-packages" "$tree"
fi
tar --create --gzip --file "$packed.part" --owner 0 --group 0 --directory "$tree" .
mv "$packed.part" "$packed"
