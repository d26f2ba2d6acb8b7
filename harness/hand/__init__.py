"""The harness' hand on a host: what injects faults there, remembers them, and undoes them, also by itself.

It runs as root with whatever Python (3.8 or newer) the host has, sent there as one zip file; so these modules
import the standard library and each other, and nothing else of the project. A module gives OPERATIONS (what
may be asked by name) and UNDOERS (how what it did is undone, by the kind that it wrote into the undo log).
"""
