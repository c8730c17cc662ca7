"""Runs of the worker: begun, followed and cancelled."""
