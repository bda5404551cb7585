-- How much is recorded per day and destination, how much room do the files take, and how many recordings
-- fail or come out without a file?
--
-- A recording counts on the day (UTC) it was asked for (`created_at`). `files` and `gigabytes` count every
-- completed asset: the video itself, but also chats, transcripts and single tracks. `hours` is the length of
-- the primary file.
--
{{ sql.parameters(
    since="timestamp in UTC without a zone, the first moment that counts",
    until="timestamp in UTC without a zone, the first moment that does not",
) }}

WITH chosen AS (
    SELECT
        id,
        CAST({{ sql.utc("created_at") }} AS DATE) AS day,
        destination,
        status,
        duration,
        recording_assets
    FROM recordings
    WHERE {{ sql.within("created_at") | indent(4) }}
),

assets AS (
    {{ sql.items(
        "chosen AS r",
        "r.recording_assets",
        {"recording_id": "r.id"},
        {"status": ("status", "text"), "size": ("size", "number")},
    ) | indent(4) }}
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
    {{ sql.share("count(CASE WHEN chosen.status = 'failed' THEN 1 END)", "count(*)") }} AS failed_share,
    {{ sql.integer("coalesce(sum(files.file_count), 0)") }} AS files,
    {{ sql.rounded("coalesce(sum(files.bytes), 0) / 1000000000", 3) }} AS gigabytes,
    {{ sql.rounded("coalesce(sum(chosen.duration), 0) / 3600", 2) }} AS hours
FROM chosen
LEFT JOIN files ON chosen.id = files.recording_id
GROUP BY chosen.day, chosen.destination
ORDER BY chosen.day, chosen.destination NULLS LAST;
