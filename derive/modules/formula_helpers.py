"""The functions that the module of a formula calls to check what it is given, as text.

Each raises ValueError that names the array or the equation and both sizes. A module has those that
its own lines call.
"""

_IDS = '''def _check_ids(ids, size, access):
    """Raises ValueError unless 0 <= ids < size."""
    low, high = np.min(ids, initial=0), np.max(ids, initial=0)
    if low < 0 or high >= max(size, 1):
        raise ValueError(f"{access}: ids must lie in 0..{size - 1}, not {low}..{high}")'''
_RANGE = '''def _check_range(low, high, size, access):
    """Raises ValueError unless all of low..high is in 0..size-1."""
    if low < 0 or high >= size:
        raise ValueError(f"{access}: reads {low}..{high} of an axis of size {size}")'''
_SIZE = '''def _check_size(size, name):
    """Raises ValueError unless there is at least one position."""
    if size < 1:
        raise ValueError(f"{name} would be {size}: an array is too small")'''
_TERMS = '''def _check_terms(some, target):
    """Raises ValueError where a maximum or minimum has no term left."""
    if not np.all(some):
        raise ValueError(f"{target}: no term is left to reduce")'''
_STEPS = '''def _check_steps(size, axis):
    """Raises ValueError unless a recurrence has at least one step."""
    if size < 1:
        raise ValueError(f"{axis} has size {size}: a recurrence takes at least one step")'''
_GIVEN = '''def _given(name, array, shape, dtype):
    """An array of the given shape and type, from what the caller gave."""
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, given {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: real numbers are needed, not {array.dtype}")
    return array.astype(dtype, copy=False)'''
HELPERS = {
    "_check_ids": _IDS,
    "_check_range": _RANGE,
    "_check_size": _SIZE,
    "_check_terms": _TERMS,
    "_check_steps": _STEPS,
    "_given": _GIVEN,
}
