-- How good were the calls, per room and day: how often was packet loss high, how long was the round trip?
--
-- Read from the samples in `time_series` of the stream `peer_quality`, which is one of the extra streams; the
-- column must be selected. A track counts on the day (UTC) of its first sample. `lossy_share` is the share of
-- the samples that have a packet loss in which it is above 5 %. `rtt_ms_p95` is the round trip that 95 % of
-- the samples stay below. All tracks count alike: sent and received, sound and video, and
-- each layer of a simulcast video.
--
-- Parameters:
--   $since  timestamp in UTC without a zone, counts tracks that began at or after it
--   $until  timestamp in UTC without a zone, counts tracks that began before it
--
-- For DuckDB. Generated from templates/quality_by_room.sql: change that, not this.

WITH chosen AS (
    SELECT
        room_id,
        CAST(started_at AS DATE) AS day,
        session_id,
        peer_id,
        samples,
        time_series
    FROM peer_quality
    WHERE started_at >= CAST($since AS TIMESTAMP)
        AND started_at < CAST($until AS TIMESTAMP)
),

tracks AS (
    SELECT
        room_id,
        day,
        count(DISTINCT session_id) AS sessions,
        count(DISTINCT peer_id) AS peers,
        count(*) AS tracks,
        sum(samples) AS samples
    FROM chosen
    GROUP BY room_id, day
),

losses AS (
    SELECT
        q.room_id AS room_id,
        q.day AS day,
        unnest(from_json(q.time_series -> 'packet_loss_percent', '["DOUBLE"]')) AS value
    FROM chosen AS q
),

loss AS (
    SELECT
        room_id,
        day,
        count(value) AS samples,
        count(CASE WHEN value > 5 THEN 1 END) AS lossy
    FROM losses
    GROUP BY room_id, day
),

round_trips AS (
    SELECT
        q.room_id AS room_id,
        q.day AS day,
        unnest(from_json(q.time_series -> 'rtt_ms', '["DOUBLE"]')) AS value
    FROM chosen AS q
),

round_trip AS (
    SELECT
        room_id,
        day,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY value) AS rtt_ms_p95
    FROM round_trips
    WHERE value IS NOT NULL
    GROUP BY room_id, day
)

SELECT
    tracks.room_id,
    rooms.name AS room_name,
    tracks.day,
    tracks.sessions,
    tracks.peers,
    tracks.tracks,
    CAST(tracks.samples AS BIGINT) AS samples,
    round(CAST(loss.lossy AS DECIMAL(38, 9)) / nullif(loss.samples, 0), 3) AS lossy_share,
    round(CAST(round_trip.rtt_ms_p95 AS DECIMAL(38, 9)), 1) AS rtt_ms_p95
FROM tracks
LEFT JOIN loss ON tracks.room_id = loss.room_id AND tracks.day = loss.day
LEFT JOIN round_trip ON tracks.room_id = round_trip.room_id AND tracks.day = round_trip.day
LEFT JOIN rooms ON tracks.room_id = rooms.id
ORDER BY tracks.day, tracks.room_id;
