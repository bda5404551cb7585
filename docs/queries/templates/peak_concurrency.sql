-- On each day, how many people were in calls at the same time at most, and when was that?
--
-- Everybody who joins adds one and everybody who leaves takes one away; the highest running sum of a day
-- (UTC) is its peak. Somebody who leaves at the very moment another one joins does not overlap with them.
-- Nobody stays longer than the session: where `left_at` is missing, its `stopped_at` counts. Midnight is
-- looked at as well, for days that begin in the middle of a call.
--
{{ sql.parameters(
    since="date (UTC), the first day",
    until="date (UTC), the first day that does not count",
) }}

WITH stays AS (
    {{ sql.items(
        "sessions AS s",
        "s.peers",
        {"stopped_at": sql.utc("s.stopped_at")},
        {"joined_at": ("joined_at", "time"), "left_at": ("left_at", "time")},
    ) | indent(4) }}
),

midnights AS (
    {{ sql.midnights(sql.time_parameter("since"), sql.time_parameter("until")) | indent(4) }}
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
    WHERE moment >= {{ sql.time_parameter("since") }} AND moment < {{ sql.time_parameter("until") }}
)

SELECT
    day,
    {{ sql.integer("people") }} AS peak,
    moment AS peak_at
FROM ranked
WHERE place = 1
ORDER BY day;
