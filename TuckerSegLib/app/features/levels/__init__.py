"""The model and the slider, and what each of its positions costs."""
