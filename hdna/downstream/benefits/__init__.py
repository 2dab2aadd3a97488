"""The benefit report: what is known of a checkpoint's use, under the six heads of Wornow et al. (arXiv 2303.12961).

They found that models are judged on tasks that say little about their use, and proposed to judge benefits instead.
Nothing is measured here: evidence is gathered, and what is missing is said to be.
"""
