"""Is everything there that a run needs? Of each thing: whether it is, and what to do if it is not.

`probe.py` asks (this machine directly, a host with one command), `checks.py` says what is needed for what and
reads the answers, which is pure; `examine.py` puts the two together for many hosts, `preflight.py` is that
before a run, `report.py` is what `harness doctor` prints. Nothing is changed by it on any machine:
what has to be tried out is tried in a namespace that ends with the trial.
"""
