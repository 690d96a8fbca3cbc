"""The measures of complexity: what they are called and where they come from."""

from __future__ import annotations

from typing import NamedTuple


class Measure(NamedTuple):
    """A measure of complexity."""

    title: str
    source: str
    logarithmic: bool = True  # whether its decimal logarithm is kept


MEASURES = {
    "parameters": Measure("number of parameters", "Zhang et al. 2017, table 1", False),
    "distance": Measure("distance from initialisation", "Nagarajan and Kolter 2019", False),
    "frobenius_product": Measure("product of Frobenius norms", "Neyshabur et al. 2015"),
    "spectral_product": Measure("product of operator norms", "Bartlett et al. 2017"),
    "kernel_spectral_product": Measure("product of kernels' spectral norms", "Yoshida and Miyato 2017"),
    "path_norm": Measure("path norm", "Neyshabur et al. 2015"),
    "inverse_margin": Measure("inverse margin", "Jiang et al. 2020"),
    "spectral_bound": Measure("spectral bound with margin", "Bartlett et al. 2017"),
    "fisher_rao": Measure("Fisher–Rao norm", "Liang et al. 2019"),
    "sharpness": Measure("sharpness, absolute noise", "Neyshabur et al. 2017"),
    "relative_sharpness": Measure("sharpness, relative noise", "Jiang et al. 2020"),
}
