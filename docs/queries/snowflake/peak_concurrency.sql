-- On each day, how many people were in calls at the same time at most, and when was that?
--
-- Everybody who joins adds one and everybody who leaves takes one away; the highest running sum of a day
-- (UTC) is its peak. Somebody who leaves at the very moment another one joins does not overlap with them.
-- Nobody stays longer than the session: where `left_at` is missing, its `stopped_at` counts. Midnight is
-- looked at as well, for days that begin in the middle of a call.
--
-- Parameters:
--   $since  date (UTC), the first day
--   $until  date (UTC), the first day that does not count
--
-- For Snowflake. Generated from templates/peak_concurrency.sql: change that, not this.

WITH stays AS (
    SELECT
        CAST(convert_timezone('UTC', s.stopped_at) AS TIMESTAMP_NTZ) AS stopped_at,
        CAST(convert_timezone('UTC', CAST(item.value:joined_at AS TIMESTAMP_TZ)) AS TIMESTAMP_NTZ) AS joined_at,
        CAST(convert_timezone('UTC', CAST(item.value:left_at AS TIMESTAMP_TZ)) AS TIMESTAMP_NTZ) AS left_at
    FROM sessions AS s,
        LATERAL flatten(input => s.peers) AS item
),

midnights AS (
    SELECT
        midnight
    FROM (
        SELECT
            dateadd(day, row_number() OVER (ORDER BY seq4()) - 1, CAST($since AS TIMESTAMP_NTZ)) AS midnight
        FROM TABLE(generator(rowcount => 3660))
    ) AS days
    WHERE midnight < CAST($until AS TIMESTAMP_NTZ)
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
    WHERE moment >= CAST($since AS TIMESTAMP_NTZ) AND moment < CAST($until AS TIMESTAMP_NTZ)
)

SELECT
    day,
    CAST(people AS INTEGER) AS peak,
    moment AS peak_at
FROM ranked
WHERE place = 1
ORDER BY day;
