"""The words in which the panel and the browser say what is known, the same in both."""
