"""GitHub without I/O (signature, parsing, calls, error classes), and one thin transport.

What GitHub promises and what it does not stands in the contract notes; code here names the section.
"""
