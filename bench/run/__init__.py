"""A run: a suite carried out once. Created, executed or resumed, and read back from its folder."""
