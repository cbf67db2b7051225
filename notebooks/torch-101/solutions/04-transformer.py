# One way to answer each exercise of 04-transformer.ipynb. Each part goes into the cell with its id.

# %% t4-answer-1
def causal_mask(n):
    """→ (n, n) of bool: row i may look at column j."""
    return torch.ones(n, n, dtype=torch.bool).tril()


# %% t4-answer-2
# the first and the last place are learnt first: the smallest and the largest digit of a row are
# found without counting how many of each have been written
def right_by_place(written, answers):
    """(n, length) and (n, length) → (length,) of float."""
    return (written == answers).float().mean(dim=0)


# %% t4-answer-3
# Not learnt: the first answer is the sum of all digits at once. Every later one is a single
# subtraction from the answer before it, and is learnt; but written on a wrong first answer, it is
# wrong too. The sum *so far* is learnt, because each answer is one step from the one before: this
# is why language models are better at sums when they may write down the steps.
def my_task(digits):
    """(n, length) → (n, length), digits of the row → digits of the answer."""
    return digits.flip(1).cumsum(1).flip(1) % 10
