"""A process of its own that keeps networks ready, segments on request and can be stopped, and its client."""
