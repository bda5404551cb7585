-- How many sessions did each app hold per day, how many people joined, and for how many minutes?
--
-- A session counts on the day (UTC) it started. One that is still live counts as well, but has no
-- duration yet. `joins` counts everybody who came in, so somebody who came twice counts twice.
-- `session_minutes` goes from `started_at` to `stopped_at`, which is always known once a session is over
-- (`ended_at` is not); `participant_minutes` is the time that people spent connected.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, the first moment that counts
--   $until  timestamp in UTC without a zone, the first moment that does not
--
-- For Snowflake. Generated from templates/session_volume.sql: change that, not this.

WITH chosen AS (
    SELECT
        id,
        CAST(CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) AS DATE) AS day,
        app_id,
        active,
        duration,
        peers
    FROM sessions
    WHERE CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) >= CAST($since AS TIMESTAMP_NTZ)
        AND CAST(convert_timezone('UTC', started_at) AS TIMESTAMP_NTZ) < CAST($until AS TIMESTAMP_NTZ)
),

stays AS (
    SELECT
        s.id AS session_id,
        CAST(item.value:duration AS NUMBER(38, 9)) AS seconds
    FROM chosen AS s,
        LATERAL flatten(input => s.peers) AS item
),

people AS (
    SELECT
        session_id,
        count(*) AS joins,
        sum(seconds) AS seconds
    FROM stays
    GROUP BY session_id
)

SELECT
    chosen.day,
    chosen.app_id,
    count(*) AS sessions,
    count(CASE WHEN chosen.active THEN 1 END) AS live,
    CAST(coalesce(sum(people.joins), 0) AS INTEGER) AS joins,
    round(CAST(coalesce(sum(chosen.duration), 0) / 60 AS NUMBER(38, 9)), 2) AS session_minutes,
    round(CAST(coalesce(sum(people.seconds), 0) / 60 AS NUMBER(38, 9)), 2) AS participant_minutes
FROM chosen
LEFT JOIN people ON chosen.id = people.session_id
GROUP BY chosen.day, chosen.app_id
ORDER BY chosen.day, chosen.app_id;
