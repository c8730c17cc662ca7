"""The engine for CPUs, whose blocks never hold a wide activation and are compiled for this processor."""
