"""Sparklio: the reference application of the lab, small but real."""
