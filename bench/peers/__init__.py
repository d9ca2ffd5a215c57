"""The same work done by others, side by side: ``python -m bench peers``.

Each side lives in a process of its own, prepares itself, shows that it computes what is asked, and then
waits. Rounds are interleaved, one side working at a time, so that a machine that changes its speed
changes it for all of them. A side that waits sleeps: nobody's threads are told to spin.
"""
