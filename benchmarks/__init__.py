"""Generated modules against what people would use instead: `make bench`.

    workloads      the networks of specs/, with parameters and a batch for each
    networks       a spec as a list of layers with their shapes, from which every peer is built
    peers          who takes part; one module for each kind of peer
    rounds         all peers in one process, in turn; ratios of each round
    accuracy       the gradients of every peer against PyTorch in float64
    step, inference, memory, build      what is measured
    report         tables, and RESULTS.md

A ratio is our time divided by a peer's, in the same round: below 1 we are faster.
"""
