"""Polynomial paths: objects whose unique values tell who did what, decided without a search.

`base` says what a path is; `unique*` are registers, and `sets`, `queues`, `stacks`, `heaps`, `counters` and
`logs` what they are called; `lives`, `unseen` and `floating` are what several of them share. Which is asked
when stands in checkers/linear/auto.py.
"""
