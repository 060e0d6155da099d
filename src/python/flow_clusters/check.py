"""Compiles the user's file without running it."""


def check(path):
    """`{message, line, text?}` of a syntax error (one-based line), or None when the file compiles."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        found = {"message": "%s: %s" % (type(error).__name__, error.msg), "line": error.lineno or 1}
        if error.text:
            found["text"] = error.text.rstrip()
        return found
    except (OSError, ValueError) as error:  # ValueError: null bytes
        return {"message": str(error), "line": 1}
    return None
