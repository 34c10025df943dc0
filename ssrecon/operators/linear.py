"""Linear operators with their adjoint and gram, composed by `@` and `+`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


class LinearOperator(ABC):
    r"""A linear map :math:`A` with :math:`\langle A x, y\rangle = \langle x, A^H y\rangle` under the plain complex inner product.

    ``A(x)`` applies it, ``A.adjoint(y)`` its adjoint, ``A.gram(x)`` is :math:`A^H A x`; ``A @ B`` applies B first, ``A + B`` adds.
    """

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor: ...

    @abstractmethod
    def gram(self, x: Tensor) -> Tensor: ...

    def __matmul__(self, other: "LinearOperator") -> "LinearOperator":
        return Composition(self, other)

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        return Sum(self, other)


@dataclass(frozen=True, eq=False)
class Composition(LinearOperator):
    """The product ``outer @ inner`` applies the inner operator first."""

    outer: LinearOperator
    inner: LinearOperator

    def __call__(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(self.outer.adjoint(y))

    def gram(self, x: Tensor) -> Tensor:
        return self.inner.adjoint(self.outer.gram(self.inner(x)))


@dataclass(frozen=True, eq=False)
class Sum(LinearOperator):
    """The sum adds two operators with the same domain and codomain."""

    first: LinearOperator
    second: LinearOperator

    def __call__(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.first.adjoint(y) + self.second.adjoint(y)

    def gram(self, x: Tensor) -> Tensor:
        return self.adjoint(self(x))
