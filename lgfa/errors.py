"""The one exception that a user's input can cause."""


class LGFAError(ValueError):
    """One sentence for the user: what was wrong, what to do.

    Names out of files may hold line ends and terminal codes; these become question marks.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in str(text)))
