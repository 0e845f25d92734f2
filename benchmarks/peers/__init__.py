"""Who takes part. Each module here builds one kind of peer from a problem.

A peer has

    step()            one training step on its batch; gives the loss before it
    gradients()       {public name: array} in our layout, at the present parameters
    predictor(x)      a function without arguments that computes the network's output for x
    threads           how many threads its BLAS shall use, where that is NumPy's
"""
