# One way to answer each exercise of 03-convolution.ipynb. Each part goes into the cell with its id.

# %% t3-answer-1
def convolve(image, kernel):
    """(h, w) and (3, 3) → (h - 2, w - 2)."""
    height, width = image.shape
    return sum(
        kernel[row, column] * image[row:row + height - 2, column:column + width - 2]
        for row in range(3) for column in range(3)
    )


# %% t3-answer-2
def augment(x):
    """(n, 1, 8, 8) → (n, 1, 8, 8), every image shifted by -1, 0 or 1 at random."""
    choices = torch.stack([shifted(x, by) for by in (-1, 0, 1)])
    drawn = torch.randint(3, (len(x),), device=x.device)
    return choices[drawn, torch.arange(len(x), device=x.device)]


# %% t3-answer-3
# 3 after the first, 5 after the second, 6 after the pooling, and two steps of 2 more at the end
receptive_field = 10  # pixels across
