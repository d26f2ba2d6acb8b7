"""A lab: hosts on one Linux machine, each a set of namespaces with an sshd, on a switch of their own.

`lab.py` brings a lab up, finds it and takes it down; `layout.py` says what it consists of, `script.py` is
what runs inside it, `state.py` and `process.py` are how it is found again, and `client.py` is the only way
in. Nothing in the machine's own network namespace is touched: no interface, address, route or rule. Virtual
machines, and what is run on a host, are no concern of this room.
"""
