"""The report of a run as one page that opens offline: `page(run, sightings)`.

Everything is in the one file: no font, script, style or picture from anywhere else, and a content security
policy lets only the page's own style and script in, by their hashes. Verdict, faults, counterexamples and
commands are plain HTML and need no script; what is over time is drawn by it, from the data in the page.

Files: `data` makes a history into columns, `parts` writes the plain sections, `page` puts all together. The
script is in pieces, each one idea: `data.js` unpacks the columns, `view.js` is the span of time that is seen,
`lanes.js`, `flow.js` and `strips.js` draw, `tools.js` is search, filter and details, `main.js` binds them.

Whatever comes from a history is data from elsewhere: it reaches the page packed, or escaped
(`checkers.linear.draw.words`), and the script only ever sets text.
"""

from harness.report.html.page import page

__all__ = ["page"]
