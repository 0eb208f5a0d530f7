"""Dataset distillation: make a few synthetic images per class that train a network well.

DataDAM (Sajedi et al., ICCV 2023) and the methods it is compared with; see README.md.
"""
