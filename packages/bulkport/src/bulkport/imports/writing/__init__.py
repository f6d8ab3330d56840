"""The ways of rows into a table, in the transaction of their chunk; `write` chooses among them."""
