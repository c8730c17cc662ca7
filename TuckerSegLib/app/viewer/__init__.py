"""One user's viewer: the scene, its views, and the features put together into a page."""
