"""Optimal assignment between two groups."""

import numpy as np
from numpy.typing import NDArray


def best_pairs(values: NDArray[np.floating]) -> list[tuple[int, int]]:
    """Pair rows with columns, each at most once, so that the sum of the values is the largest.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant, 1987), as `scipy.optimize`'s
    `linear_sum_assignment`, for which alone SciPy would be 110 MB.

    Args:
        values: Value of each pair, finite, shape (rows, columns).

    Returns:
        As many pairs as there are rows or columns, whichever are fewer, by row.
    """
    rows, columns = values.shape
    if rows > columns:
        return sorted((row, column) for column, row in best_pairs(values.T))
    cost = -values.astype(np.float64)
    # Row and column 0 are no pair: each augmenting path starts there.
    of_rows, of_columns = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, np.intp)
    for row in range(1, rows + 1):
        row_of[0] = row
        came_from = np.zeros(columns + 1, np.intp)
        shortest = np.full(columns + 1, np.inf)
        visited = np.zeros(columns + 1, np.bool_)
        column = 0
        while row_of[column]:
            visited[column] = True
            at = row_of[column]
            reduced = cost[at - 1] - of_rows[at] - of_columns[1:]
            closer = ~visited[1:] & (reduced < shortest[1:])
            shortest[1:][closer] = reduced[closer]
            came_from[1:][closer] = column
            nearest = int(np.argmin(np.where(visited[1:], np.inf, shortest[1:]))) + 1
            step = shortest[nearest]
            of_rows[row_of[visited]] += step
            of_columns[visited] -= step
            shortest[~visited] -= step
            column = nearest
        while column:
            before = came_from[column]
            row_of[column] = row_of[before]
            column = before
    return sorted((int(row_of[column]) - 1, column - 1) for column in range(1, columns + 1) if row_of[column])
