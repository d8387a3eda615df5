"""The one exception that a user's input can cause."""


class LGFAError(ValueError):
    """One sentence for the user: what was wrong, what to do."""
