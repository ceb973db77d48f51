"""sml23: two classes. Deep neural collapse is the global optimum of the deep ReLU model, below a threshold of the ridge
weights.

Statements, constants and proofs are ours; the paper is their origin and its numbering is not used. The proof for K = 2
is in `lemma` (one inequality between nuclear norms, which fails for three columns) and `twin` (a linear model below
every ReLU model of two classes); the value follows in `value`.
"""
