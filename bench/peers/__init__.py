"""The same work done by others, side by side: ``python -m bench peers``.

Each side runs in its own process, prepares itself, shows that it computes what is asked, and then waits. Rounds are
interleaved, one side working at a time, so that changes in the machine's speed affect all of them. A waiting side
sleeps: no side's threads are told to spin.
"""
