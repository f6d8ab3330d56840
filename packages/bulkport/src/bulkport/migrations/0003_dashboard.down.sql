DROP TABLE IF EXISTS bulkport.dashboard_links;
DROP TABLE IF EXISTS bulkport.dashboard_sessions;
DROP TABLE IF EXISTS bulkport.saved_views;
DROP TABLE IF EXISTS bulkport.muted_failures;
DROP TABLE IF EXISTS bulkport.bulk_operations;
DROP TABLE IF EXISTS bulkport.audit;
