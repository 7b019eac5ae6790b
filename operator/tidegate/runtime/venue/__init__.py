"""A simulated live venue: its own process, whose execution can be made worse while it runs.

Drift is injected here, from outside, and nowhere else: `POST /control`.
"""
