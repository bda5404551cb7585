-- How many sessions did each app hold per day, how many people joined, and for how many minutes?
--
-- A session counts on the day (UTC) it started. One that is still live counts as well, but has
-- no duration yet. `participant_minutes` is the time people spent connected.
--
-- Parameters:
--   $from   timestamp, the first moment that counts
--   $until  timestamp, the first moment that does not

WITH per_session AS (
    SELECT
        CAST(started_at AS DATE) AS day,
        app_id,
        active,
        duration,
        from_json(peers, '[{"duration": "DOUBLE"}]') AS people
    FROM sessions
    WHERE started_at >= $from AND started_at < $until
)

SELECT
    day,
    app_id,
    count(*) AS sessions,
    count(*) FILTER (active) AS live,
    CAST(coalesce(sum(len(people)), 0) AS BIGINT) AS joins,
    round(coalesce(sum(CAST(duration AS DOUBLE)), 0) / 60, 2) AS session_minutes,
    round(coalesce(sum(list_sum([p.duration FOR p IN people])), 0) / 60, 2) AS participant_minutes
FROM per_session
GROUP BY day, app_id
ORDER BY day, app_id;
