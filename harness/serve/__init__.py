"""`harness serve`: recorded runs in a browser: a list, each one's files and report, and two side by side.

It only reads. It listens on loopback unless told otherwise, and then answers only who names it by an address
or by `localhost`, so that no page from elsewhere can reach it under a name of its own. There is no login: who
can reach it can read every run. Files: `paths` decides which files there are, `pages` writes HTML, `server`
answers requests, `commands` is the command.
"""
