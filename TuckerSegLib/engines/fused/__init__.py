"""The engine for CPUs: blocks that never hold a wide activation, compiled for this processor."""
