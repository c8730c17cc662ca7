"""What the files of a model say of it, checked whole when they are opened: they may come from strangers."""
