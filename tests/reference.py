"""Independent implementation of the paper's network, with which the tests compare the library.

It follows equations 7, 9 and 22 to 27, one pattern and one connection at a time, and shares no code with the library.
"""

import numpy as np

A, S = 1.7159, 2.0 / 3.0
# The maps of S2 to which each map of C3 is connected (Table I).
C3_INPUTS = [
    [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 0], [5, 0, 1],
    [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 0], [4, 5, 0, 1], [5, 0, 1, 2],
    [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5],
]  # fmt: skip


class Reference:
    """Network with given parameters; `value` maps parameter names to arrays in the library's shapes."""

    def __init__(self, value, codes):
        self.value, self.codes = value, codes
        self.kernels = {}
        for layer, inputs in (("C1", [[0]] * 6), ("C3", C3_INPUTS), ("C5", [list(range(16))] * 120)):
            weights = value[f"{layer}.weight"].reshape(-1, 5, 5)
            pairs = [(o, c) for o, maps in enumerate(inputs) for c in sorted(maps)]
            self.kernels[layer] = dict(zip(pairs, weights, strict=True))

    def forward(self, image):
        """Return the penalties for an image, and keep the state x of every stage."""
        x = {"input": image[None]}
        x["C1"] = squash(self.convolve("C1", x["input"], 28))
        x["S2"] = squash(self.subsample("S2", x["C1"]))
        x["C3"] = squash(self.convolve("C3", x["S2"], 10))
        x["S4"] = squash(self.subsample("S4", x["C3"]))
        x["C5"] = squash(self.convolve("C5", x["S4"], 1))
        x["F6"] = squash(self.value["F6.weight"] @ x["C5"].ravel() + self.value["F6.bias"])
        self.x = x
        return np.array([sum((f - w) ** 2 for f, w in zip(x["F6"], code, strict=True)) for code in self.codes])

    def loss(self, y, label, j):
        return y[label] + np.log(np.exp(-j) + np.exp(-y).sum())

    def derivatives(self, y, label, j):
        """Return the gradients and the Gauss-Newton diagonal of eq. 9 for all parameters; call `forward` first."""
        p = np.exp(-y) / (np.exp(-j) + np.exp(-y).sum())
        g = -p
        g[label] += 1
        difference = self.x["F6"] - self.codes
        top_gradient = (g[:, None] * 2 * difference).sum(axis=0)
        top_curvature = ((p * (1 - p))[:, None] * (2 * difference) ** 2).sum(axis=0) + 2 * g.sum()
        return self.sweep(top_gradient, 1), self.sweep(np.maximum(top_curvature, 0), 2)

    def sweep(self, v, power):
        """Propagate derivatives with respect to x(F6) to all parameters: gradients (power 1), curvatures (power 2)."""
        x, value, out = self.x, self.value, {}
        v = v * slope(x["F6"]) ** power  # eq. 27's f'^2
        out["F6.weight"] = np.outer(v, x["C5"].ravel() ** power)
        out["F6.bias"] = v.copy()
        v = ((value["F6.weight"] ** power).T @ v).reshape(120, 1, 1)
        for layer, below in (("C5", "S4"), ("S4", "C3"), ("C3", "S2"), ("S2", "C1"), ("C1", "input")):
            v = v * slope(x[layer]) ** power
            out[f"{layer}.bias"] = v.sum(axis=(1, 2))
            if layer[0] == "C":
                v, out[f"{layer}.weight"] = self.unconvolve(layer, v, x[below], power)
            else:
                sums = four(x[below])
                out[f"{layer}.coefficient"] = (sums**power * v).sum(axis=(1, 2))
                v = np.kron(value[f"{layer}.coefficient"][:, None, None] ** power * v, np.ones((1, 2, 2)))
        return out

    def convolve(self, layer, x, size):
        y = np.zeros((len(self.value[f"{layer}.bias"]), size, size))
        y += self.value[f"{layer}.bias"][:, None, None]
        for (o, c), kernel in self.kernels[layer].items():
            for r in range(size):
                for s in range(size):
                    y[o, r, s] += (kernel * x[c, r : r + 5, s : s + 5]).sum()
        return y

    def unconvolve(self, layer, v, x, power):
        below, weights = np.zeros_like(x), []
        for (o, c), kernel in self.kernels[layer].items():
            total = np.zeros((5, 5))
            for r in range(v.shape[1]):
                for s in range(v.shape[2]):
                    total += x[c, r : r + 5, s : s + 5] ** power * v[o, r, s]
                    below[c, r : r + 5, s : s + 5] += kernel**power * v[o, r, s]
            weights.append(total)
        return below, np.array(weights).reshape(self.value[f"{layer}.weight"].shape)

    def subsample(self, layer, x):
        coefficient, bias = self.value[f"{layer}.coefficient"], self.value[f"{layer}.bias"]
        return coefficient[:, None, None] * four(x) + bias[:, None, None]


def four(x):
    return x[:, ::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, ::2] + x[:, 1::2, 1::2]


def squash(a):
    return A * np.tanh(S * a)


def slope(y):
    """Return f'(a) as a function of y = f(a)."""
    return A * S * (1 - (y / A) ** 2)
