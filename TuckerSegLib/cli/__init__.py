"""The command `tuckerseg`: one file for each of its commands."""
