"""Reads data files into DuckDB. Every decision comes from the whole file, and what was decided is noted in words.

`bytestream` opens compressed files · `texts` decodes text · `layout` finds delimiter, header and rows that do not fit ·
`table` has the rows of all files of a data set · `columns` and `dates` find the types · `delimited`, `spreadsheet`,
`sqlitefile`, `jsonfile` and `native` read one format each · `copying` chooses between them.
"""
