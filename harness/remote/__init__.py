"""Hosts that are reached by SSH: commands and files, with a deadline on everything.

`host.py` says where a host is and how it is known, `hosts.py` reads that from files, `connection.py` is what
the harness uses; `transport.py`, `command.py` and `files.py` are the blocking halves, which run in threads.
`shell.py` alone makes text for a shell. What is done with a host is no concern of this room, and it neither
forwards ports nor allocates terminals.
"""
