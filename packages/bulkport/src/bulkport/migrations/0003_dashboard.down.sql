DROP TABLE bulkport.dashboard_links;
DROP TABLE bulkport.dashboard_sessions;
DROP TABLE bulkport.muted_failures;
DROP TABLE bulkport.bulk_operations;
DROP TABLE bulkport.audit;
