"""The command `bulkport`: migrations, workers, checks and jobs of an application, named as `module:attribute`."""
