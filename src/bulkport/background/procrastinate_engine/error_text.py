"""Errors as text, for logs and tables, also those that cannot show themselves."""


def describe(error: BaseException) -> str:
    """The error's type and message; its type alone when its `str()` raises."""
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be shown)"
    name = type(error).__qualname__
    return f"{name}: {message}" if message else name


def printable(error: BaseException) -> BaseException:
    """The error itself, or a stand-in with its traceback when loggers would choke on its `str()`."""
    try:
        str(error)
    except Exception:
        return RuntimeError(describe(error)).with_traceback(error.__traceback__)
    return error
