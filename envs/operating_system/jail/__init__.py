"""The launcher: a small process of its own that makes sandboxes and starts programs in them.

It runs without cmat_env and without site-packages (`python -I -S`), so that it starts in 30 ms and stays at a few
megabytes; that is why the modules of this folder import one another relatively and only the standard library.
"""
