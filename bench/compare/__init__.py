"""Is one revision faster than another? ``python -m bench compare``.

Two revisions are measured in turns, A B B A, each in its own process, which waits while the other works, so that
changes in the machine's speed affect both. Processes of the same code differ for as long as they live, so every cell is
measured with several pairs of processes, and what counts is whether the pairs agree. Two result files come from runs at
different times: they are compared relative to the time that the reference workload took in each run.
"""
