"""Turns the servers in clients' files into plugins' tables, without a secret in them.

`places` finds and reads the files. `entries` reads the forms in which the clients write a server, `substitutes` the
variables in their texts, `commandline` the forms of a command. `tables` makes the table of one server, `plan` the
tables of all, and `replacing` puts the host into a client's file for them, `yamltext`
into one of YAML.
"""
