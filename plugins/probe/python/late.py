"""A module that is only imported inside of a function, and that does the same with another one."""


def _late():
    import later

    return later.LATER


LATE = f"late and {_late()}"
