"""Reads data files into DuckDB. Every decision comes from the whole file, and what was decided is noted in words.

`bytestream` opens compressed files · `texts` decodes text · `layout` finds the delimiter · `direct` lets DuckDB read
large clean files · `surroundings` finds the header, titles and footers · `table` has the rows of all files ·
`columns`, `dates` and `header` find the types and the names · `typed` makes the typed table · `delimited`,
`spreadsheet`, `sqlitefile` and `jsonfile` read one format each · `copying` chooses between them.
"""
