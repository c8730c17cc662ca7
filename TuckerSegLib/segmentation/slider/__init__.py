"""The positions of the slider: what runs at each, what it costs, and how much of the answer it keeps."""
