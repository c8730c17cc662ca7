"""`tuckerseg`: one file a command."""
