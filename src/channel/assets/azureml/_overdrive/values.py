"""Which values may be logged, and as what (the rules of azureml-core, with numbers that it only printed)."""
import inspect
import numbers
import sys

_warned = set()


def problem(kind, message):
    """An exception of azureml.exceptions, the real one where it is installed."""
    import azureml.exceptions as exceptions

    found = getattr(exceptions, kind, None) or getattr(exceptions, "AzureMLException")
    return found(message)


def refuse_collections(name, value):
    """`run.log` takes one value."""
    if isinstance(value, (list, range)) or inspect.isgenerator(value) or inspect.isgeneratorfunction(value):
        raise problem(
            "UserErrorException",
            "value of metric {} is a {}: use run.log_list to log several values".format(name, type(value).__name__),
        )


def scalar(name, value):
    """The value as bool, int, float, str or None; 0-d arrays and tensors give their number, anything else its repr."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if type(value) is int:
        return _bounded(value)
    if type(value) is float:
        return value
    if type(value).__name__ in ("float128", "longdouble"):
        return repr(value)
    if type(value).__module__ == "numpy" and type(value).__name__ == "str_":
        return str(value)
    if not hasattr(value, "item") and callable(getattr(value, "numpy", None)):
        try:
            value = value.numpy()
        except Exception:
            return _as_text(name, value)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            found = item()
        except Exception:
            return _as_text(name, value)
        if isinstance(found, (bool, str, float)):
            return found
        if isinstance(found, int):
            return _bounded(found)
        return _as_text(name, value)
    if isinstance(value, numbers.Integral):
        return _bounded(int(value))
    if isinstance(value, numbers.Real) or type(value).__name__ == "Decimal":
        try:
            return float(value)
        except (OverflowError, ValueError):
            return _as_text(name, value)
    return _as_text(name, value)


def _bounded(value):
    """Integers that no double can hold are kept as text."""
    try:
        float(value)
    except OverflowError:
        return str(value)
    return value


def _as_text(name, value):
    if name not in _warned:
        _warned.add(name)
        sys.stderr.write(
            "overdrive: metric {} has a value of type {}, kept as text\n".format(name, type(value).__name__)
        )
    return repr(value)


def looks_like_image(head):
    """Image formats by their first bytes."""
    marks = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", b"P1", b"P2", b"P3",
             b"P4", b"P5", b"P6", b"\x01\xda", b"\x59\xa6\x6a\x95", b"v/1\x01", b"#define ")
    if any(head.startswith(mark) for mark in marks):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return b"<svg" in head[:512].lower()
