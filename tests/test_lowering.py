"""Every program means to NumPy what it means to the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from tests.lowered_programs import run_fresh, run_workspace

SIZES = {
    "n": 4,
    "t": 3,
    "i": 5,
    "j": 3,
    "k": 2,
    "d": 9,
    "v": 9,
    "h": 2,
    "p": 3,
    "w": 3,
    "x": 5,
    "...": 6,
}

PROGRAMS = {
    "dense": "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]",
    "dense transposed": "z[j,n] = sum[i](x[n,i]*W[j,i])",
    "dense over time": "z[n,t,j] = sum[i](x[n,t,i]*W[i,j]) + b[j]",
    "dense into the middle": "z[n,j,t] = sum[i](x[n,t,i]*W[i,j])",
    "weights over time": "W_bar[i,j] = sum[n,t](x[n,t,i]*g[n,t,j])",
    "weights of a transposed layer": "W_bar[j,i] = sum[n,t](x[n,t,i]*g[t,n,j])",
    "matrix and vector": "y[i] = sum[j](A[i,j]*v[j])",
    "vector and matrix": "y[j] = sum[i](A[i,j]*v[i])",
    "outer product": "y[i,j] = a[i]*b[j]",
    "inner product": "y = sum[i](a[i]*b[i])",
    "inner product of a matrix": "y = sum[i,j](A[i,j]*B[j,i])",
    "quadratic form": "y = sum[i,j](x[i]*A[i,j]*x[j])",
    "bilinear": "y[n,j] = sum[i,k](x[n,i]*W[i,k,j]*z[n,k]) + b[j]",
    "heads": "s[n,h,t,w] = sum[d](q[n,t,h,d]*k[n,w,h,d])/sqrt(D)",
    "heads back": "o[n,t,h,d] = sum[w](p[n,h,t,w]*v[n,w,h,d])",
    "batched row": "y[n,j] = sum[i](a[n,i]*B[n,i,j])",
    "batched column": "y[n,i] = sum[j](A[n,i,j]*b[n,j])",
    "batched dot": "y[n] = sum[i](a[n,i]*b[n,i])",
    "dot along rows": "y[i] = sum[n](a[n,i]*b[n,i])",
    "three factors": "y[n] = sum[i,j](x[n,i]*W[i,j]*g[n,j])",
    "chain of matrices": "y[n,d] = sum[i,j,k](x[n,i]*A[i,j]*B[j,k]*C[k,d])",
    "weighted": "y[i,j] = sum[n](w[n]*x[n,i]*x[n,j])",
    "linearity": "y[n] = sum[i](x[n,i] - c[i]) + sum[i,j](a[i] - 2*x[n,j])",
    "absent index": "y[n] = sum[i,j](x[n,i]); w[j] = c[j]",
    "absent from one addend": "y = sum[i,j](A[i,j] - 3)",
    "squares": "y[n] = sum[i](x[n,i]**2); q = sum[n,i](x[n,i]**2)",
    "fourth powers": "y[n] = sum[i](x[n,i]**4) + mean[i](x[n,i]**3)",
    "mean": "m[i] = mean[n](x[n,i]); v[i] = mean[n]((x[n,i] - m[i])**2)",
    "layer norm": """
        mu[n] = mean[d](x[n,d])
        var[n] = mean[d]((x[n,d] - mu[n])**2)
        y[n,d] = gamma[d]*(x[n,d] - mu[n])/sqrt(var[n] + eps) + beta[d]""",
    "softmax": "p[n,j] = exp(z[n,j])/sum[k](exp(z[n,k])) + 0*sum[k](A[k,k])",
    "trace": "y = sum[i](A[i,i]) + sum[i,j](B[j,i,i])",
    "diagonal": "y[i] = A[i,i]*b[i] + B[i,i,2]",
    "transposition": "y[j,i] = x[i,j]",
    "transposed sum": "y[j,i] = x[i,j] + z[j,i]*w[i]",
    "broadcast result": "y[n,i] = a[n]; w[n] = 2; u = 3; c[i] = b[i]",
    "extrema": "y[n] = max[i](x[n,i]); z[i] = min[n](x[n,i]); m = max[n,i](x[n,i])",
    "product": "y[n] = prod[i](x[n,i]); z = prod[i](c[i])",
    "arguments": "y[n] = argmax[i](x[n,i]); z = argmin[n,i](x[n,i]); w[i] = argmax[n](x[n,i])",
    "argument of a sum": "y[j] = argmax[n,i](x[n,i] + b[j])",
    "functions": "y[i] = exp(-abs(x[i])) + sin(x[i])*cos(x[i]) + tanh(x[i]) + sign(x[i])"
    " + atan(x[i])",
    "more functions": "y[i] = log(x[i]**2 + 1) + sqrt(abs(x[i]))"
    " + log1p(x[i]**2) - expm1(-x[i]**2)",
    "powers": "y[i] = x[i]**3/(1 + x[i]**2) + (x[i]**2 + 1)**-1.5 + 2**x[i] - x[i]**-2",
    "signs": "y[i] = -x[i]; z[i] = -x[i] - a[i] - 1; w[i] = 1 - x[i]; u[i] = -(x[i]*a[i])/2",
    "quotients": "y[n,i] = a[n]*x[n,i]/(s[n]*N*c[i]); z[n,i] = 2*x[n,i]/3",
    "extrema of two": "y[i] = maximum(x[i], 0) - minimum(x[i], a[i])",
    "where": "y[i] = where(x[i] > 0, x[i], a[i]*2); z[i] = where(x[i] <= a[i], x[i], 0)",
    "where of numbers": """
        y[i] = where(x[i] > 0, 2, 3)
        z[i] = where(x[i] > 0 and not a[i] > 0, 1, 0)""",
    "comparisons": "y[i] = (x[i] > 0)*a[i] + (x[i] < a[i]) + (i == 2)",
    "conditions": "y[i,j] = where(i < j or i == 2*j, x[i,j], -x[i,j])",
    "indices as numbers": "y[i] = i*x[i] + i/2; z[i,j] = (i - j)**2 + 0*a[j]; w = sum[i](i*x[i])",
    "mod": "y[i] = x[i] % 2 + (x[i]*3) % a[i]",
    "scalars": "c = a*b + 2; y[i] = x[i]*c/a; z = exp(c)/N; L = sum[n](u[n]) + z",
    "sizes": "y[n] = x[n]/sqrt(N) + log(N) + N**1.5 + maximum(N, 3)",
    "one-hot": "y[n,j] = a[n,j]/s[n] - (j == c[n]) + 0*z[n,c[n]]*sum[k](z[n,k])",
    "scaled one-hot": """
        w[n,t] = z[n,t,c[n,t]]
        y[n,t,j] = a[n,t,j]*2 - b[n]*(j == c[n,t])/N + 0*w[n,t]*sum[v](z[n,t,v])""",
    "pick": "y[n] = z[n,c[n]]; w[n,t] = u[n,t,c[n]]",
    "embedding": "y[n,t,d] = E[c[n,t],d]; w[n,d] = sum[t](E[c[n,t],d])",
    "embedding back": "y[n,t] = E[c[n,t]]; E_bar[v] = sum[n,t](g[n,t]*(v == c[n,t])); w[v] = E[v]",
    "rows back": "y = E[c[0,0],0]; E_bar[v,d] = sum[n,t](g[n,t,d]*(v == c[n,t])); w[v,d] = E[v,d]",
    "shift": "y[t] = x[t+1] - x[t+0*T]*c[t]",
    "even": "y[p] = x[2*p] + x[2*p+1]",
    "reversed": "y[i] = x[I-1-i]; z[i] = x[i]",
    "reversed pairs": "y[p] = x[X-1-2*p]; z[x] = x[x]",
    "windows": "y[n,p,j] = sum[k,i](x[n,2*p+k,i]*W[k,i,j])",
    "images": "y[n,p,q,j] = sum[h,w,i](x[n,p+h,2*q+w,i]*W[h,w,i,j])",
    "pooling": "y[n,p,i] = max[k](x[n,2*p+k,i]) + 0*sum[k](c[k])",
    "padded": "y[n,x,j] = sum[k,i](u[n,x+k-1,i]*W[k,i,j]) + 0*c[x]",
    "padded pooling": """
        y[n,x] = max[k](u[n,x+k-1] + 0*c[k]) + a[x]
        w[n,x] = mean[k](u[n,x+k-1]*c[k])""",
    "guarded exponentials": "y[n] = sum[k](where(k <= n, exp(300*(x[n] - x[k])/(n - k + 0.5)), 0))",
    "causal": """
        y[t] = sum[s](where(s <= t, x[s]*A[t,s], 0))
        m[t] = max[s](where(s <= t, A[t,s], -9))""",
    "blocks": "y[g,i] = c[g]*sum[j](W[i,g*J+j]*x[j])",
    "one block": "y[i,j] = W[i,0*J+j] + W[i,2*J+j]*x[j]; z[d] = W[0,d]",
    "digits": "y[n,f] = x[n,f//3,f%3]*c[f]",
    "circular": "y[i] = sum[j](x[(i-j) % I]*w[j])",
    "halves": "y[i] = x[i//2]*c[i]",
    "convolution back": """
        s[i] = sum[p](where(0 <= i+1-2*p and i+1-2*p < K, g[p]*w[i+1-2*p], 0))
        x_bar[i] = s[i] + 0*z[i]*sum[k](w[k])""",
    "rank": "y[...,j] = sum[i](x[...,i]*W[i,j]) + b[j]; L = sum[...,j](y[...,j])",
    "mean over rank": "L = mean[...](x[...]*y[...])",
    "used twice": "e[i] = exp(x[i]); y[i] = e[i]*e[i] + e[i]; z[i] = exp(x[i])/e[i]",
    "names of Python": "np[i] = dtype[i]*2; math = sum[i](np[i]); y[i] = np[i]*math; N = math",
}


@pytest.mark.parametrize("form", [run_fresh, run_workspace])
@pytest.mark.parametrize("name", PROGRAMS)
def test_means_the_same_to_numpy(name: str, form: object) -> None:
    program = flatten(parse(PROGRAMS[name].replace(";", "\n"), sizes=_sizes(PROGRAMS[name])))
    arrays = sample(program)
    exact = evaluate(program, arrays)
    results = tuple(e.target for e in program.equations)
    computed = form(program, results, arrays)
    for target in results:
        assert np.shape(computed[target]) == np.shape(exact[target]), target
        np.testing.assert_allclose(computed[target], exact[target], 1e-10, 1e-12, err_msg=target)


@pytest.mark.parametrize("form", [run_fresh, run_workspace])
@pytest.mark.parametrize("name", PROGRAMS)
def test_keeps_float32(name: str, form: object) -> None:
    program = flatten(parse(PROGRAMS[name].replace(";", "\n"), sizes=_sizes(PROGRAMS[name])))
    results = (program.result,)
    computed = form(program, results, sample(program), np.float32)
    assert np.asarray(computed[program.result]).dtype in (np.float32, np.int64)


def _sizes(text: str) -> dict[str, int]:
    """Sizes that a padded access does not fix."""
    return {}


def sample(program: object, unknown: int = 4) -> dict[str, np.ndarray]:
    """Arrays for the inputs of a program, the same each time; `unknown` is any other size."""
    random = np.random.default_rng(0)
    arrays = {}
    for tensor in program.inputs:
        shape = [_length(i, unknown) for i in tensor.axes]
        if tensor.kind == "integer":
            arrays[tensor.name] = random.integers(0, 3, shape)
        else:
            arrays[tensor.name] = random.uniform(0.3, 1.5, shape) * random.choice([-1, 1], shape)
        if tensor.name in ("s", "eps", "var"):
            arrays[tensor.name] = np.abs(arrays[tensor.name])
    return arrays


def _length(index: object, unknown: int) -> int:
    if index.size.is_Integer:
        return int(index.size)
    return SIZES.get(str(index.size).lower(), unknown)
