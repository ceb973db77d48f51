"""sml24: more classes. Collapse is beaten by strongly regular graphs, and by smaller codes.

Statements, constants and proofs are ours; the paper is their origin and its numbering is not used. Lengths of proofs
are kept short by one remark: a chain of factors with W_L s(... s(W_1 H_1)) = I and prod |A_l|^2 = (rho K)^(L+1) costs
f(rho kappa) at its best scale, where DNC costs f(kappa); f rises, so rho < 1 decides for all ridge weights at once
(`chains`).
"""
