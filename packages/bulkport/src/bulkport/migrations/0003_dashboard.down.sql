DROP TABLE bulkport.dashboard_links;
DROP TABLE bulkport.dashboard_sessions;
DROP TABLE bulkport.bulk_operations;
DROP TABLE bulkport.audit;
