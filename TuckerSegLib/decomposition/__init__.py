"""One layer, then one network: Tucker decomposition, and the ranks that it keeps."""
