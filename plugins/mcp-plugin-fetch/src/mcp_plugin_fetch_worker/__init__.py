"""What the fetch plugin runs in a separate process: it turns a page into Markdown and a PDF into text.

It is a package of its own, so that the process does not import the host. `__main__` limits memory and time and answers
one request · `pages` converts HTML, after `hidden` has removed what nobody sees, `formulas` and `code` have written
formulas and code once and in full, and `links` has found the frames and where the page goes on (`refresh` reads the
form) · `trees` has small steps in a tree · `pdf` reads a PDF · `characters` removes characters that are not shown.
"""
