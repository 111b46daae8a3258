"""The launcher: a small process of its own that makes sandboxes and starts programs in them.

It runs without site-packages (`python -I -S`), and with empty modules in the place of the packages above this one, so
that it starts in 30 ms and stays at a few megabytes: the modules of this folder import one another and the standard
library, and nothing else.
"""
