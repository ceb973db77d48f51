"""gk25: the persistence of neural collapse despite low-rank bias."""
