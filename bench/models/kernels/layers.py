"""Biases, ReLU and outputs. Arrays: G inputs, E experts, B samples, O outputs of a layer, H inputs of the output."""

from __future__ import annotations

from bench.models.kernels.numbers import jit, narrow, widen


@jit
def rectify(z, column, bias, out):  # type: ignore[no-untyped-def]
    """Takes one hidden layer out of a wide product: out (E, B, O) = relu(z + bias).

    z (G, B, columns) holds the experts of a group side by side, from `column` on.
    """
    groups, batch, _ = z.shape
    experts, _, width = out.shape
    each = experts // groups
    zero = bias.dtype.type(0)
    for g in range(groups):
        for b in range(batch):
            for j in range(each):
                row = z[g, b, column + j * width : column + (j + 1) * width]
                shift = bias[g * each + j]
                to = out[g * each + j, b]
                for k in range(width):
                    y = widen(row[k]) + shift[k]
                    to[k] = narrow(zero if y < 0 else y, to[k])  # NaN stays


@jit
def rectify_in_place(z, bias):  # type: ignore[no-untyped-def]
    """`rectify` of an only layer with an input for each expert, whose z is (E, B, O) already.

    Were input and output of `rectify` the same memory, its loops would not run in vectors.
    """
    zero = bias.dtype.type(0)
    for e in range(z.shape[0]):
        shift = bias[e]
        for b in range(z.shape[1]):
            row = z[e, b]
            for k in range(z.shape[2]):
                y = widen(row[k]) + shift[k]
                row[k] = narrow(zero if y < 0 else y, row[k])


@jit
def unrectify(gradient, out, column, dz, dbias):  # type: ignore[no-untyped-def]
    """The gradient of `rectify`: fills dz (G, B, columns) from `column` on, and adds to dbias (E, O)."""
    groups, batch, _ = dz.shape
    experts, _, width = out.shape
    each = experts // groups
    zero = dbias.dtype.type(0)
    for g in range(groups):
        for b in range(batch):
            for j in range(each):
                row = dz[g, b, column + j * width : column + (j + 1) * width]
                above = gradient[g * each + j, b]
                y = out[g * each + j, b]
                total = dbias[g * each + j]
                for k in range(width):
                    d = widen(above[k])
                    d = zero if widen(y[k]) <= 0 else d
                    total[k] += d
                    row[k] = narrow(d, row[k])


@jit
def is_live(gradient, live):  # type: ignore[no-untyped-def]
    """live (E): whether gradient (E, B, O) of each has a number that is not zero; mostly the first row tells."""
    for e in range(len(live)):
        live[e] = False
        for b in range(gradient.shape[1]):
            row, found = gradient[e, b], 0
            for k in range(len(row)):
                found |= widen(row[k]) != 0
            if found:
                live[e] = True
                break


@jit
def spread(z, column, out):  # type: ignore[no-untyped-def]
    """`rectify` without bias and ReLU: out (E, B, O) as it stands in z."""
    each = len(out) // len(z)
    for e in range(len(out)):
        start = column + e % each * out.shape[2]
        for b in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[e, b, k] = z[e // each, b, start + k]


@jit
def unspread(gradient, column, dz):  # type: ignore[no-untyped-def]
    """The gradient of `spread`."""
    each = len(gradient) // len(dz)
    for e in range(len(gradient)):
        start = column + e % each * gradient.shape[2]
        for b in range(gradient.shape[1]):
            for k in range(gradient.shape[2]):
                dz[e // each, b, start + k] = gradient[e, b, k]


@jit
def head(h, weight, bias, y):  # type: ignore[no-untyped-def]
    """Linear outputs: y (B, E) = h (E, B, H) . weight (E, 1, H) + bias (E, 1)."""
    for e in range(h.shape[0]):
        w = weight[e, 0]
        for b in range(h.shape[1]):
            row = h[e, b]
            total = bias[e, 0]
            for k in range(h.shape[2]):
                total += widen(row[k]) * w[k]
            y[b, e] = total


@jit
def unhead(above, h, weight, dh, dweight):  # type: ignore[no-untyped-def]
    """The gradient of `head` from the one at its outputs, (B, E): fills dh, and adds to dweight."""
    for e in range(h.shape[0]):
        w, total = weight[e, 0], dweight[e, 0]
        for b in range(h.shape[1]):
            d, row, to = above[b, e], h[e, b], dh[e, b]
            for k in range(h.shape[2]):
                total[k] += d * widen(row[k])
                to[k] = narrow(d * w[k], to[k])


@jit
def add_up(parts, total):  # type: ignore[no-untyped-def]
    """total (O, I) = the sum of parts (C, O, I)."""
    for o in range(total.shape[0]):
        to = total[o]
        to[:] = 0
        for c in range(len(parts)):
            part = parts[c, o]
            for i in range(len(to)):
                to[i] += widen(part[i])
