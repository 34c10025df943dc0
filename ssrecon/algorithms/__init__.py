"""Iterative algorithms on linear operators.

In come an operator (as a function) and a right-hand side, out comes the solution after a fixed number of steps; gradients pass through.
Read ``conjugate_gradient.py`` first.
"""

from ssrecon.algorithms.conjugate_gradient import conjugate_gradient, implicit_conjugate_gradient

__all__ = ["conjugate_gradient", "implicit_conjugate_gradient"]
