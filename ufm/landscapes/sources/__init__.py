"""Sources of points, one idea a file: generators of (how, point) that know the problem and nothing of the table.

Adding one: a function here that yields `(how, point)` and returns what it searched in words, and a line in the verb
that uses it.
"""
