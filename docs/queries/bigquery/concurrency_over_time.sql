-- How many people were in calls, and in how many rooms, each time the connector looked?
--
-- Counts the rows of `active_room_peers`, one snapshot for each sync. That needs a table which keeps them:
-- choose "full refresh, append" for this stream. Rows that were extracted within `gap_seconds` of each other
-- belong to one snapshot. A snapshot in which nobody was in a call has no rows and so no line. For exact
-- numbers of the past, which do not depend on when the connector looked, see peak_concurrency.sql.
--
-- Parameters:
--   @since        timestamp in UTC without a zone, the first moment that counts
--   @until        timestamp in UTC without a zone, the first moment that does not
--   @gap_seconds  number, less than the time between two syncs and more than one sync takes, such as 60
--
-- For BigQuery. Generated from templates/concurrency_over_time.sql: change that, not this.

WITH seen AS (
    SELECT
        DATETIME(_airbyte_extracted_at) AS moment,
        id,
        room_id,
        coalesce(nullif(user_id, ''), id) AS person
    FROM active_room_peers
    WHERE DATETIME(_airbyte_extracted_at) >= CAST(@since AS DATETIME)
        AND DATETIME(_airbyte_extracted_at) < CAST(@until AS DATETIME)
),

gaps AS (
    SELECT
        moment,
        id,
        room_id,
        person,
        lag(moment) OVER (ORDER BY moment) AS moment_before
    FROM seen
),

snapshots AS (
    SELECT
        moment,
        id,
        room_id,
        person,
        sum(
            CASE
                WHEN DATETIME_DIFF(moment, moment_before, MICROSECOND) / 1000000 < CAST(@gap_seconds AS NUMERIC)
                    THEN 0
                ELSE 1
            END
        ) OVER (ORDER BY moment ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS snapshot_number
    FROM gaps
)

SELECT
    min(moment) AS looked_at,
    count(DISTINCT id) AS peers,
    count(DISTINCT person) AS people,
    count(DISTINCT room_id) AS rooms
FROM snapshots
GROUP BY snapshot_number
ORDER BY looked_at;
