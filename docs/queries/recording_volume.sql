-- How much is recorded per day and destination, how much room do the files take, and how many
-- recordings fail or come out without a file?
--
-- A recording counts on the day (UTC) it was asked for. `files` and `gigabytes` count every
-- completed asset: the video itself, but also chats, transcripts and single tracks.
--
-- Parameters:
--   $from   timestamp, the first moment that counts
--   $until  timestamp, the first moment that does not

WITH per_recording AS (
    SELECT
        CAST(created_at AS DATE) AS day,
        destination,
        status,
        duration,
        [
            asset.size FOR asset
            IN from_json(recording_assets, '[{"status": "VARCHAR", "size": "BIGINT"}]')
            IF asset.status = 'completed'
        ] AS sizes
    FROM recordings
    WHERE created_at >= $from AND created_at < $until
)

SELECT
    day,
    destination,
    count(*) AS recordings,
    count(*) FILTER (status = 'completed') AS completed,
    count(*) FILTER (status = 'failed') AS failed,
    count(*) FILTER (status = 'completed' AND coalesce(len(sizes), 0) = 0) AS completed_without_file,
    round(failed / count(*), 3) AS failed_share,
    CAST(coalesce(sum(len(sizes)), 0) AS BIGINT) AS files,
    round(coalesce(sum(list_sum(sizes)), 0) / 1e9, 3) AS gigabytes,
    round(coalesce(sum(CAST(duration AS DOUBLE)), 0) / 3600, 2) AS hours
FROM per_recording
GROUP BY day, destination
ORDER BY day, destination;
