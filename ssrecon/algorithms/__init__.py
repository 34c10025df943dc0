"""Iterative algorithms on linear operators."""

from ssrecon.algorithms.conjugate_gradient import conjugate_gradient, implicit_conjugate_gradient

__all__ = ["conjugate_gradient", "implicit_conjugate_gradient"]
