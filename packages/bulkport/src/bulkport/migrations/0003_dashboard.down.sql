DROP TABLE bulkport.bulk_operations;
DROP TABLE bulkport.audit;
