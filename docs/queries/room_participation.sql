-- Which rooms do people come to, how long do they stay, and how many leave within minutes?
--
-- `people` are different users; somebody without a user id counts once per join. Only those who
-- have left count for `median_stay_seconds` and `left_early`.
--
-- Parameters:
--   $from           timestamp, counts sessions started at or after it
--   $until          timestamp, counts sessions started before it
--   $early_seconds  number, a stay shorter than this is an early exit

WITH joins AS (
    SELECT
        s.room_id,
        s.id AS session_id,
        coalesce(nullif(peer.user_id, ''), peer.id) AS person,
        peer.left_at IS NOT NULL AS has_left,
        peer.duration AS stay_seconds
    FROM sessions AS s,
        unnest(from_json(
            s.peers,
            '[{"id": "VARCHAR", "user_id": "VARCHAR", "left_at": "VARCHAR", "duration": "DOUBLE"}]'
        )) AS joined (peer)
    WHERE s.started_at >= $from AND s.started_at < $until
)

SELECT
    joins.room_id,
    rooms.name AS room_name,
    count(DISTINCT joins.session_id) AS sessions,
    count(*) AS joins,
    count(DISTINCT joins.person) AS people,
    median(joins.stay_seconds) FILTER (joins.has_left) AS median_stay_seconds,
    count(*) FILTER (joins.has_left AND joins.stay_seconds < $early_seconds) AS left_early,
    round(left_early / nullif(count(*) FILTER (joins.has_left), 0), 3) AS early_share
FROM joins
LEFT JOIN rooms ON joins.room_id = rooms.id
GROUP BY joins.room_id, rooms.name
ORDER BY joins DESC, joins.room_id;
