"""What the documentation site is made with besides its pages: references from the code, links, the gallery."""
