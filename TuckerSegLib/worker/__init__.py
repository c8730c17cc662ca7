"""The same in a process of its own, which keeps networks ready and can be stopped."""
