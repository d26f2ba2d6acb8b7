"""The clusters `netns` and `ssh`: nodes on hosts that are reached by SSH, and nothing but SSH.

`cluster.py` puts together what is cut by what is broken: `processes.py`, `membership.py`, `network.py`,
`clocks.py`, `disks.py` and `stress.py`; `life.py` is what comes before and after, and `addresses.py` where
nodes find each other. Each asks the hand (`harness/hand/`) that runs on every host, over one channel
(`hand.py`).
"""
