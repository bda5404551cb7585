-- Of all who tried to get into a call, how many connected, joined, published something, and got
-- through without a failure?
--
-- Read from the events of the last 30 days, which is how long 100ms keeps them. A person is a
-- user id, or a peer id where there is none; events with neither cannot be told apart and are
-- left out, and so are those about recordings.
--
-- Parameters:
--   $from     timestamp, the first moment that counts
--   $until    timestamp, the first moment that does not
--   $room_id  one room, or NULL for all

WITH people AS (
    SELECT
        coalesce(nullif(user_id, ''), nullif(peer_id, '')) AS person,
        bool_or(type <> 'client.connect.failed') AS connected,
        bool_or(type NOT IN ('client.connect.failed', 'client.join.failed')) AS joined,
        bool_or(type = 'track.add.success') AS published,
        bool_or(type LIKE 'client.%') AS in_trouble
    FROM analytics_events
    WHERE created_at >= $from AND created_at < $until
        AND type <> 'beam.recording.success'
        AND (CAST($room_id AS VARCHAR) IS NULL OR room_id = $room_id)
        AND coalesce(nullif(user_id, ''), nullif(peer_id, '')) IS NOT NULL
    GROUP BY person
),

steps AS (
    SELECT 1 AS step, 'tried' AS stage, count(*) AS people FROM people
    UNION ALL
    SELECT 2, 'connected', count(*) FROM people WHERE connected
    UNION ALL
    SELECT 3, 'joined', count(*) FROM people WHERE joined
    UNION ALL
    SELECT 4, 'published', count(*) FROM people WHERE published
    UNION ALL
    SELECT 5, 'without trouble', count(*) FROM people WHERE published AND NOT in_trouble
)

SELECT
    step,
    stage,
    people,
    round(people / nullif(first_value(people) OVER (ORDER BY step), 0), 3) AS share
FROM steps
ORDER BY step;
