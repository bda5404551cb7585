-- How much is recorded per day and destination, how much room do the files take, and how many recordings
-- fail or come out without a file?
--
-- A recording counts on the day (UTC) it was asked for (`created_at`). `files` and `gigabytes` count every
-- completed asset: the video itself, but also chats, transcripts and single tracks. `hours` is the length of
-- the primary file.
--
-- Parameters:
--   @since  timestamp in UTC without a zone, the first moment that counts
--   @until  timestamp in UTC without a zone, the first moment that does not
--
-- For BigQuery. Generated from templates/recording_volume.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        CAST(DATETIME(created_at) AS DATE) AS day,
        destination,
        status,
        duration,
        recording_assets
    FROM recordings
    WHERE DATETIME(created_at) >= CAST(@since AS DATETIME)
        AND DATETIME(created_at) < CAST(@until AS DATETIME)
),

assets AS (
    SELECT
        r.id AS recording_id,
        JSON_VALUE(item, '$.status') AS status,
        CAST(JSON_VALUE(item, '$.size') AS NUMERIC) AS size
    FROM chosen AS r
    CROSS JOIN UNNEST(JSON_QUERY_ARRAY(r.recording_assets)) AS item
),

files AS (
    SELECT
        recording_id,
        count(*) AS file_count,
        sum(size) AS bytes
    FROM assets
    WHERE status = 'completed'
    GROUP BY recording_id
)

SELECT
    chosen.day,
    chosen.destination,
    count(*) AS recordings,
    count(CASE WHEN chosen.status = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN chosen.status = 'failed' THEN 1 END) AS failed,
    count(CASE WHEN chosen.status = 'completed' AND files.file_count IS NULL THEN 1 END) AS completed_without_file,
    round(CAST(count(CASE WHEN chosen.status = 'failed' THEN 1 END) AS NUMERIC) / nullif(count(*), 0), 3) AS failed_share,
    CAST(coalesce(sum(files.file_count), 0) AS INT64) AS files,
    round(CAST(coalesce(sum(files.bytes), 0) / 1000000000 AS NUMERIC), 3) AS gigabytes,
    round(CAST(coalesce(sum(chosen.duration), 0) / 3600 AS NUMERIC), 2) AS hours
FROM chosen
LEFT JOIN files ON chosen.id = files.recording_id
GROUP BY chosen.day, chosen.destination
ORDER BY chosen.day, chosen.destination NULLS LAST;
