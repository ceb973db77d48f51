"""The wider theory: shallow and deep unconstrained feature models beyond the papers that have folders of their own."""
