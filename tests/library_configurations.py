"""Every layer and loss of the library in several configurations, each with what PyTorch computes.

A reference takes the parameters by name, the input and the target, and gives the loss. Layers have
a loss whose gradient by the output is the target, a random cotangent.
"""

import math
import sys

from library_accuracy import WEIGHTED, Configuration, report

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError:
    torch = functional = None


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def table(header, fields):
    return f"[{header}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in fields.items())


def network(layers, shape, loss=WEIGHTED, **fields):
    """The text of a spec, the layers as dicts of fields."""
    given = table("input", {"shape": list(shape), **fields})
    body = "".join(table("[layers]", layer) for layer in layers)
    return f'name = "net"\ndtype = "float64"\n{given}{body}{loss}'


def layer(kind, shape, reference, tokens=None, **fields):
    """A network of one layer; the reference has the parameters as keywords, by short names."""
    given = {} if tokens is None else {"dtype": "int64", "vocabulary": tokens}
    label = ", ".join([*(f"{k}={v}" for k, v in fields.items()), "x".join(map(str, shape))])
    return Configuration(
        kind,
        network([{"type": kind, **fields}], shape, **given),
        lambda p, x, y: (reference(x, **_short(p)) * y).sum(),
        name=f"{kind}({label})",
    )


def graph(kind, label, layers, shape, reference, **given):
    """Several layers; the reference has a dict of all parameters."""
    return Configuration(
        kind,
        network(layers, shape, **given),
        lambda p, x, y: (reference(p, x) * y).sum(),
        name=f"{kind}({label})",
    )


def loss(kind, shape, reference, target=None, label="", **fields):
    """A loss of a dense layer without bias."""
    text = table("loss", {"type": kind, **fields})
    label = label or ", ".join(
        [*(f"{k}={v}" for k, v in fields.items()), "x".join(map(str, shape))]
    )
    dense = {"type": "dense", "units": shape[-1], "bias": False}
    return Configuration(
        kind,
        network([dense], shape, text),
        lambda p, x, y: reference(x @ p["dense_1.W"], y),
        target,
        name=f"{kind}({label})",
    )


def _short(p):
    return {name.split(".", 1)[1]: tensor for name, tensor in p.items()}


# Layers on the last axis.


def dense(x, W, b=0):
    return x @ W + b


def bilinear(x, W, b):
    return functional.bilinear(x, x, W.permute(2, 0, 1), b)


def maxout(x, W, b):
    return (torch.einsum("...i,ijk->...jk", x, W) + b).max(-1).values


DENSE = [
    *(layer("dense", s, dense, units=4) for s in [(3,), (2, 3), (2, 2, 3)]),
    layer("dense", (3,), dense, units=4, bias=False),
    layer("dense", (1,), dense, units=1),
    *(layer("bilinear", s, bilinear, units=4) for s in [(3,), (2, 3), (1,)]),
    *(
        layer("maxout", s, maxout, units=4, pieces=k)
        for s, k in [((3,), 2), ((2, 3), 3), ((2,), 1)]
    ),
]

# Convolution: PyTorch has the channels first, and pads both sides alike.


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def padded(x, sizes, kernel, stride, padding, dilation):
    """The input with its zeros, of axes `[n, c, *sizes]`."""
    around = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        if padding == "same":
            total = max((math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size, 0)
            around = [total // 2, total - total // 2, *around]
        else:
            amount = 0 if padding == "valid" else padding
            around = [amount, amount, *around]
    return functional.pad(x, around)


def conv1d(kernel, stride=1, padding="valid", dilation=1, groups=1):
    def reference(x, W, b=None):
        at = padded(first(x), [x.shape[1]], [kernel], [stride], padding, [dilation])
        w = W.permute(2, 1, 0)
        return last(functional.conv1d(at, w, b, stride, 0, dilation, groups))

    return reference


def conv2d(kernel, stride=1, padding="valid", dilation=1, groups=1):
    kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)

    def reference(x, W, b=None):
        at = padded(first(x), x.shape[1:3], kernel, stride, padding, dilation)
        w = W.permute(3, 2, 0, 1)
        return last(functional.conv2d(at, w, b, stride, 0, dilation, groups))

    return reference


def depthwise(kernel, **fields):
    def reference(x, W, b=None):
        return conv2d(kernel, groups=x.shape[-1], **fields)(x, W[:, :, None], b)

    return reference


def transposed(stride=1, padding=0):
    def reference(x, W, b=None):
        w, p = W.permute(3, 2, 0, 1), 0 if padding == "valid" else padding
        return last(functional.conv_transpose2d(first(x), w, b, pair(stride), p))

    return reference


def convolution(kind, shape, reference, kernel, bias=True, filters=None, **fields):
    given = {} if filters is None else {"filters": filters}
    more = {} if bias else {"bias": False}
    made = reference(kernel, **fields)
    return layer(kind, shape, made, **given, kernel_size=kernel, **fields, **more)


CONVOLUTION = [
    *(
        convolution("conv1d", shape, conv1d, kernel, filters=4, **fields)
        for shape, kernel, fields in [
            ((6, 2), 3, {}),
            ((7, 3), 2, {"stride": 3}),  # gaps between the kernels
            ((7, 3), 3, {"stride": 2, "padding": "same"}),
            ((6, 3), 4, {"stride": 1, "padding": "same"}),  # the odd zero after
            ((5, 2), 3, {"padding": 2, "stride": 2}),
            ((9, 2), 3, {"dilation": 2}),
            ((8, 2), 3, {"dilation": 3, "padding": "same", "stride": 2}),
            ((6, 4), 3, {"groups": 2}),
            ((6, 4), 3, {"groups": 4, "padding": 1, "stride": 2}),
            ((5, 1), 5, {}),  # a single output
            ((5, 2), 1, {"bias": False}),
        ]
    ),
    *(
        convolution("conv2d", shape, conv2d, kernel, filters=filters, **fields)
        for shape, kernel, filters, fields in [
            ((5, 6, 2), 3, 4, {}),
            ((5, 4, 3), [2, 3], 2, {}),
            ((6, 7, 2), [3, 2], 3, {"stride": [2, 3]}),
            ((6, 5, 2), 3, 3, {"stride": 2, "padding": "same"}),
            ((4, 5, 2), [4, 2], 2, {"padding": "same"}),
            ((4, 4, 2), 3, 2, {"padding": 1}),
            ((5, 4, 1), 3, 2, {"padding": 2, "stride": 3}),
            ((7, 6, 2), 3, 2, {"dilation": [2, 1]}),
            ((6, 6, 2), 2, 2, {"dilation": 3, "padding": "same", "stride": 2}),
            ((5, 5, 4), 3, 6, {"groups": 2}),
            ((4, 5, 3), [1, 2], 3, {"groups": 3, "padding": "same"}),
            ((3, 3, 2), 1, 3, {"bias": False}),
            ((3, 4, 2), [3, 4], 2, {}),
        ]
    ),
    *(
        convolution("depthwise_conv2d", shape, depthwise, kernel, **fields)
        for shape, kernel, fields in [
            ((5, 4, 3), 3, {}),
            ((5, 6, 2), [2, 3], {"stride": 2, "padding": "same"}),
            ((5, 5, 2), 3, {"padding": 1, "bias": False}),
            ((6, 6, 2), 2, {"dilation": 2, "stride": [1, 2]}),
        ]
    ),
    *(
        layer(
            "conv2d_transpose", shape, transposed(**fields), filters=3, kernel_size=kernel, **more
        )
        for shape, kernel, fields, more in [
            ((3, 4, 2), 3, {}, {}),
            ((3, 2, 2), 2, {"stride": 2}, {"stride": 2}),
            ((3, 2, 2), 2, {"stride": 3}, {"stride": 3}),  # gaps between the kernels
            ((3, 3, 2), 3, {"stride": 2, "padding": 1}, {"stride": 2, "padding": 1}),
            ((2, 3, 2), [3, 2], {"stride": [1, 2]}, {"stride": [1, 2], "bias": False}),
        ]
    ),
]

# Pooling.


def max_pool1d(size, stride=None, padding=0):
    return lambda x: last(functional.max_pool1d(first(x), size, stride, padding))


def max_pool2d(size, stride=None, padding=0):
    stride = stride and pair(stride)
    return lambda x: last(functional.max_pool2d(first(x), pair(size), stride, padding))


def avg_pool1d(size, stride=None, padding=0):
    return lambda x: last(functional.avg_pool1d(first(x), size, stride, padding))


def avg_pool2d(size, stride=None, padding=0):
    stride = stride and pair(stride)
    return lambda x: last(functional.avg_pool2d(first(x), pair(size), stride, padding))


def upsampled(factor):
    h, w = pair(factor)
    return lambda x: x.repeat_interleave(h, 1).repeat_interleave(w, 2)


POOLING = [
    *(
        layer(kind, shape, reference(size, **fields), pool_size=size, **fields)
        for kind, reference in [("max_pool1d", max_pool1d), ("avg_pool1d", avg_pool1d)]
        for shape, size, fields in [
            ((6, 2), 2, {}),
            ((7, 2), 3, {}),
            ((7, 3), 3, {"stride": 2}),
            ((7, 2), 3, {"stride": 1, "padding": 1}),
            ((7, 2), 2, {"stride": 3}),
        ]
    ),
    *(
        layer(kind, shape, reference(size, **fields), pool_size=size, **fields)
        for kind, reference in [("max_pool2d", max_pool2d), ("avg_pool2d", avg_pool2d)]
        for shape, size, fields in [
            ((4, 6, 2), 2, {}),
            ((5, 7, 2), 2, {}),
            ((6, 5, 2), [3, 2], {}),
            ((6, 5, 2), 3, {"stride": 2}),
            ((5, 6, 1), 3, {"stride": [2, 1], "padding": 1}),
            ((6, 6, 1), [2, 1], {"stride": 3}),
        ]
    ),
    *(
        layer(kind, shape, reference)
        for kind, reference in [
            ("global_avg_pool2d", lambda x: x.mean((1, 2))),
            ("global_max_pool2d", lambda x: x.amax((1, 2))),
        ]
        for shape in [(3, 4, 2), (1, 1, 3)]
    ),
    *(layer("upsample2d", (2, 3, 2), upsampled(f), factor=f) for f in (2, 3, [1, 2])),
]

# Normalization.


def batch_norm(x, gamma, beta, running_mean=None, running_var=None, eps=1e-5):
    return last(functional.batch_norm(first(x), None, None, gamma, beta, True, 0.1, eps))


def layer_norm(x, gamma, beta, eps=1e-5):
    return functional.layer_norm(x, x.shape[-1:], gamma, beta, eps)


def rms_norm(x, gamma, eps=1e-5):
    return functional.rms_norm(x, x.shape[-1:], gamma, eps)


def group_norm(groups, eps=1e-5):
    return lambda x, gamma, beta: last(functional.group_norm(first(x), groups, gamma, beta, eps))


def instance_norm(x):
    return last(functional.instance_norm(first(x)))


def l2_normalize(x):
    return x / torch.sqrt((x**2).sum(-1, keepdim=True) + 1e-5)


NORMALIZATION = [
    *(layer("batch_norm", s, batch_norm) for s in [(4,), (5, 2), (3, 2, 2)]),
    layer("batch_norm", (4,), lambda x, **p: batch_norm(x, **p, eps=0.1), eps=0.1),
    *(layer("layer_norm", s, layer_norm) for s in [(4,), (3, 5), (2, 2, 3)]),
    layer("layer_norm", (4,), lambda x, **p: layer_norm(x, **p, eps=0.1), eps=0.1),
    *(layer("rms_norm", s, rms_norm) for s in [(4,), (3, 5), (2, 2, 3)]),
    layer("rms_norm", (4,), lambda x, **p: rms_norm(x, **p, eps=0.1), eps=0.1),
    *(
        layer("group_norm", s, group_norm(g), groups=g)
        for s, g in [((2, 3, 4), 2), ((2, 2, 3), 3), ((2, 3, 2), 1), ((5, 4), 2), ((6,), 2)]
    ),
    *(layer("instance_norm", s, instance_norm) for s in [(3, 4, 2), (2, 2, 1), (5, 3)]),
    *(layer("l2_normalize", s, l2_normalize) for s in [(4,), (3, 2), (2, 2, 3)]),
]

# Recurrences. PyTorch has the weights transposed.


def recurrent(module, rows=lambda w: w):
    def made(units, return_sequences=False, reverse=False, **fields):
        def reference(x, W, U, b, c=None):
            theirs = module(x.shape[-1], units, batch_first=True, dtype=torch.float64, **fields)
            given = {
                "weight_ih_l0": W.T,
                "weight_hh_l0": U.T,
                "bias_ih_l0": b,
                "bias_hh_l0": torch.zeros_like(b) if c is None else c,
            }
            at = x.flip(1) if reverse else x
            h, _ = torch.func.functional_call(theirs, given, (at,))
            h = h.flip(1) if reverse else h
            return h if return_sequences else h[:, 0 if reverse else -1]

        return reference

    return made


def rnn(units, return_sequences=False, reverse=False, activation="tanh"):
    def reference(x, W, U, b):
        function = getattr(functional, activation)
        h, steps = torch.zeros(len(x), units, dtype=x.dtype), [None] * x.shape[1]
        for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
            h = steps[t] = function(x[:, t] @ W + h @ U + b)
        return torch.stack(steps, 1) if return_sequences else h

    return reference


def lstm(units, **fields):
    return recurrent(torch.nn.LSTM)(units, **fields)


def gru(units, **fields):
    return recurrent(torch.nn.GRU)(units, **fields)


DIRECTIONS = [
    {},
    {"return_sequences": True},
    {"reverse": True},
    {"return_sequences": True, "reverse": True},
]
RECURRENCE = [
    *(
        layer(kind, (4, 3), lambda x, r=r, f=f, **p: r(2, **f)(x, **p), units=2, **f)
        for kind, r in [("rnn", rnn), ("lstm", lstm), ("gru", gru)]
        for f in DIRECTIONS
    ),
    *(
        layer(kind, (1, 2), lambda x, r=r, **p: r(3)(x, **p), units=3)
        for kind, r in [("rnn", rnn), ("lstm", lstm), ("gru", gru)]
    ),
    *(
        layer("rnn", (3, 2), rnn(2, activation=a), units=2, activation=a)
        for a in ("relu", "sigmoid", "softsign")
    ),
    *(
        graph(
            kind,
            "stacked",
            [{"type": kind, "units": 3, "return_sequences": True}, {"type": kind, "units": 2}],
            (4, 2),
            lambda p, x, r=r, kind=kind: r(2)(
                r(3, return_sequences=True)(x, **_of(p, f"{kind}_1")), **_of(p, f"{kind}_2")
            ),
        )
        for kind, r in [("rnn", rnn), ("lstm", lstm), ("gru", gru)]
    ),
]


def _of(p, layer):
    return {name.split(".")[1]: t for name, t in p.items() if name.split(".")[0] == layer}


# Sequences.


def attention(q, k, v, causal=False):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)


def three(p, x, causal=False):
    q, k, v = (dense(x, **_of(p, name)) for name in "abc")
    return attention(q, k, v, causal)


def multi_head(causal=False):
    def reference(x, W_q, W_k, W_v, b_q, b_k, b_v, W_o, b_o):
        q, k, v = (
            torch.einsum("ntd,dhe->nhte", x, W) + b[:, None]
            for W, b in [(W_q, b_q), (W_k, b_k), (W_v, b_v)]
        )
        return torch.einsum("nhte,hed->ntd", attention(q, k, v, causal), W_o) + b_o

    return reference


def transformer_block(causal=False):
    def reference(x, gamma_1, beta_1, gamma_2, beta_2, W_1, b_1, W_2, b_2, **p):
        x = x + multi_head(causal)(layer_norm(x, gamma_1, beta_1), **p)
        hidden = functional.gelu(layer_norm(x, gamma_2, beta_2) @ W_1 + b_1)
        return x + hidden @ W_2 + b_2

    return reference


def _causal(causal):
    return {"causal": True} if causal else {}


SEQUENCE = [
    layer("embedding", (4,), lambda x, E: E[x], tokens=5, vocabulary=5, dim=3),
    layer("embedding", (2,), lambda x, E: E[x], tokens=3, vocabulary=7, dim=1),
    *(
        layer("positional_embedding", (t, 3), lambda x, P: x + P[: x.shape[1]], length=4)
        for t in (4, 2)
    ),
    *(
        graph(
            "attention",
            f"causal={causal}",
            [
                *(
                    {"type": "dense", "name": n, "units": u, "inputs": ["input"], "bias": False}
                    for n, u in [("a", 3), ("b", 3), ("c", 2)]
                ),
                {"type": "attention", "inputs": ["a", "b", "c"], **_causal(causal)},
            ],
            (t, 4),
            lambda p, x, causal=causal: three(p, x, causal),
        )
        for causal in (False, True)
        for t in (4, 1)
    ),
    *(
        layer("multi_head_attention", (3, 4), multi_head(causal), heads=heads, **_causal(causal))
        for heads in (1, 2, 4)
        for causal in (False, True)
    ),
    *(
        layer(
            "transformer_block",
            (3, 4),
            transformer_block(causal),
            heads=2,
            hidden=5,
            **_causal(causal),
        )
        for causal in (False, True)
    ),
]

LAYERS = [*DENSE, *CONVOLUTION, *POOLING, *NORMALIZATION, *RECURRENCE, *SEQUENCE]

# Losses.


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def bits(rng, shape):
    return rng.integers(0, 2, shape).astype(float)


def positive(rng, shape):
    return rng.uniform(0.1, 3.0, shape)


def distribution(rng, shape):
    p = rng.uniform(0.1, 1.0, shape)
    p[..., 0] *= rng.integers(0, 2, shape[:-1])  # some are 0
    return p / p.sum(-1, keepdims=True)


def ignoring(ignored, classes):
    def target(rng, shape):
        y = rng.integers(0, classes, shape)
        y.flat[::2] = ignored
        return y

    return target


def rows(z, y):
    return z.reshape(-1, z.shape[-1]), y.reshape(-1)


def flat(z):
    """The samples and their places in time as one batch."""
    return z.reshape(-1, z.shape[-1])


def cross_entropy(class_weight=None, **fields):
    def reference(z, y):
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=z.dtype)
        return functional.cross_entropy(*rows(z, y), weight=weight, **fields)

    return reference


def focal(gamma=2.0):
    def reference(z, y):
        wrong = functional.cross_entropy(*rows(z, y), reduction="none")
        return ((1 - torch.exp(-wrong)) ** gamma * wrong).mean()

    return reference


def log_cosh(z, y):
    return torch.log(torch.cosh(z - y)).mean()


def triplet(margin=1.0):
    def reference(z, y):
        near, far = (z[:, 0] - z[:, 1]).norm(dim=-1), (z[:, 0] - z[:, 2]).norm(dim=-1)
        return (near - far + margin).clamp(min=0).mean()

    return reference


def contrastive(margin=1.0):
    def reference(z, y):
        d = (z[:, 0] - z[:, 1]).norm(dim=-1)
        return (y * d**2 + (1 - y) * (margin - d).clamp(min=0) ** 2).mean()

    return reference


LOSSES = [
    *(loss("mse", s, lambda z, y: functional.mse_loss(z, y)) for s in [(4,), (2, 3)]),
    *(loss("mae", s, lambda z, y: functional.l1_loss(z, y)) for s in [(4,), (2, 3)]),
    loss("huber", (4,), lambda z, y: functional.huber_loss(z, y)),
    loss("huber", (2, 3), lambda z, y: functional.huber_loss(z, y, delta=0.3), delta=0.3),
    *(loss("log_cosh", s, log_cosh) for s in [(4,), (2, 3)]),
    *(loss("softmax_cross_entropy", s, cross_entropy()) for s in [(4,), (3, 4)]),
    *(
        loss("softmax_cross_entropy", s, cross_entropy(label_smoothing=0.1), label_smoothing=0.1)
        for s in [(4,), (3, 4)]
    ),
    loss(
        "softmax_cross_entropy",
        (3,),
        cross_entropy([0.5, 1.0, 3.0]),
        class_weight=[0.5, 1.0, 3.0],
    ),
    *(
        loss(
            "softmax_cross_entropy",
            (4, 3),
            cross_entropy(ignore_index=i),
            ignoring(i, 3),
            ignore_index=i,
        )
        for i in (0, 2)
    ),
    *(
        loss(
            "binary_cross_entropy",
            s,
            lambda z, y: functional.binary_cross_entropy_with_logits(z, y),
            bits,
        )
        for s in [(4,), (2, 3), (1,)]
    ),
    *(
        loss("hinge", s, lambda z, y: (1 - z * y).clamp(min=0).mean(), signs)
        for s in [(4,), (2, 3)]
    ),
    *(
        loss("multiclass_hinge", s, lambda z, y: functional.multi_margin_loss(*rows(z, y)))
        for s in [(4,), (2, 3)]
    ),
    *(
        loss(
            "kl_divergence",
            s,
            lambda z, y: functional.kl_div(*map(flat, (z, y)), reduction="batchmean"),
            distribution,
        )
        for s in [(4,), (2, 3)]
    ),
    loss(
        "poisson", (4,), lambda z, y: functional.poisson_nll_loss(z, y), positive, label="positive"
    ),
    loss("poisson", (2, 3), lambda z, y: functional.poisson_nll_loss(z, y), bits, label="zeros"),
    *(loss("focal", s, focal()) for s in [(4,), (3, 4)]),
    *(loss("focal", (4,), focal(g), gamma=g) for g in (0.0, 0.5, 5.0)),
    *(
        loss(
            "cosine_similarity", s, lambda z, y: (1 - functional.cosine_similarity(z, y, -1)).mean()
        )
        for s in [(4,), (2, 3)]
    ),
    loss("triplet", (3, 3), triplet()),
    loss("triplet", (3, 2), triplet(9.0), margin=9.0),
    loss("contrastive", (2, 4), contrastive(), bits),
    loss("contrastive", (2, 3), contrastive(5.0), bits, margin=5.0),
]

if __name__ == "__main__":
    chosen = [c for c in LAYERS + LOSSES if c.entry in sys.argv[1:] or not sys.argv[1:]]
    for line in report(chosen, torch):
        print(line, flush=True)
