"""Workbooks and Parquet files, whose records are not text: a process of its own turns them into CSV or NDJSON.

What such files unpack to can be a million times their size, and their readers are native code. So they run apart, with
a limit on memory and time: what goes wrong there is a refused body, and the server goes on serving meanwhile.
"""
