"""What the machine gives: files, locks, addresses, memory, compiled passes, progress, interrupts,
content folders.
"""
