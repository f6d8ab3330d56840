"""Jobs that come again and again by a schedule.

`schedule.py` says when, `recurring_jobs.py` is what an application holds, and `ticks.py` decides what a tick makes.
"""
