"""Integrations with frameworks that people already run, one module per framework."""
