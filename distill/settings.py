"""What is asked of the configuration of every method."""

from typing import ClassVar


class Settings:
    """What a method's Config, a frozen dataclass, derives from; it says what is not as here.

    Attributes:
        couples_classes: whether a class's images depend on the classes that they are made with.
        formation: how many smaller images share a stored one, per side.
        learns: whether anything is trained, pixels or networks.
        stepwise: whether pixels are, by `distill.learn`.
        extendable: whether a set of more steps can go on from where this one ends.
        compiles: whether `--compile` makes a difference.
    """

    couples_classes: ClassVar[bool] = False
    formation: ClassVar[int] = 1
    learns: ClassVar[bool] = False
    stepwise: ClassVar[bool] = False
    extendable: ClassVar[bool] = False
    compiles: ClassVar[bool] = False
