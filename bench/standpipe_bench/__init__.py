"""Standpipe's bench: measures inference servers, and says what it measured.

A target is called by a schedule; what was seen becomes records, records become statistics, statistics become
a table and JSON. Not aware of how a server works: it starts one as a process, and only ``in_process`` imports
any of it.
"""
