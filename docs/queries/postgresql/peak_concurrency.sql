-- On each day, how many people were in calls at the same time at most, and when was that?
--
-- Everybody who joins adds one and everybody who leaves takes one away; the highest running sum of a day
-- (UTC) is its peak. Somebody who leaves at the very moment another one joins does not overlap with them.
-- Nobody stays longer than the session: where `left_at` is missing, its `stopped_at` counts. Midnight is
-- looked at as well, for days that begin in the middle of a call.
--
-- Parameters:
--   :'since'  date (UTC), the first day
--   :'until'  date (UTC), the first day that does not count
--
-- For PostgreSQL. Generated from templates/peak_concurrency.sql: change that, not this.

WITH stays AS (
    SELECT
        to_timestamp(extract(epoch FROM s.stopped_at)) AT TIME ZONE 'UTC' AS stopped_at,
        item.joined_at AT TIME ZONE 'UTC' AS joined_at,
        item.left_at AT TIME ZONE 'UTC' AS left_at
    FROM sessions AS s
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE jsonb_typeof(CAST(s.peers AS jsonb))
            WHEN 'array' THEN CAST(s.peers AS jsonb)
        END
    ) AS item (joined_at timestamptz, left_at timestamptz)
),

midnights AS (
    SELECT
        midnight
    FROM generate_series(CAST(:'since' AS timestamp), CAST(:'until' AS timestamp), INTERVAL '1 day') AS days (midnight)
    WHERE midnight < CAST(:'until' AS timestamp)
),

steps AS (
    SELECT joined_at AS moment, 1 AS step
    FROM stays
    WHERE joined_at IS NOT NULL
    UNION ALL
    SELECT coalesce(left_at, stopped_at) AS moment, -1 AS step
    FROM stays
    WHERE joined_at IS NOT NULL AND coalesce(left_at, stopped_at) IS NOT NULL
    UNION ALL
    SELECT midnight AS moment, 0 AS step
    FROM midnights
),

running AS (
    SELECT
        moment,
        sum(step) OVER (ORDER BY moment, step ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS people
    FROM steps
),

ranked AS (
    SELECT
        CAST(moment AS DATE) AS day,
        moment,
        people,
        row_number() OVER (PARTITION BY CAST(moment AS DATE) ORDER BY people DESC, moment) AS place
    FROM running
    WHERE moment >= CAST(:'since' AS timestamp) AND moment < CAST(:'until' AS timestamp)
)

SELECT
    day,
    CAST(people AS bigint) AS peak,
    moment AS peak_at
FROM ranked
WHERE place = 1
ORDER BY day;
