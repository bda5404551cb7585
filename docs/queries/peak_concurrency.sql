-- On each day, how many people were in calls at the same time at most, and when was that?
--
-- Everybody who joins adds one and everybody who leaves takes one away; the highest running sum
-- of a day (UTC) is its peak. Whoever leaves at the very moment somebody joins does not overlap
-- with them. Nobody stays longer than the session. Midnight is looked at too, for days that begin
-- in the middle of a call.
--
-- Parameters:
--   $from   date, the first day
--   $until  date, the first day that does not count

WITH stays AS (
    SELECT
        peer.joined_at AS joined_at,
        coalesce(peer.left_at, sessions.stopped_at) AS left_at
    FROM sessions,
        unnest(from_json(peers, '[{"joined_at": "TIMESTAMP", "left_at": "TIMESTAMP"}]')) AS joined (peer)
    WHERE peer.joined_at IS NOT NULL
),

steps AS (
    SELECT joined_at AS moment, 1 AS step FROM stays
    UNION ALL
    SELECT left_at AS moment, -1 AS step FROM stays WHERE left_at IS NOT NULL
    UNION ALL
    SELECT midnight AS moment, 0 AS step
    FROM generate_series(CAST($from AS TIMESTAMP), CAST($until AS TIMESTAMP), INTERVAL 1 DAY) AS days (midnight)
),

running AS (
    SELECT
        moment,
        sum(step) OVER (ORDER BY moment, step ROWS UNBOUNDED PRECEDING) AS people
    FROM steps
)

SELECT
    CAST(moment AS DATE) AS day,
    CAST(max(people) AS BIGINT) AS peak,
    first(moment ORDER BY people DESC, moment) AS peak_at
FROM running
WHERE moment >= CAST($from AS TIMESTAMP) AND moment < CAST($until AS TIMESTAMP)
GROUP BY day
ORDER BY day;
