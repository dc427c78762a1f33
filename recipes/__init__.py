"""What made the data and the weights that ship with me2sdk: in the repository, not in the wheel."""
