"""What the page does with clips, below the page itself: arrays in, arrays out, and the process that runs it.

`wire` alone imports no NumPy: the server shares it.
"""
