"""Is one revision faster than another? ``python -m bench compare``.

Two revisions are measured in turns, A B B A, each in a process of its own that waits while the other works, so
that a machine that changes its speed changes it for both. Processes of the same code differ for as long as they
live, so every cell is measured with several pairs of them, and what counts is whether the pairs agree. Two result
files are all that is left of two runs at two times: they are compared after both were divided by what the reference
workload took then.
"""
