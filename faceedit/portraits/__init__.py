"""A small world of drawn portraits whose every region and attribute is known."""
