"""scikit-learn's Gaussian process on the data of standard input (JSON); its answers as JSON on standard output."""

import json
import sys
import warnings

import numpy
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

warnings.filterwarnings("ignore")
given = json.load(sys.stdin)
x, y, at = (numpy.array(given[name], dtype=float) for name in ("x", "y", "at"))


def kernel(bounds):
    return ConstantKernel(given["scale"], bounds) * Matern(given["lengths"], bounds, nu=2.5) + WhiteKernel(given["noise"], bounds)


fixed = GaussianProcessRegressor(kernel("fixed"), alpha=given["nugget"], optimizer=None).fit(x, y - given["mean"])
mean, deviation = fixed.predict(at, return_std=True)
likelihood, gradient = GaussianProcessRegressor(kernel((1e-8, 1e8)), alpha=given["nugget"], optimizer=None).fit(
    x, y - given["mean"]
).log_marginal_likelihood(kernel((1e-8, 1e8)).theta, eval_gradient=True)
# With a constant mean that is fixed, the search is over the same function as ours only near our mean: its optimum bounds ours from below.
learned = GaussianProcessRegressor(
    kernel((1e-6, 1e6)), alpha=given["nugget"], n_restarts_optimizer=3, random_state=0
).fit(x, y - given["mean"])
json.dump(
    {
        "mean": (mean + given["mean"]).tolist(),
        # The white kernel counts the noise of a new observation in; ours is the function's own.
        "variance": (deviation**2 - given["noise"]).tolist(),
        "likelihood": likelihood,
        "gradient": gradient.tolist(),
        "best": learned.log_marginal_likelihood_value_,
    },
    sys.stdout,
)
