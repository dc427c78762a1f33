"""The paper in small, on real data: the stages of `recipes.reproduce_small`, each a file.

A stage reads what the ones before it left in the output folder and leaves its own there. `run` does them in order.
"""
