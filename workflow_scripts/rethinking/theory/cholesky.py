"""Cholesky factor of a matrix that does not fit into memory, in tiles of its lower triangle on disk.

Tile (i, k) of the factor follows from tile (i, k) of the matrix, which is computed when it is needed, and from the
tiles to its left in rows i and k. So memory holds one row of tiles. A written tile never changes, so a killed run
resumes at the first missing one.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rethinking.run.files import existing_folder, load_array, save_array
from rethinking.run.time_left import Progress
from rethinking.theory.gram import System


class NotPositiveDefinite(ArithmeticError):
    """A pivot is not positive in the precision of the factor."""


class TiledCholesky:
    """The factor L with L L^T = matrix + jitter I.

    Args:
        matrix: what to factor.
        folder: for the tiles, which stay there (see :meth:`delete`).
        dtype: of the factor, float32 or float64.
        device: where tiles are computed.
        jitter: added to the diagonal.
        log: called with lines of progress.

    Raises:
        NotPositiveDefinite: the matrix is not positive definite, up to rounding in this precision.
    """

    def __init__(
        self,
        matrix: System,
        folder: Path,
        dtype: torch.dtype,
        device: torch.device,
        jitter: float = 0.0,
        log: Callable[[str], None] = print,
    ) -> None:
        self.slices, self.folder, self.dtype, self.device = matrix.slices, folder, dtype, device
        log(
            f"the factor of {matrix.size:,} rows takes {matrix.size**2 * dtype.itemsize / 2e9:.3g} GB of disk, of "
            f"{shutil.disk_usage(existing_folder(folder)).free / 1e9:,.0f} GB free, and up to "
            f"{matrix.size * self.slices[0].stop * dtype.itemsize / 1e9:.3g} GB of memory"
        )
        count = len(self.slices)
        # In products of two tiles: computing the matrix's tile, subtracting from it, and the last step.
        work = {(i, k): matrix.cost(i, k, dtype) + k + 1 for k in range(count) for i in range(k, count)}
        progress = Progress("Cholesky", sum(work.values()), log)
        for k in range(count):
            if all(self.path(i, k).exists() for i in range(k, count)):
                progress.skip(sum(work[i, k] for i in range(k, count)))
                continue
            left = [self.load(k, j) for j in range(k)]
            diagonal = None
            for i in range(k, count):
                if self.path(i, k).exists():
                    progress.skip(work[i, k])
                    continue
                tile = matrix.tile(i, k, dtype)
                for j in range(k):
                    tile.addmm_(left[j] if i == k else self.load(i, j), left[j].T, alpha=-1)
                if i == k:
                    tile.diagonal().add_(jitter)
                    tile, failed = torch.linalg.cholesky_ex(tile)
                    if failed or not torch.isfinite(tile.diagonal()).all():
                        raise NotPositiveDefinite(f"pivot {self.slices[k].start + int(failed):,} is not positive")
                    diagonal = tile
                else:
                    if diagonal is None:
                        diagonal = self.load(k, k)
                    # X L^T = tile
                    tile = torch.linalg.solve_triangular(diagonal.T, tile, upper=True, left=False)
                save_array(self.path(i, k), tile.cpu().numpy())
                progress.advance(work[i, k])

    def path(self, row: int, column: int) -> Path:
        """The file of one tile."""
        return self.folder / f"tile_{row:03d}_{column:03d}.npy"

    def load(self, row: int, column: int) -> Tensor:
        """One tile of the factor."""
        return torch.from_numpy(np.array(load_array(self.path(row, column)))).to(self.device)

    def solve(self, vectors: Tensor) -> Tensor:
        """L^-T L^-1 of float64 (n, k), computed in the factor's precision."""
        # Small residuals must not underflow.
        scale = vectors.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
        result = (vectors / scale).to(self.device, self.dtype)
        count = len(self.slices)
        for i in range(count):
            for j in range(i):
                result[self.slices[i]] -= self.load(i, j) @ result[self.slices[j]]
            result[self.slices[i]] = torch.linalg.solve_triangular(self.load(i, i), result[self.slices[i]], upper=False)
        for i in reversed(range(count)):
            result[self.slices[i]] = torch.linalg.solve_triangular(
                self.load(i, i).T, result[self.slices[i]], upper=True
            )
            for j in range(i):
                result[self.slices[j]] -= self.load(i, j).T @ result[self.slices[i]]
        return result.cpu().double() * scale

    def delete(self) -> None:
        """Remove the tiles."""
        for path in self.folder.glob("tile_*.npy"):
            path.unlink()
