"""What the product is compared with, each as its own manual and tutorials use it, each in a process of its own.

Every peer writes the same good rows into a table of the same definition, in the same PostgreSQL.
"""
