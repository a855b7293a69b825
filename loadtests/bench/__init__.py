"""What a token costs: Chatstream beside a tutorial app and nginx, in one interleaved run.

Figures of two runs, or of two machines, say little; the ratios within one run are the result.
"""
