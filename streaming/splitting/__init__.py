"""How an answer is cut: a block layer at line heads, an inline layer inside text.

`blocks` says what a line begins (text, fence, table, maths, rule), `opaque` finds where a block
ends that nobody looks into, and `inline` asks one rule per candidate: `stops`, `hard_stops`,
`newlines` or `enumerations`. A rule answers split, no or wait (`answers`), and answers split or no
only when all it needs to see is there. That alone makes the result the same however the text is
sliced. Before a unit is given out, `head_rows` asks whether its last line heads a table.
`lookahead` reads what follows a candidate, `lookbehind` what stands before it; the data are
`characters`, `table` and the languages' words in `words/`.
"""
