#!/bin/sh
# What `make vagrant-test` runs among the hosts. All that suits slow hosts is here: emulated ones run Python at a
# tenth of the usual speed, so little is asked of them, and with patience.
set -eu
exec "$(dirname "$0")/../.venv/bin/harness" run --cluster ssh --nodes-file "$STORMCELLAR_HOSTS" \
    --level linearizable --faults partition,clock,kill --fault-interval 15 \
    --time-limit 60 --rate 10 --concurrency 6 --op-timeout 5 --json
