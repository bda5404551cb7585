-- In what state are the recordings?
--
-- A recording counts by `created_at`, the moment it was asked for. `hours` is the length of the primary
-- files, which only completed recordings have.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, the first moment that counts
--   $until  timestamp in UTC without a zone, the first moment that does not
--
-- For DuckDB. Generated from templates/recording_status.sql: change that, not this.

WITH chosen AS (
    SELECT
        status,
        duration
    FROM recordings
    WHERE created_at >= CAST($since AS TIMESTAMP)
        AND created_at < CAST($until AS TIMESTAMP)
)

SELECT
    status,
    count(*) AS recordings,
    round(CAST(count(*) AS DECIMAL(38, 9)) / nullif(sum(count(*)) OVER (), 0), 3) AS share,
    round(CAST(coalesce(sum(duration), 0) / 3600 AS DECIMAL(38, 9)), 2) AS hours
FROM chosen
GROUP BY status
ORDER BY recordings DESC, status;
